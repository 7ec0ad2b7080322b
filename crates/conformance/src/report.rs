//! What becomes of results: documents for people and for other programs, comparison, tables.
//!
//! Results may come from anybody, so nothing in them is trusted: every text goes through [`escape`] for the
//! form it is written in, and no report names a place that the results chose. Equal results give equal bytes.

pub mod coverage;
pub mod diff;
pub mod escape;
mod html;
mod junit;
mod markdown;
pub mod matrix;
mod reproducer;
mod row;
mod sarif;
mod tap;

use plimsoll_spec::json;

use crate::requirement::Registry;
use crate::results::Results;

pub use reproducer::script as reproducer;
use row::{Row, rows};

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One file for a browser, without outside assets.
    Html,
    /// JUnit's XML: a test case for every case.
    Junit,
    /// TAP 14: a test point for every row.
    Tap,
    /// SARIF 2.1.0: a result for every row that does not pass.
    Sarif,
    /// Markdown, as forges show it.
    Markdown,
    /// The results themselves.
    Json,
}

/// Writes `results` as `format`.
pub fn render(results: &Results, registry: &Registry, format: Format) -> String {
    match format {
        Format::Html => html::report(results, registry),
        Format::Junit => junit::report(results, registry),
        Format::Tap => tap::report(results, registry),
        Format::Sarif => sarif::report(results, registry),
        Format::Markdown => markdown::report(results, registry),
        Format::Json => String::from_utf8_lossy(&json::to_vec(results)).into_owned(),
    }
}

#[cfg(test)]
mod tests;
