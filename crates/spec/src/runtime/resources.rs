//! `config.json`: limits of the cgroup.
//!
//! # References
//! - [config-linux.md, control groups](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#control-groups)

use std::collections::BTreeMap;

use crate::json::wire_object;

wire_object! {
    /// Limits of the container's cgroup. Whatever is absent stays as it is.
    #[derive(Default)]
    pub struct Resources {
        /// Device access, in order; the last matching rule decides.
        pub devices: Vec<DeviceRule> = "devices",
        /// The memory controller.
        pub memory: Option<Memory> = "memory",
        /// The cpu and cpuset controllers.
        pub cpu: Option<Cpu> = "cpu",
        /// The pids controller.
        pub pids: Option<Pids> = "pids",
        /// The blkio or io controller.
        pub block_io: Option<BlockIo> = "blockIO",
        /// The hugetlb controller.
        pub hugepage_limits: Vec<HugepageLimit> = "hugepageLimits",
        /// The net_cls and net_prio controllers.
        pub network: Option<NetworkClass> = "network",
        /// The rdma controller, by device.
        pub rdma: BTreeMap<String, Rdma> = "rdma",
        /// Files of cgroup v2 and what is written to them.
        pub unified: BTreeMap<String, String> = "unified",
    }

    /// One rule of device access.
    #[derive(Default)]
    pub struct DeviceRule {
        /// Whether matching access is allowed.
        pub allow: bool = "allow" required,
        /// `a`, `c` or `b`; absent means all.
        pub kind: Option<String> = "type",
        /// Major number; absent or -1 means all.
        pub major: Option<i64> = "major",
        /// Minor number; absent or -1 means all.
        pub minor: Option<i64> = "minor",
        /// Any of `r`, `w`, `m`; absent means all.
        pub access: Option<String> = "access",
    }

    /// Memory limits in bytes; -1 means no limit.
    #[derive(Default)]
    pub struct Memory {
        /// Hard limit.
        pub limit: Option<i64> = "limit",
        /// Soft limit.
        pub reservation: Option<i64> = "reservation",
        /// Memory and swap together.
        pub swap: Option<i64> = "swap",
        /// Kernel memory; not recommended.
        pub kernel: Option<i64> = "kernel",
        /// TCP buffer memory; not recommended.
        pub kernel_tcp: Option<i64> = "kernelTCP",
        /// 0 to 100.
        pub swappiness: Option<u64> = "swappiness",
        /// Whether tasks wait instead of being killed.
        pub disable_oom_killer: Option<bool> = "disableOOMKiller",
        /// Hierarchical accounting.
        pub use_hierarchy: Option<bool> = "useHierarchy",
        /// Refuse an update below current usage.
        pub check_before_update: bool = "checkBeforeUpdate",
    }

    /// CPU time and placement.
    #[derive(Default)]
    pub struct Cpu {
        /// Relative share.
        pub shares: Option<u64> = "shares",
        /// Microseconds per period; -1 means no limit.
        pub quota: Option<i64> = "quota",
        /// Microseconds that may accumulate.
        pub burst: Option<u64> = "burst",
        /// Microseconds.
        pub period: Option<u64> = "period",
        /// Microseconds of real-time scheduling.
        pub realtime_runtime: Option<i64> = "realtimeRuntime",
        /// Microseconds.
        pub realtime_period: Option<u64> = "realtimePeriod",
        /// CPUs as `0-3,7`.
        pub cpus: Option<String> = "cpus",
        /// Memory nodes as `0-3,7`.
        pub mems: Option<String> = "mems",
        /// 1 makes every task SCHED_IDLE.
        pub idle: Option<i64> = "idle",
    }

    /// Number of tasks.
    #[derive(Default)]
    pub struct Pids {
        /// Most tasks; -1 means no limit.
        pub limit: Option<i64> = "limit",
    }

    /// Block I/O weights and rates.
    #[derive(Default)]
    pub struct BlockIo {
        /// 10 to 1000.
        pub weight: Option<u16> = "weight",
        /// 10 to 1000, against child cgroups.
        pub leaf_weight: Option<u16> = "leafWeight",
        /// Weights by device.
        pub weight_device: Vec<WeightDevice> = "weightDevice",
        /// Bytes read per second.
        pub throttle_read_bps_device: Vec<ThrottleDevice> = "throttleReadBpsDevice",
        /// Bytes written per second.
        pub throttle_write_bps_device: Vec<ThrottleDevice> = "throttleWriteBpsDevice",
        /// Reads per second.
        pub throttle_read_iops_device: Vec<ThrottleDevice> = "throttleReadIOPSDevice",
        /// Writes per second.
        pub throttle_write_iops_device: Vec<ThrottleDevice> = "throttleWriteIOPSDevice",
    }

    /// A device's weight.
    #[derive(Default)]
    pub struct WeightDevice {
        /// Major number.
        pub major: i64 = "major" required,
        /// Minor number.
        pub minor: i64 = "minor" required,
        /// 10 to 1000.
        pub weight: Option<u16> = "weight",
        /// 10 to 1000.
        pub leaf_weight: Option<u16> = "leafWeight",
    }

    /// A device's rate.
    #[derive(Default)]
    pub struct ThrottleDevice {
        /// Major number.
        pub major: i64 = "major" required,
        /// Minor number.
        pub minor: i64 = "minor" required,
        /// Per second.
        pub rate: u64 = "rate" required,
    }

    /// A limit of one page size.
    #[derive(Default)]
    pub struct HugepageLimit {
        /// Such as `2MB`.
        pub page_size: String = "pageSize" required,
        /// Bytes.
        pub limit: u64 = "limit" required,
    }

    /// Marks on network packets; cgroup v1 only.
    #[derive(Default)]
    pub struct NetworkClass {
        /// Class of every packet.
        pub class_id: Option<u32> = "classID",
        /// Priorities by interface.
        pub priorities: Vec<InterfacePriority> = "priorities",
    }

    /// A priority on one interface.
    #[derive(Default)]
    pub struct InterfacePriority {
        /// Interface in the runtime's network namespace.
        pub name: String = "name" required,
        /// Priority.
        pub priority: u32 = "priority" required,
    }

    /// Limits of one RDMA device.
    #[derive(Default)]
    pub struct Rdma {
        /// Most handles.
        pub hca_handles: Option<u32> = "hcaHandles",
        /// Most objects.
        pub hca_objects: Option<u32> = "hcaObjects",
    }
}
