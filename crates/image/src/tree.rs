//! Directories by descriptor: making, listing and removing them.
//! Refuses to follow a symbolic link or to enter another mount while it removes.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{Error, Result};

/// Opens `path` below `directory` for reading, following links as `resolve` allows; `None` where it is no
/// regular file. Nothing but a regular file is ever opened: to open a device can be to use it.
pub(crate) fn open_file(
    directory: BorrowedFd<'_>,
    path: &str,
    resolve: ResolveFlags,
) -> Result<Option<File>, Errno> {
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = loop {
        match rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve) {
            // The kernel could not tell whether a rename meanwhile led out.
            Err(Errno::AGAIN) => {}
            found => break found?,
        }
    };
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
    if kind != FileType::RegularFile {
        return Ok(None);
    }
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(again, flags, Mode::empty()).map(|file| Some(file.into()))
}

/// Makes the directory `name` in `parent` unless it is there. Neither the umask nor an access list that
/// `parent` hands down has a say in its mode.
pub(crate) fn make(parent: BorrowedFd<'_>, name: &str, mode: u32) -> Result<OwnedFd> {
    let failed = |e: Errno| Error::io(format!("make directory {name}"), e);
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
        Ok(()) => {
            let directory = open(parent, name)?;
            let cleared = plimsoll_sys::fs::clear_xattrs(&directory);
            cleared.map_err(|e| Error::io(format!("make directory {name}"), e))?;
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode)).map_err(failed)?;
            Ok(directory)
        }
        Err(Errno::EXIST) => open(parent, name),
        Err(e) => Err(failed(e)),
    }
}

/// Opens the directory `name` in `parent`, which may not be a symbolic link.
pub(crate) fn open(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
        .map_err(|e| Error::io(format!("open directory {name}"), e))
}

/// The names in `directory`, sorted; none where it is absent.
pub(crate) fn names(parent: BorrowedFd<'_>, directory: &str) -> Result<Vec<String>> {
    let failed = |e: Errno| Error::io(format!("list directory {directory}"), e);
    let opened = match open(parent, directory) {
        Err(e) if e.kind() == crate::Kind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut names = Vec::new();
    for entry in Dir::read_from(opened).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Whatever is not UTF-8 was not made by this crate, and is left alone.
        if let Ok(name) = entry.file_name().to_str()
            && !matches!(name, "." | "..")
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The directory of `path` and its last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&path[..0], path),
    }
}

/// Removes `name` in `parent` and all below it; nothing there is no error.
///
/// Directories that are not empty are moved up beside each other before they are emptied, so a tree of any
/// depth costs three descriptors and no stack.
pub(crate) fn remove(parent: BorrowedFd<'_>, name: impl AsRef<[u8]>) -> Result<()> {
    let name = name.as_ref();
    let failed = |e: Errno| Error::io(format!("remove {}", name.escape_ascii()), e);
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(e) => return Err(failed(e)),
    }
    let top_name = CString::new(name).map_err(|_| failed(Errno::INVAL))?;
    let top = enter(parent, &top_name).map_err(failed)?;
    let mut moved = 0_u64;
    while let Some(inner) = empty_of_files(&top).map_err(failed)?.pop() {
        let directory = enter(top.as_fd(), &inner).map_err(failed)?;
        for below in empty_of_files(&directory).map_err(failed)? {
            move_up(&directory, &below, &top, &mut moved).map_err(failed)?;
        }
        rustix::fs::unlinkat(&top, inner.as_c_str(), AtFlags::REMOVEDIR).map_err(failed)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(failed)
}

/// Opens a directory of the same mount and makes sure that it can be emptied.
fn enter(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::BENEATH;
    let opened = match rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
        Err(Errno::ACCESS) => {
            // The owner without privileges may not read it, but may change that.
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve)?
        }
        opened => opened?,
    };
    if !rustix::process::geteuid().is_root() {
        rustix::fs::fchmod(&opened, Mode::RWXU)?;
    }
    Ok(opened)
}

/// Removes everything in `directory` but directories, whose names it returns.
fn empty_of_files(directory: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut directories = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            }
            kind => kind == FileType::Directory,
        };
        if is_directory {
            directories.push(name.to_owned());
        } else {
            rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
        }
    }
    Ok(directories)
}

fn move_up(from: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> Result<(), Errno> {
    match rustix::fs::unlinkat(from, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        done => return done,
    }
    if !rustix::process::geteuid().is_root() {
        // To move a directory is to write its `..`.
        enter(from.as_fd(), name)?;
    }
    loop {
        *moved += 1;
        match rustix::fs::renameat(from, name, top, format!("{moved}").as_str()) {
            // The number is a name of the tree itself: an occupied directory or a file.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            done => return done,
        }
    }
}
