//! A layer is unpacked on its own, as if nothing were below it. Once it is known what is, three things are set
//! right: it may lead through what is no directory below, delete what is not there, and have made directories
//! that only the layers below describe.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use plimsoll_sys::fs::{Timestamp, set_times};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::below::{Found, directory, find, is_merged, is_opaque, shown};
use super::unpack::copy_attributes;
use crate::layer::Applied;
use crate::tree::split;
use crate::{Error, Kind, Result};

/// Makes `layer` with what was `applied` to it one that can stand on `below`, lowest first.
///
/// # Errors
/// [`Kind::Unsupported`] where it cannot.
pub(super) fn settle(below: &[OwnedFd], layer: &OwnedFd, applied: &Applied) -> Result<()> {
    check_ways(below, &applied.crossed)?;
    remove_idle_whiteouts(below, layer, &applied.whiteouts)?;
    for path in applied.implied.iter().rev() {
        settle_implied(below, layer, path)?;
    }
    Ok(())
}

/// A link of a layer below is followed to where it leads, as umoci and containerd do when they unpack: the
/// entry means what the path meant where the layer was made. In a stack the directory that was made here would
/// stand in the link's place. What the layer deletes besides is no matter: it may do so afterwards.
fn check_ways(below: &[OwnedFd], crossed: &[Vec<u8>]) -> Result<()> {
    for path in crossed {
        if let Found::Link = shown(below, path)? {
            let context = format!("\"{}\" is a link in the layers below", path.escape_ascii());
            return Err(Error::new(Kind::Unsupported, context));
        }
    }
    Ok(())
}

/// In a directory that the kernel does not merge with another it shows whiteouts as devices that cannot be
/// looked at. They delete nothing there.
fn remove_idle_whiteouts(below: &[OwnedFd], layer: &OwnedFd, whiteouts: &[Vec<u8>]) -> Result<()> {
    let mut by_directory: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    for path in whiteouts {
        let (above, name) = split(path);
        by_directory.entry(above).or_default().push(name);
    }
    for (path, names) in by_directory {
        let Some(parent) = directory(layer, path)? else {
            let context = format!("\"{}\" deletes through a link", path.escape_ascii());
            return Err(Error::new(Kind::Unsupported, context));
        };
        if is_merged(below, layer, path)? {
            continue;
        }
        let remove = || names.iter().try_for_each(|name| remove(&parent, name, AtFlags::empty()));
        in_passing(&parent, remove).map_err(|e| failed(path, e))?;
    }
    Ok(())
}

/// Gives a directory that no entry describes what the layers below say of it. One that nobody knows, and that
/// was made for deletions only, goes.
fn settle_implied(below: &[OwnedFd], layer: &OwnedFd, path: &[u8]) -> Result<()> {
    let Some(own) = directory(layer, path)? else {
        // It led through a link to what has an entry, or was replaced since.
        return Ok(());
    };
    if let Found::Directory(described) = find(below, layer, path)? {
        return copy_attributes(&described, &own);
    }
    if is_opaque(&own)? {
        return Ok(());
    }
    let (above, name) = split(path);
    let Some(parent) = directory(layer, above)? else { return Ok(()) };
    in_passing(&parent, || match remove(&parent, name, AtFlags::REMOVEDIR) {
        Err(e) if e.raw_os_error() == Some(Errno::NOTEMPTY.raw_os_error()) => Ok(()),
        done => done,
    })
    .map_err(|e| failed(path, e))
}

fn remove(parent: &OwnedFd, name: &[u8], flags: AtFlags) -> std::io::Result<()> {
    Ok(rustix::fs::unlinkat(parent, name, flags)?)
}

/// Does `work` in `directory`, which keeps its time.
fn in_passing(directory: &OwnedFd, work: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
    let status = rustix::fs::fstat(directory)?;
    work()?;
    let nanoseconds = u32::try_from(status.st_mtime_nsec).unwrap_or_default();
    set_times(directory, Timestamp { seconds: status.st_mtime, nanoseconds })
}

fn failed(path: &[u8], e: std::io::Error) -> Error {
    Error::io(format!("put \"{}\" on the layers below", path.escape_ascii()), e)
}
