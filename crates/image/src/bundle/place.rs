//! Where a path leads in a root file system that the image has made: links are followed within the root, and
//! two paths are one place where they lead to the same directory.

use std::os::fd::{AsFd, OwnedFd};

use plimsoll_sys::fs::{Directory, Root, status};
use rustix::fs::{Mode, OFlags, Stat};
use std::io;

/// Most directories above each other: the kernel takes no path with more names.
const DEPTH: usize = 2048;

/// A directory of the root file system, or what is missing of one.
#[derive(Debug)]
pub(super) struct Place {
    /// The last directory on the way that is there.
    pub(super) directory: Directory,
    /// Device and inode of that directory and of all above it, the root last.
    ancestors: Vec<(u64, u64)>,
    /// The names behind it that lead to no directory.
    pub(super) missing: Vec<String>,
}

impl Place {
    /// Goes along `path`, whose names are neither empty nor dots.
    ///
    /// # Errors
    /// Those of openat2(2), but for a name that is missing or no directory.
    pub(super) fn find(root: &Root, path: &[&str]) -> io::Result<Place> {
        for end in (0..=path.len()).rev() {
            match root.directory(path[..end].join("/").as_bytes()) {
                Err(e) if is_end(&e) && end > 0 => {}
                found => {
                    let directory = found?;
                    let ancestors = ancestors(root, &directory)?;
                    let missing = path[end..].iter().map(|name| (*name).to_owned()).collect();
                    return Ok(Place { directory, ancestors, missing });
                }
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Whether it is the root itself.
    pub(super) fn is_root(&self) -> bool {
        self.ancestors.len() == 1 && self.missing.is_empty()
    }

    /// Whether something that is no directory stands in the way: a file, or a link to nothing.
    pub(super) fn is_blocked(&self) -> bool {
        self.missing.first().is_some_and(|name| status(&self.directory, name.as_bytes()).is_ok())
    }

    /// Whether it is at `other`.
    pub(super) fn is(&self, other: &Place) -> bool {
        self.ancestors.first() == other.ancestors.first() && self.missing == other.missing
    }

    /// Whether it is at `other` or somewhere below.
    pub(super) fn is_within(&self, other: &Place) -> bool {
        match (other.ancestors.first(), other.missing.as_slice()) {
            (Some(directory), []) => self.ancestors.contains(directory),
            (directory, missing) => self.ancestors.first() == directory && self.missing.starts_with(missing),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// `directory` and all above it up to `root`.
fn ancestors(root: &Root, directory: &Directory) -> io::Result<Vec<(u64, u64)>> {
    let top = identity(&rustix::fs::fstat(root)?);
    let mut found = vec![identity(&directory.status)];
    let mut above: Option<OwnedFd> = None;
    while found.last() != Some(&top) && found.len() < DEPTH {
        let below = above.as_ref().map_or(directory.as_fd(), AsFd::as_fd);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = rustix::fs::openat(below, "..", flags, Mode::empty())?;
        found.push(identity(&rustix::fs::fstat(&next)?));
        above = Some(next);
    }
    Ok(found)
}

fn identity(status: &Stat) -> (u64, u64) {
    (status.st_dev, status.st_ino)
}
