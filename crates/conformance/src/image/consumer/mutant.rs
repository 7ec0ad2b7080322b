//! Proof that suites of consumers can fail: a right program whose work is broken in one way before it is
//! looked at, or that is given another layout than the one it has to judge.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};
use serde_json::Value;

use crate::error::{Context as _, Result};
use crate::image::golden::Golden;
use crate::runtime::Ran;

/// One way to be wrong.
#[derive(Clone)]
pub struct Mutant {
    /// What it is called.
    pub name: String,
    /// What it does wrong, in a sentence.
    pub breaks: &'static str,
    /// The rows that notice: in the cases below these and no other.
    pub rows: &'static [&'static str],
    /// The cases that notice, each of them: names, or beginnings that end with a separator.
    pub cases: &'static [&'static str],
    fault: Fault,
}

/// What is wrong.
#[derive(Clone)]
pub(in crate::image) enum Fault {
    /// Consumes this layout, whichever it is given.
    Reads(fn() -> Golden),
    /// Ends with an error where the layout has this text.
    Refuses(&'static str),
    /// Ends well where the layout has this text.
    Accepts(&'static str),
    /// Leaves another tree.
    Leaves(fn(&Tree<'_>) -> io::Result<()>),
    /// Writes another config.json.
    Writes(Arc<dyn Fn(&mut Value) + Send + Sync>),
}

impl std::fmt::Debug for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// A row of a table of mutants.
pub(in crate::image) fn mutant(
    name: impl Into<String>,
    breaks: &'static str,
    rows: &'static [&'static str],
    cases: &'static [&'static str],
    fault: Fault,
) -> Mutant {
    Mutant { name: name.into(), breaks, rows, cases, fault }
}

impl Mutant {
    /// Whether the case `name` is one that has to notice.
    pub fn is_noticed_by(&self, name: &str) -> bool {
        self.cases.iter().any(|case| *case == name || case.ends_with(['/', '-']) && name.starts_with(case))
    }

    /// The layout that is consumed in place of the one that is given.
    pub(super) fn reads(&self) -> Option<Golden> {
        match self.fault {
            Fault::Reads(other) => Some(other()),
            _ => None,
        }
    }

    /// How the run that ended as `ran` says that it has ended.
    pub(super) fn ends(&self, golden: &Golden, ran: &mut Ran) {
        match self.fault {
            Fault::Refuses(text) if mentions(golden, text) => ran.exit = Some(1),
            Fault::Accepts(text) if mentions(golden, text) => ran.exit = Some(0),
            _ => {}
        }
    }

    /// Breaks what the run has left: the root file system at `root`, config.json in `target`.
    ///
    /// # Errors
    /// [`crate::Kind::Environment`] where there is nothing that could be broken so.
    pub(super) fn leaves(&self, root: &Path, target: &Path) -> Result<()> {
        let broken = match &self.fault {
            Fault::Leaves(edit) => edit(&Tree { root }),
            Fault::Writes(edit) => rewrite(&target.join("config.json"), edit.as_ref()),
            _ => Ok(()),
        };
        broken.context(|| format!("break something as the mutant {}", self.name))
    }
}

fn mentions(golden: &Golden, text: &str) -> bool {
    golden.files.values().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn rewrite(path: &Path, edit: &dyn Fn(&mut Value)) -> io::Result<()> {
    let mut config = serde_json::from_slice(&std::fs::read(path)?)?;
    edit(&mut config);
    std::fs::write(path, config.to_string())
}

/// A tree to break something in. Names are relative to it, and are those of the cases: nothing here is hostile.
pub(in crate::image) struct Tree<'a> {
    root: &'a Path,
}

impl Tree<'_> {
    /// The path of `name`; what is beside the tree is there even where the tree was never made.
    fn at(&self, name: &str) -> PathBuf {
        match (name.strip_prefix("../"), self.root.parent()) {
            (Some(beside), Some(parent)) => parent.join(beside),
            _ => self.root.join(name),
        }
    }

    /// Whether something is at `name`.
    pub(in crate::image) fn has(&self, name: &str) -> bool {
        self.at(name).symlink_metadata().is_ok()
    }

    /// Writes into the file `name`, or makes it; what else is the same file changes too.
    pub(in crate::image) fn write(&self, name: &str, content: &str) -> io::Result<()> {
        std::fs::write(self.at(name), content)
    }

    /// Removes whatever is at `name`.
    pub(in crate::image) fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.at(name);
        match path.symlink_metadata()?.is_dir() {
            true => std::fs::remove_dir_all(path),
            false => std::fs::remove_file(path),
        }
    }

    /// Makes the directory `name`, where there is none.
    pub(in crate::image) fn directory(&self, name: &str) -> io::Result<()> {
        std::fs::create_dir_all(self.at(name))
    }

    /// Puts a symbolic link in place of the one at `name`.
    pub(in crate::image) fn link(&self, name: &str, target: &str) -> io::Result<()> {
        self.remove(name)?;
        symlink(target, self.at(name))
    }

    /// Puts a file, or link, of its own in place of the one that `name` shares.
    pub(in crate::image) fn separate(&self, name: &str) -> io::Result<()> {
        let path = self.at(name);
        if path.is_symlink() {
            let target = std::fs::read_link(&path)?;
            return self.link(name, &target.to_string_lossy());
        }
        let content = std::fs::read(&path)?;
        self.remove(name)?;
        std::fs::write(&path, content)
    }

    /// Sets the permissions of `name`.
    pub(in crate::image) fn mode(&self, name: &str, mode: u32) -> io::Result<()> {
        std::fs::set_permissions(self.at(name), PermissionsExt::from_mode(mode))
    }

    /// Gives `name` to root, with the permissions it has.
    pub(in crate::image) fn to_root(&self, name: &str) -> io::Result<()> {
        let before = self.at(name).symlink_metadata()?;
        lchown(self.at(name), Some(0), Some(0))?;
        // A change of the owner clears bits that are not what is broken here.
        if before.is_symlink() { Ok(()) } else { self.mode(name, before.mode() & 0o7777) }
    }

    /// Sets when `name` was modified last.
    pub(in crate::image) fn time(&self, name: &str, seconds: i64) -> io::Result<()> {
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(rustix::fs::utimensat(CWD, self.at(name), &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Takes an extended attribute away.
    pub(in crate::image) fn without_xattr(&self, name: &str, key: &str) -> io::Result<()> {
        Ok(rustix::fs::lremovexattr(self.at(name), key)?)
    }

    /// Gives an extended attribute that is there another value.
    pub(in crate::image) fn xattr(&self, name: &str, key: &str, value: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::lsetxattr(self.at(name), key, value, XattrFlags::REPLACE)?)
    }

    /// The blobs of a layout, each with its content.
    pub(in crate::image) fn blobs(&self) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
        let entries = std::fs::read_dir(self.at("blobs/sha256"))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.map(|path| path.and_then(|path| Ok((path.clone(), std::fs::read(path)?)))).collect()
    }
}
