//! From an image's configuration and what the user asks for to a runtime configuration.
//!
//! The image decides by the rules of the conversion; what it leaves open is as Docker has it, so that
//! images made for Docker run. Refused are users that the root file system does not know, capabilities
//! that do not exist, and mounts without a source.
//!
//! Where the specification contradicts itself, about the supplementary groups of a user given by number,
//! this follows conversion.md: they are left empty.
//!
//! # References
//! - [conversion.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/conversion.md)

mod added;
mod annotations;
mod anonymous;
mod place;
mod user;
mod volume;

use std::os::fd::BorrowedFd;
use std::path::Path;

use plimsoll_spec::image::{ExecutionConfig, ImageConfig};
use plimsoll_spec::runtime::{
    Capabilities, Config, Cpu, IdMapping, Linux, Memory, Mount, Namespace, NamespaceKind, Pids, Process,
    Root, Seccomp, User, defaults,
};

use crate::{Error, Kind, Result};

pub use added::{Added, added};
pub use anonymous::{AnonymousVolumes, anonymous_volumes};
pub use volume::Volume;

/// Microseconds over which a share of the processors is measured out.
const CPU_PERIOD: u64 = 100_000;

/// What the user asks for beyond the image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// In place of the image's entrypoint; its default arguments then no longer apply.
    pub entrypoint: Option<Vec<String>>,
    /// In place of the image's default arguments, unless empty.
    pub args: Vec<String>,
    /// `NAME=value` sets, `NAME` alone removes.
    pub env: Vec<String>,
    /// In place of the image's user: `USER[:GROUP]`, by name or number.
    pub user: Option<String>,
    /// In place of the image's working directory.
    pub workdir: Option<String>,
    /// Bind mounts.
    pub volumes: Vec<Volume>,
    /// Whether the process gets a pseudoterminal.
    pub terminal: bool,
    /// Most bytes of memory.
    pub memory: Option<i64>,
    /// Most bytes of memory and swap together, where memory is limited and the host counts swap.
    pub memory_and_swap: Option<i64>,
    /// Most processors, in thousandths of one.
    pub milli_cpus: Option<u64>,
    /// Most tasks; -1 means no limit.
    pub pids: Option<i64>,
    /// Whether the root is read-only.
    pub read_only: bool,
    /// Capabilities beyond Docker's, with or without `CAP_`, or `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities taken away, likewise; `ALL` leaves only those added.
    pub cap_drop: Vec<String>,
    /// Whether programs can gain no privileges.
    pub no_new_privileges: bool,
    /// The system call filter; none filters nothing.
    pub seccomp: Option<Seccomp>,
    /// What the container sees of the network.
    pub network: Network,
    /// The container's host name.
    pub hostname: Option<String>,
    /// The container's cgroup, as the runtime configuration names it.
    pub cgroups_path: Option<String>,
    /// Whether the container has its own view of the cgroups, as it has where only cgroup v2 is mounted.
    pub cgroup_namespace: bool,
    /// Set where the user has no privileges.
    pub rootless: Option<Rootless>,
    /// Annotations beyond the image's, over which they win.
    pub annotations: Vec<(String, String)>,
}

/// What a container sees of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// What the host sees.
    #[default]
    Host,
    /// A loopback device of its own.
    None,
}

/// The ids of a user namespace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rootless {
    /// User ids, id 0 inside among them.
    pub uids: Vec<IdMapping>,
    /// Group ids, id 0 inside among them.
    pub gids: Vec<IdMapping>,
    /// Namespaces that exist and have these ids, in place of new ones.
    pub joined: Option<Joined>,
}

/// Namespaces that a container joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Path of the user namespace.
    pub user: String,
    /// Path of a mount namespace that it owns and in which the root file system is mounted.
    pub mount: String,
}

/// The runtime configuration of a container of `image` whose root file system is `rootfs`, to be written
/// to a bundle that has it as the directory `rootfs`, and its [`anonymous_volumes`].
///
/// # Errors
/// [`Kind::NotFound`] for a user, group or source of a mount that does not exist, [`Kind::Invalid`] for a
/// malformed user, variable or capability, and where the result would have nothing to execute; those of
/// [`anonymous_volumes`].
pub fn config(image: &ImageConfig, rootfs: BorrowedFd<'_>, overrides: &Overrides) -> Result<Config> {
    let absent = ExecutionConfig::default();
    let execution = image.config.as_ref().unwrap_or(&absent);
    let mut config = defaults::config();
    if let Some(rootless) = &overrides.rootless {
        config = in_user_namespace(config, rootless);
    }
    config.root = Some(Root { path: "rootfs".into(), readonly: overrides.read_only, ..Root::default() });
    config.hostname.clone_from(&overrides.hostname);
    config.annotations = annotations::of(image, execution);
    config.annotations.extend(overrides.annotations.iter().cloned());
    config.process = Some(process(execution, rootfs, overrides)?);
    mounts(&mut config.mounts, &anonymous_volumes(image, rootfs, overrides)?, overrides)?;
    linux(config.linux.get_or_insert_default(), overrides);
    Ok(config)
}

/// The group of terminals on most distributions, to which the default configuration gives them.
const TTY: u32 = 5;

fn in_user_namespace(config: Config, rootless: &Rootless) -> Config {
    let mut config = defaults::rootless(config, 0, 0);
    if mapped(&rootless.gids, TTY) {
        let terminals = config.mounts.iter_mut().filter(|mount| mount.destination == "/dev/pts");
        terminals.for_each(|mount| mount.options.push(format!("gid={TTY}")));
    }
    let linux = config.linux.get_or_insert_default();
    linux.uid_mappings.clone_from(&rootless.uids);
    linux.gid_mappings.clone_from(&rootless.gids);
    if let Some(Joined { user, mount }) = &rootless.joined {
        for namespace in &mut linux.namespaces {
            match namespace.kind {
                NamespaceKind::User => namespace.path = Some(user.clone()),
                NamespaceKind::Mount => namespace.path = Some(mount.clone()),
                _ => {}
            }
        }
    }
    config
}

fn process(execution: &ExecutionConfig, rootfs: BorrowedFd<'_>, overrides: &Overrides) -> Result<Process> {
    let wanted = overrides.user.as_deref().or(execution.user.as_deref()).unwrap_or("");
    let mut account = user::resolve(rootfs, wanted)?;
    if let Some(rootless) = &overrides.rootless {
        fit(&mut account.user, &rootless.uids, &rootless.gids)?;
    }
    Ok(Process {
        terminal: overrides.terminal,
        args: args(execution, overrides)?,
        env: env(execution, overrides, &account.home)?,
        cwd: absolute(overrides.workdir.as_deref().or(execution.working_dir.as_deref()).unwrap_or("")),
        user: account.user,
        capabilities: Some(capabilities(&overrides.cap_add, &overrides.cap_drop)?),
        no_new_privileges: overrides.no_new_privileges,
        ..Process::default()
    })
}

fn args(execution: &ExecutionConfig, overrides: &Overrides) -> Result<Vec<String>> {
    let entrypoint = overrides.entrypoint.as_ref().unwrap_or(&execution.entrypoint);
    let arguments = match (&overrides.entrypoint, overrides.args.as_slice()) {
        (None, []) => &execution.cmd,
        _ => &overrides.args,
    };
    let args: Vec<String> = entrypoint.iter().chain(arguments).cloned().collect();
    match args.first().map(String::as_str) {
        None | Some("") => Err(Error::new(Kind::Invalid, "the image has no command and none was given")),
        Some(_) => Ok(args),
    }
}

fn absolute(workdir: &str) -> String {
    match workdir.starts_with('/') {
        true => workdir.to_owned(),
        // A runtime demands an absolute one, and from where else would it start.
        false => format!("/{workdir}"),
    }
}

/// The image's environment as it is, then what was asked for, then what a shell cannot do without.
fn env(execution: &ExecutionConfig, overrides: &Overrides, home: &str) -> Result<Vec<String>> {
    let mut env = execution.env.clone();
    set(&mut env, &overrides.env)?;
    let hostname = overrides.hostname.as_ref().map(|hostname| format!("HOSTNAME={hostname}"));
    let term = overrides.terminal.then(|| "TERM=xterm".to_owned());
    let wanted = [Some(defaults::PATH.to_owned()), hostname, term, Some(format!("HOME={home}"))];
    for variable in wanted.into_iter().flatten() {
        add(&mut env, variable);
    }
    Ok(env)
}

/// Applies `changes`: `NAME=value` sets, `NAME` alone removes.
fn set(env: &mut Vec<String>, changes: &[String]) -> Result<()> {
    for variable in changes {
        let (name, value) = variable.split_once('=').map_or((variable.as_str(), None), |(n, v)| (n, Some(v)));
        if name.is_empty() || variable.contains('\0') {
            return Err(Error::new(Kind::Invalid, format!("invalid environment variable {variable:?}")));
        }
        let at = env.iter().position(|other| self::name(other) == name);
        match (at, value) {
            (Some(at), Some(_)) => variable.clone_into(&mut env[at]),
            (None, Some(_)) => env.push(variable.clone()),
            (_, None) => env.retain(|other| self::name(other) != name),
        }
    }
    Ok(())
}

/// Adds `variable` unless there is one of its name.
fn add(env: &mut Vec<String>, variable: String) {
    if !env.iter().any(|other| name(other) == name(&variable)) {
        env.push(variable);
    }
}

fn name(variable: &str) -> &str {
    variable.split_once('=').map_or(variable, |(name, _)| name)
}

/// Refuses ids that have no mapping, and drops groups where the kernel does not let them be set.
fn fit(user: &mut User, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    for (kind, mappings, id) in [("user", uids, user.uid), ("group", gids, user.gid)] {
        if !mapped(mappings, id) {
            let context = format!("{kind} id {id} is not mapped in the user namespace");
            return Err(Error::new(Kind::Invalid, context));
        }
    }
    let single = gids.iter().map(|mapping| u64::from(mapping.size)).sum::<u64>() <= 1;
    user.additional_gids.retain(|&gid| !single && mapped(gids, gid));
    Ok(())
}

fn mapped(mappings: &[IdMapping], id: u32) -> bool {
    mappings
        .iter()
        .any(|mapping| id.checked_sub(mapping.container_id).is_some_and(|offset| offset < mapping.size))
}

/// Docker's capabilities with `add` and without `drop`, the latter first.
fn capabilities(add: &[String], drop: &[String]) -> Result<Capabilities> {
    let all = || plimsoll_sys::capability::NAMES.map(str::to_owned).to_vec();
    let (add, drop) = (Named::parse(add)?, Named::parse(drop)?);
    let mut names = match (add.all, drop.all) {
        (true, _) => all(),
        (false, true) => Vec::new(),
        (false, false) => defaults::docker_capabilities().bounding,
    };
    names.retain(|name| !drop.names.contains(name));
    for name in add.names {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(Capabilities {
        bounding: names.clone(),
        effective: names.clone(),
        permitted: names,
        ..Capabilities::default()
    })
}

/// Capabilities as they were typed.
struct Named {
    all: bool,
    names: Vec<String>,
}

impl Named {
    fn parse(typed: &[String]) -> Result<Named> {
        let mut named = Named { all: false, names: Vec::new() };
        for text in typed {
            let upper = text.to_ascii_uppercase();
            if upper == "ALL" {
                named.all = true;
                continue;
            }
            let name = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
            if plimsoll_sys::capability::number(&name).is_none() {
                return Err(Error::new(Kind::Invalid, format!("there is no capability {text:?}")));
            }
            named.names.push(name);
        }
        Ok(named)
    }
}

fn mounts(mounts: &mut Vec<Mount>, anonymous: &AnonymousVolumes, overrides: &Overrides) -> Result<()> {
    for mount in mounts.iter_mut().filter(|mount| mount.destination == "/proc") {
        mount.options = ["nosuid", "noexec", "nodev"].map(str::to_owned).to_vec();
    }
    let mut added: Vec<Mount> = host_files(overrides).map(|file| Volume::read_only(file).mount()).collect();
    for volume in &overrides.volumes {
        volume.check()?;
        // What the user mounts stands in place of what is there by default.
        let elsewhere = |mount: &Mount| mount.destination != volume.destination;
        mounts.retain(elsewhere);
        added.retain(elsewhere);
        added.push(volume.mount());
    }
    added.extend(anonymous.mounts());
    // What lies above comes first, because it would cover what lies below.
    added.sort_by_key(|mount| volume::components(&mount.destination).count());
    mounts.append(&mut added);
    Ok(())
}

/// Files by which a container on the host's network looks names up as the host does.
fn host_files(overrides: &Overrides) -> impl Iterator<Item = &'static str> {
    let files = ["/etc/resolv.conf", "/etc/hosts"].into_iter();
    let wanted = overrides.network == Network::Host;
    files.filter(move |file| wanted && Path::new(file).is_file())
}

fn linux(linux: &mut Linux, overrides: &Overrides) {
    let namespace = |kind| Namespace { kind, path: None, extra: Default::default() };
    linux.namespaces.retain(|other| other.kind != NamespaceKind::Network);
    if overrides.network == Network::None {
        linux.namespaces.push(namespace(NamespaceKind::Network));
    }
    if overrides.cgroup_namespace {
        linux.namespaces.push(namespace(NamespaceKind::Cgroup));
    }
    // Docker masks these too: they tell one container what another does.
    for path in ["/proc/interrupts", "/sys/devices/virtual/powercap"] {
        linux.masked_paths.push(path.to_owned());
    }
    linux.seccomp.clone_from(&overrides.seccomp);
    linux.cgroups_path.clone_from(&overrides.cgroups_path);
    if overrides.memory.is_none() && overrides.milli_cpus.is_none() && overrides.pids.is_none() {
        return;
    }
    let resources = linux.resources.get_or_insert_default();
    resources.memory = overrides.memory.map(|limit| Memory {
        limit: Some(limit),
        swap: overrides.memory_and_swap,
        ..Memory::default()
    });
    resources.pids = overrides.pids.map(|limit| Pids { limit: Some(limit), ..Pids::default() });
    resources.cpu = overrides.milli_cpus.map(|thousandths| Cpu {
        quota: i64::try_from(thousandths.saturating_mul(CPU_PERIOD / 1000)).ok(),
        period: Some(CPU_PERIOD),
        ..Cpu::default()
    });
}
