//! What `docker save` writes: layers, a configuration, and `manifest.json` to hold them together. It becomes
//! an OCI manifest, the same one for the same archive.
//!
//! The configuration stays byte for byte, so the image keeps its id. A layer that is not compressed is named
//! by the configuration already; of one that is, the hash is taken first. Refused are configurations that
//! are not what their file is called, and layers that the configuration does not count.
//!
//! # References
//! - [Docker image specification 1.2, combined image JSON](https://github.com/moby/docker-image-spec/blob/v1.3.1/v1.2.md#combined-image-json--filesystem-changeset-format)

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use plimsoll_digest::{Algorithm, Digest, DigestReader};
use plimsoll_spec::image::{Descriptor, ImageConfig, Manifest, media_type};
use plimsoll_spec::json::{self, At, Value, Wire};

use super::tar::{Archive, Span};
use super::{Blobs, check_length};
use crate::store::describe;
use crate::{Error, Kind, Result, gzip};

/// What Zstandard starts with.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// One image of an archive of Docker.
#[derive(Debug)]
pub(super) struct DockerImage {
    archive: Archive,
    blobs: HashMap<Digest, Content>,
    /// Describes the manifest that was made.
    pub(super) descriptor: Descriptor,
    /// The image's name, if it has one.
    pub(super) name: Option<String>,
}

/// Where a blob of the made image is.
#[derive(Debug)]
enum Content {
    Document(Vec<u8>),
    Stored(Span),
}

/// An element of `manifest.json`.
struct Entry {
    config: String,
    tags: Vec<String>,
    layers: Vec<String>,
}

impl DockerImage {
    /// Finds the image that `reference` names in `archive`, or the only one, and makes its manifest.
    pub(super) fn new(archive: Archive, reference: Option<&str>) -> Result<DockerImage> {
        let entries = entries(&archive.document("manifest.json")?)?;
        let (entry, name) = choose(&entries, reference)?;
        let mut blobs = HashMap::new();
        let config_bytes = archive.document(&entry.config)?;
        let config = describe(media_type::CONFIG, &config_bytes);
        check_name(&entry.config, &config.digest)?;
        let diff_ids = diff_ids(&config, &config_bytes, entry.layers.len())?;
        blobs.insert(config.digest.clone(), Content::Document(config_bytes));
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (path, diff_id) in entry.layers.iter().zip(diff_ids) {
            let (layer, span) = describe_layer(&archive, path, diff_id)?;
            blobs.insert(layer.digest.clone(), Content::Stored(span));
            layers.push(layer);
        }
        let manifest = json::to_vec(&Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
            extra: BTreeMap::new(),
        });
        let descriptor = describe(media_type::MANIFEST, &manifest);
        blobs.insert(descriptor.digest.clone(), Content::Document(manifest));
        Ok(DockerImage { archive, blobs, descriptor, name })
    }
}

impl Blobs for DockerImage {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>> {
        match self.blobs.get(&descriptor.digest) {
            Some(Content::Document(bytes)) => Ok(Box::new(bytes.as_slice())),
            Some(Content::Stored(span)) => {
                check_length(descriptor, span.size)?;
                Ok(Box::new(self.archive.reader(*span)))
            }
            None => Err(Error::new(Kind::NotFound, format!("the archive has no blob {}", descriptor.digest))),
        }
    }
}

fn entries(text: &[u8]) -> Result<Vec<Entry>> {
    let invalid = |e: json::Error| Error::new(Kind::Invalid, "read manifest.json").because(e);
    let list: Vec<BTreeMap<String, Value>> = json::from_slice(text).map_err(invalid)?;
    let entry = |(at, mut members): (usize, BTreeMap<String, Value>)| {
        let root = At::ROOT;
        let at = root.index(at);
        let mut strings = |name: &str| {
            // Docker writes null for an empty list.
            let list: Option<Vec<String>> =
                Wire::decode(members.remove(name).unwrap_or(Value::Null), &at.member(name))?;
            Ok(list.unwrap_or_default())
        };
        let (tags, layers) = (strings("RepoTags")?, strings("Layers")?);
        let config = String::decode(members.remove("Config").unwrap_or(Value::Null), &at.member("Config"))?;
        Ok(Entry { config, tags, layers })
    };
    list.into_iter().enumerate().map(entry).collect::<Result<_, json::Error>>().map_err(invalid)
}

/// The entry that `reference` names, or the only one, and what it is called.
fn choose<'a>(entries: &'a [Entry], reference: Option<&str>) -> Result<(&'a Entry, Option<String>)> {
    let list = || {
        let tags: Vec<String> =
            entries.iter().flat_map(|entry| &entry.tags).take(20).map(|tag| format!("{tag:?}")).collect();
        if tags.is_empty() { "images without names".to_owned() } else { tags.join(", ") }
    };
    match (reference, entries) {
        (None, [one]) => Ok((one, one.tags.first().cloned())),
        (None, []) => Err(Error::new(Kind::NotFound, "there is no image in the archive")),
        (None, _) => Err(Error::new(Kind::Invalid, format!("a reference is needed, one of {}", list()))),
        (Some(reference), _) => entries
            .iter()
            .find_map(|entry| {
                let tag = entry.tags.iter().find(|tag| same_name(tag, reference))?;
                Some((entry, Some(tag.clone())))
            })
            .ok_or_else(|| {
                Error::new(Kind::NotFound, format!("no image is called {reference:?} among {}", list()))
            }),
    }
}

/// Whether `tag` and `reference` are one name but for what Docker lets people leave out: the host of the
/// registry, its folder `library`, and the tag `latest`.
fn same_name(tag: &str, reference: &str) -> bool {
    let whole = |name: &str| {
        let short = without_host(name);
        let short = short.strip_prefix("library/").unwrap_or(short);
        let tagged = short.rsplit('/').next().is_some_and(|last| last.contains(':'));
        if tagged { short.to_owned() } else { format!("{short}:latest") }
    };
    whole(tag) == whole(reference)
}

/// The first component of a name is a host where it has a dot or a port.
fn without_host(name: &str) -> &str {
    match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest,
        _ => name,
    }
}

/// Refuses a configuration whose file is called after another one.
fn check_name(path: &str, digest: &Digest) -> Result<()> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let named = file.strip_suffix(".json").unwrap_or(file);
    match Digest::parse_known(&format!("sha256:{named}")) {
        Ok(want) if want != *digest => {
            let context = format!("configuration {path:?} of the archive is {digest}");
            Err(Error::new(Kind::Digest, context))
        }
        _ => Ok(()),
    }
}

fn diff_ids(config: &Descriptor, bytes: &[u8], layers: usize) -> Result<Vec<Digest>> {
    let image_config: ImageConfig = crate::store::blob::parse(config, bytes)?;
    let diff_ids = image_config.rootfs.diff_ids;
    if diff_ids.len() == layers {
        return Ok(diff_ids);
    }
    let context =
        format!("configuration {} has {} diff_ids for {layers} layers", config.digest, diff_ids.len());
    Err(Error::new(Kind::Invalid, context))
}

/// Describes the layer `path` of `archive`, whose uncompressed hash is `diff_id`.
fn describe_layer(archive: &Archive, path: &str, diff_id: Digest) -> Result<(Descriptor, Span)> {
    let failed = |e| Error::io(format!("read layer {path:?} of the archive"), e);
    let span = archive
        .find(path)
        .ok_or_else(|| Error::new(Kind::NotFound, format!("the archive has no layer {path:?}")))?;
    let mut magic = Vec::new();
    archive.reader(span).take(4).read_to_end(&mut magic).map_err(failed)?;
    let compressed = match magic.as_slice() {
        magic if magic.starts_with(&gzip::MAGIC) => Some(media_type::LAYER_GZIP),
        magic if magic == ZSTD => Some(media_type::LAYER_ZSTD),
        _ => None,
    };
    let mut layer = describe(compressed.unwrap_or(media_type::LAYER), &[]);
    layer.size = span.size;
    layer.digest = match compressed {
        None => diff_id,
        Some(_) => {
            let mut reader = DigestReader::new(archive.reader(span), Algorithm::Sha256);
            io::copy(&mut reader, &mut io::sink()).map_err(failed)?;
            reader.finish().0
        }
    };
    Ok((layer, span))
}
