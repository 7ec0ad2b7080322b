//! From the configuration's filter to a program for the kernel, without libseccomp.
//!
//! A name that is unknown on an architecture is skipped there. A rule without conditions covers those with
//! conditions for the same call; of rules with conditions the first that holds decides. A call newer than
//! every call that the filter knows is `ENOSYS` wherever the default refuses, so that programs fall back.
//!
//! # References
//! - [config-linux.md, seccomp](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#seccomp)
//! - [seccomp(2)](https://man7.org/linux/man-pages/man2/seccomp.2.html)

mod assemble;
mod syscalls;

use std::collections::BTreeMap;
use std::fmt;

use plimsoll_spec::runtime::{
    Seccomp, SeccompAction, SeccompArch, SeccompArg, SeccompFlag, SeccompOperator, SeccompRule,
};
use plimsoll_sys::seccomp::Instruction;

/// A program and how it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What the kernel runs at every system call.
    pub program: Vec<Instruction>,
    /// Flags of `SECCOMP_SET_MODE_FILTER`.
    pub flags: u32,
}

/// Why there is no program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Whether the configuration is right and this build lacks what it asks for.
    pub unsupported: bool,
    pointer: String,
    why: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "config.json: /linux/seccomp{} {}", self.pointer, self.why)
    }
}

impl std::error::Error for Error {}

type Result<T> = std::result::Result<T, Error>;

fn invalid(pointer: impl Into<String>, why: impl Into<String>) -> Error {
    Error { unsupported: false, pointer: pointer.into(), why: why.into() }
}

fn unsupported(pointer: &str) -> Error {
    Error { unsupported: true, pointer: pointer.to_owned(), why: "is not supported yet".to_owned() }
}

const RET_KILL_THREAD: u32 = 0;
const RET_KILL_PROCESS: u32 = 0x8000_0000;
const RET_TRAP: u32 = 0x0003_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_LOG: u32 = 0x7ffc_0000;
const RET_ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// One way of calling the kernel.
#[derive(Debug, Clone, Copy)]
struct Abi {
    arch: SeccompArch,
    /// `AUDIT_ARCH_*`.
    token: u32,
    /// Set in the numbers of this way of calling, where two share a token.
    bit: u32,
    /// Whether arguments have 64 bits; of others only the low half is looked at.
    wide: bool,
    names: &'static [(&'static str, u32)],
    /// Calls that are also had through another whose first argument tells which.
    multiplexed: &'static [(&'static str, u32, u32)],
}

/// `socketcall` and `ipc` of 32-bit x86, with the number of each call within them.
const MULTIPLEXED_X86: [(&str, u32, u32); 31] = [
    ("socket", 102, 1),
    ("bind", 102, 2),
    ("connect", 102, 3),
    ("listen", 102, 4),
    ("accept", 102, 5),
    ("getsockname", 102, 6),
    ("getpeername", 102, 7),
    ("socketpair", 102, 8),
    ("send", 102, 9),
    ("recv", 102, 10),
    ("sendto", 102, 11),
    ("recvfrom", 102, 12),
    ("shutdown", 102, 13),
    ("setsockopt", 102, 14),
    ("getsockopt", 102, 15),
    ("sendmsg", 102, 16),
    ("recvmsg", 102, 17),
    ("accept4", 102, 18),
    ("recvmmsg", 102, 19),
    ("sendmmsg", 102, 20),
    ("semop", 117, 1),
    ("semget", 117, 2),
    ("semctl", 117, 3),
    ("semtimedop", 117, 4),
    ("msgsnd", 117, 11),
    ("msgrcv", 117, 12),
    ("msgget", 117, 13),
    ("msgctl", 117, 14),
    ("shmat", 117, 21),
    ("shmdt", 117, 22),
    ("shmget", 117, 23),
];

const X32_BIT: u32 = 0x4000_0000;

const ABIS: [Abi; 5] = [
    Abi {
        arch: SeccompArch::X86_64,
        token: 0xc000_003e,
        bit: 0,
        wide: true,
        names: syscalls::X86_64,
        multiplexed: &[],
    },
    Abi {
        arch: SeccompArch::X32,
        token: 0xc000_003e,
        bit: X32_BIT,
        wide: false,
        names: syscalls::X32,
        multiplexed: &[],
    },
    Abi {
        arch: SeccompArch::X86,
        token: 0x4000_0003,
        bit: 0,
        wide: false,
        names: syscalls::X86,
        multiplexed: &MULTIPLEXED_X86,
    },
    Abi {
        arch: SeccompArch::Aarch64,
        token: 0xc000_00b7,
        bit: 0,
        wide: true,
        names: syscalls::AARCH64,
        multiplexed: &[],
    },
    Abi {
        arch: SeccompArch::Arm,
        token: 0x4000_0028,
        bit: 0,
        wide: false,
        names: syscalls::ARM,
        multiplexed: &[],
    },
];

/// The architecture that this program was built for.
const NATIVE: Option<SeccompArch> = if cfg!(target_arch = "x86_64") {
    Some(SeccompArch::X86_64)
} else if cfg!(target_arch = "aarch64") {
    Some(SeccompArch::Aarch64)
} else {
    None
};

/// A condition on one argument: `(value & mask) OP operand`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Condition {
    index: u32,
    mask: u64,
    operator: SeccompOperator,
    operand: u64,
}

/// What happens on one call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Always the same.
    Fixed(u32),
    /// The first list of conditions that holds decides, else the default.
    Conditional(Vec<(Vec<Condition>, u32)>),
}

/// The verdicts of one way of calling, by number.
#[derive(Debug)]
struct Table {
    abi: Abi,
    verdicts: BTreeMap<u32, Verdict>,
    default: u32,
    /// Numbers from here on are newer than the filter.
    newer: Option<u32>,
}

/// Compiles `seccomp`.
///
/// # Errors
/// [`Error`] names the member that is wrong, or right and not there yet.
pub fn compile(seccomp: &Seccomp) -> Result<Filter> {
    if seccomp.listener_path.is_some() {
        return Err(unsupported("/listenerPath"));
    }
    if seccomp.listener_metadata.is_some() {
        return Err(unsupported("/listenerMetadata"));
    }
    let default = code(seccomp.default_action, seccomp.default_errno_ret, "/defaultAction")?;
    let rules = seccomp.syscalls.iter().enumerate().map(|(i, rule)| checked(rule, &format!("/syscalls/{i}")));
    let rules = rules.collect::<Result<Vec<_>>>()?;
    let native = NATIVE.ok_or_else(|| unsupported(""))?;
    // Architectures of other machines cannot occur here, so no table is needed for them.
    let wanted = |abi: &&Abi| abi.arch == native || seccomp.architectures.contains(&abi.arch);
    let tables: Vec<_> = ABIS.iter().filter(wanted).map(|abi| table(*abi, &rules, default)).collect();
    let program = assemble::program(&tables)
        .ok_or_else(|| invalid("", "makes a program that is too long for the kernel"))?;
    Ok(Filter { program, flags: flags(seccomp) })
}

/// A rule whose numbers were checked.
#[derive(Debug)]
struct Checked<'a> {
    names: &'a [String],
    action: u32,
    /// Alternatives, each a list of conditions that hold together; one empty list for none.
    alternatives: Vec<Vec<Condition>>,
}

fn checked<'a>(rule: &'a SeccompRule, pointer: &str) -> Result<Checked<'a>> {
    if rule.names.is_empty() {
        return Err(invalid(format!("{pointer}/names"), "is empty"));
    }
    let action = code(rule.action, rule.errno_ret, &format!("{pointer}/action"))?;
    let args = rule.args.iter().enumerate().map(|(i, arg)| condition(arg, &format!("{pointer}/args/{i}")));
    let conditions = args.collect::<Result<Vec<_>>>()?;
    let repeated =
        conditions.iter().enumerate().any(|(i, c)| conditions.iter().take(i).any(|d| d.index == c.index));
    // Two conditions on one argument mean either, as runc reads them.
    let alternatives = match repeated {
        true => conditions.into_iter().map(|condition| vec![condition]).collect(),
        false => vec![conditions],
    };
    Ok(Checked { names: &rule.names, action, alternatives })
}

fn condition(arg: &SeccompArg, pointer: &str) -> Result<Condition> {
    if arg.index > 5 {
        return Err(invalid(format!("{pointer}/index"), format!("is above 5: {}", arg.index)));
    }
    let (mask, operator, operand) = match arg.op {
        SeccompOperator::MaskedEqual => (arg.value, SeccompOperator::Equal, arg.value_two),
        operator => (u64::MAX, operator, arg.value),
    };
    Ok(Condition { index: arg.index, mask, operator, operand })
}

fn code(action: SeccompAction, errno: Option<u32>, pointer: &str) -> Result<u32> {
    let data = |default: u32| match errno.unwrap_or(default) {
        data @ 0..=0xffff => Ok(data),
        other => Err(invalid(pointer, format!("has an errno that does not fit 16 bits: {other}"))),
    };
    if errno.is_some() && !matches!(action, SeccompAction::Errno | SeccompAction::Trace) {
        return Err(invalid(pointer, "takes no errno, and one is given"));
    }
    match action {
        SeccompAction::Kill | SeccompAction::KillThread => Ok(RET_KILL_THREAD),
        SeccompAction::KillProcess => Ok(RET_KILL_PROCESS),
        SeccompAction::Trap => Ok(RET_TRAP),
        SeccompAction::Errno => Ok(RET_ERRNO | data(EPERM)?),
        SeccompAction::Trace => Ok(RET_TRACE | data(EPERM)?),
        SeccompAction::Allow => Ok(RET_ALLOW),
        SeccompAction::Log => Ok(RET_LOG),
        SeccompAction::Notify => Err(unsupported(pointer)),
    }
}

/// The bit of `flag` for the kernel.
pub(crate) fn flag_bits(flag: SeccompFlag) -> u32 {
    match flag {
        SeccompFlag::Tsync => 1,
        SeccompFlag::Log => 2,
        SeccompFlag::SpecAllow => 4,
        SeccompFlag::WaitKillableRecv => 32,
    }
}

/// The architectures that filters can be made for.
pub(crate) fn architectures() -> impl Iterator<Item = SeccompArch> {
    ABIS.iter().map(|abi| abi.arch)
}

fn flags(seccomp: &Seccomp) -> u32 {
    match &seccomp.flags {
        // What runc does: speculation is not restricted unless somebody asks.
        None => flag_bits(SeccompFlag::SpecAllow),
        Some(flags) => flags.iter().map(|flag| flag_bits(*flag)).fold(0, |all, one| all | one),
    }
}

fn number(abi: Abi, name: &str) -> Option<u32> {
    let at = abi.names.binary_search_by_key(&name, |(known, _)| known).ok()?;
    abi.names.get(at).map(|(_, number)| number | abi.bit)
}

fn table(abi: Abi, rules: &[Checked<'_>], default: u32) -> Table {
    let mut verdicts: BTreeMap<u32, Verdict> = BTreeMap::new();
    let mut newest = None;
    for rule in rules {
        for name in rule.names {
            for (_, number, call) in abi.multiplexed.iter().filter(|(known, ..)| known == name) {
                // Behind the multiplexer the arguments are out of sight, so only rules without conditions reach there.
                if rule.alternatives.iter().all(Vec::is_empty) && rule.action != default {
                    let first = Condition {
                        index: 0,
                        mask: u64::MAX,
                        operator: SeccompOperator::Equal,
                        operand: (*call).into(),
                    };
                    add(&mut verdicts, *number, &[vec![first]], rule.action);
                }
            }
            let Some(number) = number(abi, name) else { continue };
            newest = newest.max(Some(number));
            if rule.action != default {
                add(&mut verdicts, number, &rule.alternatives, rule.action);
            }
        }
    }
    let refuses = default & 0x7fff_0000 <= RET_ERRNO && default != RET_ERRNO | ENOSYS;
    Table { abi, verdicts, default, newer: newest.filter(|_| refuses).map(|newest| newest + 1) }
}

fn add(verdicts: &mut BTreeMap<u32, Verdict>, number: u32, alternatives: &[Vec<Condition>], action: u32) {
    let verdict = verdicts.entry(number).or_insert_with(|| Verdict::Conditional(Vec::new()));
    for conditions in alternatives {
        match verdict {
            Verdict::Fixed(_) => {}
            _ if conditions.is_empty() => *verdict = Verdict::Fixed(action),
            Verdict::Conditional(list) => list.push((conditions.clone(), action)),
        }
    }
}
