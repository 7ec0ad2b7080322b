//! The container's file system: what is mounted, made and hidden, each from a descriptor of its root.
//!
//! Everything here runs in the child and makes system calls only. No path of the image is followed
//! outside its root, and no magic link is followed at all.

pub(crate) mod cgroup;
mod copy;
pub(crate) mod device;
pub(crate) mod hidden;
pub(crate) mod mount;
pub(crate) mod path;
pub(crate) mod pivot;
