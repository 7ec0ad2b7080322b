//! The trees that containers run in, below `ROOT/snapshots`:
//!
//! ```text
//! layers/ALGORITHM/ENCODED  one layer as overlayfs wants it, by the chain id of it and those below
//! containers/ID/            a container's bundle: `rootfs`, and for overlayfs `upper` and `work`
//! containers/ID/snapshot.json  which of the two it is, and the layers it stands on
//! staging/RANDOM            a tree in the making
//! ```
//!
//! A tree gets its name by a rename when it is complete. Layers are shared by all images that have them
//! and are never written to again.

mod record;

use std::os::fd::AsFd as _;

use std::collections::HashSet;

use plimsoll_digest::Digest;

use crate::{Result, Store, tree};

use record::Record;

/// Where trees are made.
pub(crate) const STAGING: &str = "snapshots/staging";
const LAYERS: &str = "snapshots/layers";
const CONTAINERS: &str = "snapshots/containers";

impl Store {
    /// The identifiers of all containers that have a snapshot, sorted.
    ///
    /// # Errors
    /// [`crate::Kind::Io`] where they cannot be listed.
    pub fn snapshots(&self) -> Result<Vec<String>> {
        tree::names(self.root(), CONTAINERS)
    }

    /// The chain ids of the layers that containers stand on.
    pub(crate) fn chains_in_use(&self) -> Result<Vec<Digest>> {
        let mut chains = Vec::new();
        for id in self.snapshots()? {
            chains.extend(Record::read(self, &id)?.layers);
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
