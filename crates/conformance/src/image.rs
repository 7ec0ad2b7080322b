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

use crate::error::Result;
use crate::requirement::Registry;

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
}

/// Looks at the layout at `path`, a directory or a tar archive, by `version` of the specification.
///
/// # Errors
/// [`crate::Kind::Document`] where there is no layout, [`crate::Kind::Environment`] where it cannot be read.
pub fn validate(path: &Path, version: &str, limits: Limits) -> Result<Report> {
    let registry = Registry::load()?;
    let layout = layout::Layout::open(path)?;
    let mut findings = Findings::new(&registry, version);
    let extent = walk::walk(&layout, limits, &mut findings);
    let index = layout.files.get("index.json").filter(|index| index.size <= limits.document);
    let digest = index.and_then(|index| index.open().ok()).and_then(|reader| {
        stream::hash(reader, plimsoll_digest::Algorithm::Sha256).ok().map(|(digest, _)| digest)
    });
    Ok(Report {
        path: path.display().to_string(),
        version: version.to_owned(),
        findings,
        extent,
        digest: digest.unwrap_or_default(),
    })
}
