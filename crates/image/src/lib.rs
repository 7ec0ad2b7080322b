//! Images on disk: their content, their layers, and the trees and bundles made of them.
//! No network, no async; nothing is shown under its name before its bytes are verified.
//!
//! One image on its way to a container:
//!
//! ```no_run
//! use std::os::fd::AsFd as _;
//!
//! use plimsoll_image::bundle::{self, Overrides};
//! use plimsoll_image::layer::Limits;
//! use plimsoll_image::platform::PlatformSpec;
//! use plimsoll_image::snapshot::Options;
//! use plimsoll_image::source::{Source, import};
//! use plimsoll_image::Store;
//!
//! # fn main() -> plimsoll_image::Result<()> {
//! let store = Store::open("/var/lib/example".as_ref())?;
//! // Nothing that is imported goes away again before it is used.
//! let lease = store.share()?;
//! let source = Source::parse("oci-archive:debian.tar:12")?;
//! let imported = import(&source, &store, &PlatformSpec::host(), &mut |_| {})?;
//! store.tag("debian:12", &imported.image.descriptor)?;
//! let options = Options { limits: Limits::DEFAULT, progress: &|_| Ok(()) };
//! let snapshot = store.prepare("box", &imported.image, store.best_mode()?, &options)?;
//! drop(lease);
//! // From here on the process stands in the mount namespace that the container is started from.
//! snapshot.mount()?;
//! let rootfs = snapshot.open_rootfs()?;
//! let (image, overrides) = (&imported.image.config, Overrides::default());
//! let config = bundle::config(image, rootfs.as_fd(), &overrides)?;
//! bundle::anonymous_volumes(image, rootfs.as_fd(), &overrides)?.write(snapshot.folder(), &options)?;
//! # Ok(())
//! # }
//! ```

mod beside;
pub mod bundle;
mod copy;
mod error;
mod gzip;
pub mod image;
pub mod layer;
mod lock;
mod media;
pub mod platform;
pub mod snapshot;
pub mod source;
pub mod store;
mod tree;

pub use beside::Beside;
pub use error::{Error, Kind};
pub use image::Image;
pub use store::{Lease, Store};

/// What this crate's operations return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
