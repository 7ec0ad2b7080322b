//! An image layout in a directory. Refuses a version other than 1.0.0, links that lead out of the
//! directory, and files that are no files.
//!
//! # References
//! - [image-layout.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md)

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use plimsoll_spec::image::{Descriptor, Index, Layout};
use plimsoll_spec::json;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::{Blobs, check_length};
use crate::store::{DOCUMENT_LIMIT, blob};
use crate::{Error, Kind, Result, tree};

/// The version of the layout that this crate reads.
const VERSION: &str = "1.0.0";

/// An image layout that is open.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Directory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|e| Error::io(format!("open image layout {}", path.display()), e))?;
        let directory = Directory { fd, path: path.to_owned() };
        check_version(&directory.small_file("oci-layout")?)?;
        Ok(directory)
    }

    /// The images of the layout.
    pub(super) fn index(&self) -> Result<Index> {
        parse_index(&self.small_file("index.json")?)
    }

    fn small_file(&self, name: &str) -> Result<Vec<u8>> {
        let context = || format!("read {name} of image layout {}", self.path.display());
        let file = self.file(name, context)?;
        let mut text = Vec::new();
        file.take(DOCUMENT_LIMIT + 1).read_to_end(&mut text).map_err(|e| Error::io(context(), e))?;
        Ok(text)
    }

    /// Opens `path` without leaving the layout.
    fn file(&self, path: &str, context: impl Fn() -> String) -> Result<File> {
        tree::open_file(self.fd.as_fd(), path, ResolveFlags::BENEATH)
            .map_err(|e| Error::io(context(), e))?
            .ok_or_else(|| Error::new(Kind::Invalid, format!("{}: no regular file", context())))
    }
}

impl Blobs for Directory {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>> {
        let digest = &descriptor.digest;
        let context = || format!("open blob {digest} of image layout {}", self.path.display());
        let file = self.file(&blob::path(digest), context)?;
        let length = file.metadata().map_err(|e| Error::io(context(), e))?.len();
        check_length(descriptor, length)?;
        Ok(Box::new(file))
    }
}

/// Refuses the content of an `oci-layout` of another version.
pub(super) fn check_version(text: &[u8]) -> Result<()> {
    let layout: Layout =
        json::from_slice(text).map_err(|e| Error::new(Kind::Invalid, "read oci-layout").because(e))?;
    let version = layout.image_layout_version;
    if version == VERSION {
        return Ok(());
    }
    Err(Error::new(Kind::Unsupported, format!("image layout of version {version:?}, not {VERSION:?}")))
}

/// The content of an `index.json`.
pub(super) fn parse_index(text: &[u8]) -> Result<Index> {
    json::from_slice(text).map_err(|e| Error::new(Kind::Invalid, "read index.json").because(e))
}
