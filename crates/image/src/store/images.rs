//! The names of images. One small file, replaced as a whole; a reader needs no lock.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};

use plimsoll_spec::image::Descriptor;
use plimsoll_spec::json::{self, At, Limits, Value, Wire as _};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Store, Swept};
use crate::lock::Lock;
use crate::{Error, Kind, Result};

const FILE: &str = "images.json";
/// The form of the file that this release writes, and the only one that it reads.
const VERSION: u64 = 1;
/// Some 200,000 names.
const LIMITS: Limits = Limits { size: 64 << 20, depth: 64 };
/// Longest name in bytes: a registry's host, a repository and a tag or digest, each at its own limit.
const NAME_LIMIT: usize = 512;

impl Store {
    /// Every name and what it stands for.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where the file of names is damaged, [`Kind::Unsupported`] where another release
    /// wrote it.
    pub fn images(&self) -> Result<BTreeMap<String, Descriptor>> {
        let failed = |e| Error::io("read the names of images", e);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(self.root(), FILE, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(BTreeMap::new()),
            file => File::from(file.map_err(|e| failed(e.into()))?),
        };
        let mut text = Vec::new();
        file.take(LIMITS.size as u64 + 1).read_to_end(&mut text).map_err(failed)?;
        decode(&text)
    }

    /// What `name` stands for.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is no such name; otherwise as [`Store::images`].
    pub fn resolve(&self, name: &str) -> Result<Descriptor> {
        let image = self.images()?.remove(name);
        image.ok_or_else(|| Error::new(Kind::NotFound, format!("no image is called {name:?}")))
    }

    /// Lets `name` stand for `image`, whatever it stood for before. The blob of `image` must be there.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name that is empty, too long or not of visible ASCII characters,
    /// [`Kind::NotFound`] where the blob is absent.
    pub fn tag(&self, name: &str, image: &Descriptor) -> Result<()> {
        check_name(name)?;
        let _lease = self.share()?;
        if !self.contains(image)? {
            return Err(Error::new(Kind::NotFound, format!("tag {name:?}: no blob {}", image.digest)));
        }
        self.change(|images| {
            images.insert(name.to_owned(), image.clone());
            Ok(())
        })
    }

    /// Forgets `name` and removes what no other name needs. Waits until nobody uses the store, so the caller
    /// may hold no [`Lease`](super::Lease) itself.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is no such name; otherwise as [`Store::sweep`].
    pub fn remove(&self, name: &str) -> Result<Swept> {
        self.change(|images| {
            let removed = images.remove(name);
            removed
                .map(drop)
                .ok_or_else(|| Error::new(Kind::NotFound, format!("no image is called {name:?}")))
        })?;
        self.sweep()
    }

    fn change(&self, edit: impl FnOnce(&mut BTreeMap<String, Descriptor>) -> Result<()>) -> Result<()> {
        // The new file is staged in `ingest`, which whoever is alone in the store empties.
        let _lease = self.share()?;
        let _lock = self.lock("images.lock", Lock::exclusive)?;
        let mut images = self.images()?;
        edit(&mut images)?;
        let failed = |e| Error::io("write the names of images", e);
        let mut staged = self.stage()?;
        staged.file.write_all(&encode(&images)).map_err(failed)?;
        // The one file that cannot be had again.
        staged.file.sync_data().map_err(failed)?;
        staged.rename(FILE)
    }
}

fn encode(images: &BTreeMap<String, Descriptor>) -> Vec<u8> {
    let document =
        BTreeMap::from([("version".into(), Value::Unsigned(VERSION)), ("images".into(), images.encode())]);
    json::to_vec_pretty(&Value::Object(document))
}

fn decode(text: &[u8]) -> Result<BTreeMap<String, Descriptor>> {
    let invalid = |e: json::Error| Error::new(Kind::Invalid, "read the names of images").because(e);
    let mut document: BTreeMap<String, Value> = json::from_slice_within(text, LIMITS).map_err(invalid)?;
    match document.get("version") {
        Some(Value::Unsigned(VERSION)) => {}
        version => {
            let context = format!("the names of images are of version {version:?}, not {VERSION}");
            return Err(Error::new(Kind::Unsupported, context));
        }
    }
    let images = document.remove("images").unwrap_or(Value::Null);
    BTreeMap::decode(images, &At::ROOT.member("images")).map_err(invalid)
}

fn check_name(name: &str) -> Result<()> {
    if !name.is_empty() && name.len() <= NAME_LIMIT && name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("invalid image name {name:?}")))
}
