//! What is in a layer: rows of layer.md that one archive shows.

use std::collections::{HashMap, HashSet};

use super::findings::{Findings, Place};
use super::tar::{Entry, Fault, Scanner, Source};

/// Most entries of one layer.
pub(super) const ENTRIES: u64 = 8 << 20;
/// Most bytes of all paths of one layer that are kept to find those that stand twice.
const PATHS: usize = 512 << 20;
/// Longest path, and most components of one.
const LONGEST: usize = 4096;
const COMPONENTS: usize = 1024;

const OPAQUE: &[u8] = b".wh..wh..opq";
const PREFIX: &[u8] = b".wh.";

/// Looks at every entry of the layer `blob`; gives how many there are.
pub(super) fn look<S: Source>(source: S, blob: &str, findings: &mut Findings) -> u64 {
    let mut scanner = Scanner::new(source);
    let mut layer = Layer {
        blob,
        findings,
        paths: HashMap::new(),
        kept: 0,
        full: false,
        occupied: HashSet::new(),
        links: Vec::new(),
    };
    let mut count = 0;
    // A failure of the source is the stream's to tell.
    while let Ok(Some(entry)) = scanner.entry() {
        count += 1;
        if count > ENTRIES {
            let place = Place::blob(blob);
            layer.findings.limit("limit/entries", &place, format!("there are more than {ENTRIES} entries"));
            break;
        }
        layer.entry(&entry);
    }
    layer.links();
    let mut whole = true;
    for (at, fault) in scanner.faults() {
        whole &= layer.fault(*at, None, fault);
    }
    if whole {
        findings.holds("IMG-Y01");
    }
    count
}

struct Layer<'a> {
    blob: &'a str,
    findings: &'a mut Findings,
    /// Every path, its offset and its type.
    paths: HashMap<Box<[u8]>, (u64, u8)>,
    kept: usize,
    full: bool,
    /// Directories with an entry that is no whiteout.
    occupied: HashSet<Box<[u8]>>,
    /// Hard links: offset, own path, target.
    links: Vec<(u64, Box<[u8]>, Vec<u8>)>,
}

impl Layer<'_> {
    fn place(&self, at: u64, name: Option<&[u8]>) -> Place {
        Place {
            offset: Some(at),
            entry: name.map(|name| String::from_utf8_lossy(name).chars().take(200).collect()),
            ..Place::blob(self.blob)
        }
    }

    /// Puts a fault of the archive under its row; gives whether the archive is one all the same.
    fn fault(&mut self, at: u64, name: Option<&[u8]>, fault: &Fault) -> bool {
        let place = self.place(at, name);
        match fault {
            Fault::Limit(what) => self.findings.limit("limit/tar", &place, *what),
            Fault::Number("mode" | "uid" | "gid" | "mtime") => {
                self.findings.broken("IMG-Y03", &place, fault.text());
            }
            // Readers agree to take these, so the archive is usable.
            Fault::NoEnd => self.findings.lint("lint/tar-end", &place, fault.text()),
            Fault::Trailing => self.findings.lint("lint/tar-trailing", &place, fault.text()),
            Fault::Checksum | Fault::Truncated | Fault::Number(_) | Fault::Pax(_) => {
                self.findings.broken("IMG-Y01", &place, fault.text());
                return false;
            }
        }
        true
    }

    fn entry(&mut self, entry: &Entry) {
        for fault in &entry.faults {
            self.fault(entry.at, Some(&entry.name), fault);
        }
        let place = self.place(entry.at, Some(&entry.name));
        self.attributes(entry, &place);
        self.findings.check("IMG-Y04", !entry.sparse, &place, || "the file is sparse".to_owned());
        let longest = entry.name.len().max(entry.link.len());
        if longest > LONGEST || entry.name.iter().filter(|byte| **byte == b'/').count() > COMPONENTS {
            self.findings.limit("limit/path", &place, "the path is too long");
            return;
        }
        let path = normal(&entry.name);
        self.name(entry, &path, &place);
        self.duplicate(&path, entry, &place);
        let (parent, name) = split(&path);
        match name.strip_prefix(PREFIX) {
            Some(rest) => self.whiteout(entry, parent, name, rest, &place),
            None => {
                if !name.is_empty() && !self.occupied.contains(parent) {
                    self.occupied.insert(parent.into());
                }
                self.device(entry, &place);
            }
        }
        if entry.kind == b'1' && !self.full {
            self.links.push((entry.at, path, entry.link.clone()));
        }
    }

    /// What each entry has to carry.
    fn attributes(&mut self, entry: &Entry, place: &Place) {
        let link = !matches!(entry.kind, b'1' | b'2') || !entry.link.is_empty();
        // A hard link has the attributes of what it links to.
        let whole = entry.missing.is_empty() || entry.kind == b'1';
        self.findings.check("IMG-Y03", whole && link, place, || {
            if link {
                format!("{} is missing", entry.missing.join(", "))
            } else {
                "the link has no target".to_owned()
            }
        });
        if !matches!(entry.kind, b'0'..=b'7' | b'S') {
            let kind = char::from(entry.kind).escape_default();
            self.findings.lint("lint/tar-type", place, format!("the type {kind} is no type of files"));
        }
    }

    fn name(&mut self, entry: &Entry, path: &[u8], place: &Place) {
        let escapes = entry.name.split(|byte| *byte == b'/').any(|part| part == b"..");
        if escapes || entry.name.contains(&0) {
            self.findings.lint("lint/name-escapes", place, "the name leads out of the root, or has a NUL");
        }
        if entry.name.is_empty() {
            self.findings.lint("lint/name-empty", place, "the name is empty");
        }
        if entry.name.starts_with(b"/") {
            self.findings.lint("lint/name-absolute", place, "the name is absolute");
        }
        let (parent, _) = split(path);
        let hidden = parent.split(|byte| *byte == b'/').any(|part| part.starts_with(PREFIX));
        self.findings
            .check("IMG-N18", !hidden, place, || "a directory is called as whiteouts are".to_owned());
    }

    fn duplicate(&mut self, path: &[u8], entry: &Entry, place: &Place) {
        if self.full {
            return;
        }
        let before = self.paths.get(path).map(|(at, _)| *at);
        self.findings.check("IMG-Y02", before.is_none(), place, || {
            format!("the path has an entry at byte {} already", before.unwrap_or_default())
        });
        if before.is_none() {
            self.kept += path.len() + 64;
            self.paths.insert(path.into(), (entry.at, entry.kind));
        }
        if self.kept > PATHS {
            self.full = true;
            self.findings.limit(
                "limit/paths",
                place,
                "the paths take too much memory to look for those that stand twice",
            );
        }
    }

    fn whiteout(&mut self, entry: &Entry, parent: &[u8], name: &[u8], rest: &[u8], place: &Place) {
        let opaque = name == OPAQUE;
        self.findings.check("IMG-Y10", !rest.is_empty(), place, || "a whiteout names nothing".to_owned());
        let named = !matches!(rest, b"" | b"." | b"..");
        self.findings
            .check("IMG-Y07", named, place, || "the whiteout names nothing that can be deleted".to_owned());
        let plain = matches!(entry.kind, b'0' | b'7') && entry.size == 0;
        self.findings.check("IMG-N17", plain, place, || "the whiteout is no empty regular file".to_owned());
        self.findings.check("IMG-Y13", !opaque, place, || "the whiteout is opaque".to_owned());
        self.findings.check("IMG-Y14", !self.occupied.contains(parent), place, || {
            "the whiteout stands behind an entry of its directory".to_owned()
        });
    }

    /// An overlay file system's own way of deleting has no place in a layer.
    fn device(&mut self, entry: &Entry, place: &Place) {
        if entry.kind == b'3' {
            self.findings.check("IMG-Y07", entry.device != (0, 0), place, || {
                "the character device 0:0 is a whiteout of overlay file systems, not of layers".to_owned()
            });
        }
        let overlay = |key: &[u8]| key.starts_with(b"SCHILY.xattr.trusted.overlay.");
        if entry.pax.iter().any(|(key, _)| overlay(key)) {
            self.findings.lint(
                "lint/overlay-xattr",
                place,
                "attributes of an overlay file system got into the layer",
            );
        }
    }

    /// Targets of hard links, once all paths are known.
    fn links(&mut self) {
        for (at, path, target) in std::mem::take(&mut self.links) {
            let target = normal(&target);
            let place = self.place(at, Some(&path));
            let found = self.paths.get(&target).copied();
            self.findings.check("IMG-N19", !matches!(found, Some((_, b'5'))), &place, || {
                "the target of the hard link is a directory".to_owned()
            });
            if found.is_some_and(|(there, _)| there > at) {
                self.findings.lint("lint/hardlink-order", &place, "the target of the hard link comes later");
            }
        }
    }
}

/// The path without `.`, empty components and slashes at its ends.
fn normal(name: &[u8]) -> Box<[u8]> {
    let plain = !name.starts_with(b"/") && !name.starts_with(b"./") && name != b".";
    let trimmed = name.strip_suffix(b"/").unwrap_or(name);
    if plain && !trimmed.ends_with(b"/") && !trimmed.windows(2).any(|two| two == b"//" || two == b"/.") {
        return trimmed.into();
    }
    let parts = name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.collect::<Vec<_>>().join(&b'/').into()
}

/// Directory and last component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}
