//! From what was typed to what the bundle is made of.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use plimsoll_digest::{Algorithm, Digest};
use plimsoll_image::bundle::{Network, Overrides, Volume};
use plimsoll_spec::json;
use plimsoll_spec::runtime::{Seccomp, seccomp_profile};

use crate::args::{self, ContainerOptions};
use crate::context::Context;

/// The overrides that `options` and the command line `args` mean for container `name` of this user.
pub(super) fn overrides(
    context: &Context,
    name: &str,
    options: &ContainerOptions,
    args: &[String],
) -> Result<Overrides> {
    let rootless = &context.trees().rootless;
    let security = security(options)?;
    Ok(Overrides {
        entrypoint: options.entrypoint.as_ref().map(|program| match program.as_str() {
            "" => Vec::new(),
            program => vec![program.to_owned()],
        }),
        args: args.to_vec(),
        env: options.env.iter().filter_map(|entry| variable(entry)).collect(),
        user: options.user.clone(),
        workdir: options.workdir.clone(),
        volumes: options.volume.iter().map(|text| volume(text)).collect::<Result<_>>()?,
        terminal: options.tty,
        memory: options.memory,
        memory_and_swap: options.memory.filter(|_| accounts_swap()).map(|limit| limit.saturating_mul(2)),
        milli_cpus: options.cpus,
        pids: options.pids_limit,
        read_only: options.read_only,
        cap_add: options.cap_add.clone(),
        cap_drop: options.cap_drop.clone(),
        no_new_privileges: security.no_new_privileges,
        seccomp: None,
        network: match options.network {
            args::Network::Host => Network::Host,
            args::Network::None => Network::None,
        },
        hostname: options.hostname.clone().or_else(|| Some(name.chars().take(63).collect())),
        cgroups_path: rootless.is_none().then(|| cgroups_path(context, name)),
        cgroup_namespace: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
        rootless: rootless.clone(),
        annotations: Vec::new(),
    })
}

/// Whether the cgroups of this host count what is swapped out: as Docker has it, as much again as of memory may be,
/// but a runtime fails that is asked to limit what is not counted.
///
/// The root of v2 has no file that tells, and there need not be another cgroup: there it is what the kernel was
/// built and booted for.
fn accounts_swap() -> bool {
    let v1 = Path::new("/sys/fs/cgroup/memory");
    if v1.is_dir() {
        return v1.join("memory.memsw.limit_in_bytes").exists();
    }
    let parameters = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    Path::new("/proc/swaps").exists() && !parameters.split_whitespace().any(|word| word == "swapaccount=0")
}

/// Where container `name` of this store has its cgroup: containers of other stores may have its name.
fn cgroups_path(context: &Context, name: &str) -> String {
    let store = Digest::of(Algorithm::Sha256, context.store.path().as_os_str().as_bytes());
    format!("/plimsoll-{name}-{}", store.encoded().get(..8).unwrap_or_default())
}

/// The volume that `text` means; what is wrong with it is said before any work is done for it.
fn volume(text: &str) -> Result<Volume> {
    let volume = Volume::parse(text)?;
    volume.check()?;
    Ok(volume)
}

/// `NAME=value` as it is; `NAME` with the value it has here, or not at all.
pub(super) fn variable(entry: &str) -> Option<String> {
    match entry.contains('=') {
        true => Some(entry.to_owned()),
        false => std::env::var(entry).ok().map(|value| format!("{entry}={value}")),
    }
}

/// The system call filter of a container.
#[derive(Debug, Default)]
enum Filter {
    /// Docker's, for the capabilities that the container ends up with.
    #[default]
    Default,
    Unconfined,
    File(String),
}

#[derive(Debug, Default)]
struct Security {
    filter: Filter,
    no_new_privileges: bool,
}

fn security(options: &ContainerOptions) -> Result<Security> {
    let mut security = Security::default();
    for option in &options.security_opt {
        match option.split_once(['=', ':']).unwrap_or((option, "true")) {
            ("seccomp", "unconfined") => security.filter = Filter::Unconfined,
            ("seccomp", file) => security.filter = Filter::File(file.to_owned()),
            ("no-new-privileges", "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => security.no_new_privileges = false,
            _ => bail!(
                "unknown --security-opt {option:?}; there are seccomp=unconfined, seccomp=FILE and no-new-privileges"
            ),
        }
    }
    Ok(security)
}

/// The filter for a process that has `capabilities`.
pub(super) fn seccomp(options: &ContainerOptions, capabilities: &[&str]) -> Result<Option<Seccomp>> {
    match security(options)?.filter {
        Filter::Default => Ok(Some(seccomp_profile::docker_default(capabilities))),
        Filter::Unconfined => Ok(None),
        Filter::File(file) => {
            let text = std::fs::read(&file).with_context(|| format!("read seccomp profile {file}"))?;
            let value: json::Value =
                json::from_slice(&text).with_context(|| format!("parse seccomp profile {file}"))?;
            let profile = seccomp_profile::from_docker(&value, capabilities, kernel());
            Ok(Some(profile.with_context(|| format!("read seccomp profile {file}"))?))
        }
    }
}

/// Version of the running kernel, as far as profiles ask for it.
fn kernel() -> (u32, u32) {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|text| text.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
