//! `config.json`: the `linux` object.
//!
//! # References
//! - [config-linux.md](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md)

use std::collections::BTreeMap;

use super::{IdMapping, Resources, Seccomp};
use crate::json::{wire_enum, wire_object};

wire_enum! {
    /// The kinds of namespaces.
    pub enum NamespaceKind {
        /// Process ids.
        Pid = "pid",
        /// The network stack.
        Network = "network",
        /// The mount table.
        Mount = "mount",
        /// System V IPC and POSIX message queues.
        Ipc = "ipc",
        /// Host and domain name.
        Uts = "uts",
        /// User and group ids.
        User = "user",
        /// The view of the cgroup hierarchy.
        Cgroup = "cgroup",
        /// Monotonic and boot-time clocks.
        Time = "time",
    }

    /// Mount propagation of the root.
    pub enum RootfsPropagation {
        /// A new peer group.
        Shared = "shared",
        /// Receives events, sends none.
        Slave = "slave",
        /// Neither.
        Private = "private",
        /// Private, and no bind mount may have it as source.
        Unbindable = "unbindable",
        /// As `shared`, in the word that engines use.
        RShared = "rshared",
        /// As `slave`.
        RSlave = "rslave",
        /// As `private`.
        RPrivate = "rprivate",
        /// As `unbindable`.
        RUnbindable = "runbindable",
    }
}

wire_object! {
    /// The `linux` object of `config.json`.
    #[derive(Default)]
    pub struct Linux {
        /// Namespaces that are made or joined; those absent are the runtime's own.
        pub namespaces: Vec<Namespace> = "namespaces",
        /// User ids of a new user namespace.
        pub uid_mappings: Vec<IdMapping> = "uidMappings",
        /// Group ids of a new user namespace.
        pub gid_mappings: Vec<IdMapping> = "gidMappings",
        /// Clock offsets of a new time namespace, by clock (`monotonic`, `boottime`).
        pub time_offsets: BTreeMap<String, TimeOffset> = "timeOffsets",
        /// Device nodes beyond the default ones.
        pub devices: Vec<Device> = "devices",
        /// Network devices moved into the container, by their name outside.
        pub net_devices: BTreeMap<String, NetDevice> = "netDevices",
        /// The cgroup: absolute from the hierarchy's root, or relative to a place the runtime chooses.
        pub cgroups_path: Option<String> = "cgroupsPath",
        /// Limits of the cgroup.
        pub resources: Option<Resources> = "resources",
        /// Resource Director Technology.
        pub intel_rdt: Option<IntelRdt> = "intelRdt",
        /// NUMA memory policy.
        pub memory_policy: Option<MemoryPolicy> = "memoryPolicy",
        /// Kernel parameters, by dotted name.
        pub sysctl: BTreeMap<String, String> = "sysctl",
        /// The system call filter.
        pub seccomp: Option<Seccomp> = "seccomp",
        /// Propagation of the root mount.
        pub rootfs_propagation: Option<RootfsPropagation> = "rootfsPropagation",
        /// Absolute paths made unreadable.
        pub masked_paths: Vec<String> = "maskedPaths",
        /// Absolute paths made read-only.
        pub readonly_paths: Vec<String> = "readonlyPaths",
        /// The SELinux context of the mounts.
        pub mount_label: Option<String> = "mountLabel",
        /// The execution domain.
        pub personality: Option<Personality> = "personality",
    }

    /// One namespace.
    pub struct Namespace {
        /// Its kind.
        pub kind: NamespaceKind = "type" required,
        /// A namespace file to join; absent makes a new one.
        pub path: Option<String> = "path",
    }

    /// The offset of one clock.
    #[derive(Default)]
    pub struct TimeOffset {
        /// Seconds.
        pub secs: i64 = "secs",
        /// Nanoseconds.
        pub nanosecs: u32 = "nanosecs",
    }

    /// One device node.
    #[derive(Default)]
    pub struct Device {
        /// `c`, `u`, `b` or `p`.
        pub kind: String = "type" required,
        /// Where, inside the container.
        pub path: String = "path" required,
        /// Major number; required unless a FIFO.
        pub major: Option<i64> = "major",
        /// Minor number; required unless a FIFO.
        pub minor: Option<i64> = "minor",
        /// Permission bits, decimal.
        pub file_mode: Option<u32> = "fileMode",
        /// Owner inside the container.
        pub uid: Option<u32> = "uid",
        /// Group inside the container.
        pub gid: Option<u32> = "gid",
    }

    /// A network device to move.
    #[derive(Default)]
    pub struct NetDevice {
        /// Its name inside; absent keeps the name.
        pub name: Option<String> = "name",
    }

    /// Resource Director Technology settings.
    #[derive(Default)]
    pub struct IntelRdt {
        /// The class of service.
        pub clos_id: Option<String> = "closID",
        /// L3 cache schema.
        pub l3_cache_schema: Option<String> = "l3CacheSchema",
        /// Memory bandwidth schema.
        pub mem_bw_schema: Option<String> = "memBwSchema",
        /// Lines of the schemata file.
        pub schemata: Vec<String> = "schemata",
        /// Whether a monitoring group is made.
        pub enable_monitoring: bool = "enableMonitoring",
    }

    /// Arguments of `set_mempolicy(2)`.
    #[derive(Default)]
    pub struct MemoryPolicy {
        /// The mode, such as `MPOL_BIND`.
        pub mode: String = "mode" required,
        /// NUMA nodes as `0-3,7`.
        pub nodes: Option<String> = "nodes",
        /// Mode flags.
        pub flags: Vec<String> = "flags",
    }

    /// Arguments of `personality(2)`.
    #[derive(Default)]
    pub struct Personality {
        /// `LINUX` or `LINUX32`.
        pub domain: String = "domain" required,
        /// Additional flags.
        pub flags: Vec<String> = "flags",
    }
}
