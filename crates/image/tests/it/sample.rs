//! Small images in a store, and errors as people read them.

use std::error::Error;
use std::fmt::Debug;

use plimsoll_digest::{Algorithm, Digest};
use plimsoll_image::{Kind, Store};
use plimsoll_spec::image::{Descriptor, media_type};

/// A store in a directory that goes away with the guard.
pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

/// The descriptor of `content`.
pub(crate) fn describe(media_type: &str, content: &[u8]) -> Descriptor {
    let digest = Digest::of(Algorithm::Sha256, content);
    let text = format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, content.len());
    plimsoll_spec::json::from_slice(text.as_bytes()).unwrap()
}

/// Puts an image of `layers`, whose bytes need be no layers, into `store`.
pub(crate) fn image(store: &Store, layers: &[&[u8]]) -> Descriptor {
    let put = |media_type, content: &[u8]| store.put_document(media_type, content).unwrap();
    let described: Vec<Descriptor> = layers.iter().map(|layer| put(media_type::LAYER, layer)).collect();
    let diff_ids: Vec<String> =
        described.iter().map(|layer| format!("{:?}", layer.digest.as_str())).collect();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    );
    let config = put(media_type::CONFIG, config.as_bytes());
    put(media_type::MANIFEST, manifest(&config, &described).as_bytes())
}

/// The text of a manifest.
pub(crate) fn manifest(config: &Descriptor, layers: &[Descriptor]) -> String {
    let layers: Vec<String> = layers.iter().map(json).collect();
    format!(r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, json(config), layers.join(","))
}

/// `descriptor` as it is written.
pub(crate) fn json(descriptor: &Descriptor) -> String {
    String::from_utf8(plimsoll_spec::json::to_vec(descriptor)).unwrap()
}

/// The kind of the failure in `result`, and its text with all causes.
pub(crate) fn failure<T: Debug>(result: plimsoll_image::Result<T>) -> (Kind, String) {
    let error = result.unwrap_err();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        text = format!("{text}: {below}");
        cause = below.source();
    }
    (error.kind(), text)
}
