//! Directories that a layer leads through without an entry of their own. Unpacked on its own the layer has
//! just made them; stacked, they would hide how the layers below describe them.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Dir, FileType, Mode as Permissions, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::unpack::copy_attributes;
use crate::{Error, Result, tree};

/// Gives such directories below `layer` the attributes that the topmost of `below`, lowest first, has for
/// them. They are known by a modification time that is not before `start`, when the unpacking began: an
/// entry would have set another.
pub(super) fn inherit(below: &[OwnedFd], layer: &OwnedFd, start: SystemTime) -> Result<()> {
    let start = start.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let search = Search { below, start: i64::try_from(start).unwrap_or(i64::MAX) };
    search.children(layer.as_fd(), "")
}

struct Search<'a> {
    below: &'a [OwnedFd],
    start: i64,
}

impl Search<'_> {
    /// Every directory in `folder`, which is at `path`. The limit of a layer's depth bounds the recursion.
    fn children(&self, folder: BorrowedFd<'_>, path: &str) -> Result<()> {
        let failed = |e: Errno| Error::io(format!("look at directory {path:?} of a layer"), e);
        for found in Dir::read_from(folder).map_err(failed)? {
            let found = found.map_err(failed)?;
            // A name that is not UTF-8 is left as it is.
            let Ok(name) = found.file_name().to_str() else { continue };
            if matches!(name, "." | "..")
                || !matches!(found.file_type(), FileType::Directory | FileType::Unknown)
            {
                continue;
            }
            let child = match tree::open(folder, name) {
                Err(e) if e.is_errno(Errno::NOTDIR) || e.is_errno(Errno::LOOP) => continue,
                child => child?,
            };
            let path = format!("{path}{name}");
            // Its children first: they are looked for while it is as it was made.
            self.children(child.as_fd(), &format!("{path}/"))?;
            if rustix::fs::fstat(&child).map_err(failed)?.st_mtime >= self.start
                && let Some(described) = self.find(&path)?
            {
                copy_attributes(&described, &child)?;
            }
        }
        Ok(())
    }

    /// The directory `path` of the topmost layer that has something there.
    fn find(&self, path: &str) -> Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        for layer in self.below.iter().rev() {
            match rustix::fs::openat2(layer, path, flags, Permissions::empty(), resolve) {
                Ok(found) => return Ok(Some(found)),
                Err(Errno::NOENT) => {}
                // A file, a link or a whiteout: the directory is new.
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(e) => return Err(Error::io(format!("look for directory {path:?} in the layers"), e)),
            }
        }
        Ok(None)
    }
}
