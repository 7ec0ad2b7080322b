//! What a runtime says of itself.
//!
//! # References
//! - [features.md](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/features.md)

use std::collections::BTreeMap;

use crate::json::wire_object;

wire_object! {
    /// What a runtime recognizes; absent and empty differ, so almost everything is an option.
    #[derive(Default)]
    pub struct Features {
        /// The oldest version accepted.
        pub oci_version_min: String = "ociVersionMin" required,
        /// The newest version accepted.
        pub oci_version_max: String = "ociVersionMax" required,
        /// Kinds of hooks.
        pub hooks: Option<Vec<String>> = "hooks",
        /// Mount options, without those of file systems.
        pub mount_options: Option<Vec<String>> = "mountOptions",
        /// What only Linux has.
        pub linux: Option<LinuxFeatures> = "linux",
        /// Metadata of the runtime.
        pub annotations: BTreeMap<String, String> = "annotations",
        /// Annotations that change behaviour; a trailing dot means a prefix.
        pub potentially_unsafe_config_annotations: Option<Vec<String>> = "potentiallyUnsafeConfigAnnotations",
    }

    /// The `linux` object of the features.
    #[derive(Default)]
    pub struct LinuxFeatures {
        /// Kinds of namespaces.
        pub namespaces: Option<Vec<String>> = "namespaces",
        /// Capabilities.
        pub capabilities: Option<Vec<String>> = "capabilities",
        /// Control groups.
        pub cgroup: Option<CgroupFeatures> = "cgroup",
        /// The system call filter.
        pub seccomp: Option<SeccompFeatures> = "seccomp",
        /// AppArmor.
        pub apparmor: Option<Enabled> = "apparmor",
        /// SELinux.
        pub selinux: Option<Enabled> = "selinux",
        /// Resource Director Technology.
        pub intel_rdt: Option<IntelRdtFeatures> = "intelRdt",
        /// NUMA memory policy.
        pub memory_policy: Option<MemoryPolicyFeatures> = "memoryPolicy",
        /// Mount extensions.
        pub mount_extensions: Option<MountExtensions> = "mountExtensions",
        /// Network devices.
        pub net_devices: Option<Enabled> = "netDevices",
    }

    /// Control groups.
    #[derive(Default)]
    pub struct CgroupFeatures {
        /// Version 1.
        pub v1: Option<bool> = "v1",
        /// Version 2.
        pub v2: Option<bool> = "v2",
        /// The systemd driver.
        pub systemd: Option<bool> = "systemd",
        /// The systemd driver of an ordinary user.
        pub systemd_user: Option<bool> = "systemdUser",
        /// The rdma controller.
        pub rdma: Option<bool> = "rdma",
    }

    /// The system call filter.
    #[derive(Default)]
    pub struct SeccompFeatures {
        /// Whether there is one.
        pub enabled: Option<bool> = "enabled",
        /// Actions.
        pub actions: Option<Vec<String>> = "actions",
        /// Operators.
        pub operators: Option<Vec<String>> = "operators",
        /// Architectures.
        pub archs: Option<Vec<String>> = "archs",
        /// Flags that are recognized.
        pub known_flags: Option<Vec<String>> = "knownFlags",
        /// Flags that are acted upon.
        pub supported_flags: Option<Vec<String>> = "supportedFlags",
    }

    /// A feature that is there or not.
    #[derive(Default)]
    pub struct Enabled {
        /// Whether it is.
        pub enabled: Option<bool> = "enabled",
    }

    /// Resource Director Technology.
    #[derive(Default)]
    pub struct IntelRdtFeatures {
        /// Whether it is there.
        pub enabled: Option<bool> = "enabled",
        /// The `schemata` field.
        pub schemata: Option<bool> = "schemata",
        /// The `enableMonitoring` field.
        pub monitoring: Option<bool> = "monitoring",
    }

    /// NUMA memory policy.
    #[derive(Default)]
    pub struct MemoryPolicyFeatures {
        /// Modes.
        pub modes: Option<Vec<String>> = "modes",
        /// Flags.
        pub flags: Option<Vec<String>> = "flags",
    }

    /// Mount extensions.
    #[derive(Default)]
    pub struct MountExtensions {
        /// Idmapped mounts.
        pub idmap: Option<Enabled> = "idmap",
    }
}
