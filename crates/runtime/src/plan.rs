//! `Bundle` to [`Plan`]: the configuration read once, checked, and turned into what the child will use.
//!
//! After this nobody asks `config.json`. Every string is a C string, every flag the kernel's number and
//! every list complete, because the child allocates nothing. What is not supported is refused here, by
//! the name of its field.

mod mounts;
mod process;
pub(crate) mod supported;

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use plimsoll_spec::json::Limits;
use plimsoll_spec::runtime::{Config, Hook, IdMapping, Linux, NamespaceKind, RootfsPropagation};
use plimsoll_sys::mount::Attributes;
use plimsoll_sys::process::{CStrArray, CloneFlags};
use rustix::fs::{Mode, OFlags};

use crate::error::{Context as _, Error, Kind, Result};
use crate::rootfs::cgroup::CgroupMounts;

pub(crate) use mounts::{Action, MountPlan, OPTIONS, Parameter, Takes};
pub(crate) use process::{ProcessPlan, Window, keyring_name};

/// A namespace to join.
#[derive(Debug)]
pub(crate) struct Join {
    pub kind: CloneFlags,
    pub path: String,
    pub fd: OwnedFd,
}

/// A device node to make.
#[derive(Debug)]
pub(crate) struct DevicePlan {
    /// Relative to the root.
    pub path: CString,
    /// On the host, where a bind mount stands in for a node.
    pub host_path: CString,
    pub kind: rustix::fs::FileType,
    pub mode: u32,
    pub device: u64,
    pub uid: u32,
    pub gid: u32,
}

/// A hook that the child runs.
#[derive(Debug)]
pub(crate) struct HookPlan {
    pub path: CString,
    pub args: CStrArray,
    pub env: CStrArray,
    /// Seconds; `None` waits for ever.
    pub timeout: Option<u32>,
}

/// Everything that the child needs, computed before it exists.
#[derive(Debug)]
pub(crate) struct Plan {
    pub rootfs: CString,
    pub rootfs_path: PathBuf,
    pub readonly_root: bool,
    pub propagation: Option<RootfsPropagation>,
    /// Namespaces that are made new.
    pub new: CloneFlags,
    pub joins: Vec<Join>,
    pub time_offsets: Option<String>,
    pub uid_mappings: Vec<IdMapping>,
    pub gid_mappings: Vec<IdMapping>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub mounts: Vec<MountPlan>,
    pub devices: Vec<DevicePlan>,
    pub bind_devices: bool,
    pub masked: Vec<CString>,
    pub readonly: Vec<CString>,
    pub sysctl: Vec<(CString, Vec<u8>)>,
    pub process: ProcessPlan,
    pub create_container: Vec<HookPlan>,
    pub start_container: Vec<HookPlan>,
    /// Whether devices and links are made; not where the configuration binds a whole `/dev`.
    pub setup_dev: bool,
    /// Whether the process is killed when the runtime dies, as in the foreground, where nobody else knows of it.
    pub dies_with_runtime: bool,
    /// Whether the root changes by `pivot_root`.
    pub pivots: bool,
    /// Filled in when the cgroup exists.
    pub cgroup_mounts: CgroupMounts,
}

/// A bundle's configuration and where it came from.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub path: PathBuf,
    pub config: Config,
}

impl Bundle {
    /// Reads `config.json` of the bundle at `path`.
    pub(crate) fn read(path: &Path) -> Result<Bundle> {
        let path = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|dir| {
                // The kernel's own name of the directory is absolute and free of links.
                use std::os::fd::AsRawFd as _;
                use std::os::unix::ffi::OsStringExt as _;
                let name = rustix::fs::readlink(format!("/proc/self/fd/{}", dir.as_raw_fd()), Vec::new())?;
                Ok(PathBuf::from(std::ffi::OsString::from_vec(name.into_bytes())))
            })
            .context(|| format!("open bundle {}", path.display()))?;
        let file = path.join("config.json");
        let text = read_limited(&file, Limits::DEFAULT.size)?;
        let config = plimsoll_spec::json::from_slice::<Config>(&text)
            .map_err(|e| Error::because(Kind::Input, format!("parse {}", file.display()), e))?;
        Ok(Bundle { path, config })
    }
}

/// Reads a file of at most `limit` bytes; one byte more is enough for the parser to refuse the rest.
pub(crate) fn read_limited(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let context = || format!("open {}", path.display());
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .context(context)?;
    read_all(&file, limit).context(context)
}

/// Reads the rest of `file`, at most `limit` bytes and one more.
pub(crate) fn read_all(file: impl std::os::fd::AsFd, limit: usize) -> rustix::io::Result<Vec<u8>> {
    let mut text: Vec<u8> = Vec::with_capacity(8 << 10);
    loop {
        let room = (limit + 1).saturating_sub(text.len()).min(64 << 10);
        if room == 0 {
            return Ok(text);
        }
        text.reserve(room.min(8 << 10));
        if rustix::io::read(&file, rustix::buffer::spare_capacity(&mut text))? == 0 {
            return Ok(text);
        }
    }
}

impl Plan {
    /// Computes the plan of a container from its bundle.
    pub(crate) fn from_bundle(bundle: &Bundle) -> Result<Plan> {
        let config = &bundle.config;
        supported::check(config)?;
        let root = config.root.as_ref().ok_or_else(|| invalid("/root", "is required on Linux"))?;
        let rootfs_path = bundle.path.join(&root.path);
        let default = Linux::default();
        let linux = config.linux.as_ref().unwrap_or(&default);
        let (new, joins) = namespaces(linux)?;
        check_namespaced(config, linux, new, &joins)?;
        let in_user_ns =
            new.contains(CloneFlags::NEWUSER) || joins.iter().any(|j| j.kind == CloneFlags::NEWUSER);
        let rootless = !rustix::process::geteuid().is_root();
        let process = config.process.as_ref().ok_or_else(|| invalid("/process", "is required to create"))?;
        let hooks = config.hooks.clone().unwrap_or_default();
        let mounts::Mounts { mounts, late_readonly } = mounts::plan(config, &bundle.path)?;
        let sysctl = sysctls(linux, new, &joins)?;
        let mut readonly = inner_paths(&linux.readonly_paths, "/linux/readonlyPaths")?;
        readonly.extend(late_readonly);
        Ok(Plan {
            rootfs: path_string(&rootfs_path)?,
            readonly_root: root.readonly,
            propagation: linux.rootfs_propagation,
            new,
            joins,
            time_offsets: time_offsets(linux)?,
            uid_mappings: linux.uid_mappings.clone(),
            gid_mappings: linux.gid_mappings.clone(),
            hostname: config.hostname.clone(),
            domainname: config.domainname.clone(),
            setup_dev: !mounts.iter().any(|mount| mount.target.as_bytes() == b"dev" && mount.is_bind()),
            dies_with_runtime: false,
            pivots: true,
            cgroup_mounts: CgroupMounts::default(),
            mounts,
            devices: devices(linux)?,
            bind_devices: in_user_ns || rootless,
            masked: inner_paths(&linux.masked_paths, "/linux/maskedPaths")?,
            readonly,
            sysctl,
            process: ProcessPlan::new(process, &rootfs_path, linux)?,
            create_container: hooks.create_container.iter().map(hook).collect::<Result<_>>()?,
            start_container: hooks.start_container.iter().map(hook).collect::<Result<_>>()?,
            rootfs_path,
        })
    }
}

impl Plan {
    /// Whether the container has a user namespace of its own or a joined one.
    pub(crate) fn in_user_namespace(&self) -> bool {
        self.new.contains(CloneFlags::NEWUSER) || self.joins_kind(CloneFlags::NEWUSER)
    }

    /// The host's id of the user to whom the container's cgroup is given: where its root of cgroups is new and stands
    /// writable at `/sys/fs/cgroup`. Without an owner below a joined user namespace, whose mapping is its maker's.
    pub(crate) fn cgroup_owner(&self) -> Option<u32> {
        let writable = |mount: &MountPlan| {
            mount.target.as_bytes() == b"sys/fs/cgroup"
                && match &mount.action {
                    Action::Cgroup { attributes } => !attributes.contains(Attributes::RDONLY),
                    Action::Filesystem { kind, attributes, .. } => {
                        kind.as_bytes() == b"cgroup2" && !attributes.contains(Attributes::RDONLY)
                    }
                    Action::Bind { .. } | Action::Cover { .. } | Action::Remount => false,
                }
        };
        let shown = self.new.contains(CloneFlags::NEWCGROUP) && self.mounts.iter().any(writable);
        if !shown || self.joins_kind(CloneFlags::NEWUSER) {
            return None;
        }
        let uid = self.process.uid;
        if !self.new.contains(CloneFlags::NEWUSER) {
            return Some(uid);
        }
        let map = self
            .uid_mappings
            .iter()
            .find(|map| uid.checked_sub(map.container_id).is_some_and(|offset| offset < map.size))?;
        map.host_id.checked_add(uid - map.container_id)
    }

    /// Whether a namespace that only children enter is joined, or made below a joined user namespace.
    pub(crate) fn forks_twice(&self) -> bool {
        self.joins_kind(CloneFlags::NEWPID)
            || self.joins_kind(CloneFlags::NEWTIME)
            || self.new.contains(CloneFlags::NEWTIME)
            || (self.joins_kind(CloneFlags::NEWUSER) && self.new.contains(CloneFlags::NEWPID))
    }

    /// Namespaces that the clone itself makes. The cgroup namespace waits until the process is in its
    /// cgroup; a time namespace, new or joined, takes only children in, so the pid namespace waits for the same
    /// fork; below a joined user namespace all of them wait, so that it owns them.
    pub(crate) fn cloned(&self) -> CloneFlags {
        if self.joins_kind(CloneFlags::NEWUSER) {
            return CloneFlags::empty();
        }
        match self.new.contains(CloneFlags::NEWTIME) || self.joins_kind(CloneFlags::NEWTIME) {
            true => self.new.without(CloneFlags::NEWCGROUP | CloneFlags::NEWTIME | CloneFlags::NEWPID),
            false => self.new.without(CloneFlags::NEWCGROUP),
        }
    }

    /// Namespaces that the child makes itself.
    pub(crate) fn unshared_late(&self) -> CloneFlags {
        self.new.without(self.cloned())
    }

    fn joins_kind(&self, kind: CloneFlags) -> bool {
        self.joins.iter().any(|join| join.kind == kind)
    }
}

/// A value of the configuration that is refused, with its JSON pointer.
pub(crate) fn invalid(pointer: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Input, format!("config.json: {pointer} {why}"))
}

/// A user or group id. The kernel reads the highest number as "leave it as it is", which no configuration means.
fn id(value: u32, pointer: &str) -> Result<u32> {
    match value {
        u32::MAX => Err(invalid(pointer, format!("is no id: {value}"))),
        id => Ok(id),
    }
}

pub(crate) fn c_string(text: impl Into<Vec<u8>>, pointer: &str) -> Result<CString> {
    CString::new(text).map_err(|_| invalid(pointer, "holds a NUL byte"))
}

fn path_string(path: &Path) -> Result<CString> {
    use std::os::unix::ffi::OsStrExt as _;
    c_string(path.as_os_str().as_bytes(), "/root/path")
}

/// A path inside the root as the child wants it: relative, and `.` for the root itself.
pub(crate) fn inner_path(path: &str, pointer: &str) -> Result<CString> {
    let relative = path.trim_start_matches('/').trim_end_matches('/');
    c_string(if relative.is_empty() { "." } else { relative }, pointer)
}

fn inner_paths(paths: &[String], pointer: &str) -> Result<Vec<CString>> {
    let plan = |(i, path): (usize, &String)| {
        let pointer = format!("{pointer}/{i}");
        if !path.starts_with('/') {
            return Err(invalid(&pointer, format!("is not an absolute path: {path:?}")));
        }
        inner_path(path, &pointer)
    };
    paths.iter().enumerate().map(plan).collect()
}

pub(crate) fn flag_of(kind: NamespaceKind) -> CloneFlags {
    match kind {
        NamespaceKind::Pid => CloneFlags::NEWPID,
        NamespaceKind::Network => CloneFlags::NEWNET,
        NamespaceKind::Mount => CloneFlags::NEWNS,
        NamespaceKind::Ipc => CloneFlags::NEWIPC,
        NamespaceKind::Uts => CloneFlags::NEWUTS,
        NamespaceKind::User => CloneFlags::NEWUSER,
        NamespaceKind::Cgroup => CloneFlags::NEWCGROUP,
        NamespaceKind::Time => CloneFlags::NEWTIME,
    }
}

/// Names of namespaces in `/proc/PID/ns`.
pub(crate) const NAMESPACE_FILES: [(&str, CloneFlags); 8] = [
    ("user", CloneFlags::NEWUSER),
    ("mnt", CloneFlags::NEWNS),
    ("pid", CloneFlags::NEWPID),
    ("net", CloneFlags::NEWNET),
    ("ipc", CloneFlags::NEWIPC),
    ("uts", CloneFlags::NEWUTS),
    ("cgroup", CloneFlags::NEWCGROUP),
    ("time", CloneFlags::NEWTIME),
];

fn namespaces(linux: &Linux) -> Result<(CloneFlags, Vec<Join>)> {
    let (mut seen, mut new, mut joins) = (CloneFlags::empty(), CloneFlags::empty(), Vec::new());
    for (i, namespace) in linux.namespaces.iter().enumerate() {
        let kind = flag_of(namespace.kind);
        if seen.contains(kind) {
            let why = format!("repeats the namespace type {:?}", namespace.kind.as_str());
            return Err(invalid(&format!("/linux/namespaces/{i}/type"), why));
        }
        seen |= kind;
        match namespace.path.as_deref().filter(|path| !path.is_empty()) {
            None => new |= kind,
            Some(path) => joins.push(join(kind, path, i)?),
        }
    }
    // The user namespace comes first: what it grants is needed to join the others.
    joins.sort_by_key(|join| join.kind != CloneFlags::NEWUSER);
    Ok((new, joins))
}

fn join(kind: CloneFlags, path: &str, index: usize) -> Result<Join> {
    let pointer = format!("/linux/namespaces/{index}/path");
    if !path.starts_with('/') {
        return Err(invalid(&pointer, format!("is not an absolute path: {path:?}")));
    }
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .context(|| format!("config.json: {pointer}: open {path}"))?;
    let actual = plimsoll_sys::process::namespace_kind(&fd);
    if actual != Ok(kind) {
        return Err(invalid(&pointer, format!("is not a namespace of the type given: {path}")));
    }
    Ok(Join { kind, path: path.to_owned(), fd })
}

/// Settings that would change the host itself without the namespace that confines them.
fn check_namespaced(config: &Config, linux: &Linux, new: CloneFlags, joins: &[Join]) -> Result<()> {
    let has = |kind| new.contains(kind) || joins.iter().any(|join| join.kind == kind);
    let needs = [
        (config.hostname.is_some(), CloneFlags::NEWUTS, "/hostname", "needs a uts namespace"),
        (config.domainname.is_some(), CloneFlags::NEWUTS, "/domainname", "needs a uts namespace"),
        (!linux.time_offsets.is_empty(), CloneFlags::NEWTIME, "/linux/timeOffsets", "needs a time namespace"),
        (!linux.uid_mappings.is_empty(), CloneFlags::NEWUSER, "/linux/uidMappings", "needs a user namespace"),
        (!linux.gid_mappings.is_empty(), CloneFlags::NEWUSER, "/linux/gidMappings", "needs a user namespace"),
        (true, CloneFlags::NEWNS, "/linux/namespaces", "needs a mount namespace"),
    ];
    for (set, kind, pointer, why) in needs {
        if set && !has(kind) {
            return Err(invalid(pointer, why));
        }
    }
    if new.contains(CloneFlags::NEWUSER) && (linux.uid_mappings.is_empty() || linux.gid_mappings.is_empty()) {
        return Err(invalid("/linux/uidMappings", "and gidMappings are needed by a new user namespace"));
    }
    Ok(())
}

fn time_offsets(linux: &Linux) -> Result<Option<String>> {
    let mut lines = String::new();
    for (clock, offset) in &linux.time_offsets {
        if clock != "monotonic" && clock != "boottime" {
            return Err(invalid("/linux/timeOffsets", format!("names an unknown clock {clock:?}")));
        }
        lines.push_str(&format!("{clock} {} {}\n", offset.secs, offset.nanosecs));
    }
    Ok((!lines.is_empty()).then_some(lines))
}

/// The nodes that every container has, by name and number.
const DEFAULT_DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

fn devices(linux: &Linux) -> Result<Vec<DevicePlan>> {
    let mut plans: Vec<DevicePlan> = Vec::with_capacity(DEFAULT_DEVICES.len() + linux.devices.len());
    for (name, major, minor) in DEFAULT_DEVICES {
        plans.push(DevicePlan {
            path: c_string(format!("dev/{name}"), "")?,
            host_path: c_string(format!("/dev/{name}"), "")?,
            kind: rustix::fs::FileType::CharacterDevice,
            mode: 0o666,
            device: rustix::fs::makedev(major, minor),
            uid: 0,
            gid: 0,
        });
    }
    for (i, device) in linux.devices.iter().enumerate() {
        let pointer = format!("/linux/devices/{i}");
        let kind = match device.kind.as_str() {
            "c" | "u" => rustix::fs::FileType::CharacterDevice,
            "b" => rustix::fs::FileType::BlockDevice,
            "p" => rustix::fs::FileType::Fifo,
            other => {
                return Err(invalid(&format!("{pointer}/type"), format!("is none of c, u, b, p: {other:?}")));
            }
        };
        if !device.path.starts_with('/') {
            return Err(invalid(&format!("{pointer}/path"), "is not an absolute path"));
        }
        let number = |value: Option<i64>, name: &str| match (value, kind) {
            (None, rustix::fs::FileType::Fifo) => Ok(0),
            (Some(n), _) => {
                u32::try_from(n).map_err(|_| invalid(&format!("{pointer}/{name}"), "is out of range"))
            }
            (None, _) => Err(invalid(&format!("{pointer}/{name}"), "is required")),
        };
        let path = inner_path(&device.path, &pointer)?;
        plans.retain(|earlier| earlier.path != path);
        plans.push(DevicePlan {
            host_path: c_string(device.path.as_str(), &pointer)?,
            path,
            kind,
            mode: device.file_mode.unwrap_or(0o666) & 0o7777,
            device: rustix::fs::makedev(number(device.major, "major")?, number(device.minor, "minor")?),
            uid: id(device.uid.unwrap_or(0), &format!("{pointer}/uid"))?,
            gid: id(device.gid.unwrap_or(0), &format!("{pointer}/gid"))?,
        });
    }
    Ok(plans)
}

/// Kernel parameters that a namespace confines, and the namespace.
const NAMESPACED: [(&str, CloneFlags); 13] = [
    ("net/", CloneFlags::NEWNET),
    ("fs/mqueue/", CloneFlags::NEWIPC),
    ("kernel/msgmax", CloneFlags::NEWIPC),
    ("kernel/msgmnb", CloneFlags::NEWIPC),
    ("kernel/msgmni", CloneFlags::NEWIPC),
    ("kernel/sem", CloneFlags::NEWIPC),
    ("kernel/shmall", CloneFlags::NEWIPC),
    ("kernel/shmmax", CloneFlags::NEWIPC),
    ("kernel/shmmni", CloneFlags::NEWIPC),
    ("kernel/shm_rmid_forced", CloneFlags::NEWIPC),
    ("kernel/domainname", CloneFlags::NEWUTS),
    ("kernel/hostname", CloneFlags::NEWUTS),
    ("user/", CloneFlags::NEWUSER),
];

fn sysctls(linux: &Linux, new: CloneFlags, joins: &[Join]) -> Result<Vec<(CString, Vec<u8>)>> {
    let plan = |(name, value): (&String, &String)| {
        let pointer = format!("/linux/sysctl/{}", name.replace('/', "~1"));
        // A dotted name may hold a slash where a path component holds a dot, as in net/ipv4/conf/eth0.1.
        let path = if name.split('.').next().is_some_and(|first| first.contains('/')) {
            name.clone()
        } else {
            name.chars()
                .map(|c| {
                    if c == '.' {
                        '/'
                    } else if c == '/' {
                        '.'
                    } else {
                        c
                    }
                })
                .collect()
        };
        let known = NAMESPACED.iter().find(|(prefix, _)| {
            if prefix.ends_with('/') { path.starts_with(prefix) } else { path == *prefix }
        });
        let kind = known.map(|(_, kind)| *kind);
        let join = joins.iter().find(|join| Some(join.kind) == kind);
        let confined = join.is_some() || kind.is_some_and(|kind| new.contains(kind));
        if !confined || path.split('/').any(|part| part.is_empty() || part == "..") {
            return Err(invalid(&pointer, format!("is not in a separate kernel namespace: {name:?}")));
        }
        if let Some(join) = join {
            refuse_own_namespace(join, &pointer)?;
        }
        Ok((c_string(path, &pointer)?, value.as_bytes().to_vec()))
    };
    linux.sysctl.iter().map(plan).collect()
}

/// Refuses a kernel parameter in a namespace that is joined and is the runtime's own: it would change the host.
fn refuse_own_namespace(join: &Join, pointer: &str) -> Result<()> {
    let Some((name, _)) = NAMESPACE_FILES.iter().find(|(_, kind)| *kind == join.kind) else { return Ok(()) };
    let context = || format!("look at the {name} namespace");
    let joined = rustix::fs::fstat(&join.fd).context(context)?;
    let own = rustix::fs::stat(format!("/proc/self/ns/{name}")).context(context)?;
    match (joined.st_dev, joined.st_ino) == (own.st_dev, own.st_ino) {
        true => {
            let why = format!("is not allowed: the {name} namespace that is joined is the host's own");
            Err(invalid(pointer, why))
        }
        false => Ok(()),
    }
}

/// How the hierarchy of `controllers` is mounted as the directory `name`; `own` is the container's on the host.
pub(crate) fn hierarchy_mount(
    controllers: &str,
    name: &std::ffi::OsStr,
    own: &Path,
) -> Result<crate::rootfs::cgroup::HierarchyMount> {
    use std::os::unix::ffi::OsStrExt as _;
    let parameter = |text: &str| match text.split_once('=') {
        Some((key, value)) => Ok(Parameter { key: c_string(key, "")?, value: Some(c_string(value, "")?) }),
        None => Ok(Parameter { key: c_string(text, "")?, value: None }),
    };
    let each = || controllers.split(',').filter(|controller| !controller.is_empty());
    let links = each().filter(|one| controllers.contains(',') && name.as_bytes() != one.as_bytes());
    Ok(crate::rootfs::cgroup::HierarchyMount {
        name: c_string(name.as_bytes(), "")?,
        kind: c_string(if controllers.is_empty() { "cgroup2" } else { "cgroup" }, "")?,
        parameters: each().map(parameter).collect::<Result<_>>()?,
        own: c_string(own.as_os_str().as_bytes(), "")?,
        links: links.map(|link| c_string(link, "")).collect::<Result<_>>()?,
    })
}

fn hook(hook: &Hook) -> Result<HookPlan> {
    let strings =
        |values: &[String]| values.iter().map(|v| c_string(v.as_str(), "/hooks")).collect::<Result<Vec<_>>>();
    let path = c_string(hook.path.as_str(), "/hooks")?;
    let args = if hook.args.is_empty() { vec![path.clone()] } else { strings(&hook.args)? };
    Ok(HookPlan {
        path,
        args: CStrArray::new(args),
        env: CStrArray::new(strings(&hook.env)?),
        timeout: hook.timeout.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
    })
}
