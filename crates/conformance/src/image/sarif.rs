//! A report as SARIF, for programs that show findings of analysers.
//!
//! # References
//! - [SARIF 2.1.0](https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html)

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::error::Result;
use crate::requirement::Registry;

use super::findings::{Finding, Severity};
use super::{Report, advice};

impl Report {
    /// The whole report as one SARIF log.
    ///
    /// # Errors
    /// Where the registry is broken.
    pub fn to_sarif(&self) -> Result<Value> {
        let registry = Registry::load()?;
        let findings = self.findings.sorted();
        let ids: BTreeSet<&'static str> = findings.iter().map(|finding| finding.id).collect();
        let rules: Vec<Value> = ids.iter().map(|id| rule(&registry, id)).collect();
        let results: Vec<Value> = findings.into_iter().map(result).collect();
        Ok(json!({
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {"name": "plimsoll", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        }))
    }
}

fn rule(registry: &Registry, id: &str) -> Value {
    let mut rule = json!({"id": id, "help": {"text": advice::of(id)}});
    if let (Ok(row), Some(members)) = (registry.row(id), rule.as_object_mut()) {
        members.insert("shortDescription".to_owned(), json!({"text": row.statement}));
        members.insert("helpUri".to_owned(), json!(row.url()));
        members.insert("properties".to_owned(), json!({"level": row.level.as_str(), "since": row.since}));
    }
    rule
}

fn result(finding: &Finding) -> Value {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    // Within a layer the offset is one of the uncompressed archive, which the file does not have.
    let in_file = finding.place.entry.is_none();
    let mut physical = json!({"artifactLocation": {"uri": uri(&finding.place.blob)}});
    if let (Some(offset), Some(members)) =
        (finding.place.offset.filter(|_| in_file), physical.as_object_mut())
    {
        members.insert("region".to_owned(), json!({"byteOffset": offset, "byteLength": 0}));
    }
    let mut location = json!({"physicalLocation": physical});
    let logical = finding.place.pointer.as_ref().or(finding.place.entry.as_ref());
    if let (Some(name), Some(members)) = (logical.filter(|name| !name.is_empty()), location.as_object_mut()) {
        members.insert("logicalLocations".to_owned(), json!([{"fullyQualifiedName": name}]));
    }
    json!({
        "ruleId": finding.id,
        "level": level,
        "message": {"text": finding.message},
        "locations": [location],
    })
}

/// The path within the layout; a digest is that of a blob.
fn uri(blob: &str) -> String {
    let path = match blob.split_once(':') {
        Some((algorithm, encoded)) => format!("blobs/{algorithm}/{encoded}"),
        None => blob.to_owned(),
    };
    let escape = |byte: u8| match byte {
        b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(escape).collect()
}
