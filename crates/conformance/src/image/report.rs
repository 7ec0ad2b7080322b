//! A report for people, as JSON, and as an exit code.

use serde_json::json;

use crate::error::Result;
use crate::requirement::Registry;

use super::Report;
use super::findings::{Finding, Severity};

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// For a terminal.
    Terminal,
    /// For a file.
    None,
}

/// What makes an image invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// A MUST that does not hold.
    Binding,
    /// A SHOULD as well.
    Recommended,
}

impl Report {
    /// 0 where the image is valid, 1 where it is not.
    ///
    /// What a limit kept from being looked at is not valid.
    pub fn exit_code(&self, strictness: Strictness) -> u8 {
        let least = match strictness {
            Strictness::Binding => Severity::Error,
            Strictness::Recommended => Severity::Warning,
        };
        u8::from(self.findings.worst().is_some_and(|worst| worst >= least))
    }

    /// How many findings there are of each severity, errors first.
    fn totals(&self) -> [(Severity, usize); 3] {
        let sorted = self.findings.sorted();
        [Severity::Error, Severity::Warning, Severity::Note]
            .map(|severity| (severity, sorted.iter().filter(|finding| finding.severity == severity).count()))
    }

    /// For people: each finding with what to do, then what was gone through.
    ///
    /// # Errors
    /// Where the registry is broken.
    pub fn text(&self, colour: Colour) -> Result<String> {
        let registry = Registry::load()?;
        let mut text = String::new();
        for finding in self.findings.sorted() {
            text.push_str(&paragraph(&registry, finding, colour));
        }
        let extent = &self.extent;
        let [(_, errors), (_, warnings), (_, notes)] = self.totals();
        text.push_str(&format!(
            "{}: {errors} errors, {warnings} warnings, {notes} notes; {} manifests, {} layers with {} entries, {} blobs, {} bytes\n",
            printable(&self.path), extent.manifests, extent.layers, extent.entries, extent.blobs, extent.bytes,
        ));
        Ok(text)
    }

    /// For programs.
    pub fn to_json(&self) -> serde_json::Value {
        let findings = self.findings.sorted();
        let findings: Vec<_> = findings.into_iter().map(finding_to_json).collect();
        let counts: serde_json::Map<_, _> = self
            .findings
            .counts()
            .iter()
            .map(|(id, count)| ((*id).to_owned(), json!({"seen": count.seen, "broken": count.broken})))
            .collect();
        let extent = &self.extent;
        json!({
            "format": 1,
            "path": self.path,
            "spec": self.version,
            "index": self.digest,
            "findings": findings,
            "rows": counts,
            "extent": {
                "blobs": extent.blobs, "manifests": extent.manifests, "layers": extent.layers,
                "entries": extent.entries, "bytes": extent.bytes, "inflated": extent.inflated,
            },
        })
    }
}

/// One finding for programs.
pub(super) fn finding_to_json(finding: &Finding) -> serde_json::Value {
    json!({
        "id": finding.id,
        "severity": finding.severity.as_str(),
        "blob": finding.place.blob,
        "pointer": finding.place.pointer,
        "offset": finding.place.offset,
        "entry": finding.place.entry,
        "message": finding.message,
        "advice": finding.advice,
    })
}

fn paragraph(registry: &Registry, finding: &Finding, colour: Colour) -> String {
    let (start, end) = match (colour, finding.severity) {
        (Colour::None, _) => ("", ""),
        (_, Severity::Error) => ("\x1b[31m", "\x1b[0m"),
        (_, Severity::Warning) => ("\x1b[33m", "\x1b[0m"),
        (_, Severity::Note) => ("\x1b[2m", "\x1b[0m"),
    };
    let level = registry.row(finding.id).map_or("", |row| row.level.as_str());
    let named = if level.is_empty() { finding.id.to_owned() } else { format!("{} ({level})", finding.id) };
    let mut text = format!(
        "{start}{}{end} {named}: {}\n  {}\n",
        finding.severity.as_str(),
        printable(&finding.message),
        printable(&finding.place.text()),
    );
    if !finding.advice.is_empty() {
        text.push_str(&format!("  {}\n", finding.advice));
    }
    text
}

/// Names come from the image: what would move the cursor of a terminal is escaped.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}
