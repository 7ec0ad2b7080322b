//! What `init` and `exec` share in the child: faults, credentials, the terminal, the search for the program.
//!
//! Everything here makes system calls and nothing else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plimsoll_sys::{capability, keyring, process};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::thread::{Gid, Uid};

use crate::plan::{ProcessPlan, Window};

/// Where a step failed: the entry of its list, and what the kernel said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub index: u16,
    pub errno: Errno,
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Fault {
        Fault { index: 0, errno }
    }
}

/// The outcome of a step.
pub(crate) type Outcome = Result<(), Fault>;

/// Names the entry of a list that a call was about.
pub(crate) trait Entry<T> {
    fn entry(self, index: usize) -> Result<T, Fault>;
}

impl<T> Entry<T> for rustix::io::Result<T> {
    fn entry(self, index: usize) -> Result<T, Fault> {
        self.map_err(|errno| Fault { index: index as u16, errno })
    }
}

/// Applies resource limits.
pub(crate) fn rlimits(plan: &ProcessPlan) -> Outcome {
    for (i, (resource, limit)) in plan.rlimits.iter().enumerate() {
        let Err(errno) = rustix::process::setrlimit(*resource, *limit) else { continue };
        // Without CAP_SYS_RESOURCE a limit that is already so need not be set.
        let now = rustix::process::getrlimit(*resource);
        if now != *limit {
            return Err(Fault { index: i as u16, errno });
        }
    }
    Ok(())
}

/// Sets the execution domain.
pub(crate) fn personality(plan: &ProcessPlan) -> Outcome {
    match plan.personality {
        Some(persona) => Ok(process::set_personality(persona)?),
        None => Ok(()),
    }
}

/// Asks for an AppArmor profile from the next `execve` on, through the host's /proc.
pub(crate) fn apparmor(plan: &ProcessPlan) -> Outcome {
    let Some(change) = &plan.apparmor else { return Ok(()) };
    let open = |path| rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let file = match open("/proc/self/attr/apparmor/exec") {
        // Kernels before 5.1 have one file for all security modules.
        Err(Errno::NOENT) => open("/proc/self/attr/exec")?,
        other => other?,
    };
    rustix::io::write(&file, change.as_bytes())?;
    Ok(())
}

/// Writes the score that the OOM killer adds.
pub(crate) fn oom_score_adj(plan: &ProcessPlan) -> Outcome {
    let Some(score) = &plan.oom_score_adj else { return Ok(()) };
    let file = rustix::fs::open("/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, score.as_bytes())?;
    Ok(())
}

/// Gives the process the session keyring of the container, so that it finds no keys of the caller; the keyring's
/// serial number.
pub(crate) fn session_keyring(plan: &ProcessPlan) -> Result<Option<i32>, Fault> {
    let Some(name) = &plan.keyring else { return Ok(None) };
    match keyring::join_session(name) {
        // A kernel that keeps no keys hands none on.
        Err(Errno::NOSYS) => Ok(None),
        joined => Ok(Some(joined?)),
    }
}

/// Becomes the user, keeping what the capability sets then take from.
pub(crate) fn user(plan: &ProcessPlan) -> Outcome {
    rustix::process::umask(Mode::from_raw_mode(plan.umask));
    process::set_not_dumpable()?;
    if plan.uid != 0 {
        capability::keep_over_setuid()?;
    }
    match rustix::thread::set_thread_groups(&plan.groups) {
        // A user namespace whose mapping was written without privilege forbids setgroups for good.
        Err(Errno::PERM) if plan.groups.is_empty() => {}
        other => other?,
    }
    let gid = Gid::from_raw(plan.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    let uid = Uid::from_raw(plan.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Drops from the bounding set what is not in it; this needs CAP_SETPCAP, so it comes before the user changes.
pub(crate) fn bounding_set(plan: &ProcessPlan) -> Outcome {
    let Some(sets) = &plan.capabilities else { return Ok(()) };
    for number in 0..=plan.last_capability.min(63) {
        if sets.bounding & 1 << number == 0 {
            capability::drop_bounding(number).entry(number.into())?;
        }
    }
    Ok(())
}

/// Sets the other four sets.
pub(crate) fn capability_sets(plan: &ProcessPlan) -> Outcome {
    let Some(sets) = &plan.capabilities else { return Ok(()) };
    let known = u64::MAX >> (63 - plan.last_capability.min(63));
    let set = |most: u64| {
        let most = most & known;
        capability::set(sets.effective & most, sets.permitted & most, sets.inheritable & most)
    };
    match set(u64::MAX) {
        // A capability that cannot be granted is no reason to fail: the program has one fewer.
        Err(Errno::PERM) => set(capability::permitted()?)?,
        done => done?,
    }
    for number in 0..=plan.last_capability.min(63) {
        if sets.ambient & 1 << number != 0 {
            // What is not inheritable cannot be ambient; runc warns and goes on.
            let _ = capability::raise_ambient(number);
        }
    }
    Ok(())
}

/// Sets no_new_privs.
pub(crate) fn no_new_privileges(plan: &ProcessPlan) -> Outcome {
    if plan.no_new_privileges {
        rustix::thread::set_no_new_privs(true)?;
    }
    Ok(())
}

/// Loads the filter of a process that may still gain privileges, while it has the capability to do so.
pub(crate) fn filter_with_privilege(plan: &ProcessPlan) -> Outcome {
    if plan.no_new_privileges { Ok(()) } else { load(plan) }
}

/// Loads the filter of a process that gains no privileges any more.
pub(crate) fn filter(plan: &ProcessPlan) -> Outcome {
    if plan.no_new_privileges { load(plan) } else { Ok(()) }
}

fn load(plan: &ProcessPlan) -> Outcome {
    match &plan.seccomp {
        Some(filter) => Ok(plimsoll_sys::seccomp::load(filter.flags, &filter.program)?),
        None => Ok(()),
    }
}

/// Enters the working directory and makes sure that it is inside the root.
///
/// A directory that was reached through a leaked descriptor has no path here, and the kernel says so.
pub(crate) fn working_directory(plan: &ProcessPlan) -> Outcome {
    rustix::process::chdir(plan.cwd.as_c_str())?;
    let mut buffer = [0u8; 4096];
    process::current_directory(&mut buffer)
        .map(|path| if path.starts_with(b"/") { Ok(()) } else { Err(Errno::NOENT) })??;
    Ok(())
}

/// The first candidate that is an executable file, or why the last promising one is not.
pub(crate) fn find_program(plan: &ProcessPlan) -> Result<usize, Fault> {
    let mut refusal = Errno::NOENT;
    for (i, candidate) in plan.candidates.iter().enumerate() {
        match rustix::fs::statat(CWD, candidate.as_c_str(), AtFlags::empty()).map(executable(candidate)) {
            Ok(Ok(())) => return Ok(i),
            Ok(Err(errno)) => refusal = errno,
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => refusal = errno,
        }
    }
    Err(refusal.into())
}

fn executable(path: &std::ffi::CStr) -> impl FnOnce(Stat) -> rustix::io::Result<()> {
    move |stat| {
        if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
            return Err(Errno::ISDIR);
        }
        match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
            // Kernels before faccessat2 cannot check for the effective user; execve will.
            Err(Errno::NOSYS) => Ok(()),
            other => other,
        }
    }
}

/// Makes `slave` the standard streams and the controlling terminal.
pub(crate) fn adopt_terminal(slave: BorrowedFd<'_>, window: Option<Window>) -> Outcome {
    if let Some(window) = window {
        let size = rustix::termios::Winsize {
            ws_row: window.rows,
            ws_col: window.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(slave, size)?;
    }
    rustix::process::ioctl_tiocsctty(slave)?;
    for target in 0..3 {
        process::dup_to(slave, target).entry(target as usize)?;
    }
    Ok(())
}

/// A new terminal of the devpts below `root`: master and slave. The slave is had from the master, never by path.
///
/// The file system is looked at before anything in it is opened, because to open another device can be to use it.
/// In a devpts nobody can make files, and nothing that is mounted on one is followed.
pub(crate) fn open_terminal(root: BorrowedFd<'_>) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    use rustix::fs::ResolveFlags;
    use rustix::pty::OpenptFlags;
    const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;
    let devpts = crate::rootfs::path::open(root, c"dev/pts")?;
    if rustix::fs::fstatfs(&devpts)?.f_type as i64 != DEVPTS_SUPER_MAGIC {
        return Err(Errno::NODEV);
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    let master = rustix::fs::openat2(&devpts, c"ptmx", flags, Mode::empty(), inside)?;
    rustix::pty::unlockpt(&master)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )?;
    Ok((master, slave))
}

/// Gives the standard streams to the user, so that `/dev/stdout` can be opened again by an ordinary user. In a
/// user namespace files are left out: an ordinary user would lose his own to an id that only the host can undo.
pub(crate) fn own_streams(plan: &ProcessPlan, in_user_namespace: bool) {
    if plan.uid == 0 {
        return;
    }
    for fd in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let Ok(stat) = rustix::fs::fstat(fd.as_fd()) else { continue };
        if in_user_namespace && FileType::from_raw_mode(stat.st_mode).is_file() {
            continue;
        }
        // /dev/null belongs to everybody; a file system may refuse, and then reopening fails as it always did.
        if stat.st_rdev != rustix::fs::makedev(1, 3) && stat.st_uid != plan.uid {
            let _ = rustix::fs::fchown(fd.as_fd(), Some(Uid::from_raw(plan.uid)), None);
        }
    }
}
