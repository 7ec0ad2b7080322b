//! A directory in the making beside the place where it will stand, so that a rename is enough to show all of it.
//!
//! Its maker holds a lock on it, which goes with the maker however that ends: whoever comes next to the same
//! parent removes what the dead have left, and nothing that is alive. Refused are targets without a name.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::lock::Lock;
use crate::{Error, Result, tree};

const PREFIX: &str = ".plimsoll-";
/// What is made, within the directory that has the lock.
const MADE: &str = "made";
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory in the making. Dropping it without showing it removes it.
#[derive(Debug)]
pub struct Beside {
    target: PathBuf,
    parent_path: PathBuf,
    parent: OwnedFd,
    name: String,
    folder: OwnedFd,
    /// Held until the directory that has it is removed.
    _living: Lock,
    made: OwnedFd,
}

impl Beside {
    /// Makes an empty directory that is to be shown at `target`, closed to others until then. Removes what
    /// others, dead by now, were making beside it.
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::Kind::NotFound) where the directory of `target` is absent,
    /// [`Kind::Exists`](crate::Kind::Exists) where `target` ends without a name, and
    /// [`Kind::Io`](crate::Kind::Io) or [`Kind::NoSpace`](crate::Kind::NoSpace) from the host.
    pub fn new(target: &Path) -> Result<Beside> {
        let failed = |e: Errno| Error::io(format!("make {}", target.display()), e);
        if target.file_name().is_none() {
            return Err(failed(Errno::EXIST));
        }
        let parent_path = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::open(&parent_path, flags, Mode::empty()).map_err(failed)?;
        remove_dead(&parent)?;
        loop {
            let name = format!("{PREFIX}{}", crate::store::random_name()?);
            let folder = tree::make(parent.as_fd(), &name, 0o700)?;
            // Before it was locked it looked like one of the dead.
            let living = lock(&folder).map_err(failed)?.filter(|_| stands(&parent, &name, &folder));
            let Some(living) = living else { continue };
            let made = tree::make(folder.as_fd(), MADE, 0o755)
                .inspect_err(|_| drop(tree::remove(parent.as_fd(), &name)))?;
            return Ok(Beside {
                target: target.to_owned(),
                parent_path,
                parent,
                name,
                folder,
                _living: living,
                made,
            });
        }
    }

    /// The directory.
    pub fn directory(&self) -> &OwnedFd {
        &self.made
    }

    /// Where the directory is until it is shown.
    pub fn path(&self) -> PathBuf {
        self.parent_path.join(&self.name).join(MADE)
    }

    /// Moves the directory to its target, in place of an empty directory if one is there.
    ///
    /// # Errors
    /// [`Kind::Exists`](crate::Kind::Exists) where something else is there; the directory is removed then.
    pub fn show(self) -> Result<()> {
        self.show_with(RenameFlags::empty())
    }

    /// Moves the directory to its target, where nothing may be.
    ///
    /// # Errors
    /// As [`Beside::show`].
    pub fn show_new(self) -> Result<()> {
        self.show_with(RenameFlags::NOREPLACE)
    }

    fn show_with(self, flags: RenameFlags) -> Result<()> {
        let name = self.target.file_name().unwrap_or_default();
        rustix::fs::renameat_with(&self.folder, MADE, &self.parent, name, flags).map_err(|e| {
            let e = if matches!(e, Errno::NOTEMPTY | Errno::NOTDIR) { Errno::EXIST } else { e };
            Error::io(format!("make {}", self.target.display()), e)
        })?;
        // The drop that follows would not say what went wrong.
        tree::remove(self.parent.as_fd(), &self.name)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // What stays is removed by the next one here.
        let _ = tree::remove(self.parent.as_fd(), &self.name);
    }
}

/// Removes the directories in `parent` whose makers are dead.
fn remove_dead(parent: &OwnedFd) -> Result<()> {
    for name in tree::names(parent.as_fd(), ".")?.into_iter().filter(|name| is_name(name)) {
        let folder = match rustix::fs::openat(parent, name.as_str(), DIRECTORY, Mode::empty()) {
            Ok(folder) => folder,
            // Gone meanwhile, no directory, or somebody else's: nothing of ours.
            Err(_) => continue,
        };
        if !is_own(&folder) {
            continue;
        }
        if let Ok(Some(_dead)) = lock(&folder) {
            // What cannot be removed is there to be seen, and in nobody's way.
            let _ = tree::remove(parent.as_fd(), &name);
        }
    }
    Ok(())
}

/// Whether `name` is of the form that this crate gives: the prefix and 16 hexadecimal digits.
fn is_name(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX).unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// In a directory that others can write to, names prove nothing.
fn is_own(folder: &OwnedFd) -> bool {
    let own = rustix::process::geteuid().as_raw();
    rustix::fs::fstat(folder).is_ok_and(|stat| stat.st_uid == own && stat.st_mode & 0o7777 == 0o700)
}

/// Takes the lock, unless somebody alive has it.
fn lock(folder: &OwnedFd) -> Result<Option<Lock>, Errno> {
    Lock::try_exclusive(rustix::io::fcntl_dupfd_cloexec(folder, 0)?)
}

/// Whether `folder` is what `name` in `parent` means.
fn stands(parent: &OwnedFd, name: &str, folder: &OwnedFd) -> bool {
    let named = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    let own = rustix::fs::fstat(folder);
    matches!((named, own), (Ok(named), Ok(own))
        if FileType::from_raw_mode(named.st_mode) == FileType::Directory
            && (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino))
}
