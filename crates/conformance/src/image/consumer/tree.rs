//! A tree as evidence: every name with what the kernel says of it, walked by descriptors without following
//! a link.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use serde_json::{Map, Value, json};

use crate::error::{Context as _, Error, Kind, Result};

/// Most names of one tree.
const NAMES: usize = 10_000;
/// Deepest directory.
const DEPTH: usize = 64;
/// Most bytes of a file that are evidence.
const CONTENT: u64 = 4096;

/// The tree at `root`: an object by path, `.` for the root itself.
///
/// # Errors
/// [`Kind::Environment`] where it cannot be read, or is larger than any that a case makes.
pub(super) fn walk(root: &Path) -> Result<Value> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(root, flags, Mode::empty()).context(|| format!("open {}", root.display()))?;
    let mut walk = Walk { found: Map::new(), inodes: HashMap::new() };
    let status = statat(&fd, c"", AtFlags::EMPTY_PATH).context(|| "look at the root")?;
    let node = walk.node(&fd, c".", ".", &status)?;
    walk.found.insert(".".to_owned(), node);
    walk.directory(&fd, "", 0)?;
    Ok(Value::Object(walk.found))
}

/// Names in the directory `path` other than `known`.
///
/// # Errors
/// [`Kind::Environment`] where it cannot be read.
pub(super) fn names(path: &Path, known: &[&str]) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(path).context(|| format!("read {}", path.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !known.contains(&name.as_str())).collect();
    names.sort();
    Ok(names)
}

struct Walk {
    found: Map<String, Value>,
    /// The first path of each file that has several.
    inodes: HashMap<(u64, u64), String>,
}

impl Walk {
    fn directory(&mut self, fd: &OwnedFd, path: &str, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(Error::new(Kind::Environment, "the tree is too deep"));
        }
        let entries = Dir::read_from(fd).context(|| format!("read {path}"))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.context(|| format!("read {path}"))?;
            if ![c".", c".."].contains(&entry.file_name()) {
                names.push(entry.file_name().to_owned());
            }
            if names.len() > NAMES {
                return Err(Error::new(Kind::Environment, "the tree is too large"));
            }
        }
        names.sort();
        for name in names {
            let text = name.to_string_lossy();
            let full = if path.is_empty() { text.into_owned() } else { format!("{path}/{text}") };
            let status =
                statat(fd, &name, AtFlags::SYMLINK_NOFOLLOW).context(|| format!("look at {full}"))?;
            let node = self.node(fd, &name, &full, &status)?;
            self.found.insert(full.clone(), node);
            if self.found.len() > NAMES {
                return Err(Error::new(Kind::Environment, "the tree is too large"));
            }
            if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = openat(fd, &name, flags, Mode::empty()).context(|| format!("open {full}"))?;
                self.directory(&below, &full, depth + 1)?;
            }
        }
        Ok(())
    }

    fn node(&mut self, fd: &OwnedFd, name: &CStr, full: &str, status: &Stat) -> Result<Value> {
        let kind = FileType::from_raw_mode(status.st_mode);
        let mut node = Map::new();
        let mut put = |name: &str, value: Value| drop(node.insert(name.to_owned(), value));
        put("kind", json!(name_of(kind)));
        put("mode", json!(format!("{:04o}", status.st_mode & 0o7777)));
        put("owner", json!([status.st_uid, status.st_gid]));
        put("time", json!([status.st_mtime, status.st_mtime_nsec]));
        let xattrs = xattrs(fd, name);
        if !xattrs.is_empty() {
            put("xattrs", Value::Object(xattrs));
        }
        match kind {
            FileType::RegularFile => {
                put("content", json!(content(fd, name).context(|| format!("read {full}"))?));
            }
            FileType::Symlink => {
                let target = readlinkat(fd, name, Vec::new()).context(|| format!("read {full}"))?;
                put("target", json!(target.to_string_lossy()));
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let device = status.st_rdev;
                put("device", json!([rustix::fs::major(device), rustix::fs::minor(device)]));
            }
            _ => {}
        }
        if kind != FileType::Directory {
            let first = self.inodes.entry((status.st_dev, status.st_ino)).or_insert_with(|| full.to_owned());
            put("file", json!(first));
            put("links", json!(status.st_nlink));
        }
        Ok(Value::Object(node))
    }
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::CharacterDevice => "character",
        FileType::BlockDevice => "block",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        _ => "unknown",
    }
}

/// The beginning of a regular file, which stays one: it is opened without waiting and without following.
fn content(fd: impl AsFd, name: &CStr) -> std::io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(openat(fd, name, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(CONTENT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Extended attributes, values as hexadecimal digits; those of the machine's security modules left out.
fn xattrs(fd: &OwnedFd, name: &CStr) -> Map<String, Value> {
    let path = format!("/proc/self/fd/{}/{}", fd.as_raw_fd(), name.to_string_lossy());
    let mut list = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(&path, &mut list).unwrap_or(0);
    let names =
        list.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut found = Map::new();
    for name in names {
        let name = String::from_utf8_lossy(name).into_owned();
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(&path, name.as_str(), &mut value).unwrap_or(0);
        let hexadecimal: String = value.iter().take(length).map(|byte| format!("{byte:02x}")).collect();
        if name != "security.selinux" {
            found.insert(name, json!(hexadecimal));
        }
    }
    found
}
