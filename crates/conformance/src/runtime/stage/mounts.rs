//! Mounts that a case makes itself, in the worker's mount namespace: what containers are given to bind.
//! They go away with the stage.

use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};

use super::Stage;
use crate::case::Obstacle;
use crate::error::{Context as _, Result};

impl Stage {
    /// Mounts a new tmpfs with `flags` on the folder `path`, which is made where it is missing, and gives the
    /// path back. Anybody may write to it.
    ///
    /// # Errors
    /// [`Obstacle::Skip`] for a caller who may not mount, [`Kind::Environment`](crate::Kind::Environment)
    /// where it fails otherwise.
    pub fn tmpfs(&mut self, path: PathBuf, flags: MountFlags) -> Result<PathBuf, Obstacle> {
        self.caller.must_be_root("mount what the container is to bind")?;
        let context = || format!("mount a tmpfs on {}", path.display());
        std::fs::create_dir_all(&path).context(context)?;
        mount("tmpfs", &path, "tmpfs", flags, Some(c"mode=777,size=16m")).context(context)?;
        self.mounted.push(path.clone());
        Ok(path)
    }

    /// Makes the folder `path` a mount of its own, in a new group of peers.
    ///
    /// # Errors
    /// As [`Stage::tmpfs`].
    pub fn share(&mut self, path: &Path) -> Result<(), Obstacle> {
        self.caller.must_be_root("mount what the container is to bind")?;
        mount_bind(path, path).context(|| format!("bind {} to itself", path.display()))?;
        self.mounted.push(path.to_owned());
        share_mount(path)?;
        Ok(())
    }

    /// Unmounts what [`Stage::tmpfs`] and [`Stage::share`] have mounted.
    pub(crate) fn unmount(&mut self) {
        for path in self.mounted.drain(..).rev() {
            // A mount that cannot be taken away ends with the worker's namespace.
            let _ = unmount(path, UnmountFlags::DETACH);
        }
    }
}

/// Puts the mount at `path` into a group of peers.
///
/// # Errors
/// [`Kind::Environment`](crate::Kind::Environment) where nothing is mounted there.
pub(crate) fn share_mount(path: &Path) -> Result<()> {
    mount_change(path, MountPropagationFlags::SHARED).context(|| format!("share {}", path.display()))
}
