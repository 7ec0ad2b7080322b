//! Reading content back. Documents are verified as a whole before anybody sees them; larger content while
//! it streams, with the verdict at its end.

use std::fs::File;
use std::io::{self, Read};

use plimsoll_digest::{Digest, Verifier};
use plimsoll_spec::image::Descriptor;
use plimsoll_spec::json::{self, Wire};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::Store;
use crate::{Error, Kind, Result};

/// Most bytes of a manifest, index or configuration: 4 MiB, what registries must accept.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

impl Store {
    /// Whether the blob of `descriptor` is there with its length.
    ///
    /// # Errors
    /// [`Kind::Io`] where that cannot be told.
    pub fn contains(&self, descriptor: &Descriptor) -> Result<bool> {
        match rustix::fs::statat(self.root(), path(&descriptor.digest), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && u64::try_from(stat.st_size) == Ok(descriptor.size)),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(Error::io(format!("look for blob {}", descriptor.digest), e)),
        }
    }

    /// Whether the blob of `descriptor` is there and has its digest still. It is read for that.
    ///
    /// # Errors
    /// As [`Store::contains`].
    pub(crate) fn is_sound(&self, descriptor: &Descriptor) -> Result<bool> {
        if !self.contains(descriptor)? {
            return Ok(false);
        }
        let mut reader = self.reader(descriptor)?;
        // What cannot be read is of no more use than what is rotten.
        Ok(io::copy(&mut reader, &mut io::sink()).is_ok())
    }

    /// Opens the blob of `descriptor` after a look at its length. Its bytes are not verified; whoever reads
    /// them does that, as `layer::apply` and [`Store::reader`] do.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where it is absent, [`Kind::Size`] where its length is another.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<File> {
        let digest = &descriptor.digest;
        let failed = |e| Error::io(format!("open blob {digest}"), e);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.root(), path(digest), flags, Mode::empty()).map_err(failed)?;
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        if u64::try_from(stat.st_size) != Ok(descriptor.size) {
            let context =
                format!("blob {digest} has {} bytes, its descriptor says {}", stat.st_size, descriptor.size);
            return Err(Error::new(Kind::Size, context));
        }
        Ok(file.into())
    }

    /// The whole blob of `descriptor`, verified, if it is no larger than [`DOCUMENT_LIMIT`].
    ///
    /// # Errors
    /// As [`Store::open_blob`], [`Kind::Limit`], and [`Kind::Digest`] where the bytes are others.
    pub fn read_verified(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        check_document_size(descriptor)?;
        let file = self.open_blob(descriptor)?;
        read_document(descriptor, file)
    }

    /// The blob of `descriptor` as a `T`.
    ///
    /// # Errors
    /// As [`Store::read_verified`], and [`Kind::Invalid`] where the document is not one of `T`.
    pub fn document<T: Wire>(&self, descriptor: &Descriptor) -> Result<T> {
        parse(descriptor, &self.read_verified(descriptor)?)
    }

    /// A reader of the blob of `descriptor` that fails at the end of bytes that are others.
    ///
    /// # Errors
    /// As [`Store::open_blob`].
    pub fn reader(&self, descriptor: &Descriptor) -> Result<BlobReader> {
        let verifier = Verifier::new(&descriptor.digest, Some(descriptor.size));
        Ok(BlobReader { file: self.open_blob(descriptor)?, verifier: Some(verifier) })
    }
}

/// Hands on the bytes of a blob and says at their end whether they were the right ones: the read that
/// would return 0 fails with `InvalidData` where they were not. Discard what was made of them then.
#[derive(Debug)]
pub struct BlobReader {
    file: File,
    verifier: Option<Verifier>,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let invalid = |e| io::Error::new(io::ErrorKind::InvalidData, e);
        let count = self.file.read(buffer)?;
        match (&mut self.verifier, buffer.get(..count)) {
            (Some(verifier), Some(piece)) if count > 0 => verifier.update(piece).map_err(invalid)?,
            _ if count == 0 && !buffer.is_empty() => {
                self.verifier.take().map_or(Ok(()), Verifier::finish).map_err(invalid)?;
            }
            _ => {}
        }
        Ok(count)
    }
}

/// Where the blob of `digest` stands below the store's root, and below an image layout's as well.
pub(crate) fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm_name(), digest.encoded())
}

/// Refuses a descriptor of a document that is too large to be held in memory.
pub(crate) fn check_document_size(descriptor: &Descriptor) -> Result<()> {
    if descriptor.size <= DOCUMENT_LIMIT {
        return Ok(());
    }
    let Descriptor { digest, size, .. } = descriptor;
    let context = format!("document {digest} of {size} bytes is over the limit of {DOCUMENT_LIMIT}");
    Err(Error::new(Kind::Limit, context))
}

/// All of `source`, which must be the document of `descriptor`.
pub(crate) fn read_document(descriptor: &Descriptor, source: impl Read) -> Result<Vec<u8>> {
    check_document_size(descriptor)?;
    let mut content = Vec::new();
    // One byte more than expected tells a longer source apart without reading it.
    source
        .take(descriptor.size + 1)
        .read_to_end(&mut content)
        .map_err(|e| Error::io(format!("read blob {}", descriptor.digest), e))?;
    verify(descriptor, &content)?;
    Ok(content)
}

/// Checks that `content` is what `descriptor` says.
pub(crate) fn verify(descriptor: &Descriptor, content: &[u8]) -> Result<()> {
    let mut verifier = Verifier::new(&descriptor.digest, Some(descriptor.size));
    verifier
        .update(content)
        .and_then(|()| verifier.finish())
        .map_err(|e| Error::mismatch(&descriptor.digest, e))
}

/// `content` as a `T`.
pub(crate) fn parse<T: Wire>(descriptor: &Descriptor, content: &[u8]) -> Result<T> {
    json::from_slice(content)
        .map_err(|e| Error::new(Kind::Invalid, format!("read document {}", descriptor.digest)).because(e))
}
