//! An image layout in a tar archive: in a file, in gzip, on a pipe, or within the program.
//!
//! Refused is what [`super::layout`] refuses; an archive that cannot be read from any place is copied
//! beside the store's blobs first, and removed with the import.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use plimsoll_spec::image::{Descriptor, Index};

use super::tar::{Archive, Backing};
use super::{Blobs, check_length, layout};
use crate::layer::Limits;
use crate::store::blob;
use crate::{Error, Kind, Result, Store, gzip};

/// An image layout in an archive.
#[derive(Debug)]
pub(super) struct LayoutArchive(Archive);

impl LayoutArchive {
    pub(super) fn new(archive: Archive) -> Result<LayoutArchive> {
        layout::check_version(&archive.document("oci-layout")?)?;
        Ok(LayoutArchive(archive))
    }

    /// The images of the layout.
    pub(super) fn index(&self) -> Result<Index> {
        layout::parse_index(&self.0.document("index.json")?)
    }
}

impl Blobs for LayoutArchive {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>> {
        let digest = &descriptor.digest;
        let span = self
            .0
            .find(&blob::path(digest))
            .ok_or_else(|| Error::new(Kind::NotFound, format!("the archive has no blob {digest}")))?;
        check_length(descriptor, span.size)?;
        Ok(Box::new(self.0.reader(span)))
    }
}

/// Opens the archive `path`.
pub(super) fn open(path: &Path, store: &Store) -> Result<Archive> {
    let failed = |e| Error::io(format!("open archive {}", path.display()), e);
    let file = OpenOptions::new().read(true).open(path).map_err(failed)?;
    let limits = Limits::DEFAULT;
    let file =
        if file.metadata().map_err(failed)?.is_file() { file } else { spool(file, limits.bytes, store)? };
    let mut magic = [0; 2];
    let count = file.read_at(&mut magic, 0).map_err(failed)?;
    let file = if count == 2 && magic == gzip::MAGIC {
        let most = limits.decompressed(file.metadata().map_err(failed)?.len());
        spool(gzip::Members::new(BufReader::with_capacity(64 << 10, file)), most, store)?
    } else {
        file
    };
    Archive::open(Backing::File(file))
        .map_err(|e| Error::new(e.kind(), format!("read archive {}", path.display())).because(e))
}

/// Opens an archive that is part of the program.
pub(super) fn embedded(bytes: &'static [u8]) -> Result<Archive> {
    Archive::open(Backing::Bytes(bytes))
}

/// A copy of `source`, of `most` bytes at most, that can be read from any place, and that has no name.
fn spool(source: impl Read, most: u64, store: &Store) -> Result<File> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Error::new(Kind::Compression, "decompress the archive").because(e)
        }
        _ => Error::io("copy the archive", e),
    };
    let staged = store.stage()?;
    let mut file = staged.file.try_clone().map_err(failed)?;
    let count = io::copy(&mut source.take(most.saturating_add(1)), &mut file).map_err(failed)?;
    if count > most {
        return Err(Error::new(Kind::Limit, format!("the archive has more than {most} bytes")));
    }
    file.rewind().map_err(failed)?;
    Ok(file)
}
