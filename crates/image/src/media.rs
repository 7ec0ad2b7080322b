//! Which documents lead to others, OCI's and Docker's alike, and how deep they may.

use plimsoll_spec::image::media_type;

use crate::{Error, Kind, Result};

/// Most indexes, manifest and configuration on one path: indexes of indexes are rare, deeper ones unknown.
const DEPTH_LIMIT: usize = 8;

/// A document of which this crate knows what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    /// Leads to indexes and manifests.
    Index,
    /// Leads to a configuration and layers.
    Manifest,
    /// Names layers by what they unpack to.
    Config,
}

/// What a blob of `media_type` is, if it is a document.
pub(crate) fn document(media_type: &str) -> Option<Document> {
    match media_type {
        media_type::INDEX | media_type::DOCKER_INDEX => Some(Document::Index),
        media_type::MANIFEST | media_type::DOCKER_MANIFEST => Some(Document::Manifest),
        media_type::CONFIG | media_type::DOCKER_CONFIG => Some(Document::Config),
        _ => None,
    }
}

/// Refuses a document that is `depth` documents below the first.
pub(crate) fn check_depth(depth: usize) -> Result<()> {
    if depth < DEPTH_LIMIT {
        return Ok(());
    }
    Err(Error::new(Kind::Limit, format!("documents are nested deeper than {DEPTH_LIMIT}")))
}
