//! Content by digest in a directory: blobs, the names of images, and beside them the snapshots.
//!
//! ```text
//! ROOT/lock                     flock: shared by whoever uses content, exclusive for whoever removes it
//! ROOT/images.json              names of images and their descriptors, replaced as a whole
//! ROOT/images.lock              flock: exclusive while the names change
//! ROOT/blobs/ALGORITHM/ENCODED  verified content
//! ROOT/ingest/RANDOM            content being verified
//! ROOT/snapshots/               see [`crate::snapshot`]
//! ```
//!
//! A blob gets its name by a rename after its size and digest were checked, so nothing unverified ever
//! stands there. The locks die with the process that holds them; what a killed process left in `ingest`
//! is removed by the next one that has the store to itself. A host that loses power may leave a file cut
//! short: documents are verified at each reading, layers while they are unpacked, and a blob of the wrong
//! length counts as absent, so it is fetched again. So is one of the right length with other bytes, once it is
//! imported again.

pub(crate) mod blob;
mod images;
mod ingest;
mod sweep;

use std::fs::DirBuilder;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::lock::Lock;
use crate::{Error, Result, tree};

pub use blob::{BlobReader, DOCUMENT_LIMIT};
pub use ingest::Ingest;
pub(crate) use ingest::{describe, random_name};
pub use sweep::Swept;

/// A store that is open.
#[derive(Debug)]
pub struct Store {
    root: OwnedFd,
    path: PathBuf,
}

/// The right to use content: while it is held, nothing is removed from the store.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "the lock lasts as long as this")] Lock);

impl Store {
    /// Opens the store at `path` and makes it where there is none. Removes what killed processes left
    /// behind, unless another process uses the store, or what is left belongs to others: see
    /// [`Store::clear`].
    ///
    /// # Errors
    /// [`crate::Kind::Io`] where the directory cannot be made or read.
    pub fn open(path: &Path) -> Result<Store> {
        let failed = |e| Error::io(format!("open store {}", path.display()), e);
        // Closed to others: set-user-id programs of containers are below.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        let store = Store { root, path: path.to_owned() };
        for name in ["blobs", "ingest", "snapshots"] {
            tree::make(store.root(), name, 0o700)?;
        }
        match store.clear() {
            Err(e) if e.is_errno(Errno::ACCESS) || e.is_errno(Errno::PERM) => {}
            cleared => cleared?,
        }
        Ok(store)
    }

    /// Removes what killed processes left behind, unless another process uses the store. Trees that were
    /// written in a user namespace can be removed by root of one with the same mapping only.
    ///
    /// # Errors
    /// [`crate::Kind::Io`] for what cannot be removed.
    pub fn clear(&self) -> Result<()> {
        match self.try_exclusive()? {
            Some(_alone) => self.remove_remains(),
            None => Ok(()),
        }
    }

    /// Where the store is, as it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps all content in place while the lease lives. Hold it from an import to the use of what was
    /// imported. Waits for a removal under way.
    ///
    /// # Errors
    /// [`crate::Kind::Io`] where the lock cannot be had.
    pub fn share(&self) -> Result<Lease> {
        self.lock("lock", Lock::shared).map(Lease)
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Waits until nobody else uses content.
    pub(crate) fn exclusive(&self) -> Result<Lock> {
        self.lock("lock", Lock::exclusive)
    }

    pub(crate) fn try_exclusive(&self) -> Result<Option<Lock>> {
        self.lock("lock", Lock::try_exclusive)
    }

    fn lock<T>(&self, name: &str, take: impl FnOnce(OwnedFd) -> Result<T, Errno>) -> Result<T> {
        let failed = |e| Error::io(format!("lock store {}", self.path.display()), e);
        // A description of its own for every holder: two threads of one process exclude each other too.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        take(file).map_err(failed)
    }

    fn remove_remains(&self) -> Result<()> {
        for folder in ["ingest", crate::snapshot::STAGING] {
            for name in tree::names(self.root(), folder)? {
                tree::remove(tree::open(self.root(), folder)?.as_fd(), &name)?;
            }
        }
        Ok(())
    }
}
