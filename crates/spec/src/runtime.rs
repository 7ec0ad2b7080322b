//! The runtime specification 1.3, Linux.

mod config;
pub mod defaults;
mod features;
mod linux;
mod resources;
mod seccomp;
pub mod seccomp_profile;
mod state;

pub use config::*;
pub use features::*;
pub use linux::*;
pub use resources::*;
pub use seccomp::*;
pub use state::*;

/// The version of the specification that these types follow.
pub const VERSION: &str = "1.3.0";
