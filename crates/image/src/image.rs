//! One image, read from the store and found whole: a manifest, its configuration, and layers that belong
//! together one by one. Refuses documents that pass for something else than their descriptor says, root
//! file systems that are not made of layers, and layers without the hash of what they unpack to.

use plimsoll_digest::{Digest, chain_ids};
use plimsoll_spec::image::{Descriptor, ImageConfig, Manifest};
use plimsoll_spec::json::Object;

use crate::media::{self, Document};
use crate::{Error, Kind, Result, Store};

/// Most layers of an image; Docker stops at 127, overlayfs at 500.
const LAYER_LIMIT: usize = 500;

/// An image whose documents were verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Describes the manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration.
    pub config: ImageConfig,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Describes the blob.
    pub descriptor: Descriptor,
    /// The hash of the uncompressed blob.
    pub diff_id: Digest,
    /// What this layer with all below it is called.
    pub chain_id: Digest,
}

impl Image {
    /// The digest of the configuration, which users know as the image's id.
    pub fn id(&self) -> &Digest {
        &self.manifest.config.digest
    }
}

impl Store {
    /// Reads the image whose manifest is `descriptor`.
    ///
    /// # Errors
    /// [`Kind::MediaType`] where `descriptor` is of no image, [`Kind::Invalid`] where its documents do not
    /// fit each other, [`Kind::Limit`] for over 500 layers, and as [`Store::read_verified`].
    pub fn image(&self, descriptor: &Descriptor) -> Result<Image> {
        if media::document(&descriptor.media_type) != Some(Document::Manifest) {
            let Descriptor { digest, media_type, .. } = descriptor;
            let context = format!("{digest} is of type {media_type:?}, not an image manifest");
            return Err(Error::new(Kind::MediaType, context));
        }
        let manifest: Manifest = self.document(descriptor)?;
        check_manifest(descriptor, &manifest)?;
        let config: ImageConfig = self.document(&manifest.config)?;
        let layers = pair(&manifest, &config)?;
        Ok(Image { descriptor: descriptor.clone(), manifest, config, layers })
    }
}

/// Refuses a manifest that could be read as something else than `descriptor` says.
///
/// # References
/// - [GHSA-mc8v-mgrf-8f4m](https://github.com/opencontainers/distribution-spec/security/advisories/GHSA-mc8v-mgrf-8f4m), manifest and index confusion
pub(crate) fn check_manifest(descriptor: &Descriptor, manifest: &Manifest) -> Result<()> {
    let Descriptor { digest, media_type, .. } = descriptor;
    check_shape(descriptor, manifest.schema_version, manifest.media_type.as_deref(), &manifest.extra)?;
    if media::document(&manifest.config.media_type) != Some(Document::Config) {
        let config = &manifest.config.media_type;
        let context =
            format!("{digest} is an artifact with a configuration of type {config:?}, not an image");
        return Err(Error::new(Kind::MediaType, context));
    }
    if manifest.layers.len() > LAYER_LIMIT {
        let context =
            format!("{media_type} {digest} has {} layers, over {LAYER_LIMIT}", manifest.layers.len());
        return Err(Error::new(Kind::Limit, context));
    }
    Ok(())
}

/// Refuses a manifest or index of another schema or type than `descriptor` says, or one that has the
/// members of both.
pub(crate) fn check_shape(
    descriptor: &Descriptor,
    schema_version: u32,
    media_type: Option<&str>,
    extra: &Object,
) -> Result<()> {
    let digest = &descriptor.digest;
    let invalid = |context| Err(Error::new(Kind::Invalid, context));
    if schema_version != 2 {
        return invalid(format!("document {digest} is of schema version {schema_version}, not 2"));
    }
    if let Some(found) = media_type.filter(|&found| found != descriptor.media_type) {
        let want = &descriptor.media_type;
        return invalid(format!("document {digest} says it is {found:?}, its descriptor {want:?}"));
    }
    match ["manifests", "config", "layers", "fsLayers"].iter().find(|&&name| extra.contains_key(name)) {
        Some(name) => invalid(format!("document {digest} of type {:?} has {name:?}", descriptor.media_type)),
        None => Ok(()),
    }
}

/// The layers of an image with what they unpack to, if its documents fit each other.
pub(crate) fn pair(manifest: &Manifest, config: &ImageConfig) -> Result<Vec<Layer>> {
    let digest = &manifest.config.digest;
    let rootfs = &config.rootfs;
    let invalid = |context| Err(Error::new(Kind::Invalid, context));
    if rootfs.kind != "layers" {
        return invalid(format!(
            "configuration {digest} has a rootfs of type {:?}, not \"layers\"",
            rootfs.kind
        ));
    }
    if rootfs.diff_ids.len() != manifest.layers.len() {
        let (ids, layers) = (rootfs.diff_ids.len(), manifest.layers.len());
        return invalid(format!("configuration {digest} has {ids} diff_ids for {layers} layers"));
    }
    let layers = manifest.layers.iter().zip(&rootfs.diff_ids).zip(chain_ids(&rootfs.diff_ids));
    Ok(layers
        .map(|((descriptor, diff_id), chain_id)| Layer {
            descriptor: descriptor.clone(),
            diff_id: diff_id.clone(),
            chain_id,
        })
        .collect())
}
