//! Removing what a layer deletes or replaces. An entry may lead through links of the layers below, so a tree
//! can be deeper than any path in an archive, and than a process may have descriptors.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use plimsoll_sys::fs;
use rustix::fs::{Dir, FileType, Mode, OFlags};

use crate::tree;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes `name` and all below it; nothing there is no error.
pub(super) fn remove(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    tree::remove(parent.as_fd(), name).map_err(io::Error::other)
}

/// Removes everything below `top` but what `keeps`, given a directory's inode number and a name in it, says is
/// to stay; of a directory that stays, what is in it is asked about in turn.
pub(super) fn prune(top: impl AsFd, keeps: &dyn Fn(u64, &[u8]) -> bool) -> io::Result<()> {
    let mut at = rustix::fs::openat(top, ".", DIRECTORY, Mode::empty())?;
    // Of `at` and each directory above it, those below that are still to be looked at.
    let mut waiting = vec![sift(&at, keeps)?];
    while let Some(below) = waiting.last_mut() {
        if let Some(name) = below.pop() {
            at = rustix::fs::openat(&at, name.as_slice(), DIRECTORY, Mode::empty())?;
            waiting.push(sift(&at, keeps)?);
            continue;
        }
        waiting.pop();
        if !waiting.is_empty() {
            // Nobody else is in the tree, so this leads to where `at` was entered from.
            at = rustix::fs::openat(&at, "..", DIRECTORY, Mode::empty())?;
        }
    }
    Ok(())
}

/// Removes what does not stay in one directory; the names of the directories that do.
fn sift(directory: &OwnedFd, keeps: &dyn Fn(u64, &[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
    let inode = rustix::fs::fstat(directory)?.st_ino;
    let mut kept = Vec::new();
    // All are listed first: removal while reading may hide names.
    let entries = Dir::read_from(directory)?.collect::<Result<Vec<_>, _>>()?;
    for entry in entries {
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        if !keeps(inode, name) {
            remove(directory, name)?;
        } else if is_directory(directory, name, entry.file_type())? {
            kept.push(name.to_vec());
        }
    }
    Ok(kept)
}

fn is_directory(parent: &OwnedFd, name: &[u8], listed: FileType) -> io::Result<bool> {
    match listed {
        FileType::Unknown => {
            Ok(FileType::from_raw_mode(fs::status(parent, name)?.st_mode) == FileType::Directory)
        }
        kind => Ok(kind == FileType::Directory),
    }
}
