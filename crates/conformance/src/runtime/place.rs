//! The folder of a run, and what subjects make of its path.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Context as _, Result};

use super::host;

/// The folder, which goes away with this value.
///
/// A subject that is told to climb out of the hierarchies of cgroups may stay within and make the rest of the
/// path there. Of that it removes the last alone; the others go with the folder too.
#[derive(Debug)]
pub(super) struct Place {
    folder: TempDir,
    /// Cgroups of what lies above the folder that were not there before it, deepest first.
    above: Vec<PathBuf>,
}

impl Place {
    pub(super) fn new() -> Result<Place> {
        let folder = tempfile::Builder::new().prefix("plimsoll-conformance-").tempdir();
        let folder = folder.context(|| "make a folder")?;
        // Others may have to look into bundles: processes of containers that run as ordinary users.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).context(|| "open the folder")?;
        let above = folder.path().ancestors().skip(1).flat_map(host::as_cgroups);
        let above = above.filter(|cgroup| !cgroup.exists()).collect();
        Ok(Place { folder, above })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        host::remove_cgroups(&self.folder.path().to_string_lossy());
        for cgroup in &self.above {
            // Most were never made; one that somebody else uses by now stays.
            let _ = std::fs::remove_dir(cgroup);
        }
    }
}
