//! Extended attributes that nobody asked for: those of a directory that is described anew, and access lists
//! that the kernel hands down from a directory to what is made in it. Security labels are the host's and stay,
//! and so does what overlayfs keeps for itself.
//!
//! # References
//! - [acl(5)](https://man7.org/linux/man-pages/man5/acl.5.html), object creation and default ACLs

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::fs;
use rustix::io::Errno;

/// The kernel's limit for a list of names.
const LIST_MAX: usize = 65536;

/// Whether what is made in the open directory gets an access list from it.
///
/// # Errors
/// Those of fgetxattr(2).
pub fn hands_down_acl(directory: impl AsFd) -> io::Result<bool> {
    match fs::fgetxattr(directory, c"system.posix_acl_default", &mut [0u8; 0][..]) {
        Ok(length) => Ok(length > 0),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives `to` the attributes of `from`, both open, and none besides.
///
/// # Errors
/// Those of fgetxattr(2) and fsetxattr(2).
pub fn copy_xattrs(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    clear_xattrs(&to)?;
    each(
        |list| fs::flistxattr(&from, list),
        |name| match super::xattr(&from, name)? {
            Some(value) => super::set_xattr(&to, name, &value),
            None => Ok(()),
        },
    )
}

/// Gives the name `name` in `to` the attributes that it has in `from`: a symbolic link, a device, a FIFO, none
/// of which can be opened.
///
/// # Errors
/// Those of lgetxattr(2) and lsetxattr(2).
pub fn copy_name_xattrs(from: impl AsFd, to: impl AsFd, name: &[u8]) -> io::Result<()> {
    let path = name_path(from, name)?;
    let path = path.as_c_str();
    each(
        |list| fs::llistxattr(path, list),
        |attribute| match super::name::value(|value| fs::lgetxattr(path, attribute, value))? {
            Some(value) => super::set_name_xattr(&to, name, attribute, &value),
            None => Ok(()),
        },
    )
}

/// Takes the attributes off an open file.
///
/// # Errors
/// Those of flistxattr(2) and fremovexattr(2).
pub fn clear_xattrs(file: impl AsFd) -> io::Result<()> {
    each(|list| fs::flistxattr(&file, list), |name| removed(fs::fremovexattr(&file, name)))
}

/// Takes the attributes off a name that cannot be opened: a symbolic link, a device, a FIFO.
///
/// # Errors
/// Those of llistxattr(2) and lremovexattr(2).
pub fn clear_name_xattrs(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    let path = name_path(parent, name)?;
    let path = path.as_c_str();
    each(|list| fs::llistxattr(path, list), |name| removed(fs::lremovexattr(path, name)))
}

/// A path to `name` in an open directory, for calls that take no descriptor of one.
fn name_path(parent: impl AsFd, name: &[u8]) -> io::Result<CString> {
    let mut path = format!("/proc/self/fd/{}/", parent.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    Ok(CString::new(path)?)
}

fn removed(done: rustix::io::Result<()>) -> io::Result<()> {
    match done {
        Ok(()) | Err(Errno::NODATA) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Does `work` with every attribute of a list that archives describe.
fn each(
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    work: impl Fn(&CStr) -> io::Result<()>,
) -> io::Result<()> {
    // Nearly always there is none.
    let mut few = [0u8; 256];
    let mut many = Vec::new();
    let names = match list(&mut few) {
        Ok(length) => &few[..length],
        Err(Errno::NOTSUP) => return Ok(()),
        Err(Errno::RANGE) => {
            many.resize(LIST_MAX, 0);
            let length = list(&mut many)?;
            &many[..length]
        }
        Err(error) => return Err(error.into()),
    };
    for name in names.split_inclusive(|byte| *byte == 0).filter(|name| is_described(name)) {
        work(CStr::from_bytes_with_nul(name).map_err(io::Error::other)?)?;
    }
    Ok(())
}

/// Whether an archive describes the attribute `name`, which ends with a NUL.
fn is_described(name: &[u8]) -> bool {
    let starts = |prefix: &[u8]| name.starts_with(prefix);
    let overlayfs = starts(b"trusted.overlay.") || starts(b"user.overlay.");
    let known = starts(b"user.") || starts(b"trusted.") || starts(b"system.posix_acl_");
    (known && !overlayfs) || name == b"security.capability\0"
}
