//! What was looked at, row by row, and what was found: the record that everything else is made from.

use std::collections::BTreeMap;

use crate::requirement::{Level, Registry};
use crate::version::Version;

use super::advice;

/// Most findings that are kept of one row; all are counted.
const KEPT: u64 = 50;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is broken.
    Note,
    /// A SHOULD does not hold.
    Warning,
    /// A MUST does not hold, or what a limit kept from being looked at.
    Error,
}

impl Severity {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// Where something stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file within the layout: `index.json`, `oci-layout`, or the digest of a blob.
    pub blob: String,
    /// Within JSON, the pointer.
    pub pointer: Option<String>,
    /// Offset in bytes: of the document, or of the uncompressed archive where `entry` is given.
    pub offset: Option<u64>,
    /// Within a layer, the path.
    pub entry: Option<String>,
}

impl Place {
    /// A whole file or blob.
    pub fn blob(name: impl Into<String>) -> Place {
        Place { blob: name.into(), ..Place::default() }
    }

    /// On one line.
    pub fn text(&self) -> String {
        let mut text = self.blob.clone();
        if let Some(pointer) = self.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
            text.push_str(&format!(" at {pointer}"));
        }
        if let Some(entry) = &self.entry {
            text.push_str(&format!(" in {entry}"));
        }
        if let Some(offset) = self.offset {
            text.push_str(&format!(" (byte {offset})"));
        }
        text
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The row, or for what is no row `limit/...` or `lint/...`.
    pub id: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// How often one row was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Instances.
    pub seen: u64,
    /// Those that do not hold.
    pub broken: u64,
}

/// The record of one image.
#[derive(Debug)]
pub struct Findings {
    weights: BTreeMap<&'static str, (Level, bool)>,
    counts: BTreeMap<&'static str, Count>,
    list: Vec<Finding>,
    unfinished: Vec<String>,
}

impl Findings {
    /// Judges by `version` of the specification; later rows weigh as notes.
    pub fn new(registry: &Registry, version: Version) -> Findings {
        let weights = registry.rows().iter().map(|row| (row.id, (row.level, row.is_in(version)))).collect();
        Findings { weights, counts: BTreeMap::new(), list: Vec::new(), unfinished: Vec::new() }
    }

    /// Looks at one instance of `row`; gives whether it holds.
    pub fn check(
        &mut self,
        row: &'static str,
        holds: bool,
        place: &Place,
        message: impl FnOnce() -> String,
    ) -> bool {
        let count = self.counts.entry(row).or_default();
        count.seen += 1;
        if !holds {
            count.broken += 1;
            if count.broken <= KEPT {
                let severity = self.severity(row);
                self.push(row, severity, place, &message());
            }
        }
        holds
    }

    /// One instance of `row` that does not hold.
    pub fn broken(&mut self, row: &'static str, place: &Place, message: impl Into<String>) {
        let message = message.into();
        self.check(row, false, place, || message);
    }

    /// One instance of `row` that holds.
    pub fn holds(&mut self, row: &'static str) {
        self.counts.entry(row).or_default().seen += 1;
    }

    /// Something that breaks no row.
    pub fn lint(&mut self, id: &'static str, place: &Place, message: impl Into<String>) {
        let count = self.counts.entry(id).or_default();
        (count.seen, count.broken) = (count.seen + 1, count.broken + 1);
        if count.broken <= KEPT {
            self.push(id, Severity::Note, place, &message.into());
        }
    }

    /// A limit that kept something from being looked at.
    pub fn limit(&mut self, id: &'static str, place: &Place, message: impl Into<String>) {
        let message = message.into();
        let count = self.counts.entry(id).or_default();
        (count.seen, count.broken) = (count.seen + 1, count.broken + 1);
        if count.broken <= KEPT {
            self.unfinished.push(format!("{}: {message}", place.text()));
            self.push(id, Severity::Error, place, &message);
        }
    }

    fn push(&mut self, id: &'static str, severity: Severity, place: &Place, message: &str) {
        let pointer = place.pointer.as_deref().map(clip);
        let place = Place { pointer, ..place.clone() };
        self.list.push(Finding { id, severity, place, message: clip(message), advice: advice::of(id) });
    }

    fn severity(&self, row: &str) -> Severity {
        match self.weights.get(row) {
            Some((level, true)) if level.is_binding() || *level == Level::Consequence => Severity::Error,
            Some((_, true)) => Severity::Warning,
            _ => Severity::Note,
        }
    }

    /// Everything that was found: errors first, then by place.
    pub fn sorted(&self) -> Vec<&Finding> {
        let mut list: Vec<&Finding> = self.list.iter().collect();
        list.sort_by(|left, right| {
            let key = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.id);
            key(left).cmp(&key(right)).then_with(|| left.place.cmp(&right.place))
        });
        list
    }

    /// How often each row was looked at.
    pub fn counts(&self) -> &BTreeMap<&'static str, Count> {
        &self.counts
    }

    /// What limits kept from being looked at.
    pub fn unfinished(&self) -> &[String] {
        &self.unfinished
    }

    /// The weightiest severity.
    pub fn worst(&self) -> Option<Severity> {
        self.list.iter().map(|finding| finding.severity).max()
    }
}

/// Longest text of a finding: names and values in an image may be as long as a document.
const LONGEST: usize = 500;

fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
