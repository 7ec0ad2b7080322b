//! From blobs to trees: every layer of an image on its own for overlayfs, or all of them over each other.

use std::num::NonZero;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_digest::Digest;
use plimsoll_sys::fs;
use plimsoll_sys::fs::copy_xattrs;
use rustix::fs::{FileType, Gid, Mode as Permissions, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::below::is_opaque;
use super::settle::settle;
use super::{LAYERS, Mode, Staged, make_path, open_layer};
use crate::image::Layer;
use crate::layer::{self, Applied, Expected, Limits, Watcher};
use crate::{Beside, Error, Image, Kind, Result, Store};

/// Most layers unpacked at a time: each has threads of its own.
const PARALLEL: usize = 4;

/// Permissions of a layer's root before it is unpacked, which no image gives a root: they tell whether the
/// layer has an entry for it.
const UNTOUCHED: u32 = 0o1001;

/// How layers are unpacked.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What a layer may cost.
    pub limits: Limits,
    /// Told the bytes of blobs as they are read.
    pub progress: &'a Watcher<'a>,
}

/// Unpacks `image`, whose blobs are in `store`, to `target`, which may be an empty directory or nothing.
/// The tree appears there when it is complete.
///
/// # Errors
/// [`Kind::Exists`] where something is at `target`, and what [`layer::apply`] gives.
pub fn unpack(store: &Store, image: &Image, target: &Path, options: &Options<'_>) -> Result<()> {
    let _lease = store.share()?;
    let beside = Beside::new(target)?;
    all(store, image, beside.directory().as_fd(), options)?;
    beside.show()
}

/// Unpacks all layers of `image` over each other into `target`.
pub(super) fn all(store: &Store, image: &Image, target: BorrowedFd<'_>, options: &Options<'_>) -> Result<()> {
    image.layers.iter().try_for_each(|layer| apply(store, layer, target, Mode::Plain, options).map(drop))
}

/// Makes sure that every layer of `image` is there for overlayfs; the chain ids of those to be stacked, lowest
/// first.
///
/// # Errors
/// [`Kind::Unsupported`] where a layer has what overlayfs cannot, and what [`layer::apply`] gives.
pub(super) fn layers(store: &Store, image: &Image, options: &Options<'_>) -> Result<Vec<Digest>> {
    let mut missing = Vec::new();
    for layer in &image.layers {
        match open_layer(store, &layer.chain_id) {
            Ok(_) => {}
            Err(e) if e.kind() == Kind::NotFound => missing.push(layer),
            Err(e) => return Err(e),
        }
    }
    let staged = in_parallel(&missing, |layer| {
        let staged = Staged::new(store)?;
        set_mode(&staged.folder, UNTOUCHED)?;
        let applied = apply(store, layer, staged.folder.as_fd(), Mode::Overlay, options)?;
        Ok((staged, applied))
    })?;
    let mut staged = missing.iter().zip(staged).peekable();
    let mut below: Vec<OwnedFd> = Vec::with_capacity(image.layers.len());
    // In order, so that a layer is never there without those below it.
    for layer in &image.layers {
        let made = staged.next_if(|(missing, _)| missing.chain_id == layer.chain_id);
        if let Some((_, (staged, applied))) = made {
            settle(&below, &staged.folder, &applied)?;
            inherit_root(below.last(), &staged.folder)?;
            name(store, &layer.chain_id, staged)?;
        }
        below.push(open_layer(store, &layer.chain_id)?);
    }
    let first = first_shown(&below)?;
    Ok(image.layers.iter().skip(first).map(|layer| layer.chain_id.clone()).collect())
}

/// The lowest of `layers` of which anything is to be seen: below an opaque root nothing is. The kernel does not
/// look at that attribute of a root.
fn first_shown(layers: &[OwnedFd]) -> Result<usize> {
    for (at, layer) in layers.iter().enumerate().rev() {
        if is_opaque(layer)? {
            return Ok(at);
        }
    }
    Ok(0)
}

/// Whether deletions of layers can be written down in `folder`, as the kernel reads them from this user.
pub(super) fn can_delete(folder: &OwnedFd) -> bool {
    let whiteout = fs::make_node(folder, b"whiteout", FileType::CharacterDevice, 0, (0, 0));
    whiteout.is_ok() && fs::set_xattr(folder, super::opaque(), b"y").is_ok()
}

/// Where a layer says nothing of the root, the root is as the layers below leave it.
fn inherit_root(below: Option<&OwnedFd>, root: &OwnedFd) -> Result<()> {
    let stat = rustix::fs::fstat(root).map_err(|e| Error::io("look at the root of a layer", e))?;
    match below {
        _ if stat.st_mode & 0o7777 != UNTOUCHED => Ok(()),
        Some(below) => copy_attributes(below, root),
        None => set_mode(root, 0o755),
    }
}

fn set_mode(folder: &OwnedFd, mode: u32) -> Result<()> {
    rustix::fs::fchmod(folder, Permissions::from_raw_mode(mode))
        .map_err(|e| Error::io("set the mode of the root of a layer", e))
}

/// Gives a layer its name, unless somebody else was faster.
fn name(store: &Store, chain: &Digest, staged: Staged) -> Result<()> {
    let folder = make_path(store, &format!("{LAYERS}/{}", chain.algorithm_name()))?;
    match staged.rename(&folder, chain.encoded()) {
        Err(e) if e.is_errno(Errno::EXIST) => Ok(()),
        done => done,
    }
}

fn apply(
    store: &Store,
    layer: &Layer,
    target: BorrowedFd<'_>,
    mode: Mode,
    options: &Options<'_>,
) -> Result<Applied> {
    let expected = Expected {
        media_type: &layer.descriptor.media_type,
        size: layer.descriptor.size,
        digest: &layer.descriptor.digest,
        diff_id: &layer.diff_id,
    };
    let blob = store.open_blob(&layer.descriptor)?;
    layer::apply(blob, &expected, target, mode, &options.limits, options.progress)
        .map_err(|e| Error::new(e.kind(), format!("unpack layer {}", layer.descriptor.digest)).because(e))
}

/// Gives `to` the owner, attributes, permissions and modification time of `from`.
pub(super) fn copy_attributes(from: &OwnedFd, to: &OwnedFd) -> Result<()> {
    let copy = || {
        let stat = rustix::fs::fstat(from)?;
        rustix::fs::fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
        copy_xattrs(from, to)?;
        rustix::fs::fchmod(to, Permissions::from_raw_mode(stat.st_mode & 0o7777))?;
        let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
        let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: nanoseconds };
        rustix::fs::futimens(to, &Timestamps { last_access: time, last_modification: time })
            .map_err(std::io::Error::from)
    };
    copy().map_err(|e| Error::io("copy the attributes of a directory", e))
}

/// The results of `work` on each of `items`, in their order; the first failure ends it.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(PARALLEL).min(items.len());
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, item)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    items.get(at).map(|item| (at, item))
                } {
                    let result = work(item);
                    if result.is_err() {
                        // The others finish what they have begun.
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}
