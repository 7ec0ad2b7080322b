//! The configuration that a runtime's `spec` command writes, and Docker's set of capabilities.
//! It only builds values: what suits the host (its cgroup version, its ids) is the caller's to say.

use super::{
    Capabilities, Config, DeviceRule, IdMapping, Linux, Mount, Namespace, NamespaceKind, Process, Resources,
    Rlimit, Root, VERSION,
};

/// The search path of programs where an image names none.
pub const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `/proc` and `/sys` files that tell about or disturb the host.
const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];

/// Parts of `/proc` through which the kernel is configured.
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What an unspecified container may do.
const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// What Docker lets a container do.
const DOCKER_CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Destination, type, source and options of each default mount, in the order in which they are made.
type MountRow = (&'static str, &'static str, &'static str, &'static [&'static str]);
const MOUNTS: [MountRow; 7] = [
    ("/proc", "proc", "proc", &[]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
];

/// A terminal with `sh` in a read-only `rootfs`: the meaning of what `runc spec` writes on a host that is
/// not on cgroup v2 alone. There runc adds a cgroup namespace, which the caller pushes.
pub fn config() -> Config {
    Config {
        oci_version: VERSION.into(),
        root: Some(Root { path: "rootfs".into(), readonly: true, ..Root::default() }),
        mounts: MOUNTS.iter().map(mount).collect(),
        process: Some(process()),
        // The name is runc's, because scripts that follow its documentation look for it.
        hostname: Some("runc".into()),
        linux: Some(linux()),
        ..Config::default()
    }
}

/// Docker's 14 capabilities in the three sets that a process of root has; none inheritable or ambient.
pub fn docker_capabilities() -> Capabilities {
    capabilities(&DOCKER_CAPABILITIES)
}

/// `config` for a user without privileges, `uid` and `gid` outside being root inside: a user namespace, the
/// host's network, a bound `/sys` and no limits, as `runc spec --rootless` has it.
#[must_use]
pub fn rootless(mut config: Config, uid: u32, gid: u32) -> Config {
    let linux = config.linux.get_or_insert_default();
    linux
        .namespaces
        .retain(|namespace| !matches!(namespace.kind, NamespaceKind::Network | NamespaceKind::User));
    linux.namespaces.push(namespace(NamespaceKind::User));
    linux.uid_mappings = vec![only(uid)];
    linux.gid_mappings = vec![only(gid)];
    linux.resources = None;
    for mount in &mut config.mounts {
        if mount.destination.trim_end_matches('/') == "/sys" {
            // Mounting sysfs needs the network namespace to be one's own.
            *mount = self::mount(&("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]));
        }
        // A single mapped id leaves no other owner to give a mount to.
        mount.options.retain(|option| !option.starts_with("gid=") && !option.starts_with("uid="));
    }
    config
}

fn process() -> Process {
    Process {
        terminal: true,
        args: vec!["sh".into()],
        env: vec![PATH.into(), "TERM=xterm".into()],
        cwd: "/".into(),
        capabilities: Some(capabilities(&CAPABILITIES)),
        rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".into(), soft: 1024, hard: 1024, ..Rlimit::default() }],
        no_new_privileges: true,
        ..Process::default()
    }
}

fn linux() -> Linux {
    let every_device = DeviceRule { allow: false, access: Some("rwm".into()), ..DeviceRule::default() };
    Linux {
        resources: Some(Resources { devices: vec![every_device], ..Resources::default() }),
        namespaces: [
            NamespaceKind::Pid,
            NamespaceKind::Network,
            NamespaceKind::Ipc,
            NamespaceKind::Uts,
            NamespaceKind::Mount,
        ]
        .map(namespace)
        .into(),
        masked_paths: MASKED.map(String::from).into(),
        readonly_paths: READONLY.map(String::from).into(),
        ..Linux::default()
    }
}

fn namespace(kind: NamespaceKind) -> Namespace {
    Namespace { kind, path: None, extra: Default::default() }
}

fn only(id: u32) -> IdMapping {
    IdMapping { container_id: 0, host_id: id, size: 1, ..IdMapping::default() }
}

fn capabilities(names: &[&str]) -> Capabilities {
    let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
    Capabilities {
        bounding: names.clone(),
        effective: names.clone(),
        permitted: names,
        ..Capabilities::default()
    }
}

fn mount(&(destination, kind, source, options): &MountRow) -> Mount {
    Mount {
        destination: destination.into(),
        kind: Some(kind.into()),
        source: Some(source.into()),
        options: options.iter().map(|&option| option.into()).collect(),
        ..Mount::default()
    }
}
