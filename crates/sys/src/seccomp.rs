//! `seccomp(2)`: loading a filter, and asking what the kernel knows.

use rustix::io::Result;

use crate::process::check;

/// One instruction of classic BPF; the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip where a comparison holds.
    pub jt: u8,
    /// Instructions to skip where it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

const SET_MODE_FILTER: libc::c_uint = 1;
const GET_ACTION_AVAIL: libc::c_uint = 2;

/// Loads `program` for the calling thread; allocates nothing.
///
/// # Errors
/// `EACCES` without no_new_privs or CAP_SYS_ADMIN, `EINVAL` for a flag or program that the kernel refuses.
///
/// # References
/// - [seccomp(2)](https://man7.org/linux/man-pages/man2/seccomp.2.html)
pub fn load(flags: u32, program: &[Instruction]) -> Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| rustix::io::Errno::INVAL)?;
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const Instruction,
    }
    let program = Program { length, instructions: program.as_ptr() };
    // SAFETY: the kernel reads `length` instructions of the layout of sock_filter; the slice outlives the call.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const program) };
    check(if done == 0 { 0 } else { -1 })
}

/// Whether the kernel knows the return value `action`.
pub fn action_is_available(action: u32) -> bool {
    // SAFETY: the kernel reads one u32, which outlives the call.
    unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// Whether the kernel knows the flags `flags` of a load.
pub fn flags_are_available(flags: u32) -> bool {
    // SAFETY: with a null program the kernel checks the flags first and then fails with EFAULT, changing nothing.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, std::ptr::null::<u8>()) };
    check(if done == 0 { 0 } else { -1 }) == Err(rustix::io::Errno::FAULT)
}
