//! Archives as bytes: every header with its offset, and what is wrong with it.
//!
//! It reads ustar, PAX and GNU headers as they are and unpacks nothing. What an extractor would smooth over
//! is a fault with an offset; what makes the rest unreadable ends the reading.
//!
//! # References
//! - [tar(5)](https://man.freebsd.org/cgi/man.cgi?query=tar&sektion=5)
//! - [pax interchange format](https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html)

mod header;
mod pax;

use std::io::{self, BufRead};

use header::Header;

/// The unit of an archive.
pub const BLOCK: u64 = 512;
/// Most bytes of one extended header or long name.
const EXTENDED: u64 = 1 << 20;
/// Most extended headers before one entry, and most blocks of one map of a sparse file.
const CHAIN: usize = 64;

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The checksum of a header does not match; nothing after it can be trusted.
    Checksum,
    /// The archive ends within an entry.
    Truncated,
    /// A number of a header is malformed or out of range.
    Number(&'static str),
    /// A record of a PAX header is malformed.
    Pax(&'static str),
    /// A header carries more than is read.
    Limit(&'static str),
    /// The two blocks of zeros at the end are missing.
    NoEnd,
    /// Something follows the end.
    Trailing,
}

impl Fault {
    /// In words.
    pub fn text(&self) -> String {
        match self {
            Fault::Checksum => "the checksum of the header does not match".to_owned(),
            Fault::Truncated => "the archive ends within an entry".to_owned(),
            Fault::Number(field) => format!("the field {field} holds no number"),
            Fault::Pax(what) => format!("the PAX header is malformed: {what}"),
            Fault::Limit(what) => (*what).to_owned(),
            Fault::NoEnd => "the archive does not end with two blocks of zeros".to_owned(),
            Fault::Trailing => "something follows the end of the archive".to_owned(),
        }
    }
}

/// One entry, as its headers give it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Offset of its first header, extended ones among them.
    pub at: u64,
    /// Offset of its content.
    pub content: u64,
    /// The type flag; `0` where the header has NUL.
    pub kind: u8,
    /// Path, from PAX, GNU or ustar.
    pub name: Vec<u8>,
    /// Target of a link.
    pub link: Vec<u8>,
    /// Bytes of content in the archive.
    pub size: u64,
    /// The number of a device: major and minor.
    pub device: (u64, u64),
    /// Which of mode, uid, gid and mtime no header gives.
    pub missing: Vec<&'static str>,
    /// Whether it is a sparse file in one of the four forms.
    pub sparse: bool,
    /// Its PAX records, those of global headers not among them.
    pub pax: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

impl Entry {
    /// The last of its PAX records called `key`.
    pub fn record(&self, key: &str) -> Option<&[u8]> {
        self.pax.iter().rev().find(|(name, _)| name == key.as_bytes()).map(|(_, value)| value.as_slice())
    }
}

/// Where archives are read from.
pub trait Source: BufRead {
    /// Passes over `count` bytes; gives how many there were.
    ///
    /// # Errors
    /// That of the reading.
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let there = self.fill_buf()?.len();
            if there == 0 {
                break;
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(there);
            self.consume(step);
            left -= step as u64;
        }
        Ok(count - left)
    }
}

impl Source for &[u8] {}

impl<S: Source> Source for &mut S {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        (**self).skip(count)
    }
}

/// Reads entry after entry.
#[derive(Debug)]
pub struct Scanner<S> {
    source: S,
    at: u64,
    /// Content of the last entry and its padding, not passed yet.
    ahead: u64,
    /// A fault after which nothing can be read.
    over: bool,
    /// Faults that belong to no entry.
    faults: Vec<(u64, Fault)>,
}

/// What was found by reading one block.
enum Block {
    Header(Box<Header>),
    Zeros,
    End,
    Short,
}

impl<S: Source> Scanner<S> {
    /// Begins at the start of `source`.
    pub fn new(source: S) -> Scanner<S> {
        Scanner { source, at: 0, ahead: 0, over: false, faults: Vec::new() }
    }

    /// Faults that belong to no entry, with their offsets; complete after the last entry.
    pub fn faults(&self) -> &[(u64, Fault)] {
        &self.faults
    }

    /// The source, wherever the reading stopped.
    pub fn into_source(self) -> S {
        self.source
    }

    /// The next entry.
    ///
    /// # Errors
    /// Those of the source; faults of the archive are no errors.
    pub fn entry(&mut self) -> io::Result<Option<Entry>> {
        if self.over || !self.pass()? {
            return Ok(None);
        }
        let mut entry = Entry { at: self.at, ..Entry::default() };
        let mut long = Long::default();
        for _ in 0..CHAIN {
            let at = self.at;
            let header = match self.block()? {
                Block::Header(header) => header,
                Block::Zeros => return self.ended().map(|()| None),
                Block::End => return Ok(self.stop(at, Fault::NoEnd)),
                Block::Short => return Ok(self.stop(at, Fault::Truncated)),
            };
            if !header.checksum_matches() {
                return Ok(self.stop(at, Fault::Checksum));
            }
            match header.kind() {
                b'x' | b'g' | b'L' | b'K' => {
                    if !self.extension(&header, &mut long, &mut entry)? {
                        return Ok(None);
                    }
                }
                _ => {
                    self.complete(&header, long, &mut entry)?;
                    return Ok(Some(entry));
                }
            }
        }
        Ok(self.stop(entry.at, Fault::Limit("too many extended headers stand before one entry")))
    }

    fn stop(&mut self, at: u64, fault: Fault) -> Option<Entry> {
        self.over = true;
        self.faults.push((at, fault));
        None
    }

    /// Passes over the rest of the last entry.
    fn pass(&mut self) -> io::Result<bool> {
        let passed = self.source.skip(self.ahead)?;
        let short = passed < self.ahead;
        self.at += passed;
        self.ahead = 0;
        if short {
            self.stop(self.at, Fault::Truncated);
        }
        Ok(!short)
    }

    fn block(&mut self) -> io::Result<Block> {
        let mut block = [0; BLOCK as usize];
        let mut have = 0;
        while have < block.len() {
            let piece = self.source.fill_buf()?;
            if piece.is_empty() {
                break;
            }
            let step = piece.len().min(block.len() - have);
            block[have..have + step].copy_from_slice(&piece[..step]);
            self.source.consume(step);
            have += step;
        }
        self.at += have as u64;
        Ok(match have {
            0 => Block::End,
            512 if block.iter().all(|byte| *byte == 0) => Block::Zeros,
            512 => Block::Header(Box::new(Header(block))),
            _ => Block::Short,
        })
    }

    /// After the first block of zeros: there is to be a second, and then nothing but zeros.
    fn ended(&mut self) -> io::Result<()> {
        self.over = true;
        let at = self.at;
        match self.block()? {
            Block::Zeros => {}
            Block::Header(_) => self.faults.push((at, Fault::Trailing)),
            Block::End | Block::Short => self.faults.push((at, Fault::NoEnd)),
        }
        loop {
            let piece = self.source.fill_buf()?;
            let count = piece.len();
            if count == 0 {
                return Ok(());
            }
            let other = piece.iter().position(|byte| *byte != 0);
            if let (Some(other), true) = (other, self.faults.is_empty()) {
                self.faults.push((self.at + other as u64, Fault::Trailing));
            }
            self.source.consume(count);
            self.at += count as u64;
        }
    }

    /// Reads what an extended header carries; false where the archive cannot be read on.
    fn extension(&mut self, header: &Header, long: &mut Long, entry: &mut Entry) -> io::Result<bool> {
        let at = self.at;
        let Some(size) = header.number("size").ok().flatten().and_then(|size| u64::try_from(size).ok())
        else {
            self.stop(at, Fault::Number("size"));
            return Ok(false);
        };
        if size > EXTENDED {
            self.stop(at, Fault::Limit("an extended header is larger than 1 MiB"));
            return Ok(false);
        }
        let mut text = Vec::new();
        while (text.len() as u64) < size {
            let piece = self.source.fill_buf()?;
            if piece.is_empty() {
                self.stop(self.at, Fault::Truncated);
                return Ok(false);
            }
            let step = piece.len().min(size as usize - text.len());
            text.extend_from_slice(&piece[..step]);
            self.source.consume(step);
        }
        self.at += size;
        self.ahead = padding(size);
        if !self.pass()? {
            return Ok(false);
        }
        match header.kind() {
            b'x' => pax::records(&text, &mut entry.pax, &mut entry.faults),
            b'g' => pax::records(&text, &mut long.global, &mut entry.faults),
            b'L' => long.name = Some(until_nul(&text)),
            _ => long.link = Some(until_nul(&text)),
        }
        Ok(true)
    }

    /// Puts together what all headers of one entry say: PAX before GNU before ustar.
    fn complete(&mut self, header: &Header, long: Long, entry: &mut Entry) -> io::Result<()> {
        entry.kind = header.kind();
        let pax = |key: &str| entry.record(key).map(<[u8]>::to_vec);
        let name =
            pax("GNU.sparse.name").or_else(|| pax("path")).or(long.name).unwrap_or_else(|| header.name());
        let link = pax("linkpath").or(long.link).unwrap_or_else(|| header.link());
        let mut faults = Vec::new();
        let mut missing = Vec::new();
        let mut number = |field: &'static str, key: Option<&str>| {
            let given = key.and_then(|key| entry.record(key));
            if let Some(value) = given {
                let value = pax::number(value);
                if value.is_none() {
                    faults.push(Fault::Pax("a value is no number"));
                }
                return value;
            }
            match header.number(field) {
                Ok(value) => value,
                Err(()) => {
                    faults.push(Fault::Number(field));
                    Some(0)
                }
            }
        };
        let size = number("size", Some("size")).unwrap_or(0);
        for (field, key) in
            [("mode", None), ("uid", Some("uid")), ("gid", Some("gid")), ("mtime", Some("mtime"))]
        {
            if number(field, key).is_none() {
                missing.push(field);
            }
        }
        // Other entries may hold anything there.
        let device = match entry.kind {
            b'3' | b'4' => (number("devmajor", None), number("devminor", None)),
            _ => (None, None),
        };
        let part = |value: Option<i128>| u64::try_from(value.unwrap_or(0)).unwrap_or(u64::MAX);
        entry.device = (part(device.0), part(device.1));
        // Links, devices, directories and pipes have no content, whatever the field says.
        entry.size = match (entry.kind, u64::try_from(size)) {
            (b'1'..=b'6', _) => 0,
            (_, Ok(size)) => size,
            (_, Err(_)) => {
                faults.push(Fault::Number("size"));
                0
            }
        };
        entry.sparse = entry.kind == b'S' || entry.pax.iter().any(|(key, _)| key.starts_with(b"GNU.sparse."));
        (entry.name, entry.link, entry.missing) = (name, link, missing);
        entry.faults.extend(faults);
        if entry.kind == b'S' {
            self.sparse_map(header, entry)?;
        }
        entry.content = self.at;
        self.ahead = entry.size.saturating_add(padding(entry.size));
        Ok(())
    }

    /// The map of an old sparse file goes on in blocks of its own.
    fn sparse_map(&mut self, header: &Header, entry: &mut Entry) -> io::Result<()> {
        let mut more = header.0[482] != 0;
        for _ in 0..CHAIN {
            if !more {
                return Ok(());
            }
            more = match self.block()? {
                Block::Header(block) => block.0[504] != 0,
                _ => false,
            };
        }
        entry.faults.push(Fault::Limit("the map of a sparse file is too long"));
        Ok(())
    }
}

/// What extended headers say about the entry to come.
#[derive(Debug, Default)]
struct Long {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    global: Vec<(Vec<u8>, Vec<u8>)>,
}

fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

fn until_nul(text: &[u8]) -> Vec<u8> {
    text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests;
