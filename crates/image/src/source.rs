//! Where images come from: a layout in a directory or an archive, an archive of `docker save`, and bytes
//! within the program. [`import`] copies one image into the store, every blob verified on its way.
//!
//! Refused are layouts of another version, names that do not tell which image is meant, links that lead
//! out of a layout, and images whose documents do not fit each other.

mod layout;
mod select;

use std::io::Read;
use std::path::{Path, PathBuf};

use plimsoll_spec::image::{Descriptor, ImageConfig, Manifest};
use plimsoll_spec::json::Wire;

use crate::platform::PlatformSpec;
use crate::store::blob;
use crate::{Error, Image, Kind, Result, Store, image};

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
}

/// What happens during an import.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A blob is in the store already.
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
    /// Reads `oci:DIRECTORY[:REFERENCE]`.
    ///
    /// Both parts may hold colons: the path ends at the first colon before which something exists, or, where
    /// nothing does, at the first.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where the text has no such prefix or no path.
    pub fn parse(text: &str) -> Result<Source> {
        let invalid = || Error::new(Kind::Invalid, format!("{text:?} is not oci:DIRECTORY[:REFERENCE]"));
        let (transport, rest) = text.split_once(':').ok_or_else(invalid)?;
        let (path, reference) = split_path(rest);
        if path.as_os_str().is_empty() || reference.as_deref() == Some("") {
            return Err(invalid());
        }
        match transport {
            "oci" => Ok(Source::Layout { directory: path, reference }),
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
    match source {
        Source::Layout { directory, reference } => {
            let layout = Directory::open(directory)?;
            let index = layout.index()?;
            let (descriptor, name) = select::image(&layout, &index, reference.as_deref(), platform)?;
            let image = copy(&layout, &descriptor, store, progress)?;
            Ok(Imported { image, name })
        }
    }
}

/// Copies the image whose manifest is `descriptor` from `blobs` to `store`, the manifest last.
fn copy(
    blobs: &dyn Blobs,
    descriptor: &Descriptor,
    store: &Store,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Image> {
    let manifest_bytes = blobs.read(descriptor)?;
    let manifest: Manifest = blob::parse(descriptor, &manifest_bytes)?;
    image::check_manifest(descriptor, &manifest)?;
    let config_bytes = blobs.read(&manifest.config)?;
    let config: ImageConfig = blob::parse(&manifest.config, &config_bytes)?;
    // Before the layers, which cost most, are looked at.
    let layers = image::pair(&manifest, &config)?;
    for layer in &layers {
        copy_blob(&layer.descriptor, store, progress, || blobs.open(&layer.descriptor))?;
    }
    copy_blob(&manifest.config, store, progress, || Ok(Box::new(config_bytes.as_slice())))?;
    copy_blob(descriptor, store, progress, || Ok(Box::new(manifest_bytes.as_slice())))?;
    Ok(Image { descriptor: descriptor.clone(), manifest, config, layers })
}

fn copy_blob<'a>(
    descriptor: &Descriptor,
    store: &Store,
    progress: &mut dyn FnMut(Progress<'_>),
    open: impl FnOnce() -> Result<Box<dyn Read + 'a>>,
) -> Result<()> {
    if store.contains(descriptor)? {
        progress(Progress::Present(descriptor));
        return Ok(());
    }
    progress(Progress::Begin(descriptor));
    store.put(descriptor, &mut *open()?, &mut |count| progress(Progress::Bytes(count)))
}

/// Refuses a blob of another length than `descriptor` says before a byte of it is read.
fn check_length(descriptor: &Descriptor, length: u64) -> Result<()> {
    let Descriptor { digest, size, .. } = descriptor;
    if length == *size {
        return Ok(());
    }
    Err(Error::new(Kind::Size, format!("blob {digest} has {length} bytes, its descriptor says {size}")))
}
