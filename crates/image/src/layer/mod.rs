//! Layers: archives of changes to a tree.
//!
//! A layer is read once: one thread reads, verifies and decompresses, the other hashes what comes out and
//! makes the tree from it. Nothing is known to be right before the end, so the target must be a place that
//! nobody looks at yet.
//!
//! # References
//! - [layer.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md)

mod apply;
mod compression;
mod pipe;
mod removal;
pub mod tar;
mod whiteout;

use std::io::Read;
use std::os::fd::BorrowedFd;

use plimsoll_digest::{Digest, Verifier};

use crate::snapshot::Mode;
use crate::{Error, Kind, Result};

/// What a layer must turn out to be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// How the blob is compressed.
    pub media_type: &'a str,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: &'a Digest,
    /// The digest of the archive within.
    pub diff_id: &'a Digest,
}

/// What a layer may cost before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of the archive.
    pub bytes: u64,
    /// Most bytes of the archive for each byte of the blob, once there are over 128 MiB of it.
    pub ratio: u64,
    /// Most entries.
    pub entries: u64,
    /// Most directories above an entry.
    pub depth: usize,
}

impl Limits {
    /// 256 GiB, a ratio of 500 where deflate ends at 1032 and real layers at some 20, 8 million entries,
    /// 256 directories.
    pub const DEFAULT: Limits = Limits { bytes: 256 << 30, ratio: 500, entries: 8 << 20, depth: 256 };

    /// Most bytes that may come out of `compressed` bytes.
    pub(crate) fn decompressed(&self, compressed: u64) -> u64 {
        self.bytes.min(compressed.saturating_mul(self.ratio).max(RATIO_FROM))
    }
}

/// Where the ratio begins to count: small archives of zeros are common.
const RATIO_FROM: u64 = 128 << 20;

/// Is told bytes as they are read, by several threads; fails where the work is to end.
pub type Watcher<'a> = dyn Fn(u64) -> std::io::Result<()> + Sync + 'a;

/// What was found out about a layer that was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Directories that entries lead through before one describes them, as paths within the layer.
    pub crossed: Vec<Vec<u8>>,
    /// Those of them that no entry describes, but what the layers below say of them, if they do.
    pub implied: Vec<Vec<u8>>,
    /// Names that stand for deletions, where the layer is for overlayfs.
    pub whiteouts: Vec<Vec<u8>>,
}

/// Applies the layer that is read from `source` to the directory `target`.
///
/// For [`Mode::Overlay`] the target is to become one layer of overlayfs: deletions become what overlayfs
/// takes for them. Owners are kept where the caller is root, and are the caller's otherwise; an ordinary
/// user gets an empty file in place of a device. `progress` is told the bytes of the blob as they are read, and
/// its failure ends the work.
///
/// # Errors
/// [`Kind::Size`] and [`Kind::Digest`] where blob or archive are not what `expected` says,
/// [`Kind::MediaType`], [`Kind::Compression`], [`Kind::Archive`] and [`Kind::Entry`] for what cannot be read
/// or made, [`Kind::Unsupported`] for what overlayfs has no form for: a device 0:0, and a hard link to or a
/// way through what the layers below have, [`Kind::Limit`] beyond `limits`, [`Kind::Io`] and [`Kind::NoSpace`] from the host. The target then
/// has part of the layer.
pub fn apply(
    source: impl Read + Send,
    expected: &Expected<'_>,
    target: BorrowedFd<'_>,
    mode: Mode,
    limits: &Limits,
    progress: &Watcher<'_>,
) -> Result<Applied> {
    let codec = compression::Codec::of(expected.media_type)?;
    let blob = pipe::Blob::new(source, expected, progress);
    pipe::run(blob, codec, limits, |archive| {
        let mut verifier = Verifier::new(expected.diff_id, None);
        let mut reader = tar::Reader::new(pipe::Verified::new(archive, &mut verifier));
        let applied = apply::entries(&mut reader, target, mode, limits)?;
        // What follows the archive's end belongs to its digest.
        reader.drain()?;
        drop(reader);
        let verified = verifier.finish().map_err(|mismatch| {
            let context = format!("the archive of layer {} is not what its diff_id says", expected.digest);
            Error::new(Kind::Digest, context).because(mismatch)
        });
        verified.map(|()| applied)
    })
}
