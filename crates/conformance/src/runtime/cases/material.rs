//! What containers are given to bind: a file system of the case's own with a witness for every option.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::MountFlags;

use crate::case::Obstacle;
use crate::error::Context as _;
use crate::runtime::Stage;

use super::edit::USER;

/// What the witness file holds.
pub(super) const TEXT: &str = "witness";

/// A tmpfs with the witnesses, and one with the same witnesses mounted at `sub` in it, both with `flags`.
pub(super) fn tree(stage: &mut Stage, name: &str, flags: MountFlags) -> Result<PathBuf, Obstacle> {
    let top = stage.tmpfs(stage.place.join(name), MountFlags::empty())?;
    fill(stage, &top)?;
    let sub = stage.tmpfs(top.join("sub"), MountFlags::empty())?;
    fill(stage, &sub)?;
    if !flags.is_empty() {
        for path in [&top, &sub] {
            stage.remount(path, flags)?;
        }
    }
    Ok(top)
}

/// `file`, `link` to it, `null` (a device), `setuid` (the probe, as root) in `folder`, for [`USER`] to touch.
fn fill(stage: &mut Stage, folder: &Path) -> Result<(), Obstacle> {
    let context = || format!("make witnesses in {}", folder.display());
    std::fs::write(folder.join("file"), TEXT).context(context)?;
    symlink("file", folder.join("link")).context(context)?;
    let setuid = folder.join("setuid");
    std::fs::copy(&stage.settings.probe, &setuid).context(context)?;
    std::fs::set_permissions(&setuid, PermissionsExt::from_mode(0o4755)).context(context)?;
    let null = folder.join("null");
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(CWD, &null, FileType::CharacterDevice, mode, rustix::fs::makedev(1, 3))
        .context(context)?;
    // The mask of new files' modes is the caller's.
    std::fs::set_permissions(&null, PermissionsExt::from_mode(0o666)).context(context)?;
    for path in [&folder.join("file"), folder] {
        chown(path, Some(USER), Some(USER)).context(context)?;
    }
    let (probe, user) = (stage.settings.probe.to_string_lossy().into_owned(), format!("{USER}:{USER}"));
    let inside = |name: &str| folder.join(name).to_string_lossy().into_owned();
    stage.note_command(&["sh", "-c", "printf witness > \"$0\"", &inside("file")]);
    stage.note_command(&["ln", "-s", "file", &inside("link")]);
    stage.note_command(&["cp", &probe, &inside("setuid")]);
    stage.note_command(&["chmod", "4755", &inside("setuid")]);
    stage.note_command(&["mknod", "-m", "666", &inside("null"), "c", "1", "3"]);
    stage.note_command(&["chown", &user, &inside("file"), &folder.to_string_lossy()]);
    Ok(())
}
