//! Where an image layout is: a directory, or a tar archive of one. Both become one list of files.
//!
//! It refuses what is no layout, and says what it is instead where that is known. It opens regular files
//! only, so a fifo or device under a blob's name keeps nobody waiting.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Context as _, Error, Kind, Result};

use super::tar::{Scanner, Source};

/// Most files of a layout.
const FILES: usize = 1 << 20;

/// One file of a layout.
#[derive(Debug, Clone)]
pub(super) struct Member {
    place: Location,
    /// Its length in bytes.
    pub size: u64,
}

#[derive(Debug, Clone)]
enum Location {
    File(PathBuf),
    Range(Arc<File>, u64),
}

/// A layout, opened.
#[derive(Debug)]
pub(super) struct Layout {
    /// Regular files by their path within the layout: the two documents, and everything below `blobs`.
    pub files: BTreeMap<String, Member>,
    /// Whether there is a directory `blobs`.
    pub has_blobs: bool,
    /// What stands where a file is due and is none.
    pub odd: Vec<String>,
}

impl Layout {
    /// Opens the layout at `path`.
    ///
    /// # Errors
    /// [`Kind::Document`] where there is none, [`Kind::Environment`] where it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Layout> {
        let metadata = std::fs::metadata(path).context(|| format!("read {}", path.display()))?;
        let layout = if metadata.is_dir() { directory(path)? } else { archive(path)? };
        let named = ["oci-layout", "index.json"].iter().any(|name| layout.files.contains_key(*name));
        if named || layout.has_blobs {
            return Ok(layout);
        }
        Err(Error::new(Kind::Document, refusal(path, layout.files.contains_key("manifest.json"))))
    }
}

/// Why `path` is no layout, and what to do.
fn refusal(path: &Path, docker: bool) -> String {
    let path = path.display();
    if docker {
        return format!(
            "{path} is what docker save writes, not an image layout; convert it: skopeo copy docker-archive:{path} oci:DIR"
        );
    }
    format!("{path} is no image layout: there is no oci-layout, no index.json and no blobs")
}

impl Member {
    /// A reader from the start.
    pub(super) fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.place {
            Location::File(path) => Box::new(regular(path)?),
            Location::Range(file, at) => Box::new(Range { file: file.clone(), at: *at, left: self.size }),
        })
    }
}

/// Opens a regular file, and nothing else: not even for the moment of looking.
fn regular(path: &Path) -> io::Result<File> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(nonblock).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("no regular file")) }
}

fn directory(path: &Path) -> Result<Layout> {
    let mut layout =
        Layout { files: BTreeMap::new(), has_blobs: path.join("blobs").is_dir(), odd: Vec::new() };
    for name in ["oci-layout", "index.json", "manifest.json"] {
        layout.add_file(&path.join(name), name.to_owned())?;
    }
    for (algorithm, below) in entries(&path.join("blobs"))? {
        let name = format!("blobs/{algorithm}");
        if !below.is_dir() {
            layout.add_file(&below, name)?;
            continue;
        }
        for (encoded, file) in entries(&below)? {
            layout.add_file(&file, format!("{name}/{encoded}"))?;
        }
    }
    Ok(layout)
}

/// Names and paths in a directory; none where there is no directory.
fn entries(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    if !path.is_dir() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(path).context(|| format!("read {}", path.display()))? {
        let entry = entry.context(|| format!("read {}", path.display()))?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        limit(found.len())?;
    }
    found.sort();
    Ok(found)
}

fn limit(count: usize) -> Result<()> {
    if count <= FILES {
        return Ok(());
    }
    Err(Error::new(Kind::Document, format!("the layout has more than {FILES} files")))
}

impl Layout {
    fn add_file(&mut self, path: &Path, name: String) -> Result<()> {
        limit(self.files.len() + 1)?;
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                let member = Member { place: Location::File(path.to_owned()), size: metadata.len() };
                self.files.insert(name, member);
            }
            Ok(_) => self.odd.push(name),
            // What is not there is missing, which is said elsewhere; a link to nowhere is odd.
            Err(_) if path.symlink_metadata().is_ok() => self.odd.push(name),
            Err(_) => {}
        }
        Ok(())
    }
}

fn archive(path: &Path) -> Result<Layout> {
    let context = || format!("read {}", path.display());
    let file = regular(path).context(context)?;
    let mut start = [0; 4];
    let length = file.read_at(&mut start, 0).context(context)?;
    if start.starts_with(&[0x1f, 0x8b]) || start == [0x28, 0xb5, 0x2f, 0xfd] {
        let why = format!("{} is compressed; an archive of a layout is a plain tar file", path.display());
        return Err(Error::new(Kind::Document, why));
    }
    if length < 4 {
        return Err(Error::new(Kind::Document, format!("{} is no archive: it is too short", path.display())));
    }
    let file = Arc::new(file);
    let reader = file.try_clone().context(context)?;
    let mut scanner = Scanner::new(Seeking(BufReader::new(reader)));
    let mut layout = Layout { files: BTreeMap::new(), has_blobs: false, odd: Vec::new() };
    while let Some(entry) = scanner.entry().context(context)? {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        let name = name.trim_start_matches("./").trim_end_matches('/').to_owned();
        layout.has_blobs |= name == "blobs" || name.starts_with("blobs/");
        limit(layout.files.len() + 1)?;
        match entry.kind {
            b'0' | b'7' => {
                let place = Location::Range(file.clone(), entry.content);
                layout.files.insert(name, Member { place, size: entry.size });
            }
            b'5' => {}
            _ => layout.odd.push(name),
        }
    }
    if let Some((at, fault)) = scanner.faults().first().filter(|_| layout.files.is_empty()) {
        let why = format!("{} is no archive: {} at byte {at}", path.display(), fault.text());
        return Err(Error::new(Kind::Document, why));
    }
    Ok(layout)
}

/// A file that passes over content by seeking.
#[derive(Debug)]
struct Seeking(BufReader<File>);

impl Read for Seeking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for Seeking {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

impl Source for Seeking {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let here = self.0.stream_position()?;
        let end = self.0.get_ref().metadata()?.len();
        let step = count.min(end.saturating_sub(here));
        self.0.seek(SeekFrom::Start(here + step))?;
        Ok(step)
    }
}

/// A part of a file.
#[derive(Debug)]
struct Range {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Range {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
