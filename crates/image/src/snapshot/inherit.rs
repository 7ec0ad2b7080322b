//! Directories that a layer leads through without an entry of their own. Unpacked on its own the layer has
//! just made them; stacked, they would hide how the layers below describe them.

use std::os::fd::OwnedFd;

use plimsoll_sys::fs::xattr;
use rustix::fs::{Mode as Permissions, OFlags};
use rustix::io::Errno;

use super::unpack::copy_attributes;
use crate::{Error, Result};

/// Gives the directories `implied` of `layer` what the topmost of `below`, lowest first, says of them.
pub(super) fn inherit(below: &[OwnedFd], layer: &OwnedFd, implied: &[Vec<u8>]) -> Result<()> {
    for path in implied {
        let Looked::There(own) = look(layer, path)? else {
            // It led through a link to what has an entry, or was replaced since.
            continue;
        };
        if let Some(described) = find(below, layer, path)? {
            copy_attributes(&described, &own)?;
        }
    }
    Ok(())
}

/// The directory `path` as the layers `below` show it to the layer above, if they do.
fn find(below: &[OwnedFd], layer: &OwnedFd, path: &[u8]) -> Result<Option<OwnedFd>> {
    let above = path.iter().rposition(|byte| *byte == b'/').map_or(&path[..0], |slash| &path[..slash]);
    if hides(layer, above)? {
        return Ok(None);
    }
    for layer in below.iter().rev() {
        match look(layer, path)? {
            Looked::There(found) => return Ok(Some(found)),
            Looked::Absent => {}
            Looked::Hidden => return Ok(None),
        }
    }
    Ok(None)
}

/// What one layer says of a path.
enum Looked {
    There(OwnedFd),
    /// Nothing: the layers below count.
    Absent,
    /// That there is none: a file, a link or a whiteout is in its place, or an opaque directory above it.
    Hidden,
}

fn look(layer: &OwnedFd, path: &[u8]) -> Result<Looked> {
    let mut opaque = false;
    let mut at = open(layer, b".").map_err(|e| failed(path, e))?;
    for name in path.split(|byte| *byte == b'/') {
        opaque |= is_opaque(&at).map_err(|e| failed(path, e))?;
        at = match open(&at, name) {
            Ok(next) => next,
            Err(Errno::NOENT) if !opaque => return Ok(Looked::Absent),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Looked::Hidden),
            Err(e) => return Err(failed(path, e)),
        };
    }
    Ok(Looked::There(at))
}

/// Whether `path` or a directory above it is opaque in `layer`.
fn hides(layer: &OwnedFd, path: &[u8]) -> Result<bool> {
    let mut at = open(layer, b".").map_err(|e| failed(path, e))?;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        if is_opaque(&at).map_err(|e| failed(path, e))? {
            return Ok(true);
        }
        at = open(&at, name).map_err(|e| failed(path, e))?;
    }
    is_opaque(&at).map_err(|e| failed(path, e))
}

fn is_opaque(directory: &OwnedFd) -> std::io::Result<bool> {
    Ok(xattr(directory, super::opaque())?.is_some())
}

fn open(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Permissions::empty())
}

fn failed(path: &[u8], e: impl Into<std::io::Error>) -> Error {
    Error::io(format!("look at directory \"{}\" of a layer", path.escape_ascii()), e)
}
