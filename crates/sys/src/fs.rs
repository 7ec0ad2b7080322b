//! Trees reached through file descriptors: a [`Root`] stands for a directory as `/` stands for a process in
//! it, and every path below is walked by the kernel with `RESOLVE_IN_ROOT`, so that no symbolic link, `..`
//! or racing rename leads outside.
//!
//! It refuses string-joined paths: an operation takes a path inside a root, or one name inside a directory.
//!
//! # References
//! - [openat2(2)](https://man7.org/linux/man-pages/man2/openat2.2.html)

mod attributes;
mod name;
mod root;

pub use attributes::{clear_name_xattrs, clear_xattrs, copy_name_xattrs, copy_xattrs, hands_down_acl};
pub use name::{
    Timestamp, create_directory, create_file, hard_link, make_node, set_mode, set_name_mode, set_name_owner,
    set_name_times, set_name_xattr, set_owner, set_times, set_xattr, status, symlink, xattr,
};
pub use root::{Directory, Root};
