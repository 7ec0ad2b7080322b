//! Docker's default filter in meaning, and profiles in Docker's own form, which depend on what the
//! container may do and where it runs. Only values are made here; the host is the caller's to look at.
//!
//! # References
//! - [Seccomp security profiles for Docker](https://docs.docker.com/engine/security/seccomp/)

use super::{Seccomp, SeccompAction, SeccompArch, SeccompArg, SeccompFlag, SeccompOperator, SeccompRule};
use crate::json::{At, Error, Object, Value, Wire as _, wire_object};

/// Calls that every container may make.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    "_llseek", "_newselect", "accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk", "cachestat",
    "capget", "capset", "chdir", "chmod", "chown", "chown32", "clock_adjtime", "clock_adjtime64",
    "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "close", "close_range", "connect", "copy_file_range", "creat", "dup", "dup2",
    "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
    "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve", "execveat", "exit", "exit_group",
    "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fanotify_mark", "fchdir",
    "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync",
    "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr", "fstat", "fstat64",
    "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futex", "futex_requeue",
    "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "get_robust_list",
    "get_thread_area", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "getegid32", "geteuid",
    "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32", "getitimer", "getpeername", "getpgid",
    "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32", "getresuid",
    "getresuid32", "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt", "gettid",
    "gettimeofday", "getuid", "getuid32", "getxattr", "getxattrat", "inotify_add_watch", "inotify_init",
    "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents",
    "io_pgetevents_time64", "io_setup", "io_submit", "ioctl", "ioprio_get", "ioprio_set", "ipc", "kill",
    "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32",
    "lgetxattr", "link", "linkat", "listen", "listmount", "listxattr", "listxattrat", "llistxattr",
    "lremovexattr", "lseek", "lsetxattr", "lstat", "lstat64", "madvise", "map_shadow_stack", "membarrier",
    "memfd_create", "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2",
    "mlockall", "mmap", "mmap2", "mprotect", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
    "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "mremap", "mseal",
    "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall", "munmap", "name_to_handle_at",
    "nanosleep", "newfstatat", "open", "openat", "openat2", "pause", "pidfd_open", "pidfd_send_signal",
    "pipe", "pipe2", "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl",
    "pread64", "preadv", "preadv2", "prlimit64", "process_mrelease", "process_vm_readv",
    "process_vm_writev", "pselect6", "pselect6_time64", "ptrace", "pwrite64", "pwritev", "pwritev2", "read",
    "readahead", "readlink", "readlinkat", "readv", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64",
    "recvmsg", "remap_file_pages", "removexattr", "removexattrat", "rename", "renameat", "renameat2",
    "restart_syscall", "riscv_hwprobe", "rmdir", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
    "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
    "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop", "semtimedop",
    "semtimedop_time64", "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg", "sendto",
    "set_robust_list", "set_thread_area", "set_tid_address", "setfsgid", "setfsgid32", "setfsuid",
    "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setitimer", "setpgid", "setpriority",
    "setregid", "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid",
    "setreuid32", "setrlimit", "setsid", "setsockopt", "setuid", "setuid32", "setxattr", "setxattrat",
    "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack", "signalfd", "signalfd4", "sigprocmask",
    "sigreturn", "socketcall", "socketpair", "splice", "stat", "stat64", "statfs", "statfs64", "statmount",
    "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "sysinfo", "tee", "tgkill",
    "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64",
    "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64",
    "timerfd_settime", "timerfd_settime64", "times", "tkill", "truncate", "truncate64", "ugetrlimit",
    "umask", "uname", "unlink", "unlinkat", "uretprobe", "utime", "utimensat", "utimensat_time64", "utimes",
    "vfork", "vmsplice", "wait4", "waitid", "waitpid", "write", "writev",
];

/// Calls that need CAP_SYS_ADMIN to be of use.
#[rustfmt::skip]
const OF_ADMINISTRATORS: &[&str] = &[
    "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie",
    "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount", "mount_setattr", "move_mount",
    "open_tree", "perf_event_open", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns",
    "syslog", "umount", "umount2", "unshare",
];

/// Calls that come with one capability each.
const OF_CAPABILITIES: &[(&str, &[&str])] = &[
    ("CAP_DAC_READ_SEARCH", &["open_by_handle_at"]),
    ("CAP_SYS_BOOT", &["reboot"]),
    ("CAP_SYS_CHROOT", &["chroot"]),
    ("CAP_SYS_MODULE", &["delete_module", "init_module", "finit_module"]),
    ("CAP_SYS_PACCT", &["acct"]),
    (
        "CAP_SYS_PTRACE",
        &["kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"],
    ),
    ("CAP_SYS_RAWIO", &["iopl", "ioperm"]),
    ("CAP_SYS_TIME", &["settimeofday", "stime", "clock_settime", "clock_settime64"]),
    ("CAP_SYS_TTY_CONFIG", &["vhangup"]),
    ("CAP_SYS_NICE", &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    ("CAP_SYSLOG", &["syslog"]),
    ("CAP_BPF", &["bpf"]),
    ("CAP_PERFMON", &["perf_event_open"]),
];

/// Address families above 2 that a socket may have: all but AF_VSOCK and AF_ALG, which reach out of the container,
/// and those that newer kernels have given up.
#[rustfmt::skip]
const FAMILIES: &[u64] = &[7, 8, 9, 10, 13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45];

/// Execution domains that may be asked for, and the question for the present one.
const PERSONALITIES: &[u64] = &[0, 8, 0x20000, 0x20008, 0xffffffff];

/// The bits of `clone` that make namespaces.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// Docker's default filter for a process that may have `capabilities`, by their full names.
pub fn docker_default(capabilities: &[&str]) -> Seccomp {
    let has = |capability: &str| capabilities.contains(&capability);
    let mut rules = vec![allow(ALLOWED), on_argument("socket", 3, 0, SeccompOperator::Less)];
    rules.extend(FAMILIES.iter().map(|family| on_argument("socket", *family, 0, SeccompOperator::Equal)));
    rules.extend(
        PERSONALITIES.iter().map(|domain| on_argument("personality", *domain, 0, SeccompOperator::Equal)),
    );
    if cfg!(target_arch = "x86_64") {
        rules.push(allow(&["arch_prctl", "modify_ldt"]));
    }
    if cfg!(target_arch = "aarch64") {
        let names = [
            "arm_fadvise64_64",
            "arm_sync_file_range",
            "sync_file_range2",
            "breakpoint",
            "cacheflush",
            "set_tls",
        ];
        rules.push(allow(&names));
    }
    if has("CAP_SYS_ADMIN") {
        rules.push(allow(OF_ADMINISTRATORS));
    } else {
        rules.push(on_argument("clone", NEW_NAMESPACES, 0, SeccompOperator::MaskedEqual));
        // Its flags are behind a pointer: programs fall back to clone when it seems absent.
        rules.push(SeccompRule {
            action: SeccompAction::Errno,
            errno_ret: Some(ENOSYS),
            ..allow(&["clone3"])
        });
    }
    let granted = OF_CAPABILITIES.iter().filter(|(capability, _)| has(capability));
    rules.extend(granted.map(|(_, names)| allow(names)));
    Seccomp { default_errno_ret: Some(EPERM), architectures: architectures(), syscalls: rules, ..refusing() }
}

/// A filter that refuses everything.
fn refusing() -> Seccomp {
    Seccomp {
        default_action: SeccompAction::Errno,
        default_errno_ret: None,
        architectures: Vec::new(),
        flags: None,
        listener_path: None,
        listener_metadata: None,
        syscalls: Vec::new(),
        extra: Object::new(),
    }
}

fn allow(names: &[&str]) -> SeccompRule {
    SeccompRule {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        action: SeccompAction::Allow,
        errno_ret: None,
        args: Vec::new(),
        extra: Object::new(),
    }
}

fn on_argument(name: &str, value: u64, value_two: u64, op: SeccompOperator) -> SeccompRule {
    let arg = SeccompArg { index: 0, value, value_two, op, extra: Object::new() };
    SeccompRule { args: vec![arg], ..allow(&[name]) }
}

/// What programs for this machine can be made for.
fn architectures() -> Vec<SeccompArch> {
    if cfg!(target_arch = "x86_64") {
        vec![SeccompArch::X86_64, SeccompArch::X86, SeccompArch::X32]
    } else if cfg!(target_arch = "aarch64") {
        vec![SeccompArch::Aarch64, SeccompArch::Arm]
    } else {
        Vec::new()
    }
}

wire_object! {
    /// A profile in Docker's form.
    pub struct Profile {
        /// What happens where no rule says otherwise.
        pub default_action: SeccompAction = "defaultAction" required,
        /// The errno of that.
        pub default_errno_ret: Option<u32> = "defaultErrnoRet",
        /// Architectures, where there is no map.
        pub architectures: Vec<SeccompArch> = "architectures",
        /// Architectures by the machine's own.
        pub arch_map: Vec<Architecture> = "archMap",
        /// How the filter is loaded.
        pub flags: Option<Vec<SeccompFlag>> = "flags",
        /// The rules.
        pub syscalls: Vec<ProfileRule> = "syscalls",
    }

    /// What a machine's programs may be made for.
    pub struct Architecture {
        /// The machine's own.
        pub architecture: SeccompArch = "architecture" required,
        /// The others.
        pub sub_architectures: Vec<SeccompArch> = "subArchitectures",
    }

    /// A rule and when it applies.
    pub struct ProfileRule {
        /// The calls.
        pub names: Vec<String> = "names",
        /// One call, in older profiles.
        pub name: Option<String> = "name",
        /// What happens.
        pub action: SeccompAction = "action" required,
        /// The errno of that.
        pub errno_ret: Option<u32> = "errnoRet",
        /// Conditions on the arguments.
        pub args: Vec<SeccompArg> = "args",
        /// All of this must be so.
        pub includes: Where = "includes",
        /// None of this may be so.
        pub excludes: Where = "excludes",
        /// For readers.
        pub comment: Option<String> = "comment",
    }

    /// Where a rule applies.
    #[derive(Default)]
    pub struct Where {
        /// Capabilities of the container.
        pub caps: Vec<String> = "caps",
        /// Architectures, by the names of Go.
        pub arches: Vec<String> = "arches",
        /// The oldest kernel, as `4.8`.
        pub min_kernel: Option<String> = "minKernel",
    }
}

/// The filter that a profile in Docker's form means for a process that may have `capabilities`, on a kernel
/// of version `kernel`.
///
/// # Errors
/// Where `profile` is none, with the pointer of the fault.
pub fn from_docker(profile: &Value, capabilities: &[&str], kernel: (u32, u32)) -> Result<Seccomp, Error> {
    let profile = Profile::decode(profile.clone(), &At::ROOT)?;
    let native = architectures().first().copied();
    let mapped = profile.arch_map.into_iter().find(|entry| Some(entry.architecture) == native);
    let architectures = match mapped {
        Some(entry) => [vec![entry.architecture], entry.sub_architectures].concat(),
        None => profile.architectures,
    };
    let mut rules = Vec::new();
    for rule in profile.syscalls {
        if applies(&rule, capabilities, kernel) {
            let names = [rule.names, rule.name.into_iter().collect()].concat();
            let (action, errno_ret, args) = (rule.action, rule.errno_ret, rule.args);
            rules.push(SeccompRule { names, action, errno_ret, args, extra: Object::new() });
        }
    }
    Ok(Seccomp {
        default_action: profile.default_action,
        default_errno_ret: profile.default_errno_ret,
        architectures,
        flags: profile.flags,
        syscalls: rules,
        ..refusing()
    })
}

fn applies(rule: &ProfileRule, capabilities: &[&str], kernel: (u32, u32)) -> bool {
    let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let of = |list: &[String]| list.iter().any(|one| one == architecture);
    let has = |capability: &String| capabilities.contains(&capability.as_str());
    let new_enough =
        |oldest: &Option<String>| oldest.as_deref().and_then(version).is_none_or(|oldest| kernel >= oldest);
    let (includes, excludes) = (&rule.includes, &rule.excludes);
    (includes.arches.is_empty() || of(&includes.arches))
        && includes.caps.iter().all(has)
        && new_enough(&includes.min_kernel)
        && !of(&excludes.arches)
        && !excludes.caps.iter().any(has)
        && (excludes.min_kernel.is_none() || !new_enough(&excludes.min_kernel))
}

/// `4.8` as two numbers.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
