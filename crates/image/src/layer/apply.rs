//! From entries to a tree: every path is walked from the target, every name is made new, attributes of
//! directories come last.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::CString;
use std::io::{self, BufRead, Seek as _, SeekFrom};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use plimsoll_sys::fs::{self, Directory, Root, Timestamp};
use rustix::fs::{FileType, Mode as Permissions, OFlags};
use rustix::io::Errno;

use super::removal::{prune, remove};
use super::tar::{Entry, EntryKind, Reader};
use super::whiteout::{Meaning, meaning};
use super::{Applied, Limits};
use crate::snapshot::Mode;
use crate::tree::split;
use crate::{Error, Kind, Result};

/// Directories kept open: archives list what is in a directory together.
const OPEN_DIRECTORIES: usize = 64;

/// Applies every entry of `archive` to `target`.
pub(super) fn entries<R: BufRead>(
    archive: &mut Reader<R>,
    target: BorrowedFd<'_>,
    mode: Mode,
    limits: &Limits,
) -> Result<Applied> {
    let own = target.try_clone_to_owned().map_err(|e| Error::io("duplicate a descriptor", e))?;
    let mut tree = Tree {
        root: Root::from(own),
        mode,
        owns: rustix::process::geteuid().is_root(),
        privileged: rustix::process::geteuid().is_root() && crate::snapshot::has_all_ids(),
        depth: limits.depth,
        open: Vec::new(),
        here: HashSet::new(),
        handing_down: HashSet::new(),
        directories: BTreeMap::new(),
        emptied: HashSet::new(),
        crossed: BTreeSet::new(),
        whiteouts: BTreeSet::new(),
        times: HashMap::new(),
    };
    let mut entry = Entry::default();
    let mut count = 0;
    while archive.read_entry(&mut entry)? {
        count += 1;
        if count > limits.entries {
            return Err(Error::new(
                Kind::Limit,
                format!("the layer has more than {} entries", limits.entries),
            ));
        }
        let path = tree.normal(&entry.path)?;
        tree.apply(&path, &mut entry, archive).map_err(|e| {
            // What the blob or the archive did wrong is not the entry's fault.
            match e.kind() {
                Kind::Archive | Kind::Compression | Kind::Digest | Kind::Size | Kind::Limit => e,
                kind => Error::new(kind, format!("unpack {:?}", shown(&entry.path))).because(e),
            }
        })?;
    }
    tree.finish()
}

fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}

/// The kernel calls an owner that the user namespace does not map invalid.
fn not_owned(entry: &Entry, error: io::Error) -> Error {
    let unmapped = error.raw_os_error() == Some(Errno::INVAL.raw_os_error());
    let why = if unmapped { ", which this user namespace does not map" } else { "" };
    Error::io(format!("give it to user {} and group {}{why}", entry.uid, entry.gid), error)
}

fn refused(why: impl Into<String>) -> Error {
    Error::new(Kind::Entry, why)
}

fn clearing(e: io::Error) -> Error {
    Error::io("take attributes off that no entry gives", e)
}

/// What a directory gets once nothing is made in it any more.
struct Attributes {
    inode: u64,
    mode: u32,
    modified: Timestamp,
}

struct Tree {
    root: Root,
    mode: Mode,
    /// Whether files can be given away: root can, of a user namespace too.
    owns: bool,
    /// Whether devices and attributes of root can be made: root of the first user namespace can.
    privileged: bool,
    depth: usize,
    /// Directories opened last, the newest at the end.
    open: Vec<(Vec<u8>, Rc<Directory>)>,
    /// What this layer has made, by directory and name: whiteouts of the same layer leave it alone.
    here: HashSet<(u64, Box<[u8]>)>,
    /// Directories from which the kernel hands an access list down to what is made in them.
    handing_down: HashSet<u64>,
    /// Directories that have an entry.
    directories: BTreeMap<Vec<u8>, Attributes>,
    /// Directories, by their inode numbers, in which nothing is left of the layers below.
    emptied: HashSet<u64>,
    /// Directories that entries led through before they had one.
    crossed: BTreeSet<Vec<u8>>,
    /// What this layer deletes, for overlayfs: an entry of the same name counts, before it or after it.
    whiteouts: BTreeSet<Vec<u8>>,
    /// Times of directories that have none, before something was made in them.
    times: HashMap<Vec<u8>, (u64, Timestamp)>,
}

impl Tree {
    /// The path without what means nothing: slashes at its start, dots, empty components.
    fn normal(&self, path: &[u8]) -> Result<Vec<u8>> {
        let mut normal = Vec::with_capacity(path.len());
        let mut depth = 0;
        for name in path.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => return Err(refused(format!("{:?} leads through a parent directory", shown(path)))),
                _ => {}
            }
            if !normal.is_empty() {
                normal.push(b'/');
            }
            normal.extend_from_slice(name);
            depth += 1;
        }
        if depth > self.depth {
            let context = format!("an entry is nested deeper than {} directories", self.depth);
            return Err(Error::new(Kind::Limit, context));
        }
        Ok(normal)
    }

    fn apply<R: BufRead>(&mut self, path: &[u8], entry: &mut Entry, archive: &mut Reader<R>) -> Result<()> {
        if path.is_empty() {
            return self.the_root(entry);
        }
        let (above, name) = split(path);
        match meaning(path)? {
            Meaning::Entry => {}
            Meaning::Nothing => return Ok(()),
            Meaning::Opaque => return self.opaque(above),
            Meaning::Whiteout(hidden) if self.mode == Mode::Overlay => {
                self.whiteouts.insert(join(above, hidden));
                return Ok(());
            }
            Meaning::Whiteout(hidden) => return self.whiteout(above, hidden),
        }
        let parent = self.parent(above)?;
        match entry.kind {
            EntryKind::Directory => self.directory(&parent, path, name, entry)?,
            EntryKind::File => self.file(&parent, name, entry, archive)?,
            EntryKind::HardLink => self.hard_link(&parent, name, &entry.link)?,
            EntryKind::Symlink => {
                let link = &entry.link;
                self.make(&parent, name, |parent| fs::symlink(parent, name, link))?;
                self.describe_name(&parent, name, entry)?;
            }
            EntryKind::CharDevice | EntryKind::BlockDevice | EntryKind::Fifo => {
                self.node(&parent, name, entry)?;
            }
        }
        if self.mode == Mode::Plain {
            self.here.insert((parent.status.st_ino, name.into()));
        }
        Ok(())
    }

    /// The directory `path`, which is made where it is missing.
    fn parent(&mut self, path: &[u8]) -> Result<Rc<Directory>> {
        if let Some(at) = self.open.iter().rposition(|(known, _)| known == path) {
            let found = self.open.remove(at);
            let directory = Rc::clone(&found.1);
            self.open.push(found);
            return Ok(directory);
        }
        let mode = Permissions::from_raw_mode(0o755);
        let mut made = self.root.create_directories(path, mode);
        if self.mode == Mode::Plain && made.as_ref().is_err_and(is_no_directory) {
            self.clear_way(path)?;
            made = self.root.create_directories(path, mode);
        }
        let directory = Rc::new(made.map_err(|e| self.no_way(path, e))?);
        self.note_crossed(path);
        if self.mode == Mode::Plain {
            self.note_ancestors(path)?;
        }
        if fs::hands_down_acl(&*directory).map_err(|e| Error::io("look at an access list", e))? {
            self.handing_down.insert(directory.status.st_ino);
        }
        self.note_time(path, &directory);
        if self.open.len() == OPEN_DIRECTORIES {
            self.open.remove(0);
        }
        self.open.push((path.to_vec(), Rc::clone(&directory)));
        Ok(directory)
    }

    /// Removes what is in the way to `path`: an entry in it says that it is a directory. Links are followed.
    fn clear_way(&mut self, path: &[u8]) -> Result<()> {
        for at in prefixes(path) {
            let (above, name) = split(at);
            let parent = self.look(above)?;
            let status = fs::status(&parent, name).map_err(|e| Error::io("look at its directory", e))?;
            match FileType::from_raw_mode(status.st_mode) {
                FileType::Directory | FileType::Symlink => {}
                _ => {
                    self.note_time(above, &parent);
                    return remove(&parent, name).map_err(|e| Error::io("replace what stood there", e));
                }
            }
        }
        Ok(())
    }

    /// Why the directory `path` cannot be made.
    fn no_way(&self, path: &[u8], e: io::Error) -> Error {
        if is_absent(&e) && self.mode == Mode::Overlay {
            // A link of this layer leads to what the layers below may have, or a file is in the way.
            let context = format!("{:?} leads to what this layer does not have", shown(path));
            return Error::new(Kind::Unsupported, context).because(e);
        }
        if is_no_directory(&e) {
            return refused(format!("{:?} is not a directory", shown(path))).because(e);
        }
        Error::io(format!("make directory {:?}", shown(path)), e)
    }

    fn note_crossed(&mut self, path: &[u8]) {
        let mut path = path;
        // What is above one that is known was led through when that one was made.
        while !path.is_empty() && !self.directories.contains_key(path) && !self.crossed.contains(path) {
            self.crossed.insert(path.to_vec());
            path = split(path).0;
        }
    }

    /// Keeps the time of a directory in which something is about to change.
    fn note_time(&mut self, path: &[u8], directory: &Directory) {
        let status = &directory.status;
        let modified = Timestamp {
            seconds: status.st_mtime,
            nanoseconds: u32::try_from(status.st_mtime_nsec).unwrap_or_default(),
        };
        self.times.entry(path.to_vec()).or_insert((status.st_ino, modified));
    }

    /// Directories on the way to something of this layer must outlive an opaque directory above them.
    fn note_ancestors(&mut self, path: &[u8]) -> Result<()> {
        let mut above = self.look(b"")?.status.st_ino;
        let mut start = 0;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let end = start + name.len();
            self.here.insert((above, name.into()));
            above = self.look(&path[..end])?.status.st_ino;
            start = end + 1;
        }
        Ok(())
    }

    fn look(&self, path: &[u8]) -> Result<Directory> {
        self.root.directory(path).map_err(|e| Error::io(format!("open directory {:?}", shown(path)), e))
    }

    /// Makes `name` by `make`; what stood there goes first.
    fn make<T>(
        &mut self,
        parent: &Directory,
        name: &[u8],
        make: impl Fn(&Directory) -> io::Result<T>,
    ) -> Result<T> {
        let failed = |e| Error::io("make it", e);
        match make(parent) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.check_replaced(parent, name)?;
                remove(parent, name).map_err(|e| Error::io("replace what stood there", e))?;
                // Directories that are open may have been below it.
                self.open.clear();
                make(parent).map_err(failed)
            }
            made => made.map_err(failed),
        }
    }

    /// What was led through a directory that is replaced in the same layer may have gone elsewhere, which only
    /// the layers below can tell.
    fn check_replaced(&self, parent: &Directory, name: &[u8]) -> Result<()> {
        if self.mode == Mode::Plain {
            return Ok(());
        }
        let status = fs::status(parent, name).map_err(|e| Error::io("look at what stood there", e))?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            return Err(Error::new(Kind::Unsupported, "it replaces a directory of the same layer"));
        }
        Ok(())
    }

    fn the_root(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != EntryKind::Directory {
            return Err(refused("the root of a layer is no directory"));
        }
        let root = self.look(b"")?;
        fs::clear_xattrs(&root).map_err(clearing)?;
        self.describe(b"", &root, entry)
    }

    fn directory(&mut self, parent: &Directory, path: &[u8], name: &[u8], entry: &Entry) -> Result<()> {
        let mut replaced = false;
        let stood = match fs::create_directory(parent, name, 0o700) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let status =
                    fs::status(parent, name).map_err(|e| Error::io("look at what stood there", e))?;
                let stood = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
                if !stood {
                    self.make(parent, name, |parent| fs::create_directory(parent, name, 0o700))?;
                    replaced = true;
                }
                stood
            }
            made => made.map(|()| false).map_err(|e| Error::io("make it", e))?,
        };
        let directory = open(parent, name)?;
        if stood || self.inherits_acl(parent) {
            // The entry says all that there is to say, not only what is to be added.
            fs::clear_xattrs(&directory).map_err(clearing)?;
        }
        if replaced && self.mode == Mode::Overlay {
            // It was of this layer and hid what is below, which must not come back.
            make_opaque(&directory)?;
        }
        self.describe(path, &directory, entry)
    }

    /// Owner and attributes of a directory; what closes or changes it comes last of all.
    fn describe(&mut self, path: &[u8], directory: &Directory, entry: &Entry) -> Result<()> {
        self.own(directory, entry)?;
        self.xattrs_of(directory, entry)?;
        let inode = directory.status.st_ino;
        let hands_down = entry.xattrs.iter().any(|(name, _)| name == b"system.posix_acl_default");
        match hands_down {
            true => self.handing_down.insert(inode),
            false => self.handing_down.remove(&inode),
        };
        let attributes = Attributes { inode, mode: entry.mode, modified: entry.modified };
        self.directories.insert(path.to_vec(), attributes);
        Ok(())
    }

    /// Whether what is made in `parent` has an access list that no entry gave it.
    fn inherits_acl(&self, parent: &Directory) -> bool {
        self.handing_down.contains(&parent.status.st_ino)
    }

    fn file<R: BufRead>(
        &mut self,
        parent: &Directory,
        name: &[u8],
        entry: &Entry,
        archive: &mut Reader<R>,
    ) -> Result<()> {
        let mut file = self.make(parent, name, |parent| fs::create_file(parent, name, 0o600))?;
        let failed = |e| Error::io("write it", e);
        match &entry.segments {
            None => copy(archive, &mut file, u64::MAX)?,
            Some(segments) => {
                for segment in segments {
                    file.seek(SeekFrom::Start(segment.offset)).map_err(failed)?;
                    copy(archive, &mut file, segment.length)?;
                }
                file.set_len(entry.size).map_err(failed)?;
            }
        }
        // The owner first: changing it takes set-user-id bits and capabilities away.
        let inherits = parent.status.st_mode & 0o2000 != 0;
        if self.inherits_acl(parent) {
            fs::clear_xattrs(&file).map_err(clearing)?;
        }
        if !self.owns || inherits || (entry.uid, entry.gid) != (0, 0) {
            self.own(&file, entry)?;
        }
        fs::set_mode(&file, entry.mode).map_err(|e| Error::io("set its mode", e))?;
        self.xattrs_of(&file, entry)?;
        fs::set_times(&file, entry.modified).map_err(|e| Error::io("set its time", e))
    }

    fn hard_link(&mut self, parent: &Directory, name: &[u8], link: &[u8]) -> Result<()> {
        let target = self.normal(link)?;
        let (above, old) = split(&target);
        let absent = |e: io::Error| {
            let (kind, why) = match self.mode {
                _ if !is_absent(&e) => return Error::io(format!("link it to {:?}", shown(link)), e),
                Mode::Overlay => (Kind::Unsupported, "which this layer does not have"),
                Mode::Plain => (Kind::Entry, "which is not there"),
            };
            Error::new(kind, format!("it is a hard link to {:?}, {why}", shown(link))).because(e)
        };
        let from = self.root.directory(above).map_err(absent)?;
        let status = fs::status(&from, old).map_err(absent)?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            // A directory of this layer may be a link of one below that it leads through.
            let kind = if self.mode == Mode::Overlay { Kind::Unsupported } else { Kind::Entry };
            return Err(Error::new(kind, format!("it is a hard link to {:?}, a directory", shown(link))));
        }
        if let Ok(there) = fs::status(parent, name)
            && (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)
        {
            // A second name of the same file is there already; to replace it could lose the only one.
            return Ok(());
        }
        self.make(parent, name, |parent| fs::hard_link(&from, old, parent, name))
            .map_err(|e| Error::new(e.kind(), format!("link it to {:?}", shown(link))).because(e))
    }

    fn node(&mut self, parent: &Directory, name: &[u8], entry: &Entry) -> Result<()> {
        let kind = match entry.kind {
            EntryKind::CharDevice => FileType::CharacterDevice,
            EntryKind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        if kind == FileType::CharacterDevice && entry.device == (0, 0) && self.mode == Mode::Overlay {
            let context = "overlayfs takes a device 0:0 for a deletion";
            return Err(Error::new(Kind::Unsupported, context));
        }
        if !self.privileged && kind != FileType::Fifo {
            // Nobody else can make one; the name is kept, and nobody can mistake it for content.
            drop(self.make(parent, name, |parent| fs::create_file(parent, name, 0))?);
            return self.describe_name(parent, name, entry);
        }
        let device = entry.device;
        self.make(parent, name, |parent| fs::make_node(parent, name, kind, entry.mode, device))?;
        self.describe_name(parent, name, entry)?;
        fs::set_name_mode(parent, name, entry.mode).map_err(|e| Error::io("set its mode", e))?;
        fs::set_name_times(parent, name, entry.modified).map_err(|e| Error::io("set its time", e))
    }

    /// Owner, attributes and time of what is described by its name, being nothing to be opened.
    fn describe_name(&mut self, parent: &Directory, name: &[u8], entry: &Entry) -> Result<()> {
        if self.inherits_acl(parent) {
            fs::clear_name_xattrs(parent, name).map_err(clearing)?;
        }
        if self.owns {
            fs::set_name_owner(parent, name, entry.uid, entry.gid).map_err(|e| not_owned(entry, e))?;
        }
        self.xattrs(entry, |attribute, value| fs::set_name_xattr(parent, name, attribute, value))?;
        fs::set_name_times(parent, name, entry.modified).map_err(|e| Error::io("set its time", e))
    }

    /// Gives an open file its owner, which an ordinary user cannot.
    fn own(&self, file: &impl std::os::fd::AsFd, entry: &Entry) -> Result<()> {
        if !self.owns {
            return Ok(());
        }
        fs::set_owner(file, entry.uid, entry.gid).map_err(|e| not_owned(entry, e))
    }

    fn xattrs_of(&self, file: &impl std::os::fd::AsFd, entry: &Entry) -> Result<()> {
        self.xattrs(entry, |attribute, value| fs::set_xattr(file, attribute, value))
    }

    fn xattrs(&self, entry: &Entry, set: impl Fn(&std::ffi::CStr, &[u8]) -> io::Result<()>) -> Result<()> {
        for (attribute, value) in &entry.xattrs {
            let Some(kept) = self.kept(attribute) else { continue };
            let name = shown(attribute);
            let c_name = CString::new(kept).map_err(|e| refused("an attribute holds a NUL").because(e))?;
            match set(&c_name, value) {
                // What only root may set, and what this file system does not keep.
                Err(e) if !self.privileged && e.kind() == io::ErrorKind::PermissionDenied => {}
                Err(e) if attribute.starts_with(b"user.") && e.kind() == io::ErrorKind::Unsupported => {}
                done => done.map_err(|e| Error::io(format!("set attribute {name}"), e))?,
            }
        }
        Ok(())
    }

    /// The name under which `attribute` is kept; none for what only the host can know.
    fn kept<'a>(&self, attribute: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        // Where the kernel takes them for its own it shows those that have the word twice, with one of them.
        let prefix = if self.privileged { b"trusted.overlay.".as_slice() } else { b"user.overlay." };
        match attribute.strip_prefix(prefix) {
            _ if matches!(attribute, b"security.selinux" | b"system.nfs4_acl") => None,
            Some(rest) if self.mode == Mode::Overlay => Some([prefix, b"overlay.", rest].concat().into()),
            _ => Some(attribute.into()),
        }
    }

    /// Deletes what the layers below have under `hidden`, where they are in the same tree.
    fn whiteout(&mut self, above: &[u8], hidden: &[u8]) -> Result<()> {
        let parent = match self.root.directory(above) {
            // Where there is no directory there is nothing to delete.
            Err(e) if is_absent(&e) => return Ok(()),
            found => found.map_err(|e| Error::io("open its directory", e))?,
        };
        let status = match fs::status(&parent, hidden) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(|e| Error::io("look at what it deletes", e))?,
        };
        self.note_time(above, &parent);
        let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        if !self.here.contains(&(parent.status.st_ino, hidden.into())) {
            if is_directory {
                self.open.clear();
            }
            return remove(&parent, hidden).map_err(|e| Error::io("delete what it names", e));
        }
        if !is_directory {
            return Ok(());
        }
        let path = join(above, hidden);
        self.empty(&path, &open(&parent, hidden)?)?;
        self.forget(&path)
    }

    /// Of directories in a deleted one that stay, because this layer leads through them, nothing stays that the
    /// layers below said of them.
    fn forget_below(&self, path: &[u8]) -> Result<()> {
        let start = if path.is_empty() { Vec::new() } else { join(path, b"") };
        let mut below = self.crossed.range(start.clone()..).take_while(|path| path.starts_with(&start));
        below.try_for_each(|crossed| self.forget(crossed))
    }

    /// Takes off the directory `path` what entries can say of it, unless this layer says it.
    fn forget(&self, path: &[u8]) -> Result<()> {
        if self.directories.contains_key(path) {
            return Ok(());
        }
        let directory = &match self.root.directory_itself(path) {
            // It was replaced since, or leads to what is deleted as well.
            Err(e) if is_absent(&e) => return Ok(()),
            found => found.map_err(|e| Error::io(format!("open directory {:?}", shown(path)), e))?,
        };
        fs::clear_xattrs(directory).map_err(clearing)?;
        let failed = |e| Error::io("take its attributes off", e);
        if self.owns {
            fs::set_owner(directory, 0, 0).map_err(failed)?;
        }
        fs::set_mode(directory, 0o755).map_err(failed)
    }

    /// Writes down what this layer deletes as overlayfs reads it; the names that stand for it.
    fn write_whiteouts(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut written = Vec::new();
        // In order, so that what is deleted as a whole comes before what is deleted in it.
        let whiteouts = std::mem::take(&mut self.whiteouts);
        for path in &whiteouts {
            let (above, hidden) = split(path);
            if self.root.directory(above).is_err_and(|e| is_no_directory(&e)) {
                continue;
            }
            let parent = self.parent(above)?;
            match fs::make_node(&*parent, hidden, FileType::CharacterDevice, 0, (0, 0)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    // This layer has its own; a directory of it must not show what is below.
                    let status = fs::status(&*parent, hidden)
                        .map_err(|e| Error::io("look at what stands there", e))?;
                    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
                        make_opaque(&open(&parent, hidden)?)?;
                    }
                }
                made => {
                    made.map_err(|e| Error::io("make a whiteout", e))?;
                    written.push(path.clone());
                }
            }
        }
        self.whiteouts = whiteouts;
        Ok(written)
    }

    fn opaque(&mut self, path: &[u8]) -> Result<()> {
        let directory = self.parent(path)?;
        if self.mode == Mode::Overlay {
            return make_opaque(&directory);
        }
        self.empty(path, &directory)
    }

    /// Removes what is not of this layer from the directory `path`. Once is enough, however often it is said.
    fn empty(&mut self, path: &[u8], directory: &Directory) -> Result<()> {
        if !self.emptied.insert(directory.status.st_ino) {
            return Ok(());
        }
        self.open.clear();
        prune(directory, &|inode, name| self.here.contains(&(inode, name.into())))
            .map_err(|e| Error::io("empty a directory", e))?;
        self.forget_below(path)
    }

    /// What comes last: deletions for overlayfs, then modes and times of directories, those below first,
    /// because a mode may close what is below.
    fn finish(mut self) -> Result<Applied> {
        let whiteouts = self.write_whiteouts()?;
        let failed =
            |path: &[u8], e: io::Error| Error::io(format!("set the mode and time of {:?}", shown(path)), e);
        for (path, (inode, modified)) in &self.times {
            if self.directories.contains_key(path) {
                continue;
            }
            if let Ok(directory) = self.root.directory(path)
                && directory.status.st_ino == *inode
            {
                fs::set_times(&directory, *modified).map_err(|e| failed(path, e))?;
            }
        }
        for (path, attributes) in self.directories.iter().rev() {
            // One that was replaced or deleted since has no attributes to get.
            let Ok(directory) = self.root.directory_itself(path) else { continue };
            if directory.status.st_ino == attributes.inode {
                fs::set_mode(&directory, attributes.mode).map_err(|e| failed(path, e))?;
                fs::set_times(&directory, attributes.modified).map_err(|e| failed(path, e))?;
            }
        }
        // What stands in the place of something deleted has nothing of it.
        let anew = |path: &&Vec<u8>| self.directories.contains_key(*path) || self.whiteouts.contains(*path);
        let implied = self.crossed.iter().filter(|path| !anew(path)).cloned().collect();
        Ok(Applied { crossed: self.crossed.into_iter().collect(), implied, whiteouts })
    }
}

/// Opens a directory by its name in its open parent: a path could lead through a link to something else.
fn open(parent: &Directory, name: &[u8]) -> Result<Directory> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let failed = |e: Errno| Error::io("open it", e);
    let fd = rustix::fs::openat(parent, name, flags, Permissions::empty()).map_err(failed)?;
    let status = rustix::fs::fstat(&fd).map_err(failed)?;
    Ok(Directory { fd, status })
}

fn make_opaque(directory: &Directory) -> Result<()> {
    fs::set_xattr(directory, crate::snapshot::opaque(), b"y")
        .map_err(|e| Error::io("make a directory opaque", e))
}

fn is_no_directory(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotADirectory
}

/// Whether a path leads to nothing.
fn is_absent(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

/// `path` and all directories above it but the root, those above first.
fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.chain([path.len()]).map(|end| &path[..end])
}

fn join(above: &[u8], name: &[u8]) -> Vec<u8> {
    if above.is_empty() { name.to_vec() } else { [above, b"/", name].concat() }
}

/// Copies the next `length` bytes of the entry's data, or as many as there are.
fn copy<R: BufRead>(archive: &mut Reader<R>, file: &mut impl io::Write, length: u64) -> Result<()> {
    let mut rest = length;
    while rest > 0 {
        let data = archive.data()?;
        if data.is_empty() {
            break;
        }
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(data.len());
        file.write_all(&data[..count]).map_err(|e| Error::io("write it", e))?;
        archive.consume(count);
        rest -= count as u64;
    }
    Ok(())
}
