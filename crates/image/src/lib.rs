//! Images on disk: their content, their layers, and the trees and bundles made of them.
//! No network, no async; nothing is shown under its name before its bytes are verified.

mod error;
pub mod layer;

pub use error::{Error, Kind};
