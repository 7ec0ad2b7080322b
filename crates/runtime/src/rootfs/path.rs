//! Paths inside the root, resolved by the kernel within it, without allocation.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};
use rustix::path::DecInt;

/// The kernel's own limit of a path, with its NUL.
const PATH_MAX: usize = 4096;

/// `path` without the slashes at its start, and `.` for nothing but slashes.
pub(crate) fn relative(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    let start = bytes.iter().position(|byte| *byte != b'/').unwrap_or_default();
    match CStr::from_bytes_with_nul(bytes.get(start..).unwrap_or_default()) {
        Ok(rest) if !rest.is_empty() => rest,
        _ => c".",
    }
}

/// Opens `path` below `root` as a place, following links within the root.
pub(crate) fn open(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    resolve(root, path, OFlags::PATH, ResolveFlags::empty())
}

/// As [`open`], for a directory whose entries are read.
pub(crate) fn open_directory(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    resolve(root, path, OFlags::RDONLY | OFlags::DIRECTORY, ResolveFlags::empty())
}

/// As [`open`], but a symbolic link anywhere on the way is `ELOOP`.
pub(crate) fn open_without_links(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    resolve(root, path, OFlags::PATH, ResolveFlags::NO_SYMLINKS)
}

/// Opens for reading what stands at `place`, where that is a regular file; `ESTALE` where it is not.
///
/// Nothing else is ever opened: to open a device can be to use it. The host's /proc leads from the place, which
/// cannot change any more, to the file. A file that is leased is `EAGAIN`, so its holder keeps nobody waiting.
pub(crate) fn open_file(place: BorrowedFd<'_>) -> Result<OwnedFd> {
    if !rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(place)?.st_mode).is_file() {
        return Err(Errno::STALE);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let descriptors = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(&descriptors, DecInt::from_fd(place), flags, Mode::empty())
}

fn resolve(root: BorrowedFd<'_>, path: &CStr, flags: OFlags, more: ResolveFlags) -> Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
    loop {
        // EAGAIN: something was renamed meanwhile and the kernel could not be sure that it stayed inside.
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => continue,
            other => return other,
        }
    }
}

/// Makes the directory `path` with all above it, and opens it.
pub(crate) fn create_directory(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let opened = resolve(root, path, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty());
    if !matches!(opened, Err(Errno::NOENT)) {
        return opened;
    }
    let (parent, name) = create_parent(root, path)?;
    match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    resolve(root, path, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty())
}

/// Makes `path` as an empty file, with all directories above it, unless something is there; opens it.
pub(crate) fn create_file(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let opened = open(root, path);
    if !matches!(opened, Err(Errno::NOENT)) {
        return opened;
    }
    let (parent, name) = create_parent(root, path)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    match rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o755)) {
        Ok(_) | Err(Errno::EXIST) => open(root, path),
        Err(errno) => Err(errno),
    }
}

/// Makes the directory above `path` and opens it; with the last component.
pub(crate) fn create_parent<'p>(root: BorrowedFd<'_>, path: &'p CStr) -> Result<(OwnedFd, &'p CStr)> {
    let bytes = path.to_bytes_with_nul();
    let slash = bytes.iter().rposition(|byte| *byte == b'/');
    let name = bytes.get(slash.map_or(0, |at| at + 1)..).unwrap_or_default();
    let name = CStr::from_bytes_with_nul(name).map_err(|_| Errno::INVAL)?;
    if matches!(name.to_bytes(), b"" | b"." | b"..") {
        return Err(Errno::INVAL);
    }
    let Some(slash) = slash else {
        return Ok((resolve(root, c".", OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty())?, name));
    };
    Ok((create_prefixes(root, bytes.get(..slash).unwrap_or_default())?, name))
}

/// Makes every directory on the way to `path`, shortest prefix first; each prefix is resolved from the root,
/// so a link in it is followed within the root.
fn create_prefixes(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    let mut buffer = [0u8; PATH_MAX];
    buffer
        .get_mut(..path.len())
        .filter(|_| path.len() < PATH_MAX)
        .ok_or(Errno::NAMETOOLONG)?
        .copy_from_slice(path);
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let mut above = resolve(root, c".", flags, ResolveFlags::empty())?;
    let mut start = 0;
    while start < path.len() {
        let rest = path.get(start..).unwrap_or_default();
        let end = start + rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        if end > start {
            // The byte behind the component becomes the end of the string while the prefix is looked at.
            let behind = std::mem::replace(buffer.get_mut(end).ok_or(Errno::NAMETOOLONG)?, 0);
            let prefix = CStr::from_bytes_until_nul(&buffer).map_err(|_| Errno::INVAL)?;
            let opened = match resolve(root, prefix, flags, ResolveFlags::empty()) {
                Err(Errno::NOENT) => {
                    let name = buffer.get(start..).unwrap_or_default();
                    let name = CStr::from_bytes_until_nul(name).map_err(|_| Errno::INVAL)?;
                    match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o755)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(errno) => return Err(errno),
                    }
                    resolve(root, prefix, flags, ResolveFlags::empty())
                }
                other => other,
            };
            above = opened?;
            if let Some(byte) = buffer.get_mut(end) {
                *byte = behind;
            }
        }
        start = end + 1;
    }
    Ok(above)
}

/// Whether the place behind `fd` is a directory.
pub(crate) fn is_directory(fd: &impl AsFd) -> Result<bool> {
    Ok(rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode).is_dir())
}

/// Whether the place behind `fd` is one of procfs.
pub(crate) fn is_in_procfs(fd: &impl AsFd) -> Result<bool> {
    Ok(rustix::fs::fstatfs(fd)?.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use rustix::fs::CWD;

    fn root(dir: &tempfile::TempDir) -> OwnedFd {
        rustix::fs::openat(CWD, dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn slashes_at_the_start_do_not_count() {
        for (path, want) in [(c"/a/b", c"a/b"), (c"//", c"."), (c"", c"."), (c"a", c"a")] {
            assert_eq!(relative(path), want);
        }
    }

    #[test]
    fn directories_are_made_within_the_root() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/inside", dir.path().join("link")).unwrap();
        std::fs::create_dir(dir.path().join("inside")).unwrap();
        create_directory(root(&dir).as_fd(), c"link/a//b/c").unwrap();
        create_file(root(&dir).as_fd(), c"link/../../../etc/file").unwrap();
        assert!(dir.path().join("inside/a/b/c").is_dir());
        assert!(dir.path().join("etc/file").is_file());
    }

    #[test]
    fn a_link_to_nothing_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nothing", dir.path().join("link")).unwrap();
        assert_eq!(create_directory(root(&dir).as_fd(), c"link/a").unwrap_err(), Errno::NOENT);
        assert_eq!(create_file(root(&dir).as_fd(), c"link").unwrap_err(), Errno::NOENT);
        std::os::unix::fs::symlink("/inside", dir.path().join("proc")).unwrap();
        std::fs::create_dir(dir.path().join("inside")).unwrap();
        assert_eq!(open_without_links(root(&dir).as_fd(), c"proc").unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn only_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(&dir);
        std::fs::write(dir.path().join("file"), "text").unwrap();
        rustix::fs::mknodat(&root, "fifo", rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let place = |path| open(root.as_fd(), path).unwrap();
        let file = open_file(place(c"file").as_fd()).unwrap();
        assert_eq!(crate::plan::read_all(&file, 100).unwrap(), b"text");
        assert_eq!(open_file(place(c"fifo").as_fd()).unwrap_err(), Errno::STALE);
        assert_eq!(open_file(place(c".").as_fd()).unwrap_err(), Errno::STALE);
    }
}
