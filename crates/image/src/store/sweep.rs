//! Removal of what no name needs: everything reachable from the names is marked, the rest goes.
//! Refuses to remove anything while a document that may mention more cannot be read.

use std::collections::HashSet;
use std::os::fd::AsFd as _;

use plimsoll_digest::{Digest, chain_ids};
use plimsoll_spec::image::{Descriptor, ImageConfig, Index, Manifest};
use rustix::fs::AtFlags;

use super::Store;
use crate::media::{self, Document};
use crate::{Error, Result, tree};

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs.
    pub blobs: usize,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Unpacked layers.
    pub layers: usize,
}

/// What the names need.
#[derive(Debug, Default)]
struct Marked {
    blobs: HashSet<Digest>,
    chains: HashSet<Digest>,
}

impl Store {
    /// Removes blobs that no name leads to, and unpacked layers that neither a name nor a container needs.
    /// Waits until nobody uses the store, so the caller may hold no [`Lease`](super::Lease) itself.
    ///
    /// # Errors
    /// [`Digest`](crate::Kind::Digest), [`Size`](crate::Kind::Size) or [`Invalid`](crate::Kind::Invalid) where a document of a named image is damaged:
    /// then nothing is removed.
    pub fn sweep(&self) -> Result<Swept> {
        let _alone = self.exclusive()?;
        self.remove_remains()?;
        let mut marked = Marked::default();
        for (name, image) in self.images()? {
            self.mark(&mut marked, &image, 0)
                .map_err(|e| Error::new(e.kind(), format!("find what image {name:?} needs")).because(e))?;
        }
        for chain in self.chains_in_use()? {
            marked.chains.insert(chain);
        }
        let mut swept = Swept::default();
        self.sweep_blobs(&marked.blobs, &mut swept)?;
        swept.layers = self.sweep_layers(&marked.chains)?;
        Ok(swept)
    }

    fn mark(&self, marked: &mut Marked, descriptor: &Descriptor, depth: usize) -> Result<()> {
        media::check_depth(depth)?;
        // Seen before, or one of the platforms of an index that were not imported.
        if !marked.blobs.insert(descriptor.digest.clone()) || !self.contains(descriptor)? {
            return Ok(());
        }
        match media::document(&descriptor.media_type) {
            Some(Document::Index) => {
                let index: Index = self.document(descriptor)?;
                index.manifests.iter().try_for_each(|below| self.mark(marked, below, depth + 1))
            }
            Some(Document::Manifest) => {
                let manifest: Manifest = self.document(descriptor)?;
                manifest.layers.iter().for_each(|layer| {
                    marked.blobs.insert(layer.digest.clone());
                });
                self.mark(marked, &manifest.config, depth + 1)
            }
            Some(Document::Config) => {
                let image_config: ImageConfig = self.document(descriptor)?;
                marked.chains.extend(chain_ids(&image_config.rootfs.diff_ids));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn sweep_blobs(&self, marked: &HashSet<Digest>, swept: &mut Swept) -> Result<()> {
        let blobs = tree::open(self.root(), "blobs")?;
        for algorithm in tree::names(self.root(), "blobs")? {
            let folder = tree::open(blobs.as_fd(), &algorithm)?;
            for encoded in tree::names(blobs.as_fd(), &algorithm)? {
                // A name that is no digest is nobody's blob.
                let kept = Digest::parse(&format!("{algorithm}:{encoded}"));
                if kept.is_ok_and(|digest| marked.contains(&digest)) {
                    continue;
                }
                let failed = |e| Error::io(format!("remove blob {algorithm}:{encoded}"), e);
                let stat = rustix::fs::statat(&folder, encoded.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(failed)?;
                rustix::fs::unlinkat(&folder, encoded.as_str(), AtFlags::empty()).map_err(failed)?;
                swept.blobs += 1;
                swept.bytes += u64::try_from(stat.st_size).unwrap_or(0);
            }
        }
        Ok(())
    }
}
