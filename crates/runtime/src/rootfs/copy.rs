//! Copying the tree that a tmpfs is going to cover into it, as `tmpcopyup` asks, without allocation.
//!
//! Content, owner, mode and times are taken over; extended attributes are not, and hard links become files of
//! their own. Every name is opened below the descriptor of its directory, so nothing leads out of the tree.
//! Refuses trees of more than [`DEPTH`] levels.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RawDir, Stat, Timespec, Timestamps, Uid};
use rustix::io::{Errno, Result};

use super::path;

/// Deepest nesting; each level takes some kilobytes of the child's stack and two descriptors.
const DEPTH: usize = 128;
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const READ_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Copies everything in directory `from` into directory `to`.
pub(crate) fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    level(from, to, 0)
}

/// Gives the directory `to` the mode of the directory `from`.
pub(crate) fn mode(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(from)?.st_mode & 0o7777);
    rustix::fs::chmodat(to, c".", mode, AtFlags::empty())
}

fn level(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Result<()> {
    if depth == DEPTH {
        return Err(Errno::NAMETOOLONG);
    }
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(from, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            one(from, to, name, depth)?;
        }
    }
    Ok(())
}

fn one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<()> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    match kind {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, Mode::RWXU)?;
            let open = |at| rustix::fs::openat(at, name, READ_DIRECTORY, Mode::empty());
            level(open(from)?.as_fd(), open(to)?.as_fd(), depth + 1)?;
        }
        FileType::RegularFile => file(from, to, name)?,
        FileType::Symlink => link(from, to, name)?,
        _ => rustix::fs::mknodat(to, name, kind, Mode::RUSR, stat.st_rdev)?,
    }
    dress(to, name, &stat)
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    // Who shares the directory may have put something else there meanwhile.
    let place = rustix::fs::openat(from, name, PLACE, Mode::empty())?;
    let source = path::open_file(place.as_fd())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let copy: OwnedFd = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
    while rustix::fs::sendfile(&copy, &source, None, 1 << 30)? > 0 {}
    Ok(())
}

// On its own, so that its buffer does not stand on the stack of every level.
#[inline(never)]
fn link(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    let mut target = [0u8; 4097];
    let room = target.get_mut(..4096).ok_or(Errno::NAMETOOLONG)?;
    rustix::fs::readlinkat_raw(from, name, room)?;
    let target = CStr::from_bytes_until_nul(&target).map_err(|_| Errno::NAMETOOLONG)?;
    rustix::fs::symlinkat(target, to, name)
}

/// Gives the copy owner, mode and times of the original; the owner first, whose change takes setuid away.
fn dress(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    match rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW) {
        // An owner without a number in this user namespace cannot be given.
        Err(Errno::INVAL) => {}
        other => other?,
    }
    if !FileType::from_raw_mode(stat.st_mode).is_symlink() {
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
    }
    let time =
        |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds.cast_signed() };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    rustix::fs::utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use rustix::fs::{CWD, inotify};

    /// As where a file has become something else between two looks.
    #[test]
    fn what_is_no_file_any_more_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node");
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, &path, inotify::WatchFlags::OPEN).unwrap();
        let at = rustix::fs::open(dir.path(), OFlags::PATH, Mode::empty()).unwrap();
        assert_eq!(file(at.as_fd(), at.as_fd(), c"node").unwrap_err(), Errno::STALE);
        assert_eq!(rustix::io::read(&watch, &mut [0u8; 4096]), Err(Errno::AGAIN));
    }
}
