//! Making processes: `clone3(2)` as a fork, `execve(2)` without allocation, and the single-threaded token.
//!
//! What runs in a process made here may call the kernel and nothing else until it executes a program
//! or exits: the allocator's locks and the standard library's state belong to the parent.

use std::ffi::{CStr, c_char, c_int};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::{Errno, Result};

/// Sets the execution domain of the calling thread, which `execve` keeps.
///
/// # References
/// - [personality(2)](https://man7.org/linux/man-pages/man2/personality.2.html)
pub fn set_personality(persona: u32) -> Result<()> {
    // SAFETY: personality takes an integer and reads or writes no memory.
    check(unsafe { libc::personality(libc::c_ulong::from(persona)) })
}

/// Proof that this process has one thread, so that a forked child finds no lock held by another.
#[derive(Debug, Clone, Copy)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// The token, where `/proc/self/task` lists exactly one thread.
    ///
    /// # Errors
    /// `EBUSY` with more threads; what `stat` says where `/proc` is not mounted.
    pub fn prove() -> Result<SingleThreaded> {
        // The link count of the directory is two more than its entries; see proc_task_getattr in the kernel.
        match rustix::fs::stat("/proc/self/task")?.st_nlink {
            3 => Ok(SingleThreaded(())),
            _ => Err(Errno::BUSY),
        }
    }
}

bitflags_lite! {
    /// Namespaces and relations of a new process; `clone3(2)` names.
    CloneFlags {
        /// `CLONE_NEWNS`.
        NEWNS = libc::CLONE_NEWNS,
        /// `CLONE_NEWPID`.
        NEWPID = libc::CLONE_NEWPID,
        /// `CLONE_NEWNET`.
        NEWNET = libc::CLONE_NEWNET,
        /// `CLONE_NEWIPC`.
        NEWIPC = libc::CLONE_NEWIPC,
        /// `CLONE_NEWUTS`.
        NEWUTS = libc::CLONE_NEWUTS,
        /// `CLONE_NEWUSER`.
        NEWUSER = libc::CLONE_NEWUSER,
        /// `CLONE_NEWCGROUP`.
        NEWCGROUP = libc::CLONE_NEWCGROUP,
        /// `CLONE_NEWTIME`.
        NEWTIME = 0x80,
        /// `CLONE_PARENT`: the child's parent is the caller's parent.
        PARENT = libc::CLONE_PARENT,
    }
}

/// What `fork` returns to whom.
#[derive(Debug)]
pub enum Forked {
    /// In the parent: the child's pid and pidfd.
    Parent {
        /// The pid in the caller's pid namespace.
        pid: i32,
        /// Refers to the child whatever becomes of its number.
        pidfd: OwnedFd,
    },
    /// In the child.
    Child,
}

/// Forks by `clone3(2)` into new namespaces and, where given, straight into a cgroup of version 2.
///
/// Signal handlers of the child are reset by the kernel (`CLONE_CLEAR_SIGHAND`).
///
/// The token makes this safe: no other thread can have left a lock or half a change behind. A child that
/// sets up a container still makes system calls only; that is a rule of its caller, for speed and so that
/// nothing of the parent's heap is copied.
///
/// # Errors
/// What the kernel says; `ENOSYS` before Linux 5.3.
///
/// # References
/// - [clone3(2)](https://man7.org/linux/man-pages/man2/clone.2.html)
pub fn fork(_: SingleThreaded, flags: CloneFlags, cgroup: Option<BorrowedFd<'_>>) -> Result<Forked> {
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: c_int = -1;
    let mut args = CloneArgs {
        flags: flags.bits() | libc::CLONE_PIDFD as u64 | CLONE_CLEAR_SIGHAND,
        pidfd: &raw mut pidfd as u64,
        // With CLONE_PARENT the kernel takes the signal of the caller itself and refuses another.
        exit_signal: if flags.contains(CloneFlags::PARENT) { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: clone3 reads `args`, whose size is passed, and writes one int to `pidfd`; both outlive the
    // call. Without a stack and without CLONE_VM the child continues on a copy of this one.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(last_errno()),
        0 => Ok(Forked::Child),
        // SAFETY: on success CLONE_PIDFD has stored a new descriptor that nobody else owns.
        pid => Ok(Forked::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// Forks by the C library's fork(3), which keeps its own records right: unlike the child of [`fork`], this one
/// may go on as a whole program, with an allocator and threads of its own.
///
/// # Errors
/// What the kernel says.
///
/// # References
/// - [fork(2)](https://man7.org/linux/man-pages/man2/fork.2.html)
pub fn fork_program(_: SingleThreaded) -> Result<Forked> {
    // SAFETY: fork asks that the child of a process with threads stay with async-signal-safe functions; the
    // token says that there is one thread.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()),
        0 => Ok(Forked::Child),
        pid => {
            let child = rustix::process::Pid::from_raw(pid).ok_or(Errno::SRCH)?;
            // Nobody else waits for the child, so its number cannot be another's yet.
            let pidfd = rustix::process::pidfd_open(child, rustix::process::PidfdFlags::empty())?;
            Ok(Forked::Parent { pid, pidfd })
        }
    }
}

/// Arguments or environment of a program, as the kernel wants them, made before a fork.
#[derive(Debug)]
pub struct CStrArray {
    strings: Vec<std::ffi::CString>,
    pointers: Vec<*const c_char>,
}

impl CStrArray {
    /// Takes the strings and lays out their pointers.
    pub fn new(strings: Vec<std::ffi::CString>) -> CStrArray {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        CStrArray { strings, pointers }
    }

    /// The strings.
    pub fn strings(&self) -> &[std::ffi::CString] {
        &self.strings
    }
}

/// Executes `path`; returns only on failure.
///
/// # References
/// - [execve(2)](https://man7.org/linux/man-pages/man2/execve.2.html)
pub fn execve(path: &CStr, args: &CStrArray, env: &CStrArray) -> Errno {
    // SAFETY: `path` ends in NUL; both arrays end in a null pointer and point to strings that `args` and
    // `env` own and never change.
    unsafe { libc::execve(path.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr()) };
    last_errno()
}

/// Executes the file behind `fd`; returns only on failure.
pub fn fexecve(fd: BorrowedFd<'_>, args: &CStrArray, env: &CStrArray) -> Errno {
    // SAFETY: as for `execve`; the empty path with AT_EMPTY_PATH names the descriptor itself.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            args.pointers.as_ptr(),
            env.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}

/// Ends the process without running destructors or exit handlers.
pub fn exit(code: u8) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code.into()) }
}

/// Moves the caller into the namespaces of `fd`: a namespace file with one flag, or a pidfd with several.
///
/// # References
/// - [setns(2)](https://man7.org/linux/man-pages/man2/setns.2.html)
pub fn setns(fd: BorrowedFd<'_>, flags: CloneFlags) -> Result<()> {
    // SAFETY: setns takes a descriptor, which the borrow keeps open, and an integer.
    check(unsafe { libc::setns(fd.as_raw_fd(), flags.bits() as c_int) })
}

/// Gives the caller new namespaces.
///
/// # References
/// - [unshare(2)](https://man7.org/linux/man-pages/man2/unshare.2.html)
pub fn unshare(flags: CloneFlags) -> Result<()> {
    // SAFETY: without CLONE_FILES, CLONE_FS or CLONE_VM no memory or descriptor that Rust relies on changes.
    check(unsafe { libc::unshare(flags.bits() as c_int) })
}

/// Sets the dumpable attribute to 0, so that no process of a joined namespace may look into this one.
pub fn set_not_dumpable() -> Result<()> {
    // SAFETY: PR_SET_DUMPABLE takes an integer.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

/// Marks every descriptor from `first` on close-on-exec.
///
/// # References
/// - [close_range(2)](https://man7.org/linux/man-pages/man2/close_range.2.html), the flag since Linux 5.11
pub fn cloexec_from(first: i32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: with CLOSE_RANGE_CLOEXEC nothing is closed, so no owner of a descriptor is betrayed.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first as u32, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    check(done as c_int)
}

/// Makes `fd` the descriptor `target` of this process, whatever stood there; for the time before an exec.
pub fn dup_to(fd: BorrowedFd<'_>, target: i32) -> Result<()> {
    // SAFETY: used by children before exec, where nothing else relies on the number `target`.
    check(unsafe { libc::dup2(fd.as_raw_fd(), target) })
}

/// Closes a descriptor whose owner is on the other side of a fork; for a child that ends in an exec or exit
/// and so never drops what it has inherited.
pub fn close_inherited(fd: BorrowedFd<'_>) {
    // SAFETY: close takes a number. The owner's copy of this process is never dropped, by the rule above.
    unsafe { libc::close(fd.as_raw_fd()) };
}

/// Empties the caller's signal mask; the program that is executed next inherits it.
pub fn unblock_signals() -> Result<()> {
    // SAFETY: an all-zero sigset_t is the empty set on Linux.
    let empty: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid and the old one is not asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut()) })
}

/// Restores the default action of SIGPIPE, which Rust's start-up ignores and an exec would pass on.
pub fn default_sigpipe() {
    // SAFETY: SIG_DFL is a valid disposition and SIGPIPE a valid signal.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

pub(crate) fn check(returned: c_int) -> Result<()> {
    if returned == -1 { Err(last_errno()) } else { Ok(()) }
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// The kind of namespace that the file behind `fd` is.
///
/// # Errors
/// `ENOTTY` where it is no namespace file.
///
/// # References
/// - [ioctl_ns(2)](https://man7.org/linux/man-pages/man2/ioctl_ns.2.html), `NS_GET_NSTYPE`
pub fn namespace_kind(fd: &OwnedFd) -> Result<CloneFlags> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: NS_GET_NSTYPE takes no argument.
    let kind = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) };
    check(kind)?;
    [
        CloneFlags::NEWNS,
        CloneFlags::NEWPID,
        CloneFlags::NEWNET,
        CloneFlags::NEWIPC,
        CloneFlags::NEWUTS,
        CloneFlags::NEWUSER,
        CloneFlags::NEWCGROUP,
        CloneFlags::NEWTIME,
    ]
    .into_iter()
    .find(|flag| flag.bits() == kind as u64)
    .ok_or(Errno::NOTTY)
}

/// The caller's working directory, without allocation; `(unreachable)` starts it when it is outside the root.
///
/// # References
/// - [getcwd(2)](https://man7.org/linux/man-pages/man3/getcwd.3.html)
pub fn current_directory(buffer: &mut [u8]) -> Result<&[u8]> {
    // SAFETY: getcwd writes at most the length passed into the buffer.
    let length = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    match usize::try_from(length) {
        // The length counts the NUL at the end.
        Ok(length) => buffer.get(..length.saturating_sub(1)).ok_or(Errno::RANGE),
        Err(_) => Err(last_errno()),
    }
}

/// Forks once more in a process that itself was made by [`fork`] and is bound to make system calls only;
/// the pid in the caller, `None` in the new child.
///
/// # Errors
/// As [`fork`].
pub fn fork_from_child(token: SingleThreaded, flags: CloneFlags) -> Result<Option<i32>> {
    match fork(token, flags, None)? {
        Forked::Parent { pid, pidfd: _ } => Ok(Some(pid)),
        Forked::Child => Ok(None),
    }
}

/// Has `command` killed when the calling thread ends, so that a supervisor leaves nothing behind.
///
/// # References
/// - [PR_SET_PDEATHSIG(2const)](https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html)
pub fn die_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    let parent = rustix::process::getpid();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // A parent that is gone already will not be missed later.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH.into()) }
    };
    // SAFETY: the closure runs in the forked child and makes two system calls; it neither allocates nor locks.
    unsafe { command.pre_exec(ask) };
}
