//! Session keyrings: what a process and all that it makes can find keys in.
//!
//! # References
//! - [session-keyring(7)](https://man7.org/linux/man-pages/man7/session-keyring.7.html)

use std::ffi::CStr;

use rustix::io::Result;

use crate::process::check;

/// Gives the caller the session keyring `name` of its user namespace, made where there is none that it may
/// search; the serial number.
///
/// # Errors
/// `ENOSYS` where the kernel keeps no keys, `EDQUOT` where the caller's user has too many.
///
/// # References
/// - [KEYCTL_JOIN_SESSION_KEYRING(2const)](https://man7.org/linux/man-pages/man2/KEYCTL_JOIN_SESSION_KEYRING.2const.html)
pub fn join_session(name: &CStr) -> Result<i32> {
    let join = libc::KEYCTL_JOIN_SESSION_KEYRING;
    // SAFETY: the kernel reads `name` up to the NUL that ends it.
    let serial = unsafe { libc::syscall(libc::SYS_keyctl, join, name.as_ptr()) } as i32;
    check(serial).map(|()| serial)
}

/// Sets what the possessor, the owner, the group and others may do with the key `serial`, eight bits each.
///
/// # References
/// - [KEYCTL_SETPERM(2const)](https://man7.org/linux/man-pages/man2/KEYCTL_SETPERM.2const.html)
pub fn set_permissions(serial: i32, mask: u32) -> Result<()> {
    // SAFETY: KEYCTL_SETPERM takes integers.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, serial, mask) } as i32)
}
