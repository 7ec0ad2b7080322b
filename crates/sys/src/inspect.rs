//! What a process can learn about itself, for a program that reports it: attributes that neither `/proc`
//! nor rustix shows, and system calls that are made only to see whether they are allowed.

use std::ffi::c_long;

use rustix::io::{Errno, Result};

/// Scheduling attributes, as `sched_getattr(2)` gives them.
///
/// # References
/// - [sched_setattr(2)](https://man7.org/linux/man-pages/man2/sched_setattr.2.html)
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerAttributes {
    size: u32,
    /// `SCHED_OTHER` is 0, `FIFO` 1, `RR` 2, `BATCH` 3, `IDLE` 5, `DEADLINE` 6.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// -20 to 19.
    pub nice: i32,
    /// 1 to 99 for real-time policies.
    pub priority: u32,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// The scheduling attributes of the caller.
pub fn scheduler() -> Result<SchedulerAttributes> {
    let mut attributes = SchedulerAttributes::default();
    let size = size_of::<SchedulerAttributes>();
    // SAFETY: sched_getattr writes at most `size` bytes to the structure, which has that size.
    let done = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    checked(done).map(|_| attributes)
}

/// The I/O priority of the caller: class in the bits from 13 on, level below.
///
/// # References
/// - [ioprio_get(2)](https://man7.org/linux/man-pages/man2/ioprio_set.2.html)
pub fn io_priority() -> Result<i32> {
    const IOPRIO_WHO_PROCESS: c_long = 1;
    // SAFETY: ioprio_get takes two integers.
    checked(unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) }).map(|value| value as i32)
}

/// The execution domain of the caller.
///
/// # References
/// - [personality(2)](https://man7.org/linux/man-pages/man2/personality.2.html)
pub fn personality() -> Result<u32> {
    const QUERY: libc::c_ulong = 0xffff_ffff;
    // SAFETY: this value asks and changes nothing.
    checked(unsafe { libc::syscall(libc::SYS_personality, QUERY) }).map(|value| value as u32)
}

/// Mode with flags, and the first 64 nodes, of the caller's memory policy.
///
/// # References
/// - [get_mempolicy(2)](https://man7.org/linux/man-pages/man2/get_mempolicy.2.html)
pub fn memory_policy() -> Result<(i32, u64)> {
    let mut mode: libc::c_int = 0;
    // The kernel wants room for as many nodes as it can have.
    let mut nodes = [0u64; 16];
    let most = nodes.len() * 64;
    // SAFETY: get_mempolicy writes one int to `mode` and `most` bits to `nodes`, which have room for them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut mode,
            nodes.as_mut_ptr(),
            most,
            std::ptr::null::<u8>(),
            0,
        )
    };
    checked(done).map(|_| (mode, nodes[0]))
}

/// System calls that may be made with any integers: they read no memory of the caller but through pointers
/// that are checked by the kernel, write none, and close, map or end nothing.
const HARMLESS: [(&str, c_long); 14] = [
    ("getpid", libc::SYS_getpid),
    ("getppid", libc::SYS_getppid),
    ("getuid", libc::SYS_getuid),
    ("gettid", libc::SYS_gettid),
    ("getpgid", libc::SYS_getpgid),
    ("getpriority", libc::SYS_getpriority),
    ("personality", libc::SYS_personality),
    ("umask", libc::SYS_umask),
    ("sched_yield", libc::SYS_sched_yield),
    ("sync", libc::SYS_sync),
    ("setpriority", libc::SYS_setpriority),
    ("flock", libc::SYS_flock),
    ("fchmod", libc::SYS_fchmod),
    ("mkdirat", libc::SYS_mkdirat),
];

/// Makes the system call `name` of a short list with `arguments`, to see what a filter does to it.
///
/// # Errors
/// What the kernel or the filter says; `EINVAL` for a name that is not on the list.
pub fn try_call(name: &str, arguments: [u64; 6]) -> Result<i64> {
    let (_, number) = HARMLESS.iter().find(|(known, _)| *known == name).ok_or(Errno::INVAL)?;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the calls of the list take integers and, mkdirat alone, a pointer that the kernel reads with
    // its own checks; none writes to the caller's memory or takes any away.
    checked(unsafe { libc::syscall(*number, a, b, c, d, e, f) })
}

fn checked(returned: c_long) -> Result<i64> {
    match returned {
        -1 => {
            Err(Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)))
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        assert_eq!(scheduler().unwrap().nice, rustix::process::nice(0).unwrap());
        assert_eq!(personality().unwrap() & 0xff, 0);
        io_priority().unwrap();
        let own = rustix::process::getpid().as_raw_nonzero().get();
        assert_eq!(try_call("getpid", [0; 6]), Ok(i64::from(own)));
        assert_eq!(try_call("munmap", [0; 6]), Err(Errno::INVAL));
        assert_eq!(try_call("mkdirat", [0; 6]), Err(Errno::FAULT));
    }
}
