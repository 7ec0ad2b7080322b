//! Images on disk: their content, their layers, and the trees and bundles made of them.
//! No network, no async; nothing is shown under its name before its bytes are verified.

pub mod bundle;
mod error;
pub mod image;
pub mod layer;
mod media;
pub mod platform;
pub mod snapshot;
pub mod source;
pub mod store;
mod tree;

pub use error::{Error, Kind};
pub use image::Image;
pub use store::{Lease, Store};

/// What this crate's operations return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
