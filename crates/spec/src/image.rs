//! The image specification 1.1.

mod data;
pub mod media_type;
mod types;

pub use data::Data;
pub use types::*;
