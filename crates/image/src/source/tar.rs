//! The table of contents of a tar archive that holds images: where each of its files stands. Nothing is
//! extracted; names only select among entries, so none can lead anywhere.
//!
//! Refused are wrong checksums, numbers that are none, headers and data cut short, and extension headers or
//! tables of contents that are too large. Of two entries of one name the later one counts, as it would
//! after an extraction.
//!
//! # References
//! - [pax, archive format](https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html)
//! - [GNU tar, format](https://www.gnu.org/software/tar/manual/html_node/Standard.html)

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use crate::store::DOCUMENT_LIMIT;
use crate::{Error, Kind, Result};

const BLOCK: u64 = 512;
/// An image has two files for each layer and some more.
const ENTRY_LIMIT: usize = 100_000;
/// Most bytes of the names and links of all entries: theirs have some 80.
const NAMES_LIMIT: usize = 16 << 20;
/// Most headers: a directory and two extensions may belong to each entry.
const HEADER_LIMIT: usize = 5 * ENTRY_LIMIT;
/// Most bytes of one extension header.
const EXTENSION_LIMIT: u64 = 1 << 20;
/// Longest chain of links between entries.
const LINK_LIMIT: usize = 8;

/// What is read from any place.
#[derive(Debug)]
pub(super) enum Backing {
    /// A regular file.
    File(File),
    /// Part of the program.
    Bytes(&'static [u8]),
}

impl Backing {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Backing::File(file) => file.read_at(buffer, offset),
            Backing::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                bytes.get(start..).unwrap_or_default().read(buffer)
            }
        }
    }
}

/// An archive whose entries are known.
#[derive(Debug)]
pub(super) struct Archive {
    backing: Backing,
    entries: HashMap<String, Entry>,
    /// Bytes of all names and links, those of entries that were replaced too.
    names: usize,
}

#[derive(Debug)]
enum Entry {
    File(Span),
    /// Another entry, by its name.
    Link(String),
}

impl Entry {
    fn link(&self) -> Option<&str> {
        match self {
            Entry::File(_) => None,
            Entry::Link(name) => Some(name),
        }
    }
}

/// Where a file's bytes stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    offset: u64,
    /// Length in bytes.
    pub(super) size: u64,
}

impl Archive {
    /// Reads all headers of `backing`.
    pub(super) fn open(backing: Backing) -> Result<Archive> {
        let mut archive = Archive { backing, entries: HashMap::new(), names: 0 };
        let mut offset = 0;
        let mut extension = Extension::default();
        let mut headers = 0;
        while let Some(header) = archive.header(offset)? {
            headers += 1;
            if headers > HEADER_LIMIT {
                return Err(exceeded(&format!("more than {HEADER_LIMIT} headers")));
            }
            let start = offset + BLOCK;
            let size = match header.kind {
                b'L' | b'K' | b'x' | b'g' => header.size()?,
                _ => extension.size.map_or_else(|| header.size(), Ok)?,
            };
            // Links and directories have no data, whatever their size says.
            let stored = if matches!(header.kind, b'1'..=b'6') { 0 } else { size };
            offset = stored
                .checked_next_multiple_of(BLOCK)
                .and_then(|padded| start.checked_add(padded))
                .ok_or_else(|| malformed(start, "an impossible size"))?;
            let span = Span { offset: start, size: stored };
            match header.kind {
                b'L' => extension.path = Some(archive.long_name(span)?),
                b'K' => extension.link = Some(archive.long_name(span)?),
                b'x' => extension.read_records(&archive.extension(span)?, start)?,
                b'g' => {}
                _ => archive.add(&header, std::mem::take(&mut extension), span)?,
            }
        }
        Ok(archive)
    }

    /// Where the file `name` stands, links followed; `None` where there is no such file.
    pub(super) fn find(&self, name: &str) -> Option<Span> {
        let mut name = normal(name);
        for _ in 0..LINK_LIMIT {
            match self.entries.get(&name)? {
                Entry::File(span) => return Some(*span),
                Entry::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    /// A reader of `span`.
    pub(super) fn reader(&self, span: Span) -> SpanReader<'_> {
        SpanReader { backing: &self.backing, span }
    }

    /// The document `name`.
    pub(super) fn document(&self, name: &str) -> Result<Vec<u8>> {
        let span = self
            .find(name)
            .ok_or_else(|| Error::new(Kind::NotFound, format!("the archive has no file {name:?}")))?;
        if span.size > DOCUMENT_LIMIT {
            let context = format!("{name:?} of {} bytes is over the limit of {DOCUMENT_LIMIT}", span.size);
            return Err(Error::new(Kind::Limit, context));
        }
        self.bytes(span)
    }

    fn bytes(&self, span: Span) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader(span).read_to_end(&mut bytes).map_err(|e| Error::io("read the archive", e))?;
        Ok(bytes)
    }

    /// The header at `offset`, or `None` at the end of the archive.
    fn header(&self, offset: u64) -> Result<Option<Header>> {
        let span = Span { offset, size: BLOCK };
        let mut block = [0; BLOCK as usize];
        match self.reader(span).read_exact(&mut block) {
            // Some writers leave the end mark out.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                let mut byte = [0];
                let cut =
                    self.backing.read_at(&mut byte, offset).map_err(|e| Error::io("read the archive", e))?;
                if cut > 0 || offset == 0 {
                    return Err(malformed(offset, "a header cut short"));
                }
                Ok(None)
            }
            read => {
                read.map_err(|e| Error::io("read the archive", e))?;
                if block.iter().all(|&byte| byte == 0) {
                    Ok(None)
                } else {
                    Header::new(block, offset).map(Some)
                }
            }
        }
    }

    fn add(&mut self, header: &Header, extension: Extension, span: Span) -> Result<()> {
        let path = normal(&extension.path.unwrap_or_else(|| header.path()));
        let link = extension.link.unwrap_or_else(|| header.link());
        let entry = match header.kind {
            b'0' | 0 | b'7' => Entry::File(span),
            // From the root of the archive.
            b'1' => Entry::Link(normal(&link)),
            // From where the link stands.
            b'2' => Entry::Link(normal(&format!("{path}/../{link}"))),
            _ => return Ok(()),
        };
        self.names += path.len() + entry.link().map_or(0, str::len);
        if self.names > NAMES_LIMIT {
            return Err(exceeded(&format!("names of more than {NAMES_LIMIT} bytes")));
        }
        self.entries.insert(path, entry);
        if self.entries.len() > ENTRY_LIMIT {
            return Err(exceeded(&format!("more than {ENTRY_LIMIT} files")));
        }
        Ok(())
    }

    fn extension(&self, span: Span) -> Result<Vec<u8>> {
        if span.size > EXTENSION_LIMIT {
            let context = format!("an extension header of the archive has {} bytes", span.size);
            return Err(Error::new(Kind::Limit, context));
        }
        self.bytes(span)
    }

    fn long_name(&self, span: Span) -> Result<String> {
        Ok(text(&self.extension(span)?))
    }
}

/// Hands on the bytes of a file in an archive; an archive cut short is an error, not an end.
#[derive(Debug)]
pub(super) struct SpanReader<'a> {
    backing: &'a Backing,
    span: Span,
}

impl Read for SpanReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.span.size).unwrap_or(usize::MAX).min(buffer.len());
        let Some(wanted) = buffer.get_mut(..left).filter(|wanted| !wanted.is_empty()) else { return Ok(0) };
        let count = self.backing.read_at(wanted, self.span.offset)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut short"));
        }
        self.span.offset += count as u64;
        self.span.size -= count as u64;
        Ok(count)
    }
}

/// One header block.
struct Header {
    block: [u8; BLOCK as usize],
    kind: u8,
    offset: u64,
}

impl Header {
    fn new(block: [u8; BLOCK as usize], offset: u64) -> Result<Header> {
        let header = Header { block, kind: block[156], offset };
        // The checksum is taken with its own field blank.
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        let own: u64 = header.field(148..156).iter().map(|&byte| u64::from(byte)).sum();
        if number(header.field(148..156)) == Some(sum - own + 8 * u64::from(b' ')) {
            return Ok(header);
        }
        Err(malformed(offset, "a header with a wrong checksum"))
    }

    /// `range` lies within the block in every call.
    fn field(&self, range: std::ops::Range<usize>) -> &[u8] {
        self.block.get(range).unwrap_or_default()
    }

    fn size(&self) -> Result<u64> {
        number(self.field(124..136)).ok_or_else(|| malformed(self.offset, "a size that is no number"))
    }

    fn path(&self) -> String {
        let name = text(self.field(0..100));
        match (self.field(257..263) == b"ustar\0", text(self.field(345..500))) {
            (true, prefix) if !prefix.is_empty() => format!("{prefix}/{name}"),
            _ => name,
        }
    }

    fn link(&self) -> String {
        text(self.field(157..257))
    }
}

/// What extension headers say of the entry that follows.
#[derive(Default)]
struct Extension {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl Extension {
    /// Reads `LENGTH KEY=VALUE\n` records.
    fn read_records(&mut self, mut records: &[u8], offset: u64) -> Result<()> {
        let wrong = || malformed(offset, "a malformed extension header");
        while !records.is_empty() {
            let space = records.iter().position(|&byte| byte == b' ').ok_or_else(wrong)?;
            let length = std::str::from_utf8(&records[..space]).ok().and_then(|length| length.parse().ok());
            let (record, rest) =
                length.and_then(|length| records.split_at_checked(length)).ok_or_else(wrong)?;
            let record =
                record.get(space + 1..).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(wrong)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(wrong)?;
            let value = String::from_utf8_lossy(&record[equals + 1..]).into_owned();
            match &record[..equals] {
                b"path" => self.path = Some(value),
                b"linkpath" => self.link = Some(value),
                b"size" => self.size = Some(value.parse().map_err(|_| wrong())?),
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }
}

fn malformed(offset: u64, what: &str) -> Error {
    Error::new(Kind::Archive, format!("the archive has {what} at byte {offset}"))
}

fn exceeded(what: &str) -> Error {
    Error::new(Kind::Limit, format!("the archive has {what}"))
}

/// Text up to the first NUL. A name that is not UTF-8 is no name of an image's file.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// An octal number, or one in base 256 where the first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((&first, rest)) if first & 0x80 != 0 => {
            // The second bit is the sign, and no size or checksum is negative.
            let start = u64::from(first & 0x7f);
            rest.iter().try_fold(start, |sum, &byte| Some(sum.checked_mul(256)? + u64::from(byte)))
        }
        _ => {
            let digits = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
            if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
        }
    }
}

/// `path` without empty and `.` components, and with `..` taken back as far as there is something.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
