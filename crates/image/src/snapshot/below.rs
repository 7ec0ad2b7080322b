//! What the layers below show of a path to a layer above them, as overlayfs would put them together: through
//! directories alone, as far as none of them is hidden.

use std::os::fd::OwnedFd;

use plimsoll_sys::fs::{self, xattr};
use rustix::fs::{FileType, Mode as Permissions, OFlags};
use rustix::io::Errno;

use crate::tree::split;
use crate::{Error, Result};

/// What stands at a path.
pub(super) enum Found {
    Directory(OwnedFd),
    Link,
    Nothing,
}

/// The path as the layers `below`, lowest first, show it to `layer`.
pub(super) fn find(below: &[OwnedFd], layer: &OwnedFd, path: &[u8]) -> Result<Found> {
    if hides(layer, split(path).0)? { Ok(Found::Nothing) } else { shown(below, path) }
}

/// The path as the layers `below`, lowest first, show it without regard to what is above them.
pub(super) fn shown(below: &[OwnedFd], path: &[u8]) -> Result<Found> {
    for layer in below.iter().rev() {
        match look(layer, path)? {
            Looked::There(found) => return Ok(Found::Directory(found)),
            Looked::Link => return Ok(Found::Link),
            Looked::Absent => {}
            Looked::Hidden => return Ok(Found::Nothing),
        }
    }
    Ok(Found::Nothing)
}

/// Whether the kernel merges the directory `path` of `layer` with one of those `below`.
pub(super) fn is_merged(below: &[OwnedFd], layer: &OwnedFd, path: &[u8]) -> Result<bool> {
    Ok(!hides(layer, path)? && matches!(find(below, layer, path)?, Found::Directory(_)))
}

/// The directory `path` of one layer, if that is what it has there.
pub(super) fn directory(layer: &OwnedFd, path: &[u8]) -> Result<Option<OwnedFd>> {
    Ok(match look(layer, path)? {
        Looked::There(found) => Some(found),
        _ => None,
    })
}

pub(super) fn is_opaque(directory: &OwnedFd) -> Result<bool> {
    let value = xattr(directory, super::opaque()).map_err(|e| Error::io("look at a directory", e))?;
    Ok(value.is_some())
}

/// What one layer says of a path.
enum Looked {
    There(OwnedFd),
    /// That a symbolic link is there.
    Link,
    /// Nothing: the layers below count.
    Absent,
    /// That there is no directory: a whiteout or something else is in the way, or a directory is opaque.
    Hidden,
}

fn look(layer: &OwnedFd, path: &[u8]) -> Result<Looked> {
    let mut opaque = false;
    let mut at = open(layer, b".").map_err(|e| failed(path, e))?;
    let mut rest = names(path).peekable();
    while let Some(name) = rest.next() {
        opaque |= is_opaque(&at)?;
        at = match open(&at, name) {
            Ok(next) => next,
            Err(Errno::NOENT) if !opaque => return Ok(Looked::Absent),
            Err(Errno::NOTDIR | Errno::LOOP) if rest.peek().is_none() && is_link(&at, name) => {
                return Ok(Looked::Link);
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Looked::Hidden),
            Err(e) => return Err(failed(path, e)),
        };
    }
    Ok(Looked::There(at))
}

fn is_link(parent: &OwnedFd, name: &[u8]) -> bool {
    let status = fs::status(parent, name);
    status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Symlink)
}

/// Whether `path` or a directory above it is opaque in `layer`.
fn hides(layer: &OwnedFd, path: &[u8]) -> Result<bool> {
    let mut at = open(layer, b".").map_err(|e| failed(path, e))?;
    for name in names(path) {
        if is_opaque(&at)? {
            return Ok(true);
        }
        at = match open(&at, name) {
            // It leads through what is no directory here, so nothing is merged there.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(true),
            opened => opened.map_err(|e| failed(path, e))?,
        };
    }
    is_opaque(&at)
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}

fn open(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Permissions::empty())
}

fn failed(path: &[u8], e: impl Into<std::io::Error>) -> Error {
    Error::io(format!("look at directory \"{}\" of a layer", path.escape_ascii()), e)
}
