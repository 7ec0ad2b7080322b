//! Control groups by the cgroupfs driver: v1, hybrid and v2 behind one handle.
//!
//! Refuses the systemd driver (a `slice:prefix:name` path), because this build does not speak D-Bus, and
//! every limit that the host's controllers cannot hold; nothing that was asked for is dropped silently.

mod cgroup;
mod devices;
mod error;
mod hierarchy;
mod limits;
mod update;

pub use cgroup::Cgroup;
pub use error::{Error, Kind};
pub use hierarchy::{Hierarchy, Version};
