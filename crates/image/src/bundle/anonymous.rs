//! What an image calls its volumes: places for data, which becomes no part of the root file system. Each gets
//! a directory of the bundle that starts as a copy of what the image has there, and goes with the bundle.
//!
//! The places are the image's word, and it may be hostile. Refused are those that lead through `..`, to the
//! root itself or to what is no directory, and more of them than anybody needs. Passed over are those that
//! another mount takes already: the user's at the same place, and the file systems that every container has.
//!
//! # References
//! - [conversion.md, Config.Volumes](https://github.com/opencontainers/image-spec/blob/v1.1.1/conversion.md#optional-fields)
//! - [config.md, Mounts](https://github.com/opencontainers/runtime-spec/blob/v1.2.1/config.md#mounts): a relative
//!   source is one of the bundle

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use plimsoll_spec::image::ImageConfig;
use plimsoll_spec::runtime::{Mount, defaults};
use plimsoll_sys::fs::Root;

use crate::copy::{self, Budget};
use crate::snapshot::Options;
use crate::{Error, Kind, Result, tree};

use super::place::Place;
use super::volume::components;
use super::{Overrides, host_files};

/// Where they are in a bundle.
const FOLDER: &str = "volumes";
/// Most volumes of an image, each of which may be a copy of the same content; real images have less than ten.
const LIMIT: usize = 128;
/// As Podman mounts them: data needs neither devices nor set-user-id programs.
const OPTIONS: [&str; 5] = ["rbind", "rprivate", "rw", "nosuid", "nodev"];

/// The volumes of a container that the user has not named.
#[derive(Debug)]
pub struct AnonymousVolumes(Vec<Anonymous>);

#[derive(Debug)]
struct Anonymous {
    destination: String,
    place: Place,
}

/// The volumes that `image` asks for and that a container of it with `overrides`, whose root file system is
/// `rootfs`, gets as directories of its own.
///
/// # Errors
/// [`Kind::Invalid`] for a place where no volume can be, [`Kind::Limit`] for too many.
pub fn anonymous_volumes(
    image: &ImageConfig,
    rootfs: BorrowedFd<'_>,
    overrides: &Overrides,
) -> Result<AnonymousVolumes> {
    let destinations = image.config.iter().flat_map(|execution| execution.volumes.keys());
    let count = destinations.clone().count();
    if count == 0 {
        return Ok(AnonymousVolumes(Vec::new()));
    }
    if count > LIMIT {
        return Err(Error::new(Kind::Limit, format!("the image has {count} volumes, over {LIMIT}")));
    }
    let root = rootfs.try_clone_to_owned().map_err(|e| Error::io("duplicate a descriptor", e))?;
    let root = Root::from(root);
    let taken = Taken::new(&root, overrides);
    let mut found: Vec<Anonymous> = Vec::new();
    for destination in destinations {
        let volume = Anonymous::find(&root, destination)?;
        if taken.has(&volume.place) || found.iter().any(|other| other.place.is(&volume.place)) {
            continue;
        }
        volume.check(destination)?;
        found.push(volume);
    }
    Ok(AnonymousVolumes(found))
}

impl AnonymousVolumes {
    /// Makes their directories in `bundle`, with what the image has at their places.
    ///
    /// # Errors
    /// [`Kind::Limit`] for more than layers may hold, [`Kind::Io`] and [`Kind::NoSpace`] from the host.
    pub fn write(&self, bundle: BorrowedFd<'_>, options: &Options<'_>) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let folder = tree::make(bundle, FOLDER, 0o755)?;
        let mut budget = Budget::new(options);
        for (number, volume) in self.0.iter().enumerate() {
            volume.write(&folder, &number.to_string(), &mut budget).map_err(|e| {
                Error::new(e.kind(), format!("make volume {}", volume.destination)).because(e)
            })?;
        }
        Ok(())
    }

    pub(super) fn mounts(&self) -> impl Iterator<Item = Mount> {
        self.0.iter().enumerate().map(|(number, volume)| Mount {
            destination: volume.destination.clone(),
            kind: Some("bind".into()),
            source: Some(format!("{FOLDER}/{number}")),
            options: OPTIONS.map(str::to_owned).to_vec(),
            ..Mount::default()
        })
    }
}

impl Anonymous {
    fn find(root: &Root, wanted: &str) -> Result<Anonymous> {
        // A relative one is taken from the root, as the working directory is.
        let names: Vec<&str> = components(wanted).collect();
        if names.contains(&"..") {
            return Err(invalid(wanted, "leads through a parent directory"));
        }
        if wanted.contains('\0') {
            return Err(invalid(wanted, "holds a NUL"));
        }
        let place =
            Place::find(root, &names).map_err(|e| invalid(wanted, "cannot be looked for").because(e))?;
        Ok(Anonymous { destination: format!("/{}", names.join("/")), place })
    }

    fn check(&self, wanted: &str) -> Result<()> {
        if self.place.is_root() {
            return Err(invalid(wanted, "is the root file system itself"));
        }
        if self.place.is_blocked() {
            return Err(invalid(wanted, "leads to what is no directory"));
        }
        Ok(())
    }

    fn write(&self, folder: &OwnedFd, name: &str, budget: &mut Budget<'_>) -> Result<()> {
        let own = tree::make(folder.as_fd(), name, 0o755)?;
        if !self.place.missing.is_empty() {
            return Ok(());
        }
        copy::tree(self.place.directory.as_fd(), own.as_fd(), budget)
    }
}

fn invalid(wanted: &str, why: &str) -> Error {
    Error::new(Kind::Invalid, format!("the image's volume {wanted:?} {why}"))
}

/// Places that belong to others.
struct Taken {
    /// With everything below: nothing there is of the root file system.
    with_below: Vec<Place>,
    alone: Vec<Place>,
}

impl Taken {
    fn new(root: &Root, overrides: &Overrides) -> Taken {
        // What cannot be found is nobody's place, and the runtime will say why.
        let find = |path: &str| {
            let names: Vec<&str> = components(path).collect();
            Place::find(root, &names).ok()
        };
        let mounts = defaults::config().mounts;
        let users = overrides.volumes.iter().filter_map(|volume| find(&volume.destination));
        Taken {
            with_below: mounts.iter().filter_map(|mount| find(&mount.destination)).collect(),
            alone: users.chain(host_files(overrides).filter_map(find)).collect(),
        }
    }

    fn has(&self, place: &Place) -> bool {
        self.with_below.iter().any(|other| place.is_within(other))
            || self.alone.iter().any(|other| place.is(other))
    }
}
