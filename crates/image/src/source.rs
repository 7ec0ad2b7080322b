//! Where images come from: a layout in a directory or an archive, an archive of `docker save`, and bytes
//! within the program. [`import`] copies one image into the store, every blob verified on its way.
//!
//! Refused are layouts of another version, names that do not tell which image is meant, links that lead
//! out of a layout, and images whose documents do not fit each other.

mod archive;
mod docker;
mod layout;
mod select;
mod tar;

use std::io::Read;
use std::path::{Path, PathBuf};

use plimsoll_spec::image::{Descriptor, ImageConfig, Index, Manifest};
use plimsoll_spec::json::Wire;

use crate::platform::PlatformSpec;
use crate::store::blob;
use crate::{Error, Image, Kind, Result, Store, image};

use archive::LayoutArchive;
use docker::DockerImage;
use layout::Directory;

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// An image layout.
    Layout {
        /// Its directory.
        directory: PathBuf,
        /// Which of its images.
        reference: Option<String>,
    },
    /// An image layout in a tar archive, which may be in gzip.
    LayoutArchive {
        /// The archive.
        file: PathBuf,
        /// Which of its images.
        reference: Option<String>,
    },
    /// An archive of `docker save`, which may be in gzip.
    DockerArchive {
        /// The archive.
        file: PathBuf,
        /// Which of its images.
        reference: Option<String>,
    },
    /// An image layout in a tar archive that is part of the program.
    Embedded {
        /// The archive.
        archive: &'static [u8],
        /// Which of its images.
        reference: Option<String>,
    },
}

/// What happens during an import.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A blob is in the store already, and has its digest still.
    Present(&'a Descriptor),
    /// A blob is being copied.
    Begin(&'a Descriptor),
    /// So many bytes more of the blob begun last.
    Bytes(u64),
}

/// An image that is in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The image.
    pub image: Image,
    /// What its source calls it.
    pub name: Option<String>,
}

/// Something that has the blobs of an image.
trait Blobs {
    /// Opens the blob of `descriptor`, whose bytes are not verified yet.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>>;

    /// The whole blob of `descriptor`, verified, from the descriptor itself where it embeds it.
    fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        match &descriptor.data {
            Some(data) => blob::verify(descriptor, &data.0).map(|()| data.0.clone()),
            None => blob::read_document(descriptor, self.open(descriptor)?),
        }
    }
}

/// The blob of `descriptor` in `blobs` as a `T`.
fn document<T: Wire>(blobs: &dyn Blobs, descriptor: &Descriptor) -> Result<T> {
    blob::parse(descriptor, &blobs.read(descriptor)?)
}

impl Source {
    /// Reads `oci:DIRECTORY[:REFERENCE]`, `oci-archive:FILE[:REFERENCE]` or `docker-archive:FILE[:REFERENCE]`.
    ///
    /// Both parts may hold colons: the path ends at the first colon before which something exists, or, where
    /// nothing does, at the first.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where the text has no such prefix or no path.
    pub fn parse(text: &str) -> Result<Source> {
        let invalid = || {
            let forms = "oci:DIRECTORY, oci-archive:FILE or docker-archive:FILE, with or without :REFERENCE";
            Error::new(Kind::Invalid, format!("{text:?} is not {forms}"))
        };
        let (transport, rest) = text.split_once(':').ok_or_else(invalid)?;
        let (path, reference) = split_path(rest);
        if path.as_os_str().is_empty() || reference.as_deref() == Some("") {
            return Err(invalid());
        }
        match transport {
            "oci" => Ok(Source::Layout { directory: path, reference }),
            "oci-archive" => Ok(Source::LayoutArchive { file: path, reference }),
            "docker-archive" => Ok(Source::DockerArchive { file: path, reference }),
            _ => Err(invalid()),
        }
    }
}

fn split_path(text: &str) -> (PathBuf, Option<String>) {
    let whole = Path::new(text);
    let ends: Vec<usize> = text.match_indices(':').map(|(at, _)| at).collect();
    let there = ends.iter().find(|&&end| Path::new(&text[..end]).exists());
    match (there, whole.exists(), ends.first()) {
        (Some(&end), _, _) | (None, false, Some(&end)) => {
            ((&text[..end]).into(), Some(text[end + 1..].to_owned()))
        }
        _ => (whole.into(), None),
    }
}

/// Copies the image of `source` for `platform` into `store`.
///
/// It has no name there yet: hold a [`crate::Lease`] until it got one by [`Store::tag`].
///
/// # Errors
/// [`Kind::NotFound`] where the source lacks the image or a blob, [`Kind::Invalid`] where its documents do
/// not fit each other or do not tell which image is meant, [`Kind::Digest`] and [`Kind::Size`] where bytes
/// are not what they should be, and what [`Store::put`] gives.
pub fn import(
    source: &Source,
    store: &Store,
    platform: &PlatformSpec,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Imported> {
    let _lease = store.share()?;
    let mut import = Import { store, platform, progress };
    match source {
        Source::Layout { directory, reference } => {
            let layout = Directory::open(directory)?;
            import.of_layout(&layout, &layout.index()?, reference.as_deref())
        }
        Source::LayoutArchive { file, reference } => {
            let layout = LayoutArchive::new(archive::open(file, store)?)?;
            import.of_layout(&layout, &layout.index()?, reference.as_deref())
        }
        Source::Embedded { archive, reference } => {
            let layout = LayoutArchive::new(archive::embedded(archive)?)?;
            import.of_layout(&layout, &layout.index()?, reference.as_deref())
        }
        Source::DockerArchive { file, reference } => {
            let docker_image = DockerImage::new(archive::open(file, store)?, reference.as_deref())?;
            let image = import.image(&docker_image, &docker_image.descriptor)?;
            Ok(Imported { image, name: docker_image.name })
        }
    }
}

/// One import under way.
struct Import<'a> {
    store: &'a Store,
    platform: &'a PlatformSpec,
    progress: &'a mut dyn FnMut(Progress<'_>),
}

impl Import<'_> {
    fn of_layout(&mut self, blobs: &dyn Blobs, index: &Index, reference: Option<&str>) -> Result<Imported> {
        let (descriptor, name) = select::image(blobs, index, reference, self.platform)?;
        let image = self.image(blobs, &descriptor)?;
        Ok(Imported { image, name })
    }

    /// Copies the image whose manifest is `descriptor`, the manifest last.
    fn image(&mut self, blobs: &dyn Blobs, descriptor: &Descriptor) -> Result<Image> {
        let manifest_bytes = blobs.read(descriptor)?;
        let manifest: Manifest = blob::parse(descriptor, &manifest_bytes)?;
        image::check_manifest(descriptor, &manifest)?;
        let config_bytes = blobs.read(&manifest.config)?;
        let config: ImageConfig = blob::parse(&manifest.config, &config_bytes)?;
        // Before the layers, which cost most, are looked at.
        let layers = image::pair(&manifest, &config)?;
        for layer in &layers {
            self.blob(&layer.descriptor, || blobs.open(&layer.descriptor))?;
        }
        self.blob(&manifest.config, || Ok(Box::new(config_bytes.as_slice())))?;
        self.blob(descriptor, || Ok(Box::new(manifest_bytes.as_slice())))?;
        Ok(Image { descriptor: descriptor.clone(), manifest, config, layers })
    }

    fn blob<'a>(
        &mut self,
        descriptor: &Descriptor,
        open: impl FnOnce() -> Result<Box<dyn Read + 'a>>,
    ) -> Result<()> {
        // Whoever imports again may do so because something is damaged.
        if self.store.is_sound(descriptor)? {
            (self.progress)(Progress::Present(descriptor));
            return Ok(());
        }
        (self.progress)(Progress::Begin(descriptor));
        self.store.put(descriptor, &mut *open()?, &mut |count| (self.progress)(Progress::Bytes(count)))
    }
}

/// Refuses a blob of another length than `descriptor` says before a byte of it is read.
fn check_length(descriptor: &Descriptor, length: u64) -> Result<()> {
    let Descriptor { digest, size, .. } = descriptor;
    if length == *size {
        return Ok(());
    }
    Err(Error::new(Kind::Size, format!("blob {digest} has {length} bytes, its descriptor says {size}")))
}
