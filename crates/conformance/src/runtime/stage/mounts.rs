//! Mounts that a case makes itself, in the worker's mount namespace: what containers are given to bind.
//! They go away with the stage.

use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_remount, unmount,
};

use super::Stage;
use crate::case::Obstacle;
use crate::error::{Context as _, Result};

/// What `mount(8)` calls flags.
const FLAGS: [(MountFlags, &str); 8] = [
    (MountFlags::RDONLY, "ro"),
    (MountFlags::NOSUID, "nosuid"),
    (MountFlags::NODEV, "nodev"),
    (MountFlags::NOEXEC, "noexec"),
    (MountFlags::NOATIME, "noatime"),
    (MountFlags::NODIRATIME, "nodiratime"),
    (NOSYMFOLLOW, "nosymfollow"),
    (STRICTATIME, "strictatime"),
];

/// `MS_NOSYMFOLLOW` of `mount(2)`, which rustix does not name.
pub(crate) const NOSYMFOLLOW: MountFlags = MountFlags::from_bits_retain(256);
/// `MS_STRICTATIME`, likewise.
pub(crate) const STRICTATIME: MountFlags = MountFlags::from_bits_retain(1 << 24);

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
        let name = path.to_string_lossy();
        self.note_own("mount");
        self.note_command(&["mkdir", "-p", &name]);
        self.note_command(&["mount", "-t", "tmpfs", "-o", "mode=777,size=16m", "tmpfs", &name]);
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
        let name = path.to_string_lossy();
        self.note_own("mount");
        self.note_command(&["mount", "--bind", &name, &name]);
        self.share_mount(path)?;
        Ok(())
    }

    /// Puts the mount at `path` into a group of peers.
    ///
    /// # Errors
    /// [`Kind::Environment`](crate::Kind::Environment) where nothing is mounted there.
    pub(crate) fn share_mount(&mut self, path: &Path) -> Result<()> {
        mount_change(path, MountPropagationFlags::SHARED).context(|| format!("share {}", path.display()))?;
        self.note_command(&["mount", "--make-shared", &path.to_string_lossy()]);
        Ok(())
    }

    /// Gives the mount at `path` the flags in `flags` and no others.
    ///
    /// # Errors
    /// As [`Stage::share_mount`].
    pub(crate) fn remount(&mut self, path: &Path, flags: MountFlags) -> Result<()> {
        mount_remount(path, flags | MountFlags::BIND, c"")
            .context(|| format!("change the mount {}", path.display()))?;
        let names = FLAGS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name);
        let options: Vec<&str> = ["remount", "bind"].into_iter().chain(names).collect();
        self.note_command(&["mount", "-o", &options.join(","), &path.to_string_lossy()]);
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
