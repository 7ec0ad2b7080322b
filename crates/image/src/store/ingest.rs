//! Content on its way in: written beside the blobs, verified while it is written, then renamed.

use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::AsFd as _;

use plimsoll_digest::{Algorithm, Digest, Verifier};
use plimsoll_spec::image::Descriptor;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::{Lease, Store};
use crate::{Error, Kind, Result, tree};

/// Bytes per read: large enough that system calls do not count, small enough for the cache.
const CHUNK: usize = 256 << 10;

/// One blob being written. Dropping it without [`Ingest::commit`] removes what was written.
#[derive(Debug)]
pub struct Ingest<'a> {
    store: &'a Store,
    want: Digest,
    verifier: Verifier,
    /// Taken when the file has got its final name.
    staged: Option<Staged<'a>>,
    _lease: Lease,
}

/// A file in `ingest`, which goes away with this unless it was renamed.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    store: &'a Store,
    name: String,
    pub(crate) file: File,
}

impl Ingest<'_> {
    /// Adds `content`.
    ///
    /// # Errors
    /// [`Kind::Size`] at the first byte too many, [`Kind::Unsupported`] for an unknown digest algorithm,
    /// [`Kind::NoSpace`] on a full disk.
    pub fn write(&mut self, content: &[u8]) -> Result<()> {
        self.verifier.update(content).map_err(|e| Error::mismatch(&self.want, e))?;
        let Some(staged) = &mut self.staged else { return Ok(()) };
        staged.file.write_all(content).map_err(|e| Error::io(format!("write blob {}", self.want), e))
    }

    /// Gives the content its name, if it is what the digest says.
    ///
    /// # Errors
    /// [`Kind::Size`] or [`Kind::Digest`] where it is not; the store is then as it was before.
    pub fn commit(self) -> Result<()> {
        self.verifier.finish().map_err(|e| Error::mismatch(&self.want, e))?;
        let blobs = tree::open(self.store.root(), "blobs")?;
        tree::make(blobs.as_fd(), self.want.algorithm_name(), 0o700)?;
        match self.staged {
            Some(staged) => staged.rename(&super::blob::path(&self.want)),
            None => Ok(()),
        }
    }
}

impl Store {
    /// Starts to take in the content of digest `want` and, where known, of `size` bytes.
    ///
    /// # Errors
    /// [`Kind::Io`] or [`Kind::NoSpace`] where no file can be made.
    pub fn ingest(&self, want: &Digest, size: Option<u64>) -> Result<Ingest<'_>> {
        let lease = self.share()?;
        let staged = self.stage()?;
        if let Some(size) = size.filter(|&size| size > CHUNK as u64) {
            // Learn that the disk is full before the work; file systems that cannot tell are forgiven.
            let kept = rustix::fs::FallocateFlags::KEEP_SIZE;
            if let Err(e @ (rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT)) =
                rustix::fs::fallocate(&staged.file, kept, 0, size)
            {
                return Err(Error::io(format!("make room for {size} bytes of blob {want}"), e));
            }
        }
        let verifier = Verifier::new(want, size);
        Ok(Ingest { store: self, want: want.clone(), verifier, staged: Some(staged), _lease: lease })
    }

    /// Takes in all of `content` as the blob of `descriptor`, telling `progress` the length of each piece.
    /// Whether the blob is there already is not looked at; see [`Store::contains`].
    ///
    /// # Errors
    /// As [`Ingest::write`] and [`Ingest::commit`]; [`Kind::Io`] where `content` cannot be read.
    pub fn put(
        &self,
        descriptor: &Descriptor,
        content: &mut dyn Read,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut ingest = self.ingest(&descriptor.digest, Some(descriptor.size))?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => return ingest.commit(),
                Ok(count) => count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::io(format!("read blob {}", descriptor.digest), e)),
            };
            ingest.write(buffer.get(..count).unwrap_or(&buffer))?;
            progress(count as u64);
        }
    }

    /// Takes in `content` under its SHA-256 and describes it.
    ///
    /// # Errors
    /// [`Kind::Io`] or [`Kind::NoSpace`] where it cannot be written.
    pub fn put_document(&self, media_type: &str, content: &[u8]) -> Result<Descriptor> {
        let descriptor = describe(media_type, content);
        if !self.is_sound(&descriptor)? {
            self.put(&descriptor, &mut &*content, &mut |_| {})?;
        }
        Ok(descriptor)
    }

    /// An empty file that goes away with the guard.
    pub(crate) fn stage(&self) -> Result<Staged<'_>> {
        let failed = |e| Error::io("make an ingest file", e);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let ingest = tree::open(self.root(), "ingest")?;
        let name = random_name()?;
        let file =
            rustix::fs::openat(&ingest, name.as_str(), flags, Mode::from_raw_mode(0o644)).map_err(failed)?;
        Ok(Staged { store: self, name, file: file.into() })
    }
}

impl Staged<'_> {
    /// Moves the file to `path` below the store's root, over what is there.
    pub(super) fn rename(self, path: &str) -> Result<()> {
        let root = self.store.root();
        rustix::fs::renameat(root, self.path(), root, path)
            .map_err(|e| Error::io(format!("name {path} in the store"), e))
        // The drop that follows finds nothing to remove.
    }

    fn path(&self) -> String {
        format!("ingest/{}", self.name)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // Renamed or not removable: the next one alone in the store looks again.
        let _ = rustix::fs::unlinkat(self.store.root(), self.path(), AtFlags::empty());
    }
}

/// The descriptor of `content` by its SHA-256.
pub(crate) fn describe(media_type: &str, content: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(Algorithm::Sha256, content),
        size: content.len() as u64,
        urls: Vec::new(),
        annotations: Default::default(),
        data: None,
        artifact_type: None,
        platform: None,
        extra: Default::default(),
    }
}

/// 16 hexadecimal digits that nobody else has.
pub(crate) fn random_name() -> Result<String> {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => Ok(format!("{:016x}", u64::from_ne_bytes(bytes))),
        Ok(count) => Err(Error::new(Kind::Io, format!("make a name: got {count} random bytes of 8"))),
        Err(e) => Err(Error::io("make a name", e)),
    }
}
