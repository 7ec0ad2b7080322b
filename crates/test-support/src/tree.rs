//! Everything that a file system says of a tree, entry by entry, so that two tools' trees can be compared.
//! Links are never followed, and nothing but regular files is opened.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, lgetxattr, llistxattr, statx};
use sha2::{Digest as _, Sha256};

/// The largest list of names and the largest value that the kernel gives.
const XATTR_MAX: usize = 65536;

/// What one tree says, each fact under its name: `mode`, `owner`, `mtime` and the like.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<Vec<u8>, BTreeMap<String, String>>,
}

/// One fact in which two trees differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Path below the root, bytes that are no text escaped; empty for the root.
    pub path: String,
    /// The fact: `type`, `mode`, `owner`, `size`, `sha256`, `link`, `names`, `device`, `mtime`, or
    /// `xattr` and the attribute's name; `entry` where only one tree has the path.
    pub fact: String,
    /// What the first tree says.
    pub left: Option<String>,
    /// What the second tree says.
    pub right: Option<String>,
}

impl Tree {
    /// Looks at `root` and everything below it.
    ///
    /// # Panics
    /// Where something cannot be looked at: a test cannot go on.
    pub fn list(root: &Path) -> Tree {
        let mut found = Found::default();
        found.walk(root, Path::new(""));
        for names in found.names.values().filter(|names| names.len() > 1) {
            // Which names are one file, and not only how many there are.
            let together = names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(" ");
            for name in names {
                if let Some(facts) = found.tree.entries.get_mut(name) {
                    facts.insert("names".to_owned(), together.clone());
                }
            }
        }
        found.tree
    }

    /// The paths below the root, bytes that are no text escaped; the root is the empty one.
    pub fn paths(&self) -> Vec<String> {
        self.entries.keys().map(|path| shown(path)).collect()
    }

    /// What the tree says of `path`.
    pub fn fact(&self, path: &str, fact: &str) -> Option<&str> {
        self.entries.get(path.as_bytes())?.get(fact).map(String::as_str)
    }

    /// Every fact in which this tree and `other` differ, in order.
    pub fn differences(&self, other: &Tree) -> Vec<Difference> {
        let mut differences = Vec::new();
        let none = BTreeMap::new();
        let paths: std::collections::BTreeSet<_> = self.entries.keys().chain(other.entries.keys()).collect();
        for path in paths {
            let mut differ = |fact: &str, left: Option<String>, right: Option<String>| {
                differences.push(Difference { path: shown(path), fact: fact.to_owned(), left, right });
            };
            let (left, right) = (self.entries.get(path), other.entries.get(path));
            let kind = |facts: Option<&BTreeMap<String, String>>| facts.map(|facts| facts["type"].clone());
            if left.is_none() || right.is_none() {
                differ("entry", kind(left), kind(right));
                continue;
            }
            let (left, right) = (left.unwrap_or(&none), right.unwrap_or(&none));
            let facts: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            for fact in facts.into_iter().filter(|fact| left.get(*fact) != right.get(*fact)) {
                differ(fact, left.get(fact).cloned(), right.get(fact).cloned());
            }
        }
        differences
    }
}

#[derive(Default)]
struct Found {
    tree: Tree,
    /// Names by what they name.
    names: BTreeMap<(u32, u32, u64), Vec<Vec<u8>>>,
}

impl Found {
    fn walk(&mut self, root: &Path, path: &Path) {
        let at = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) };
        let stat = statx(CWD, &at, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).expect("look at it");
        let kind = FileType::from_raw_mode(u32::from(stat.stx_mode));
        let bytes = path.as_os_str().as_bytes().to_vec();
        let mut facts = BTreeMap::from([
            ("type".to_owned(), format!("{kind:?}")),
            ("mode".to_owned(), format!("{:04o}", stat.stx_mode & 0o7777)),
            ("owner".to_owned(), format!("{}:{}", stat.stx_uid, stat.stx_gid)),
            ("mtime".to_owned(), format!("{}.{:09}", stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec)),
        ]);
        let mut say = |fact: &str, value: String| facts.insert(fact.to_owned(), value);
        match kind {
            // What the file system needs for it says nothing of the directory.
            FileType::Directory => {}
            FileType::RegularFile => {
                say("size", stat.stx_size.to_string());
                say("sha256", hex(&Sha256::digest(std::fs::read(&at).expect("read it"))));
            }
            FileType::Symlink => {
                let link = std::fs::read_link(&at).expect("read the link");
                say("link", shown(link.as_os_str().as_bytes()));
            }
            _ => {
                say("device", format!("{}:{}", stat.stx_rdev_major, stat.stx_rdev_minor));
            }
        }
        if kind != FileType::Directory {
            say("names", stat.stx_nlink.to_string());
            let file = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
            self.names.entry(file).or_default().push(bytes.clone());
        }
        for (name, value) in attributes(&at) {
            say(&format!("xattr {name}"), shown(&value));
        }
        self.tree.entries.insert(bytes, facts);
        if kind == FileType::Directory {
            let mut names: Vec<OsString> =
                std::fs::read_dir(&at).expect("list it").map(|e| e.expect("list it").file_name()).collect();
            names.sort();
            for name in names {
                self.walk(root, &PathBuf::from(path).join(name));
            }
        }
    }
}

fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0u8; XATTR_MAX];
    // A file system without attributes has none to compare.
    let length = llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0u8; XATTR_MAX];
        let length = lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).expect("read an attribute");
        value.truncate(length);
        (OsString::from_vec(name.to_vec()).to_string_lossy().into_owned(), value)
    };
    names.map(value).collect()
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
