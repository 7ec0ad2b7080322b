//! The trees that containers run in, below `ROOT/snapshots`:
//!
//! ```text
//! layers/ALGORITHM/ENCODED  one layer as overlayfs wants it, by the chain id of it and those below
//! containers/ID/            a container's bundle: `rootfs`, and for overlayfs `upper` and `work`
//! containers/ID/volumes     directories of its image's volumes, if it has any
//! containers/ID/snapshot.json  the layers it stands on
//! staging/RANDOM            a tree in the making
//! ```
//!
//! A tree gets its name by a rename when it is complete and its layers are verified. Layers are shared by
//! all images that have them and are never written to again. All of it is closed to other users, who would
//! otherwise find set-user-id programs of containers there. Refused are identifiers that are no plain
//! file names, and a second snapshot of one identifier.

mod below;
mod overlay;
mod record;
mod settle;
mod unpack;

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use plimsoll_digest::Digest;
use rustix::fs::{Mode as Permissions, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use crate::lock::Lock;
use crate::{Error, Image, Kind, Result, Store, tree};

use overlay::Overlay;
use record::Record;

pub use unpack::{Options, unpack};

/// Where trees are made.
pub(crate) const STAGING: &str = "snapshots/staging";
const LAYERS: &str = "snapshots/layers";
const CONTAINERS: &str = "snapshots/containers";
/// Longest identifier of a container, as a file name has it.
const ID_LIMIT: usize = 255;

/// How a container gets its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Layers are unpacked once and stacked by the kernel. Needs CAP_SYS_ADMIN in the user namespace that owns
    /// the mount namespace; below the first user namespace also Linux 5.11 and attributes of users.
    Overlay,
    /// Every container has a copy of its own. Needs nothing.
    Plain,
}

/// The tree of one container.
#[derive(Debug)]
pub struct Snapshot<'a> {
    store: &'a Store,
    id: String,
    folder: OwnedFd,
    /// Against [`Store::take_over`]; `None` of what is only looked at.
    hold: Option<Lock>,
    record: Record,
}

impl Store {
    /// Makes the tree of container `id` from `image`, whose blobs are in the store. An image that cannot be
    /// stacked, for what one of its layers holds, gets a copy whatever the `mode`. The snapshot that is
    /// returned holds the tree against [`Store::take_over`].
    ///
    /// # Errors
    /// [`Kind::Invalid`] for an identifier that is no plain file name, [`Kind::Exists`] where the container
    /// has a tree, and what [`layer::apply`](crate::layer::apply) gives.
    pub fn prepare(
        &self,
        id: &str,
        image: &Image,
        mode: Mode,
        options: &Options<'_>,
    ) -> Result<Snapshot<'_>> {
        check_id(id)?;
        let _lease = self.share()?;
        let containers = make_path(self, CONTAINERS)?;
        let taken = rustix::fs::statat(&containers, id, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok();
        let exists = || Error::new(Kind::Exists, format!("container {id:?} has a snapshot already"));
        if taken {
            return Err(exists());
        }
        let (mode, layers) = match mode {
            Mode::Overlay => match unpack::layers(self, image, options) {
                Err(e) if e.kind() == Kind::Unsupported => (Mode::Plain, Vec::new()),
                layers => (Mode::Overlay, layers?),
            },
            Mode::Plain => (Mode::Plain, Vec::new()),
        };
        let staged = Staged::new(self)?;
        let rootfs = tree::make(staged.folder.as_fd(), "rootfs", 0o755)?;
        match mode {
            Mode::Overlay => {
                let upper = tree::make(staged.folder.as_fd(), "upper", 0o755)?;
                tree::make(staged.folder.as_fd(), "work", 0o700)?;
                if let Some(top) = layers.last() {
                    // The root of the tree is that of `upper`, so it looks as in the topmost layer.
                    unpack::copy_attributes(&open_layer(self, top)?, &upper)?;
                }
            }
            Mode::Plain => unpack::all(self, image, rootfs.as_fd(), options)?,
        }
        let record = Record { layers };
        record.write(staged.folder.as_fd())?;
        let failed = |e| Error::io(format!("hold the snapshot of container {id:?}"), e);
        let folder = staged.folder.try_clone().map_err(failed)?;
        // Before anybody can see the tree.
        let hold = Lock::exclusive(folder.try_clone().map_err(failed)?).map_err(|e| failed(e.into()))?;
        match staged.rename(&containers, id) {
            Err(e) if e.is_errno(Errno::EXIST) => Err(exists()),
            done => {
                done.map(|()| Snapshot { store: self, id: id.to_owned(), folder, hold: Some(hold), record })
            }
        }
    }

    /// The tree of container `id`, unless whoever made it still holds it: the [`Snapshot`] that
    /// [`Store::prepare`] gives does until it is dropped or its process dies. This one holds it likewise.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub fn take_over(&self, id: &str) -> Result<Option<Snapshot<'_>>> {
        let mut snapshot = self.snapshot(id)?;
        let failed = |e| Error::io(format!("take over the snapshot of container {id:?}"), e);
        let folder = rustix::io::fcntl_dupfd_cloexec(&snapshot.folder, 0).map_err(failed)?;
        snapshot.hold = Lock::try_exclusive(folder).map_err(failed)?;
        if snapshot.hold.is_none() {
            return Ok(None);
        }
        // What was opened may have been removed before it was locked, and the name be another's by now.
        let now = tree::open(self.root(), CONTAINERS).and_then(|folder| tree::open(folder.as_fd(), id))?;
        let [now, then] = [&now, &snapshot.folder].map(rustix::fs::fstat);
        let same = now.map_err(failed)?.st_ino == then.map_err(failed)?.st_ino;
        Ok(same.then_some(snapshot))
    }

    /// The trees that nobody holds, each held by this process now; none while somebody uses the store, who may
    /// be about to hold one.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub fn abandoned(&self) -> Result<Vec<Snapshot<'_>>> {
        let Some(_alone) = self.try_exclusive()? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for id in self.snapshots()? {
            // One that is damaged is no reason to leave the others.
            found.extend(self.take_over(&id).ok().flatten());
        }
        Ok(found)
    }

    /// What suits this host and the file system of the store: [`Mode::Overlay`] where a trial mount works,
    /// which the caller's mount namespace sees for a moment.
    ///
    /// # Errors
    /// [`Kind::Io`] or [`Kind::NoSpace`] where the store cannot be written to.
    pub fn best_mode(&self) -> Result<Mode> {
        let _lease = self.share()?;
        let staged = Staged::new(self)?;
        let make = |name| tree::make(staged.folder.as_fd(), name, 0o700);
        let (lower, target) = (vec![make("lower")?], make("rootfs")?);
        let overlay = Overlay { lower, upper: make("upper")?, work: make("work")? };
        if !unpack::can_delete(&overlay.lower[0]) || overlay.mount(target.as_fd()).is_err() {
            return Ok(Mode::Plain);
        }
        overlay::take_off(tree::open(staged.folder.as_fd(), "rootfs")?.as_fd())?;
        Ok(Mode::Overlay)
    }

    /// The tree of container `id`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where it has none, [`Kind::Invalid`] where its record is damaged.
    pub fn snapshot(&self, id: &str) -> Result<Snapshot<'_>> {
        check_id(id)?;
        let found = tree::open(self.root(), CONTAINERS).and_then(|folder| tree::open(folder.as_fd(), id));
        let folder = found.map_err(|e| match e.kind() {
            Kind::NotFound => Error::new(Kind::NotFound, format!("container {id:?} has no snapshot")),
            _ => e,
        })?;
        let record = Record::read(folder.as_fd())
            .map_err(|e| Error::new(e.kind(), format!("open the snapshot of container {id:?}")).because(e))?;
        Ok(Snapshot { store: self, id: id.to_owned(), folder, hold: None, record })
    }

    /// The identifiers of all containers that have a tree, sorted.
    ///
    /// # Errors
    /// [`Kind::Io`] where they cannot be listed.
    pub fn snapshots(&self) -> Result<Vec<String>> {
        tree::names(self.root(), CONTAINERS)
    }

    /// The chain ids of the layers that containers stand on.
    pub(crate) fn chains_in_use(&self) -> Result<Vec<Digest>> {
        let mut chains = Vec::new();
        for id in self.snapshots()? {
            chains.extend(self.snapshot(&id)?.record.layers);
        }
        Ok(chains)
    }

    /// Removes every layer but those of `kept`, and says how many.
    pub(crate) fn sweep_layers(&self, kept: &HashSet<Digest>) -> Result<usize> {
        let mut removed = 0;
        for algorithm in tree::names(self.root(), LAYERS)? {
            let folder = format!("{LAYERS}/{algorithm}");
            for encoded in tree::names(self.root(), &folder)? {
                let chain = Digest::parse(&format!("{algorithm}:{encoded}"));
                if !chain.is_ok_and(|chain| kept.contains(&chain)) {
                    tree::remove(tree::open(self.root(), &folder)?.as_fd(), &encoded)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

impl Snapshot<'_> {
    /// The container's identifier.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the tree is stacked from layers and has to be mounted.
    pub fn mode(&self) -> Mode {
        if self.record.layers.is_empty() { Mode::Plain } else { Mode::Overlay }
    }

    /// The directory of the container's bundle. Its `config.json` is the caller's to write.
    pub fn bundle(&self) -> PathBuf {
        self.store.path().join(CONTAINERS).join(&self.id)
    }

    /// The open directory of the container's bundle.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// The root of the tree, within the bundle.
    pub fn rootfs(&self) -> PathBuf {
        self.bundle().join("rootfs")
    }

    /// The root of the tree as it is in the mount namespace of the caller.
    ///
    /// # Errors
    /// [`Kind::Io`] where it cannot be opened.
    pub fn open_rootfs(&self) -> Result<OwnedFd> {
        tree::open(self.folder.as_fd(), "rootfs")
    }

    /// Mounts the tree at [`Snapshot::rootfs`] in the mount namespace of the caller, if it has to be and is
    /// not.
    ///
    /// # Errors
    /// [`Kind::Io`] where the kernel refuses, [`Kind::NotFound`] where a layer is gone.
    pub fn mount(&self) -> Result<()> {
        if self.mode() == Mode::Plain || self.is_mounted()? {
            return Ok(());
        }
        let open = |chain| open_layer(self.store, chain);
        let overlay = Overlay {
            lower: self.record.layers.iter().map(open).collect::<Result<_>>()?,
            upper: tree::open(self.folder.as_fd(), "upper")?,
            work: tree::open(self.folder.as_fd(), "work")?,
        };
        overlay.mount(self.open_rootfs()?.as_fd())
    }

    /// Takes the mount off that [`Snapshot::mount`] made in the mount namespace of the caller, if there is
    /// one.
    ///
    /// # Errors
    /// [`Kind::Io`] where it stays.
    pub fn unmount(&self) -> Result<()> {
        if self.is_mounted()? { overlay::take_off(self.open_rootfs()?.as_fd()) } else { Ok(()) }
    }

    /// Removes the tree and everything else in the bundle.
    ///
    /// # Errors
    /// [`Kind::Io`] where the tree cannot be removed, as while something is mounted in it.
    pub fn remove(self) -> Result<()> {
        let _lease = self.store.share()?;
        self.unmount()?;
        // Out of sight first: what is listed is whole.
        let staged = Staged::new(self.store)?;
        let containers = tree::open(self.store.root(), CONTAINERS)?;
        rustix::fs::renameat(&containers, self.id.as_str(), &staged.folder, "removed")
            .map_err(|e| Error::io(format!("remove the snapshot of container {:?}", self.id), e))?;
        staged.remove()
    }

    fn is_mounted(&self) -> Result<bool> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::BENEATH;
        match rustix::fs::openat2(&self.folder, "rootfs", flags, Permissions::empty(), resolve) {
            Ok(_) => Ok(false),
            Err(Errno::XDEV) => Ok(true),
            Err(e) => Err(Error::io(format!("look at the root of container {:?}", self.id), e)),
        }
    }
}

/// A directory in `staging` that goes away with this unless it was renamed.
#[derive(Debug)]
struct Staged {
    staging: OwnedFd,
    name: String,
    folder: OwnedFd,
}

impl Staged {
    fn new(store: &Store) -> Result<Staged> {
        let staging = make_path(store, STAGING)?;
        let name = crate::store::random_name()?;
        let folder = tree::make(staging.as_fd(), &name, 0o700)?;
        Ok(Staged { staging, name, folder })
    }

    /// Moves the directory to `name` in `folder`, where nothing may be.
    fn rename(self, folder: &OwnedFd, name: &str) -> Result<()> {
        let flags = RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(&self.staging, self.name.as_str(), folder, name, flags)
            .map_err(|e| Error::io(format!("name {name} among the snapshots"), e))
        // The drop that follows finds nothing to remove.
    }

    fn remove(self) -> Result<()> {
        tree::remove(self.staging.as_fd(), &self.name)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What stays is removed by the next one alone in the store.
        let _ = tree::remove(self.staging.as_fd(), &self.name);
    }
}

/// Opens the directory `path` below the store's root, of which any part may have to be made.
fn make_path(store: &Store, path: &str) -> Result<OwnedFd> {
    let mut folder = tree::make(store.root(), "snapshots", 0o700)?;
    for part in path.split('/').skip(1) {
        folder = tree::make(folder.as_fd(), part, 0o700)?;
    }
    Ok(folder)
}

fn open_layer(store: &Store, chain: &Digest) -> Result<OwnedFd> {
    let folder = tree::open(store.root(), &format!("{LAYERS}/{}", chain.algorithm_name()))?;
    tree::open(folder.as_fd(), chain.encoded())
}

/// Whether every id of the host is one here, as in the first user namespace and in no other that is of use.
pub(crate) fn has_all_ids() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The attribute that makes a directory opaque, which a user namespace has in a place of its own.
pub(crate) fn opaque() -> &'static CStr {
    if has_all_ids() { c"trusted.overlay.opaque" } else { c"user.overlay.opaque" }
}

fn check_id(id: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
    if !id.is_empty() && id.len() <= ID_LIMIT && id.bytes().all(plain) && !id.starts_with('.') {
        return Ok(());
    }
    let rule = "letters, digits and _.+-, the first no dot";
    Err(Error::new(Kind::Invalid, format!("invalid container id {id:?}; it takes {rule}")))
}
