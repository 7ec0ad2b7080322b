//! From one tree to another, entry by entry: content, owners, modes, times, attributes, and which names are
//! one file. Holes stay holes, and bytes are shared where the file system can share them.
//!
//! Every directory is opened within the root of its tree, and no link is followed, so nothing leads out.
//! Refuses what costs more than its limits.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::BorrowedFd;

use plimsoll_sys::fs::{self, Directory, Root, Timestamp};
use rustix::fs::{Dir, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use crate::snapshot::Options;
use crate::tree::split;
use crate::{Error, Kind, Result};

/// Bytes copied between two looks at whether the work is to end.
const STRETCH: u64 = 16 << 20;

/// What may still be copied.
pub(crate) struct Budget<'a> {
    options: &'a Options<'a>,
    entries: u64,
    bytes: u64,
}

impl<'a> Budget<'a> {
    /// As much as a layer may hold.
    pub(crate) fn new(options: &'a Options<'a>) -> Budget<'a> {
        Budget { options, entries: options.limits.entries, bytes: options.limits.bytes }
    }

    fn entry(&mut self) -> Result<()> {
        let over =
            || Error::new(Kind::Limit, format!("copy more than {} entries", self.options.limits.entries));
        self.entries = self.entries.checked_sub(1).ok_or_else(over)?;
        (self.options.progress)(0).map_err(|e| Error::io("copy", e))
    }

    fn bytes(&mut self, count: u64) -> Result<()> {
        let over = || Error::new(Kind::Limit, format!("copy more than {} bytes", self.options.limits.bytes));
        self.bytes = self.bytes.checked_sub(count).ok_or_else(over)?;
        (self.options.progress)(count).map_err(|e| Error::io("copy", e))
    }
}

/// Makes the empty directory `to` a copy of `from`.
pub(crate) fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>, budget: &mut Budget<'_>) -> Result<()> {
    let own = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(Root::from);
    let failed = |e| Error::io("duplicate a descriptor", e);
    let status = rustix::fs::fstat(from).map_err(|e| Error::io("look at a directory", e))?;
    let mut copy = Copy {
        from: own(from).map_err(failed)?,
        to: own(to).map_err(failed)?,
        owns: rustix::process::geteuid().is_root(),
        shares: true,
        first: HashMap::new(),
        waiting: vec![(Vec::new(), status)],
        done: Vec::new(),
        budget,
    };
    while let Some((path, status)) = copy.waiting.pop() {
        copy.directory(&path)?;
        copy.done.push((path, status));
    }
    copy.finish()
}

struct Copy<'a, 'b> {
    from: Root,
    to: Root,
    /// Whether files can be given away.
    owns: bool,
    /// Whether the file system may still turn out to share bytes.
    shares: bool,
    /// Where a file that has several names was copied to, by device and inode.
    first: HashMap<(u64, u64), Vec<u8>>,
    /// Directories that are there and have nothing in them yet, by their paths.
    waiting: Vec<(Vec<u8>, Stat)>,
    /// Directories that are complete but for what closes or changes them, those above first.
    done: Vec<(Vec<u8>, Stat)>,
    budget: &'a mut Budget<'b>,
}

impl Copy<'_, '_> {
    fn directory(&mut self, path: &[u8]) -> Result<()> {
        let failed = |e| Error::io(format!("copy directory {:?}", shown(path)), e);
        let from = self.from.directory_itself(path).map_err(failed)?;
        let to = self.to.directory_itself(path).map_err(failed)?;
        for name in names(&from).map_err(|e| failed(e.into()))? {
            let below = join(path, &name);
            self.budget.entry()?;
            self.entry(&from, &to, &name, &below)
                .map_err(|e| Error::new(e.kind(), format!("copy {:?}", shown(&below))).because(e))?;
        }
        Ok(())
    }

    fn entry(&mut self, from: &Directory, to: &Directory, name: &[u8], path: &[u8]) -> Result<()> {
        let status = fs::status(from, name).map_err(|e| Error::io("look at it", e))?;
        let kind = FileType::from_raw_mode(status.st_mode);
        if kind == FileType::Directory {
            if self.is_closed(&status) {
                fs::set_name_mode(from, name, 0o700).map_err(|e| Error::io("open it", e))?;
            }
            self.waiting.push((path.to_vec(), status));
            return fs::create_directory(to, name, 0o700).map_err(|e| Error::io("make it", e));
        }
        let file = (status.st_dev, status.st_ino);
        if let Some(first) = self.first.get(&file) {
            return self.link(first, to, name).map_err(|e| Error::io("link it", e));
        }
        match kind {
            FileType::RegularFile => self.file(from, to, name, &status)?,
            _ => self.special(from, to, name, &status).map_err(|e| Error::io("make it", e))?,
        }
        if status.st_nlink > 1 {
            self.first.insert(file, path.to_vec());
        }
        Ok(())
    }

    /// Whether a directory is closed to its own owner, who has no power but to open it.
    fn is_closed(&self, status: &Stat) -> bool {
        !self.owns && status.st_mode & 0o500 != 0o500
    }

    fn link(&self, first: &[u8], to: &Directory, name: &[u8]) -> io::Result<()> {
        let (above, old) = split(first);
        fs::hard_link(self.to.directory_itself(above)?, old, to, name)
    }

    fn file(&mut self, from: &Directory, to: &Directory, name: &[u8], status: &Stat) -> Result<()> {
        let source = self.open(from, name, status).map_err(|e| Error::io("open it", e))?;
        let copy = fs::create_file(to, name, 0o600).map_err(|e| Error::io("make it", e))?;
        self.content(&source, &copy, status)?;
        // The owner first: changing it takes set-user-id bits and capabilities away.
        let describe = || {
            if self.owns {
                fs::set_owner(&copy, status.st_uid, status.st_gid)?;
            }
            fs::set_mode(&copy, status.st_mode & 0o7777)?;
            fs::copy_xattrs(&source, &copy)?;
            fs::set_times(&copy, modified(status))
        };
        describe().map_err(|e| Error::io("describe it", e))
    }

    /// Opens a regular file, one that is closed to its own owner too.
    fn open(&self, from: &Directory, name: &[u8], status: &Stat) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(from, name, flags, Mode::empty());
        match open() {
            Err(Errno::ACCESS) if !self.owns => {
                fs::set_name_mode(from, name, status.st_mode & 0o7777 | 0o400)?;
                let opened = open()?;
                fs::set_mode(&opened, status.st_mode & 0o7777)?;
                Ok(opened.into())
            }
            opened => Ok(opened?.into()),
        }
    }

    fn content(&mut self, source: &File, copy: &File, status: &Stat) -> Result<()> {
        let size = u64::try_from(status.st_size).unwrap_or_default();
        if size == 0 {
            return Ok(());
        }
        if self.shares {
            match rustix::fs::ioctl_ficlone(copy, source) {
                Ok(()) => return self.budget.bytes(size),
                // Not here, or not between these two trees; nobody has to be asked again.
                Err(_) => self.shares = false,
            }
        }
        if u64::try_from(status.st_blocks).unwrap_or_default().saturating_mul(512) >= size {
            // All of it is on the disk, so there are no holes to look for.
            return self.stretch(source, copy, size);
        }
        let mut at = 0;
        while let Some((start, end)) =
            data(source, at, size).map_err(|e| Error::io("look for its data", e))?
        {
            let seek = |mut file: &File| file.seek(io::SeekFrom::Start(start)).map(drop);
            seek(source).and_then(|()| seek(copy)).map_err(|e| Error::io("find its data", e))?;
            self.stretch(source, copy, end - start)?;
            at = end;
        }
        copy.set_len(size).map_err(|e| Error::io("set its size", e))
    }

    /// Copies `length` bytes from where both files stand, as far as they are there; within the kernel.
    fn stretch(&mut self, source: &File, mut copy: &File, length: u64) -> Result<()> {
        let mut rest = length;
        while rest > 0 {
            let copied = io::copy(&mut source.take(rest.min(STRETCH)), &mut copy);
            let copied = copied.map_err(|e| Error::io("copy its data", e))?;
            if copied == 0 {
                break;
            }
            self.budget.bytes(copied)?;
            rest = rest.saturating_sub(copied);
        }
        Ok(())
    }

    /// What is no regular file and no directory: nothing that is opened.
    fn special(&self, from: &Directory, to: &Directory, name: &[u8], status: &Stat) -> io::Result<()> {
        let kind = FileType::from_raw_mode(status.st_mode);
        if kind == FileType::Symlink {
            let target = rustix::fs::readlinkat(from, name, Vec::new())?;
            fs::symlink(to, name, target.as_bytes())?;
        } else {
            let device = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
            fs::make_node(to, name, kind, 0o600, device)?;
        }
        if self.owns {
            fs::set_name_owner(to, name, status.st_uid, status.st_gid)?;
        }
        if kind != FileType::Symlink {
            fs::set_name_mode(to, name, status.st_mode & 0o7777)?;
        }
        fs::copy_name_xattrs(from, to, name)?;
        fs::set_name_times(to, name, modified(status))
    }

    /// Owners, attributes, modes and times of directories, those below first: a mode may close what is below.
    fn finish(self) -> Result<()> {
        for (path, status) in self.done.iter().rev() {
            let describe = || {
                let from = self.from.directory_itself(path)?;
                let to = self.to.directory_itself(path)?;
                if self.owns {
                    fs::set_owner(&to, status.st_uid, status.st_gid)?;
                }
                fs::copy_xattrs(&from, &to)?;
                fs::set_mode(&to, status.st_mode & 0o7777)?;
                if self.is_closed(status) {
                    fs::set_mode(&from, status.st_mode & 0o7777)?;
                }
                fs::set_times(&to, modified(status))
            };
            describe().map_err(|e| Error::io(format!("describe directory {:?}", shown(path)), e))?;
        }
        Ok(())
    }
}

/// The next data of `file` from `at` on, none where only a hole is left.
fn data(file: &File, at: u64, size: u64) -> Result<Option<(u64, u64)>, Errno> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows of no holes.
        Err(Errno::INVAL | Errno::NOTSUP) => return Ok((at < size).then_some((at, size))),
        found => found?,
    };
    let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.min(size);
    Ok((start < end).then_some((start, end)))
}

fn names(directory: &Directory) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

fn modified(status: &Stat) -> Timestamp {
    let nanoseconds = u32::try_from(status.st_mtime_nsec).unwrap_or_default();
    Timestamp { seconds: status.st_mtime, nanoseconds }
}

fn join(above: &[u8], name: &[u8]) -> Vec<u8> {
    if above.is_empty() { name.to_vec() } else { [above, b"/", name].concat() }
}

fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}
