//! Signals as something to wait for: `signalfd(2)`.

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::{Errno, Result};

use crate::process::check;

/// Blocks the signals that are forwarded or awaited and returns a descriptor that reads them.
///
/// Left alone are SIGKILL and SIGSTOP, which nobody can block, and the signals of faults of our own.
pub fn block_and_watch() -> Result<OwnedFd> {
    const OWN_FAULTS: [i32; 7] =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];
    block_and_watch_but(&OWN_FAULTS)
}

/// As [`block_and_watch`], for a program that wants to see even the signals of faults.
pub fn block_and_watch_all() -> Result<OwnedFd> {
    block_and_watch_but(&[])
}

fn block_and_watch_but(left_alone: &[i32]) -> Result<OwnedFd> {
    // SAFETY: sigset_t is plain data that sigfillset initializes next.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is a valid place to write to.
    check(unsafe { libc::sigfillset(&raw mut set) })?;
    for signal in left_alone {
        // SAFETY: the set is initialized and the number is a valid signal.
        check(unsafe { libc::sigdelset(&raw mut set, *signal) })?;
    }
    watch(libc::SIG_SETMASK, &set)
}

/// Blocks the signals that ask a process to end and returns a descriptor that reads them. Threads that are made
/// from then on leave them alone too.
pub fn block_and_watch_requests_to_end() -> Result<OwnedFd> {
    // SAFETY: sigset_t is plain data that sigemptyset initializes next.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is a valid place to write to.
    check(unsafe { libc::sigemptyset(&raw mut set) })?;
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: the set is initialized and the number is a valid signal.
        check(unsafe { libc::sigaddset(&raw mut set, signal) })?;
    }
    watch(libc::SIG_BLOCK, &set)
}

fn watch(how: i32, set: &libc::sigset_t) -> Result<OwnedFd> {
    // SAFETY: the reference is to an initialized set; the old one is not asked for.
    check(unsafe { libc::sigprocmask(how, set, std::ptr::null_mut()) })?;
    // SAFETY: -1 asks for a new descriptor; the reference is to an initialized set.
    let fd = unsafe { libc::signalfd(-1, set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(fd)?;
    // SAFETY: signalfd has returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The next pending signal of a descriptor made by [`block_and_watch`], or `None` when there is none.
pub fn next(fd: &OwnedFd) -> Result<Option<i32>> {
    // struct signalfd_siginfo is 128 bytes, and its first field is the signal's number.
    let mut info = [0u8; 128];
    match rustix::io::read(fd, &mut info) {
        Ok(128) => Ok(Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]]))),
        Ok(_) => Err(Errno::IO),
        Err(Errno::AGAIN) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Sends signal number `signal` to the process `pid`; 0 only asks whether it is there.
///
/// # References
/// - [kill(2)](https://man7.org/linux/man-pages/man2/kill.2.html)
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: kill takes two integers.
    check(unsafe { libc::kill(pid, signal) })
}

/// Sends signal number `signal` to the process behind `pidfd`.
///
/// # References
/// - [pidfd_send_signal(2)](https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html)
pub fn send(pidfd: &OwnedFd, signal: i32) -> Result<()> {
    use std::os::fd::AsRawFd;
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo asks the kernel to fill in what kill would.
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    check(done as i32)
}
