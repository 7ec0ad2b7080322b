//! Removing trees by descriptor: no path is built, no link followed, no depth recursed on the stack beyond
//! what the tree itself has.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// What a chooser says of a name it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Leave it, and everything below it is asked about in turn.
    Keep,
    /// Remove it with everything below it.
    Remove,
}

/// How deep a tree may be: each level holds a descriptor. The kernel's PATH_MAX allows 2048 at most.
const DEPTH: usize = 512;

/// Removes `name`, with everything below it if it is a directory. What is not there is no error.
///
/// # Errors
/// Those of unlink(2); `FilesystemLoop` for a tree deeper than 512 directories.
pub fn remove_name(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    match fs::unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => remove_tree(parent, name),
        Err(error) => Err(error.into()),
    }
}

/// Removes the directory `name` with everything below it.
///
/// # Errors
/// As [`remove_name`].
pub fn remove_tree(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    remove_where(parent, name, &mut |_, _| Verdict::Remove).map(drop)
}

/// Removes everything below the open directory, and keeps it.
///
/// # Errors
/// As [`remove_name`].
pub fn remove_children(directory: impl AsFd) -> io::Result<()> {
    remove_children_where(directory, &mut |_, _| Verdict::Remove).map(drop)
}

/// Removes what the chooser gives up below the open directory; says whether the directory is empty now.
/// The chooser is given the inode number of the directory and a name in it.
///
/// # Errors
/// As [`remove_name`].
pub fn remove_children_where(
    directory: impl AsFd,
    choose: &mut dyn FnMut(u64, &[u8]) -> Verdict,
) -> io::Result<bool> {
    let own = fs::openat(directory, ".", DIRECTORY, Mode::empty())?;
    children(&own, 0, false, choose)
}

/// Removes the directory `name` and what is below it as far as the chooser allows; says whether it is gone.
///
/// # Errors
/// As [`remove_name`].
pub fn remove_where(
    parent: impl AsFd,
    name: &[u8],
    choose: &mut dyn FnMut(u64, &[u8]) -> Verdict,
) -> io::Result<bool> {
    let directory = match fs::openat(&parent, name, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(true),
        answer => answer?,
    };
    let empty = children(&directory, 0, false, choose)?;
    if empty {
        fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    }
    Ok(empty)
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// One level: lists first and removes then, because removal while reading may hide names.
fn children(
    directory: &OwnedFd,
    depth: usize,
    doomed: bool,
    choose: &mut dyn FnMut(u64, &[u8]) -> Verdict,
) -> io::Result<bool> {
    if depth > DEPTH {
        return Err(io::Error::from_raw_os_error(Errno::LOOP.raw_os_error()));
    }
    let inode = fs::fstat(directory)?.st_ino;
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((name.to_vec(), entry.file_type()));
        }
    }
    let mut empty = true;
    for (name, kind) in names {
        let remove = doomed || choose(inode, &name) == Verdict::Remove;
        let is_directory = match kind {
            FileType::Directory => true,
            FileType::Unknown => is_directory(directory, &name)?,
            _ => false,
        };
        if is_directory {
            let child = fs::openat(directory, &name[..], DIRECTORY, Mode::empty())?;
            let child_empty = children(&child, depth + 1, remove, choose)?;
            if remove && child_empty {
                fs::unlinkat(directory, &name[..], AtFlags::REMOVEDIR)?;
                continue;
            }
        } else if remove {
            fs::unlinkat(directory, &name[..], AtFlags::empty())?;
            continue;
        }
        empty = false;
    }
    Ok(empty)
}

fn is_directory(parent: &OwnedFd, name: &[u8]) -> io::Result<bool> {
    let status = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(status.st_mode) == FileType::Directory)
}
