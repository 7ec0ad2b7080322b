//! `seccomp(2)`: loading a filter, asking what the kernel knows, and answering for a filter that asks.

use std::os::fd::{AsRawFd, BorrowedFd};

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

/// A system call that waits for the answer of whoever holds the filter's listener; the kernel's
/// `struct seccomp_notif`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notification {
    /// Names it in the answer.
    pub id: u64,
    /// The caller, in the pid namespace of the receiver.
    pub pid: u32,
    flags: u32,
    /// The number of the system call.
    pub number: i32,
    /// `AUDIT_ARCH_*`.
    pub architecture: u32,
    instruction_pointer: u64,
    /// What it was called with.
    pub arguments: [u64; 6],
}

/// The next call that waits at `listener`.
///
/// # Errors
/// `ENOENT` where the caller has been ended meanwhile, `ENOTTY` where `listener` is no such descriptor.
///
/// # References
/// - [seccomp_unotify(2)](https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html)
pub fn receive_notification(listener: BorrowedFd<'_>) -> Result<Notification> {
    const SECCOMP_IOCTL_NOTIF_RECV: libc::c_ulong = 0xc050_2100;
    // The kernel refuses a structure that is not zero.
    let mut notification = Notification::default();
    // SAFETY: the request writes a seccomp_notif, whose 80 bytes this structure has.
    let done = unsafe { libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_RECV, &raw mut notification) };
    check(done).map(|()| notification)
}

/// Lets the call `id` return `value`, without being made.
///
/// # Errors
/// `ENOENT` where nobody waits for that answer any more.
///
/// # References
/// - [seccomp_unotify(2)](https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html)
pub fn answer_notification(listener: BorrowedFd<'_>, id: u64, value: i64) -> Result<()> {
    const SECCOMP_IOCTL_NOTIF_SEND: libc::c_ulong = 0xc018_2101;
    #[repr(C)]
    struct Response {
        id: u64,
        value: i64,
        error: i32,
        flags: u32,
    }
    let mut response = Response { id, value, error: 0, flags: 0 };
    // SAFETY: the request reads a seccomp_notif_resp, whose 24 bytes this structure has, and writes no more.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn only_a_listener_has_calls_that_wait() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(receive_notification(file.as_fd()), Err(Errno::NOTTY));
        assert_eq!(answer_notification(file.as_fd(), 1, 2), Err(Errno::NOTTY));
    }
}
