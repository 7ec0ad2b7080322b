//! Reading tar archives as a stream of entries: ustar, pax with global headers, GNU long names, numbers in
//! base 256, and sparse files of all four GNU formats.
//!
//! Whatever two readers could understand differently is refused: wrong checksums, numbers that are none,
//! names with a NUL, two names for one entry, malformed pax records, sparse maps that overlap, a lone block
//! of zeros inside. Extension headers and sparse maps have limits; nothing is allocated on the word of a
//! header. Names are not judged here: where they lead is for whoever uses them.
//!
//! # References
//! - [pax, archive format](https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html)
//! - [GNU tar, format](https://www.gnu.org/software/tar/manual/html_node/Standard.html)
//! - [GNU tar, sparse formats](https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html)

mod encoded;
mod header;
mod pax;
mod sparse;

use std::io::{self, BufRead};

use plimsoll_sys::fs::Timestamp;

use crate::{Error, Kind, Result};

use header::Header;
use pax::{Allowance, Extension};

/// Archives consist of blocks of this many bytes.
const BLOCK: usize = 512;
/// Most bytes of one extension header: several attributes of 64 KiB, the kernel's limit, fit.
const EXTENSION_LIMIT: u64 = 1 << 20;
/// Most global headers: a writer writes one, and an archive may be made of many.
const GLOBAL_LIMIT: u64 = 1 << 16;

/// What an entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    #[default]
    File,
    /// Another name of the file [`Entry::link`].
    HardLink,
    /// A symbolic link that says [`Entry::link`].
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A FIFO.
    Fifo,
}

/// Part of a sparse file that has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it stands in the file, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// One entry. Kept between calls, so that its memory is used again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The name as it is written: it may be absolute or hold `..`, but no NUL.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// What a link says.
    pub link: Vec<u8>,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Owner; never 4294967295.
    pub uid: u32,
    /// Group; never 4294967295.
    pub gid: u32,
    /// Length of the file in bytes, holes included.
    pub size: u64,
    /// Modification time.
    pub modified: Timestamp,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes, name and value.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The parts of a sparse file that have data, in order; the archive stores them one after the other.
    pub segments: Option<Vec<Segment>>,
}

/// Reads an archive from `R`, one entry after the other.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    /// Bytes read so far.
    offset: u64,
    /// Bytes of the current entry's data that nobody has read.
    data: u64,
    /// Bytes that fill its last block.
    padding: u64,
    global: Extension,
    /// Global headers read so far.
    globals: u64,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Starts at the beginning of an archive.
    pub fn new(source: R) -> Self {
        Self {
            source,
            offset: 0,
            data: 0,
            padding: 0,
            global: Extension::default(),
            globals: 0,
            ended: false,
        }
    }

    /// Reads the next header into `entry` and skips what was left of the last entry's data. `false` says that
    /// the archive is at its end, as it is where its bytes end between two entries.
    ///
    /// # Errors
    /// [`Kind::Archive`] for whatever is malformed, [`Kind::Limit`], and what the source says.
    pub fn read_entry(&mut self, entry: &mut Entry) -> Result<bool> {
        self.skip_data()?;
        let mut extension = Pending::default();
        while let Some(header) = self.header()? {
            match header.kind() {
                b'x' | b'X' => {
                    let start = self.offset;
                    extension.once(Pending::PAX, start)?;
                    let records = self.extension(&header)?;
                    let mut pax = self.global.clone();
                    pax.read_local(&records).map_err(|what| malformed(start, what))?;
                    check_xattrs(&pax, Allowance::ENTRY, start, "an entry has")?;
                    extension.pax = Some(pax);
                }
                b'g' => {
                    let start = self.offset;
                    self.globals += 1;
                    if self.globals > GLOBAL_LIMIT {
                        return Err(exceeded(start, &format!("more than {GLOBAL_LIMIT} global headers")));
                    }
                    let records = self.extension(&header)?;
                    self.global.read_global(&records).map_err(|what| malformed(start, what))?;
                    check_xattrs(&self.global, Allowance::GLOBAL, start, "global headers give")?;
                }
                b'L' => {
                    extension.once(Pending::PATH, self.offset)?;
                    extension.path = Some(self.long_name(&header)?);
                }
                b'K' => {
                    extension.once(Pending::LINK, self.offset)?;
                    extension.link = Some(self.long_name(&header)?);
                }
                _ => {
                    self.describe(&header, extension, entry)?;
                    return Ok(true);
                }
            }
        }
        if extension.seen != 0 {
            return Err(malformed(self.offset, "an extension header is followed by no entry"));
        }
        Ok(false)
    }

    /// The next bytes of the entry's data as the archive stores them, none at their end. [`Reader::consume`]
    /// takes them.
    ///
    /// # Errors
    /// [`Kind::Archive`] where the archive is cut short, and what the source says.
    pub fn data(&mut self) -> Result<&[u8]> {
        if self.data == 0 {
            return Ok(&[]);
        }
        let offset = self.offset;
        let bytes = fill(&mut self.source)?;
        if bytes.is_empty() {
            return Err(malformed(offset, "the archive is cut short in the data of an entry"));
        }
        let length = usize::try_from(self.data).unwrap_or(usize::MAX).min(bytes.len());
        Ok(&bytes[..length])
    }

    /// Takes `count` of the bytes that [`Reader::data`] gave.
    pub fn consume(&mut self, count: usize) {
        self.source.consume(count);
        self.offset += count as u64;
        self.data = self.data.saturating_sub(count as u64);
    }

    /// Reads what stands after the end of the archive, which means nothing but belongs to its digest.
    ///
    /// # Errors
    /// What the source says.
    pub fn drain(&mut self) -> Result<()> {
        loop {
            let count = fill(&mut self.source)?.len();
            if count == 0 {
                return Ok(());
            }
            self.source.consume(count);
            self.offset += count as u64;
        }
    }

    /// How many bytes of the archive were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn skip_data(&mut self) -> Result<()> {
        self.data += std::mem::take(&mut self.padding);
        while self.data > 0 {
            let count = self.data()?.len();
            self.consume(count);
        }
        Ok(())
    }

    /// The next header; `None` at the end, with or without the two blocks of zeros that should mark it.
    fn header(&mut self) -> Result<Option<Header>> {
        if self.ended {
            return Ok(None);
        }
        let offset = self.offset;
        let Some(block) = self.block()? else { return Ok(None) };
        if block != [0; BLOCK] {
            return Header::new(block).map(Some).map_err(|what| malformed(offset, what));
        }
        self.ended = true;
        match self.block()? {
            Some(block) if block != [0; BLOCK] => {
                Err(malformed(offset, "a single block of zeros is followed by more"))
            }
            _ => Ok(None),
        }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let bytes = fill(&mut self.source)?;
            if bytes.is_empty() {
                if filled == 0 {
                    return Ok(None);
                }
                return Err(malformed(self.offset, "the archive is cut short in a header"));
            }
            let count = bytes.len().min(BLOCK - filled);
            block[filled..filled + count].copy_from_slice(&bytes[..count]);
            self.source.consume(count);
            self.offset += count as u64;
            filled += count;
        }
        Ok(Some(block))
    }

    /// A block that must be there.
    fn next_block(&mut self) -> Result<[u8; BLOCK]> {
        let offset = self.offset;
        self.block()?.ok_or_else(|| malformed(offset, "the archive is cut short in a header"))
    }

    /// The content of an extension header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>> {
        let offset = self.offset;
        let size = header.size().map_err(|what| malformed(offset, what))?;
        if size > EXTENSION_LIMIT {
            let what = format!("an extension header has {size} bytes, more than {EXTENSION_LIMIT}");
            return Err(exceeded(offset, &what));
        }
        self.start_data(size);
        let mut content = Vec::new();
        loop {
            let bytes = self.data()?;
            if bytes.is_empty() {
                break;
            }
            content.extend_from_slice(bytes);
            let count = bytes.len();
            self.consume(count);
        }
        self.skip_data()?;
        Ok(content)
    }

    /// The content of a GNU long name, which ends with a NUL.
    fn long_name(&mut self, header: &Header) -> Result<Vec<u8>> {
        let offset = self.offset;
        let mut name = self.extension(header)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        if name.contains(&0) {
            return Err(malformed(offset, "a name holds a NUL"));
        }
        Ok(name)
    }

    fn start_data(&mut self, size: u64) {
        self.data = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn describe(&mut self, header: &Header, pending: Pending, entry: &mut Entry) -> Result<()> {
        let offset = self.offset - BLOCK as u64;
        let wrong = |what| malformed(offset, what);
        // Without a header of its own, an entry has what the global ones say; that is mostly nothing.
        let pax = pending.pax.as_ref().unwrap_or(&self.global);
        entry.path.clear();
        match pending.path.as_ref().or(pax.path.as_ref()) {
            _ if pending.path.is_some() && pax.path.is_some() && pending.path != pax.path => {
                return Err(wrong("GNU and pax headers name one entry differently"));
            }
            Some(path) => entry.path.extend_from_slice(path),
            None => header.path(&mut entry.path),
        }
        entry.link.clear();
        match pending.link.as_ref().or(pax.link.as_ref()) {
            _ if pending.link.is_some() && pax.link.is_some() && pending.link != pax.link => {
                return Err(wrong("GNU and pax headers give one link two targets"));
            }
            Some(link) => entry.link.extend_from_slice(link),
            None => entry.link.extend_from_slice(header.link()),
        }
        entry.mode = header.mode().map_err(wrong)?;
        entry.uid = pax.uid.map_or_else(|| header.uid(), Ok).map_err(wrong)?;
        entry.gid = pax.gid.map_or_else(|| header.gid(), Ok).map_err(wrong)?;
        entry.modified = pax.modified.map_or_else(|| header.modified(), Ok).map_err(wrong)?;
        entry.xattrs.clear();
        entry.xattrs.extend(pax.xattrs.iter().map(|(attribute, value)| (attribute.clone(), value.clone())));
        entry.device = (0, 0);
        entry.segments = None;
        entry.size = 0;
        entry.kind = match header.kind() {
            b'0' | 0 | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::CharDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            kind => {
                let what = format!("entries of type '{}' are not supported", kind.escape_ascii());
                return Err(Error::new(Kind::Archive, format!("tar at byte {offset}: {what}")));
            }
        };
        if matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
            entry.device = header.device().map_err(wrong)?;
        }
        if entry.kind != EntryKind::File {
            // Links, directories and devices have no data, whatever their size says: so all readers do.
            return Ok(());
        }
        let stored = pax.size.map_or_else(|| header.size(), Ok).map_err(wrong)?;
        // Before there was a type for directories, a name that ends with `/` was one.
        if entry.path.ends_with(b"/") {
            if stored > 0 {
                return Err(wrong("a regular file has a name that ends with a slash"));
            }
            entry.kind = EntryKind::Directory;
            return Ok(());
        }
        entry.size = stored;
        let sparse = pending.pax.map(|pax| pax.sparse).filter(pax::Sparse::is_sparse);
        match sparse {
            Some(_) if header.kind() == b'S' => Err(wrong("an entry is sparse in two formats")),
            Some(sparse) => self.describe_sparse(sparse, stored, entry),
            None if header.kind() == b'S' => self.describe_old_sparse(header, stored, entry),
            None => {
                self.start_data(stored);
                Ok(())
            }
        }
    }

    /// The format that old GNU tar writes: a map in the header, and in blocks after it that the size does not
    /// count.
    fn describe_old_sparse(&mut self, header: &Header, stored: u64, entry: &mut Entry) -> Result<()> {
        let offset = self.offset;
        let wrong = |what| malformed(offset, what);
        let mut map = sparse::Map::default();
        let mut more = header.old_sparse(&mut map).map_err(wrong)?;
        while more {
            let block = self.next_block()?;
            more = header::more_old_sparse(&block, &mut map).map_err(wrong)?;
        }
        entry.size = header.old_sparse_size().map_err(wrong)?;
        entry.segments = Some(map.finish(entry.size, stored).map_err(wrong)?);
        self.start_data(stored);
        Ok(())
    }

    /// The formats of pax archives: 0.0 and 0.1 have the map in the header, 1.0 in front of the data.
    fn describe_sparse(&mut self, sparse: pax::Sparse, stored: u64, entry: &mut Entry) -> Result<()> {
        let offset = self.offset;
        let wrong = |what| malformed(offset, what);
        if let Some(name) = &sparse.name {
            entry.path.clone_from(name);
        }
        entry.size = sparse.size.ok_or_else(|| wrong("a sparse file has no size"))?;
        self.start_data(stored);
        let map = match sparse.version {
            None | Some((0, 0 | 1)) => sparse.map,
            Some((1, 0)) => self.sparse_text()?,
            Some(_) => return Err(wrong("a sparse file is of an unknown format")),
        };
        entry.segments = Some(map.finish(entry.size, self.data).map_err(wrong)?);
        Ok(())
    }

    fn sparse_text(&mut self) -> Result<sparse::Map> {
        let mut text = sparse::Text::default();
        while !text.is_complete() {
            if self.data < BLOCK as u64 {
                return Err(malformed(self.offset, "the map of a sparse file is cut short"));
            }
            let offset = self.offset;
            let block = self.next_block()?;
            self.data -= BLOCK as u64;
            text.read(&block).map_err(|what| malformed(offset, what))?;
        }
        Ok(text.map)
    }
}

/// What extension headers said of the entry that is to follow.
#[derive(Default)]
struct Pending {
    pax: Option<Extension>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    seen: u8,
}

impl Pending {
    const PAX: u8 = 1;
    const PATH: u8 = 2;
    const LINK: u8 = 4;

    /// Of two headers of one kind each reader would choose another.
    fn once(&mut self, kind: u8, offset: u64) -> Result<()> {
        if self.seen & kind != 0 {
            return Err(malformed(offset, "an entry has two extension headers of one type"));
        }
        self.seen |= kind;
        Ok(())
    }
}

/// A sound archive in which `offset` cannot be understood.
fn malformed(offset: u64, what: &'static str) -> Error {
    Error::new(Kind::Archive, format!("tar at byte {offset}: {what}"))
}

/// An archive that costs too much from `offset` on.
fn exceeded(offset: u64, what: &str) -> Error {
    Error::new(Kind::Limit, format!("tar at byte {offset}: {what}"))
}

fn check_xattrs(extension: &Extension, allowance: Allowance, offset: u64, whose: &str) -> Result<()> {
    if !extension.exceeds(allowance) {
        return Ok(());
    }
    let Allowance { names, bytes } = allowance;
    Err(exceeded(offset, &format!("{whose} more than {names} extended attributes or {bytes} bytes of them")))
}

/// The buffered bytes of `source`. Sources of this crate hand their own errors through `io::Error`.
fn fill(source: &mut impl BufRead) -> Result<&[u8]> {
    loop {
        match source.fill_buf() {
            Ok(_) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                return Err(e.downcast::<Error>().unwrap_or_else(|e| Error::io("read the archive", e)));
            }
        }
    }
    // A second call, because the borrow of the first would last through the loop; it only looks.
    source.fill_buf().map_err(|e| Error::io("read the archive", e))
}
