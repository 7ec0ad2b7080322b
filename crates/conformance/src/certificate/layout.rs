//! A certificate as an OCI artifact in an image layout: a manifest with two layers, the bundle and the results.
//!
//! A manifest is only read where it is byte for byte the one that this module would write, so nothing rides
//! along. The index may be rewritten by tools that copy layouts; it only says where the manifest is.
//!
//! # References
//! - [manifest.md, guidelines for artifact usage](https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidelines-for-artifact-usage)
//! - [image-layout.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md)

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use plimsoll_digest::{Algorithm, Digest};
use plimsoll_spec::image::{Descriptor, Index, Layout, Manifest, media_type};
use plimsoll_spec::json::{self, Limits};

use crate::error::{Context as _, Error, Kind, Result};
use crate::results::read_beneath;

use super::{Certificate, parse_bundle, sha256};

/// The type of the artifact.
pub(super) const ARTIFACT: &str = "application/vnd.plimsoll.conformance.certificate.v1";
/// An in-toto bundle, by its specification.
const BUNDLE: &str = "application/vnd.in-toto.bundle";
/// Results in Zstandard.
const RESULTS: &str = "application/vnd.plimsoll.conformance.results.v1+json+zstd";

/// Most bytes of each part, as it is stored.
const INDEX_LIMIT: usize = 1 << 20;
const MANIFEST_LIMIT: usize = 64 << 10;
const BUNDLE_LIMIT: usize = 8 << 20;
const RESULTS_LIMIT: usize = 64 << 20;
/// Most bytes of the results themselves; as for any results.
const INFLATED_LIMIT: u64 = 256 << 20;
/// Largest window, as a power of two: the decoder's memory.
const WINDOW: u32 = 27;
const LEVEL: i32 = 12;

impl Certificate {
    /// Writes the certificate to the folder `dir`, which is made, and must not exist or be empty.
    ///
    /// # Errors
    /// [`Kind::Environment`] where it cannot be written, [`Kind::Request`] where something is there.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let context = || format!("write the certificate {}", dir.display());
        std::fs::create_dir_all(dir).context(context)?;
        if std::fs::read_dir(dir).context(context)?.next().is_some() {
            return Err(Error::new(Kind::Request, format!("{}: the folder is not empty", context())));
        }
        self.store(dir)
    }

    /// Writes the certificate in place of the one that was read from `dir`.
    ///
    /// # Errors
    /// [`Kind::Environment`] where it cannot be written.
    pub fn replace(&self, dir: &Path) -> Result<()> {
        let old = Parts::read(dir)?;
        self.store(dir)?;
        let new = Parts::read(dir)?;
        for blob in old.blobs().into_iter().filter(|blob| !new.blobs().contains(blob)) {
            let path = blob_path(dir, &blob);
            std::fs::remove_file(&path).context(|| format!("remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Stores every part; the index, which makes them visible, last.
    fn store(&self, dir: &Path) -> Result<()> {
        let bundle = self.bundle();
        let results = zstd::encode_all(self.results.as_slice(), LEVEL).context(|| "compress the results")?;
        let layers = [descriptor(BUNDLE, &bundle), descriptor(RESULTS, &results)];
        let manifest = json::to_vec(&manifest(layers, self.subject.as_ref()));
        let described = Descriptor {
            artifact_type: Some(ARTIFACT.to_owned()),
            ..descriptor(media_type::MANIFEST, &manifest)
        };
        let index = Index {
            schema_version: 2,
            media_type: Some(media_type::INDEX.to_owned()),
            manifests: vec![described],
            ..Index::default()
        };
        for blob in [b"{}".as_slice(), &bundle, &results, &manifest] {
            put(&blob_path(dir, &sha256(blob)), blob)?;
        }
        let layout = Layout { image_layout_version: "1.0.0".to_owned(), ..Layout::default() };
        put(&dir.join("oci-layout"), &json::to_vec(&layout))?;
        put(&dir.join("index.json"), &json::to_vec(&index))
    }

    /// Reads the certificate in the folder `dir`, which anybody may have written.
    ///
    /// # Errors
    /// [`Kind::Document`] where it is malformed, damaged, larger than allowed, or not the only one there;
    /// [`Kind::Environment`] where a file cannot be read.
    pub fn read(dir: &Path) -> Result<Certificate> {
        let parts = Parts::read(dir)?;
        let bundle = blob(dir, &parts.layers[0], BUNDLE_LIMIT)?;
        let compressed = blob(dir, &parts.layers[1], RESULTS_LIMIT)?;
        let [test_result, conformance] = parse_bundle(&bundle)?;
        Ok(Certificate { test_result, conformance, results: inflate(&compressed)?, subject: parts.subject })
    }
}

/// Where the parts of a stored certificate are.
struct Parts {
    manifest: Digest,
    layers: [Descriptor; 2],
    subject: Option<Descriptor>,
}

impl Parts {
    fn read(dir: &Path) -> Result<Parts> {
        let layout: Layout = document(&read_beneath(dir, "oci-layout", MANIFEST_LIMIT)?, "oci-layout")?;
        if layout.image_layout_version != "1.0.0" {
            let why = format!("the layout is of version {:?}", layout.image_layout_version);
            return Err(refuse("oci-layout", &why));
        }
        let index: Index = document(&read_beneath(dir, "index.json", INDEX_LIMIT)?, "index.json")?;
        let described = the_one(&index)?;
        let text = blob(dir, described, MANIFEST_LIMIT)?;
        let read: Manifest = document(&text, "the manifest")?;
        let count = read.layers.len();
        let layers: [Descriptor; 2] = read
            .layers
            .try_into()
            .map_err(|_| refuse("the manifest", &format!("it has {count} layers instead of two")))?;
        let subject = read.subject.map(|subject| Descriptor {
            media_type: subject.media_type,
            digest: subject.digest,
            size: subject.size,
            ..descriptor("", b"")
        });
        if json::to_vec(&manifest(layers.clone(), subject.as_ref())) != text {
            return Err(refuse("the manifest", "it is not the manifest of a certificate"));
        }
        Ok(Parts { manifest: described.digest.clone(), layers, subject })
    }

    fn blobs(&self) -> Vec<Digest> {
        let layers = self.layers.iter().map(|layer| layer.digest.clone());
        layers.chain([self.manifest.clone(), sha256(b"{}")]).collect()
    }
}

fn refuse(object: &str, why: &str) -> Error {
    Error::new(Kind::Document, format!("read a certificate: {object}: {why}"))
}

fn document<T: json::Wire>(text: &[u8], object: &str) -> Result<T> {
    json::from_slice_within(text, Limits { depth: 16, ..Limits::DEFAULT })
        .map_err(|e| Error::because(Kind::Document, format!("read a certificate: {object}"), e))
}

/// The only certificate in `index`.
fn the_one(index: &Index) -> Result<&Descriptor> {
    let named = |kind: &Option<String>| kind.as_deref().is_none_or(|kind| kind == media_type::INDEX);
    if index.schema_version != 2 || !named(&index.media_type) {
        return Err(refuse("index.json", "it is no image index"));
    }
    let unknown =
        index.extra.keys().chain(index.manifests.iter().flat_map(|descriptor| descriptor.extra.keys()));
    if let Some(name) = unknown.into_iter().next() {
        return Err(refuse("index.json", &format!("it has the unknown member {name:?}")));
    }
    let is_one = |found: &&Descriptor| {
        found.artifact_type.as_deref() == Some(ARTIFACT) && found.media_type == media_type::MANIFEST
    };
    let mut found = index.manifests.iter().filter(is_one);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(refuse("index.json", "there is no certificate in it")),
        (Some(_), Some(_)) => Err(refuse("index.json", "there is more than one certificate in it")),
    }
}

fn manifest(layers: [Descriptor; 2], subject: Option<&Descriptor>) -> Manifest {
    Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some(ARTIFACT.to_owned()),
        config: descriptor(media_type::EMPTY, b"{}"),
        layers: zip_types(layers),
        subject: subject.cloned().map(Box::new),
        annotations: BTreeMap::new(),
        extra: json::Object::new(),
    }
}

/// The layers by nothing but type, digest and size.
fn zip_types(layers: [Descriptor; 2]) -> Vec<Descriptor> {
    let plain = |(kind, layer): (&str, Descriptor)| Descriptor {
        digest: layer.digest,
        size: layer.size,
        ..descriptor(kind, b"")
    };
    [BUNDLE, RESULTS].into_iter().zip(layers).map(plain).collect()
}

/// A descriptor of `content`.
pub(super) fn descriptor(media_type: &str, content: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: sha256(content),
        size: content.len() as u64,
        urls: Vec::new(),
        annotations: BTreeMap::new(),
        data: None,
        artifact_type: None,
        platform: None,
        extra: json::Object::new(),
    }
}

/// Algorithm and encoded part of a digest are never more than a name each.
fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm_name(), digest.encoded())
}

fn blob_path(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join(blob_name(digest))
}

/// The content that `descriptor` describes.
fn blob(dir: &Path, descriptor: &Descriptor, most: usize) -> Result<Vec<u8>> {
    let name = descriptor.digest.to_string();
    if descriptor.digest.algorithm() != Some(Algorithm::Sha256) {
        return Err(refuse(&name, "blobs are named by sha256"));
    }
    if descriptor.size > most as u64 {
        return Err(refuse(&name, &format!("it has {} bytes, more than {most}", descriptor.size)));
    }
    let content = read_beneath(dir, &blob_name(&descriptor.digest), most)?;
    if content.len() as u64 != descriptor.size {
        let why = format!("it has {} bytes, its descriptor says {}", content.len(), descriptor.size);
        return Err(refuse(&name, &why));
    }
    if sha256(&content) != descriptor.digest {
        return Err(refuse(&name, "its content has another digest"));
    }
    Ok(content)
}

fn inflate(compressed: &[u8]) -> Result<Vec<u8>> {
    let wrong =
        |e: std::io::Error| Error::because(Kind::Document, "read a certificate: inflate the results", e);
    let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed).map_err(wrong)?;
    decoder.window_log_max(WINDOW).map_err(wrong)?;
    let mut results = Vec::new();
    decoder.take(INFLATED_LIMIT + 1).read_to_end(&mut results).map_err(wrong)?;
    if results.len() as u64 > INFLATED_LIMIT {
        return Err(refuse("the results", &format!("they have more than {INFLATED_LIMIT} bytes")));
    }
    Ok(results)
}

/// Writes `content` beside `path` and renames it there.
fn put(path: &Path, content: &[u8]) -> Result<()> {
    let context = || format!("write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).context(context)?;
    let mut staged = tempfile::NamedTempFile::new_in(folder).context(context)?;
    std::io::Write::write_all(&mut staged, content).context(context)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    staged.as_file().set_permissions(mode).context(context)?;
    staged.persist(path).map(drop).map_err(|e| Error::because(Kind::Environment, context(), e.error))
}
