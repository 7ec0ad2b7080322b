//! The image subject: a layout, judged from its raw bytes.
//!
//! Nothing here is shared with the part of the project that unpacks images: it has a scanner of JSON and one
//! of tar of its own, both of which know the offset of everything. Hostile layouts are what it is for, so
//! everything has a limit, and reaching one is a finding.

pub mod advice;
mod config;
pub mod consumer;
pub mod converter;
pub mod copier;
mod descriptor;
mod doc;
mod findings;
pub mod golden;
pub mod grammar;
pub mod json;
mod layer;
mod layout;
mod manifest;
pub mod mutants;
mod report;
mod rows;
mod sarif;
mod stream;
pub mod tar;
pub mod unpacker;
mod walk;
mod want;

use std::path::Path;

use plimsoll_digest::{Algorithm, Digest};

use crate::day::Day;
use crate::error::Result;
use crate::requirement::{Area, Registry};
use crate::version::Version;

pub use findings::{Count, Finding, Findings, Place, Severity};
pub use report::{Colour, Strictness};
pub use rows::suite;
pub use stream::Inflation;
pub use walk::{Extent, Limits};

/// What came of looking at one layout.
#[derive(Debug)]
pub struct Report {
    /// Where it is.
    pub path: String,
    /// The version of the specification it was judged by.
    pub version: String,
    /// What was found.
    pub findings: Findings,
    /// What was gone through.
    pub extent: Extent,
    /// The digest of index.json, which stands for the whole; empty where there is none.
    pub digest: String,
    /// The digests that index.json lists.
    pub manifests: Vec<String>,
    /// The day on which it was looked at.
    pub started: Day,
}

/// Looks at the layout at `path`, a directory or a tar archive, by `version` of the specification.
///
/// # Errors
/// [`crate::Kind::Request`] for a version that there is not, [`crate::Kind::Document`] where there is no layout, [`crate::Kind::Environment`] where it cannot be read.
pub fn validate(path: &Path, version: &str, limits: Limits) -> Result<Report> {
    let registry = Registry::load()?;
    let known = Version::parse(Area::Image, version)?;
    let layout = layout::Layout::open(path)?;
    let mut findings = Findings::new(&registry, known);
    let extent = walk::walk(&layout, limits, &mut findings);
    let index = index(&layout, limits).unwrap_or_default();
    Ok(Report {
        path: path.display().to_string(),
        version: version.to_owned(),
        findings,
        extent,
        digest: digest_of_index(&index),
        manifests: listed(&index),
        started: Day::today(),
    })
}

/// The digest that stands for the layout at `path`, as [`Report::digest`] has it.
///
/// # Errors
/// As [`validate`].
pub fn digest_of_layout(path: &Path, limits: Limits) -> Result<String> {
    let layout = layout::Layout::open(path)?;
    Ok(digest_of_index(&index(&layout, limits).unwrap_or_default()))
}

/// The bytes of index.json, where it is there and no larger than a document may be.
fn index(layout: &layout::Layout, limits: Limits) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let index = layout.files.get("index.json").filter(|index| index.size <= limits.document)?;
    let mut text = Vec::new();
    index.open().ok()?.take(limits.document).read_to_end(&mut text).ok()?;
    Some(text)
}

fn digest_of_index(index: &[u8]) -> String {
    match index {
        [] => String::new(),
        index => Digest::of(Algorithm::Sha256, index).to_string(),
    }
}

/// What the index lists, as far as it can be read: what is wrong with it is a finding of its own.
fn listed(index: &[u8]) -> Vec<String> {
    let index: plimsoll_spec::image::Index = match plimsoll_spec::json::from_slice(index) {
        Ok(index) => index,
        Err(_) => return Vec::new(),
    };
    index.manifests.iter().map(|descriptor| descriptor.digest.to_string()).collect()
}
