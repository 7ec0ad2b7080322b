//! `config.json`: what does not depend on the platform.
//!
//! # References
//! - [config.md](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md)

use std::collections::BTreeMap;

use super::Linux;
use crate::json::wire_object;

wire_object! {
    /// The whole of `config.json`.
    #[derive(Default)]
    pub struct Config {
        /// The version of the specification that the bundle follows, as SemVer 2.0.
        pub oci_version: String = "ociVersion" required,
        /// The root file system; required on Linux.
        pub root: Option<Root> = "root",
        /// Mounts beyond the root, in the order in which they are made.
        pub mounts: Vec<Mount> = "mounts",
        /// The process; required by the time of `start`.
        pub process: Option<Process> = "process",
        /// The host name in the container's UTS namespace.
        pub hostname: Option<String> = "hostname",
        /// The NIS domain name in the container's UTS namespace.
        pub domainname: Option<String> = "domainname",
        /// Programs run around the container's lifecycle.
        pub hooks: Option<Hooks> = "hooks",
        /// Arbitrary metadata; unknown keys are ignored.
        pub annotations: BTreeMap<String, String> = "annotations",
        /// What only Linux has.
        pub linux: Option<Linux> = "linux",
    }

    /// The container's root file system.
    #[derive(Default)]
    pub struct Root {
        /// Absolute, or relative to the bundle.
        pub path: String = "path" required,
        /// Whether the root is read-only inside the container.
        pub readonly: bool = "readonly",
    }

    /// One mount.
    #[derive(Default)]
    pub struct Mount {
        /// Where, inside the container; a relative path is taken from `/`.
        pub destination: String = "destination" required,
        /// A device, a file or a directory; relative to the bundle for bind mounts.
        pub source: Option<String> = "source",
        /// Mount options as `mount(8)` names them; unknown ones go to the file system.
        pub options: Vec<String> = "options",
        /// The file system's type; ignored for bind mounts.
        pub kind: Option<String> = "type",
        /// Owner mapping of an idmapped mount.
        pub uid_mappings: Vec<IdMapping> = "uidMappings",
        /// Group mapping of an idmapped mount.
        pub gid_mappings: Vec<IdMapping> = "gidMappings",
    }

    /// The process that the container runs.
    #[derive(Default)]
    pub struct Process {
        /// Whether a pseudoterminal is the process's standard streams.
        pub terminal: bool = "terminal",
        /// The terminal's size; ignored without a terminal.
        pub console_size: Option<ConsoleSize> = "consoleSize",
        /// The working directory, absolute.
        pub cwd: String = "cwd" required,
        /// The environment, `NAME=value` each.
        pub env: Vec<String> = "env",
        /// The arguments; the first is looked up as `execvp` does.
        pub args: Vec<String> = "args",
        /// Resource limits, at most one of each type.
        pub rlimits: Vec<Rlimit> = "rlimits",
        /// The AppArmor profile to run under.
        pub apparmor_profile: Option<String> = "apparmorProfile",
        /// Capability sets; absent leaves them alone.
        pub capabilities: Option<Capabilities> = "capabilities",
        /// Whether `no_new_privs` is set.
        pub no_new_privileges: bool = "noNewPrivileges",
        /// Written to `/proc/self/oom_score_adj`, -1000 to 1000; absent leaves it alone.
        pub oom_score_adj: Option<i32> = "oomScoreAdj",
        /// Scheduling policy and its attributes.
        pub scheduler: Option<Scheduler> = "scheduler",
        /// The SELinux label to run under.
        pub selinux_label: Option<String> = "selinuxLabel",
        /// I/O class and priority.
        pub io_priority: Option<IoPriority> = "ioPriority",
        /// CPUs of processes that `exec` adds.
        pub exec_cpu_affinity: Option<CpuAffinity> = "execCPUAffinity",
        /// Who the process runs as; root where absent.
        pub user: User = "user" always,
    }

    /// A terminal's size in characters.
    #[derive(Default)]
    pub struct ConsoleSize {
        /// Rows.
        pub height: u16 = "height" required,
        /// Columns.
        pub width: u16 = "width" required,
    }

    /// One resource limit.
    #[derive(Default)]
    pub struct Rlimit {
        /// The limit's name, such as `RLIMIT_NOFILE`.
        pub kind: String = "type" required,
        /// The value that the kernel enforces; `u64::MAX` means no limit.
        pub soft: u64 = "soft" required,
        /// The ceiling of the soft limit.
        pub hard: u64 = "hard" required,
    }

    /// The five capability sets, each of names such as `CAP_KILL`.
    #[derive(Default)]
    pub struct Capabilities {
        /// What may ever be gained.
        pub bounding: Vec<String> = "bounding",
        /// What is checked.
        pub effective: Vec<String> = "effective",
        /// What passes to files that inherit.
        pub inheritable: Vec<String> = "inheritable",
        /// What may be made effective.
        pub permitted: Vec<String> = "permitted",
        /// What survives `execve` of an ordinary file.
        pub ambient: Vec<String> = "ambient",
    }

    /// Arguments of `sched_setattr(2)`.
    #[derive(Default)]
    pub struct Scheduler {
        /// The policy, such as `SCHED_OTHER`.
        pub policy: String = "policy" required,
        /// -20 (most favourable) to 19.
        pub nice: i32 = "nice",
        /// The static priority of `SCHED_FIFO` and `SCHED_RR`.
        pub priority: i32 = "priority",
        /// Flags such as `SCHED_FLAG_RESET_ON_FORK`.
        pub flags: Vec<String> = "flags",
        /// Nanoseconds of `SCHED_DEADLINE`.
        pub runtime: u64 = "runtime",
        /// Nanoseconds of `SCHED_DEADLINE`.
        pub deadline: u64 = "deadline",
        /// Nanoseconds of `SCHED_DEADLINE`.
        pub period: u64 = "period",
    }

    /// Arguments of `ioprio_set(2)`.
    #[derive(Default)]
    pub struct IoPriority {
        /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
        pub class: String = "class" required,
        /// 0 (highest) to 7.
        pub priority: i32 = "priority" required,
    }

    /// CPU lists around the move into the container's cgroup.
    #[derive(Default)]
    pub struct CpuAffinity {
        /// CPUs before the process joins the cgroup, as `0-3,7`.
        pub initial: Option<String> = "initial",
        /// CPUs after it has joined.
        pub after: Option<String> = "final",
    }

    /// User and groups of a process.
    #[derive(Default)]
    pub struct User {
        /// User id inside the container.
        pub uid: u32 = "uid" always,
        /// Group id inside the container.
        pub gid: u32 = "gid" always,
        /// The file mode creation mask; absent leaves the choice to the runtime.
        pub umask: Option<u32> = "umask",
        /// Supplementary groups.
        pub additional_gids: Vec<u32> = "additionalGids",
    }

    /// Programs run at six moments.
    #[derive(Default)]
    pub struct Hooks {
        /// Deprecated: before `createRuntime`.
        pub prestart: Vec<Hook> = "prestart",
        /// After the namespaces exist, in the runtime's namespaces.
        pub create_runtime: Vec<Hook> = "createRuntime",
        /// Before `pivot_root`, in the container's namespaces.
        pub create_container: Vec<Hook> = "createContainer",
        /// Before the process is executed, in the container's namespaces.
        pub start_container: Vec<Hook> = "startContainer",
        /// After the process was executed.
        pub poststart: Vec<Hook> = "poststart",
        /// After the container was deleted.
        pub poststop: Vec<Hook> = "poststop",
    }

    /// One program.
    #[derive(Default)]
    pub struct Hook {
        /// Absolute path of the program.
        pub path: String = "path" required,
        /// Its arguments, the zeroth included.
        pub args: Vec<String> = "args",
        /// Its whole environment.
        pub env: Vec<String> = "env",
        /// Seconds before it is killed; above zero.
        pub timeout: Option<i64> = "timeout",
    }

    /// A range of ids.
    #[derive(Default)]
    pub struct IdMapping {
        /// First id inside.
        pub container_id: u32 = "containerID" required,
        /// First id outside.
        pub host_id: u32 = "hostID" required,
        /// How many ids.
        pub size: u32 = "size" required,
    }
}
