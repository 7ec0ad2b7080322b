//! `config.json`: the system call filter.
//!
//! # References
//! - [config-linux.md, seccomp](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#seccomp)

use crate::json::{wire_enum, wire_object};

wire_enum! {
    /// What happens to a system call.
    pub enum SeccompAction {
        /// The thread is killed; the old name.
        Kill = "SCMP_ACT_KILL",
        /// The process is killed.
        KillProcess = "SCMP_ACT_KILL_PROCESS",
        /// The thread is killed.
        KillThread = "SCMP_ACT_KILL_THREAD",
        /// The thread gets SIGSYS.
        Trap = "SCMP_ACT_TRAP",
        /// The call fails with an errno.
        Errno = "SCMP_ACT_ERRNO",
        /// A tracer decides.
        Trace = "SCMP_ACT_TRACE",
        /// The call is made.
        Allow = "SCMP_ACT_ALLOW",
        /// The call is made and logged.
        Log = "SCMP_ACT_LOG",
        /// An agent decides.
        Notify = "SCMP_ACT_NOTIFY",
    }

    /// How an argument is compared.
    pub enum SeccompOperator {
        /// Different.
        NotEqual = "SCMP_CMP_NE",
        /// Below.
        Less = "SCMP_CMP_LT",
        /// Below or equal.
        LessEqual = "SCMP_CMP_LE",
        /// Equal.
        Equal = "SCMP_CMP_EQ",
        /// Above or equal.
        GreaterEqual = "SCMP_CMP_GE",
        /// Above.
        Greater = "SCMP_CMP_GT",
        /// Equal to `valueTwo` after masking with `value`.
        MaskedEqual = "SCMP_CMP_MASKED_EQ",
    }

    /// Flags of `seccomp(2)`.
    pub enum SeccompFlag {
        /// All threads get the filter.
        Tsync = "SECCOMP_FILTER_FLAG_TSYNC",
        /// Actions other than allow are logged.
        Log = "SECCOMP_FILTER_FLAG_LOG",
        /// Speculative store bypass stays on.
        SpecAllow = "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        /// A notified call waits killably.
        WaitKillableRecv = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    }
}

wire_enum! {
    /// Architectures whose calls a filter knows.
    pub enum SeccompArch {
        /// `X86`.
        X86 = "SCMP_ARCH_X86",
        /// `X86_64`.
        X86_64 = "SCMP_ARCH_X86_64",
        /// `X32`.
        X32 = "SCMP_ARCH_X32",
        /// `ARM`.
        Arm = "SCMP_ARCH_ARM",
        /// `AARCH64`.
        Aarch64 = "SCMP_ARCH_AARCH64",
        /// `MIPS`.
        Mips = "SCMP_ARCH_MIPS",
        /// `MIPS64`.
        Mips64 = "SCMP_ARCH_MIPS64",
        /// `MIPS64N32`.
        Mips64n32 = "SCMP_ARCH_MIPS64N32",
        /// `MIPSEL`.
        Mipsel = "SCMP_ARCH_MIPSEL",
        /// `MIPSEL64`.
        Mipsel64 = "SCMP_ARCH_MIPSEL64",
        /// `MIPSEL64N32`.
        Mipsel64n32 = "SCMP_ARCH_MIPSEL64N32",
        /// `PPC`.
        Ppc = "SCMP_ARCH_PPC",
        /// `PPC64`.
        Ppc64 = "SCMP_ARCH_PPC64",
        /// `PPC64LE`.
        Ppc64le = "SCMP_ARCH_PPC64LE",
        /// `S390`.
        S390 = "SCMP_ARCH_S390",
        /// `S390X`.
        S390x = "SCMP_ARCH_S390X",
        /// `PARISC`.
        Parisc = "SCMP_ARCH_PARISC",
        /// `PARISC64`.
        Parisc64 = "SCMP_ARCH_PARISC64",
        /// `RISCV64`.
        Riscv64 = "SCMP_ARCH_RISCV64",
        /// `LOONGARCH64`.
        Loongarch64 = "SCMP_ARCH_LOONGARCH64",
        /// `M68K`.
        M68k = "SCMP_ARCH_M68K",
        /// `SH`.
        Sh = "SCMP_ARCH_SH",
        /// `SHEB`.
        Sheb = "SCMP_ARCH_SHEB",
    }
}

wire_object! {
    /// The system call filter.
    pub struct Seccomp {
        /// What happens to calls that no rule names.
        pub default_action: SeccompAction = "defaultAction" required,
        /// Errno of the default action.
        pub default_errno_ret: Option<u32> = "defaultErrnoRet",
        /// Architectures besides the native one.
        pub architectures: Vec<SeccompArch> = "architectures",
        /// Absent leaves the choice to the runtime; empty means none.
        pub flags: Option<Vec<SeccompFlag>> = "flags",
        /// Socket of the agent that decides notified calls.
        pub listener_path: Option<String> = "listenerPath",
        /// Passed to the agent as it is.
        pub listener_metadata: Option<String> = "listenerMetadata",
        /// The rules.
        pub syscalls: Vec<SeccompRule> = "syscalls",
    }

    /// One rule.
    pub struct SeccompRule {
        /// Names of system calls.
        pub names: Vec<String> = "names" required,
        /// What happens to them.
        pub action: SeccompAction = "action" required,
        /// Errno of the action.
        pub errno_ret: Option<u32> = "errnoRet",
        /// Conditions, all of which must hold.
        pub args: Vec<SeccompArg> = "args",
    }

    /// One condition.
    pub struct SeccompArg {
        /// Which argument, from 0 to 5.
        pub index: u32 = "index" required,
        /// What it is compared with.
        pub value: u64 = "value" required,
        /// The second value of a masked comparison.
        pub value_two: u64 = "valueTwo",
        /// How.
        pub op: SeccompOperator = "op" required,
    }
}
