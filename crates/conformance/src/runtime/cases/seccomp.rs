//! `linux.seccomp`: actions, errors, comparisons, architectures and flags.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::Judge;
use crate::evidence::judge::{all, equals, is_not, provided, refused, satisfies, where_supported};
use crate::runtime::Stage;
use crate::verdict::Reason;

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases = vec![default_action(), errors(), actions(), comparisons(), other_architecture()];
    cases.extend(FLAGS.iter().map(flag));
    cases.extend(REFUSED.iter().map(refusal));
    cases
}

/// Skips where the kernel has no filters.
pub(super) fn kernel_has_seccomp() -> Result<(), Obstacle> {
    match Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        true => Ok(()),
        false => Err(Obstacle::Skip(Reason::Kernel, "the kernel has no system call filters".to_owned())),
    }
}

pub(super) fn with_filter(stage: &Stage, actions: &[&str], filter: Value) -> Value {
    let mut config = stage.config(actions);
    config["linux"]["seccomp"] = filter;
    config
}

/// What small programs, and runtimes between loading a filter and executing a program, are known to call.
/// None of the calls that the cases try is among them.
const NEEDED: &str = "accept accept4 access add_key arch_prctl bind bpf brk cachestat capget capset chdir chmod chown \
    chroot clock_getres clock_gettime clock_nanosleep clone clone3 close close_range connect \
    copy_file_range dup dup2 dup3 epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd \
    eventfd2 execve execveat exit exit_group faccessat faccessat2 fallocate fchdir fchmod fchmodat \
    fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flock fsconfig fsmount fsopen fstat fstatfs \
    fsync ftruncate futex get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents \
    getdents64 getegid geteuid getgid getgroups getpeername getpgid getpgrp getpid getppid getrandom \
    getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid \
    getxattr inotify_add_watch inotify_init1 inotify_rm_watch io_uring_setup ioctl ioprio_get ioprio_set \
    kcmp keyctl kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr \
    link linkat listen listxattr lseek lsetxattr lstat madvise membarrier memfd_create mincore mkdir \
    mkdirat mknod mknodat mlock mlockall mmap mount mount_setattr move_mount mprotect mremap msync \
    munlock munmap nanosleep newfstatat open open_tree openat openat2 personality pidfd_getfd pidfd_open \
    pidfd_send_signal pipe pipe2 pivot_root poll ppoll prctl pread64 preadv prlimit64 process_vm_readv \
    pselect6 ptrace pwrite64 pwritev read readlink readlinkat readv recvfrom recvmmsg recvmsg rename \
    renameat renameat2 request_key restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask \
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_getaffinity \
    sched_getattr sched_getparam sched_getscheduler sched_setaffinity sched_setattr sched_setparam \
    sched_setscheduler sched_yield seccomp select sendfile sendmmsg sendmsg sendto set_mempolicy \
    set_robust_list set_thread_area set_tid_address setdomainname setfsgid setfsuid setgid setgroups \
    sethostname setitimer setns setpgid setregid setresgid setresuid setreuid setrlimit setsid \
    setsockopt setuid setxattr shutdown sigaltstack signalfd signalfd4 socket socketpair splice stat \
    statfs statx symlink symlinkat sync syncfs sysinfo tee tgkill time timer_create timer_delete \
    timer_settime timerfd_create timerfd_settime times tkill truncate umask umount2 uname unlink \
    unlinkat unshare userfaultfd utimensat vfork vmsplice wait4 waitid write writev";

fn default_action() -> Case<Stage> {
    let tried = ["call:getpriority:0:0", "call:getppid", "exit:0"];
    Case::new("seccomp/default", move |stage: &mut Stage| {
        kernel_has_seccomp()?;
        let names: Vec<&str> = NEEDED.split_whitespace().collect();
        let allowed = json!([{"names": names, "action": "SCMP_ACT_ALLOW"}]);
        let filter = |default: Value| {
            let mut filter = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": allowed});
            if !default.is_null() {
                filter["defaultErrnoRet"] = default;
            }
            filter
        };
        for (name, default) in [("unset", Value::Null), ("set", json!(38)), ("odd", json!(77))] {
            let config = with_filter(stage, &tried, filter(default));
            stage.observe(name, &config)?;
        }
        let allow = with_filter(stage, &tried, json!({"defaultAction": "SCMP_ACT_ALLOW"}));
        stage.observe("allow", &allow)
    })
    .rule(
        "LNX-SEC-01",
        where_supported(
            "/unset",
            all(vec![
                failed("/unset", 0, json!("EPERM")),
                equals("/unset/report/results/1/ok", true),
                equals("/allow/report/results/0/ok", true),
            ]),
        ),
    )
    .rule(
        "LNX-SEC-03",
        where_supported(
            "/unset",
            all(vec![
                failed("/unset", 0, json!("EPERM")),
                failed("/set", 0, json!("ENOSYS")),
                failed("/odd", 0, json!(77)),
            ]),
        ),
    )
    .rule("LNX-SEC-15", where_supported("/unset", equals("/unset/report/results/1/ok", true)))
}

/// The action `at` of the probe failed with `errno`.
fn failed(life: &str, at: usize, errno: Value) -> Judge {
    equals(&format!("{life}/report/results/{at}/errno"), errno)
}

fn errors() -> Case<Stage> {
    Case::new("seccomp/errno", |stage: &mut Stage| {
        kernel_has_seccomp()?;
        let actions =
            ["call:getpriority:0:0", "call:setpriority:0:0:0", "call:getpgid:0", "call:gettid", "exit:0"];
        let filter = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                {"names": ["setpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99},
                {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO"},
            ],
        });
        let config = with_filter(stage, &actions, filter);
        stage.observe("life", &config)
    })
    .rule(
        "LNX-SEC-17",
        where_supported(
            "/life",
            all(vec![
                failed("/life", 0, json!("ENOSYS")),
                failed("/life", 1, json!(99)),
                failed("/life", 2, json!("EPERM")),
                equals("/life/report/results/3/ok", true),
            ]),
        ),
    )
    .rule("LNX-SEC-15", where_supported("/life", failed("/life", 2, json!("EPERM"))))
}

const SIGSYS: i64 = 31;

/// Each action on a call of its own, in a process of its own where that may not survive.
fn actions() -> Case<Stage> {
    let actions = [
        "child:call:getpriority:0:0",
        "child:call:setpriority:0:0:0",
        "child:call:getpgid:0",
        "child:call:flock:99:0",
        // No tracer is there, so the kernel says that there is no such call.
        "call:fchmod:99:0",
        "call:mkdirat:99:0:0",
        "child:call:gettid",
        "exit:0",
    ];
    let killed = |at: usize| equals(&format!("/life/report/results/{at}/value/signal"), SIGSYS);
    let case = Case::new("seccomp/actions", move |stage: &mut Stage| {
        kernel_has_seccomp()?;
        let rule =
            |name: &str, action: &str| json!({"names": [name], "action": format!("SCMP_ACT_{action}")});
        let filter = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                rule("getpriority", "KILL_PROCESS"),
                rule("setpriority", "KILL_THREAD"),
                rule("getpgid", "KILL"),
                rule("flock", "TRAP"),
                rule("fchmod", "TRACE"),
                rule("mkdirat", "LOG"),
            ],
        });
        let config = with_filter(stage, &actions, filter);
        stage.observe("life", &config)
    });
    let judges = vec![
        killed(0),
        killed(1),
        killed(2),
        killed(3),
        failed("/life", 4, json!("ENOSYS")),
        // The call is made, and fails for a reason of its own.
        failed("/life", 5, json!("EFAULT")),
        // The control: a process whose call is allowed lives.
        equals("/life/report/results/6/value/code", 0),
    ];
    judges.into_iter().fold(case, |case, judge| case.rule("LNX-SEC-15", where_supported("/life", judge)))
}

/// Beyond 32 bits, so that a filter which compares half of an argument shows.
const VALUE: u64 = (1 << 32) + 5;
const MASK: u64 = (1 << 33) | 0xff;
const TRIED: [u64; 7] = [VALUE - 1, VALUE, VALUE + 1, 5, 1 << 33, (1 << 34) + VALUE, (1 << 33) + 5];

/// Operator, the call that it guards, and what the text of the operator says about an argument.
type Comparison = (&'static str, &'static str, fn(u64) -> bool);

const COMPARISONS: [Comparison; 7] = [
    ("NE", "getpgid", |argument| argument != VALUE),
    ("LT", "getpriority", |argument| argument < VALUE),
    ("LE", "setpriority", |argument| argument <= VALUE),
    ("EQ", "flock", |argument| argument == VALUE),
    ("GE", "fchmod", |argument| argument >= VALUE),
    ("GT", "umask", |argument| argument > VALUE),
    ("MASKED_EQ", "mkdirat", |argument| argument & MASK == VALUE & MASK),
];

/// The guarded argument is the sixth, which none of the calls has: so nothing comes of those that are made.
fn comparisons() -> Case<Stage> {
    const BLOCKED: u32 = 77;
    let case = Case::new("seccomp/comparisons", |stage: &mut Stage| {
        kernel_has_seccomp()?;
        let rule = |(operator, call, _): &Comparison| {
            let operator_name = format!("SCMP_CMP_{operator}");
            let argument = match *operator {
                "MASKED_EQ" => {
                    json!({"index": 5, "value": MASK, "valueTwo": VALUE & MASK, "op": operator_name})
                }
                _ => json!({"index": 5, "value": VALUE, "op": operator_name}),
            };
            json!({"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": BLOCKED, "args": [argument]})
        };
        let rules: Vec<Value> = COMPARISONS.iter().map(rule).collect();
        let mut actions = Vec::new();
        for (_, call, _) in COMPARISONS {
            // No such descriptor, no such kind of priority, no change of the mask.
            let first = if call == "umask" { 0o22 } else { 99 };
            actions.extend(TRIED.iter().map(|argument| format!("call:{call}:{first}:0:0:0:0:{argument}")));
        }
        actions.push("exit:0".to_owned());
        let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
        let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules});
        let config = with_filter(stage, &actions, filter);
        stage.observe("life", &config)
    });
    let mut case = case;
    for (number, (operator, _, holds)) in COMPARISONS.iter().enumerate() {
        let judges = TRIED.iter().enumerate().map(|(at, argument)| {
            let place = format!("/life/report/results/{}", number * TRIED.len() + at);
            let blocked = holds(*argument);
            let verb = if blocked { "is" } else { "is not" };
            satisfies(&place, &format!("{verb} blocked by {operator}"), move |result| {
                (result["errno"] == BLOCKED) == blocked
            })
        });
        case = case.rule("LNX-SEC-19", where_supported("/life", all(judges.collect())));
    }
    case
}

const FLAGS: [&str; 3] = ["TSYNC", "LOG", "SPEC_ALLOW"];

/// What a flag does is mostly not to be seen from inside; that the filter holds with it is.
fn flag(flag: &'static &'static str) -> Case<Stage> {
    Case::new(format!("seccomp/flag-{}", flag.to_lowercase()), move |stage: &mut Stage| {
        kernel_has_seccomp()?;
        let filter = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "flags": [format!("SECCOMP_FILTER_FLAG_{flag}")],
            "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"}],
        });
        let config = with_filter(stage, &["call:getpriority:0:0", "exit:0"], filter);
        stage.observe("life", &config)
    })
    .rule(
        "LNX-SEC-05",
        where_supported(
            "/life",
            all(vec![failed("/life", 0, json!("EPERM")), equals("/life/report/seccomp", "2")]),
        ),
    )
}

/// A program for the 32-bit interface of x86: it calls getpriority and exits with the error, or with 200
/// where there is none.
#[cfg(target_arch = "x86_64")]
const PROGRAM: [u8; 117] = {
    const CODE: [u8; 33] = [
        0xb8, 96, 0, 0, 0, // mov eax, 96: getpriority
        0x31, 0xdb, // xor ebx, ebx
        0x31, 0xc9, // xor ecx, ecx
        0xcd, 0x80, // int 0x80
        0xbb, 200, 0, 0, 0, // mov ebx, 200
        0x85, 0xc0, // test eax, eax
        0x79, 4, // jns over the next two
        0x89, 0xc3, // mov ebx, eax
        0xf7, 0xdb, // neg ebx
        0xb8, 1, 0, 0, 0, // mov eax, 1: exit
        0xcd, 0x80, // int 0x80
        0xeb, 0xfe, // for ever
    ];
    const HEADERS: [u8; 84] = [
        0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, // 32 bits, little-endian
        2, 0, 3, 0, 1, 0, 0, 0, // an executable for i386
        0x54, 0x80, 0x04, 0x08, 52, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // entry, program header
        52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0, // one program header
        1, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x80, 0x04, 0x08, 0x00, 0x80, 0x04, 0x08, // load the whole file
        117, 0, 0, 0, 117, 0, 0, 0, 5, 0, 0, 0, 0, 16, 0, 0, // read and execute
    ];
    let mut program = [0; 117];
    let mut at = 0;
    while at < 117 {
        program[at] = if at < 84 { HEADERS[at] } else { CODE[at - 84] };
        at += 1;
    }
    program
};

#[cfg(not(target_arch = "x86_64"))]
const PROGRAM: [u8; 0] = [];

/// The same rule has to hold for a second architecture that is on the list.
fn other_architecture() -> Case<Stage> {
    Case::new("seccomp/architectures", |stage: &mut Stage| {
        kernel_has_seccomp()?;
        let runs =
            |path: &Path| std::process::Command::new(path).status().ok().and_then(|status| status.code());
        let program = stage.place.join("i386");
        write_program(&program)?;
        if PROGRAM.is_empty() || runs(&program) != Some(200) {
            let why = "the machine does not run programs of a second architecture";
            return Err(Obstacle::Skip(Reason::Kernel, why.to_owned()));
        }
        let actions = ["call:getpriority:0:0", "run:/bin/i386", "exit:0"];
        let mut filter = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO", "errnoRet": 55}],
        });
        for (name, call) in [("control", "setpriority"), ("life", "getpriority")] {
            filter["syscalls"][0]["names"] = json!([call]);
            let config = with_filter(stage, &actions, filter.clone());
            let container = stage.bundle(&config)?;
            write_program(&container.rootfs().join("bin/i386"))?;
            stage.observe_in(name, container)?;
        }
        Ok(())
    })
    .rule(
        "LNX-SEC-04",
        where_supported(
            "/control",
            provided(
                equals("/control/report/results/1/value/code", 200),
                all(vec![failed("/life", 0, json!(55)), equals("/life/report/results/1/value/code", 55)]),
            ),
        ),
    )
}

fn write_program(path: &Path) -> Result<(), Obstacle> {
    let context = || format!("write {}", path.display());
    std::fs::write(path, PROGRAM).context(context)?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).context(context)?)
}

/// Row, what is wrong, and the filter: all of them are wrong by the text itself.
type Refused = (&'static str, &'static str, &'static str);

const REFUSED: [Refused; 14] = [
    ("LNX-SEC-01", "default-action", r#"{"defaultAction": "SCMP_ACT_TEST"}"#),
    ("LNX-SEC-02", "default-errno-allow", r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 38}"#),
    ("LNX-SEC-02", "default-errno-log", r#"{"defaultAction": "SCMP_ACT_LOG", "defaultErrnoRet": 38}"#),
    (
        "LNX-SEC-04",
        "architecture",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_TEST"]}"#,
    ),
    ("LNX-SEC-05", "flag", r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_TEST"]}"#),
    (
        "LNX-SEC-14",
        "no-names",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]}"#,
    ),
    (
        "LNX-SEC-15",
        "action",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_TEST"}]}"#,
    ),
    (
        "LNX-SEC-16",
        "errno-kill",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_KILL", "errnoRet": 38}]}"#,
    ),
    (
        "LNX-SEC-16",
        "errno-trap",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_TRAP", "errnoRet": 38}]}"#,
    ),
    (
        "LNX-SEC-16",
        "errno-log",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_LOG", "errnoRet": 38}]}"#,
    ),
    (
        "LNX-SEC-16",
        "errno-allow",
        r#"{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ALLOW", "errnoRet": 38}]}"#,
    ),
    (
        "LNX-SEC-18",
        "operator",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_TEST"}]}]}"#,
    ),
    (
        "LNX-SEC-18",
        "index",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
    ),
    (
        "LNX-SEC-13",
        "metadata",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x", "syscalls": [{"names": ["getpriority"], "action": "SCMP_ACT_NOTIFY"}]}"#,
    ),
];

fn refusal((row, name, filter): &'static Refused) -> Case<Stage> {
    Case::new(format!("seccomp/refused-{name}"), |stage: &mut Stage| {
        kernel_has_seccomp()?;
        let filter = serde_json::from_str(filter).unwrap_or_default();
        let config = with_filter(stage, &["exit:0"], filter);
        stage.attempt("attempt", &config)
    })
    // Some of these rows want the error printed, and no runtime is expected to keep quiet about the others.
    .rule(row, all(vec![refused("/attempt"), is_not("/attempt/create/stderr", "")]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_are_refused_are_json() {
        for (_, name, filter) in REFUSED {
            assert!(serde_json::from_str::<Value>(filter).unwrap().is_object(), "{name}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_program_of_the_second_architecture_runs() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("i386");
        plimsoll_test_support::write_program(&path, &PROGRAM).unwrap();
        match std::process::Command::new(&path).status() {
            Ok(status) => assert_eq!(status.code(), Some(200)),
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
                plimsoll_test_support::skipped("this kernel runs no 32-bit programs");
            }
            Err(e) => panic!("{e}"),
        }
    }
}
