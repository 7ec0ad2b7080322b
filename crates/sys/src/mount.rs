//! `mount_setattr(2)`, which rustix does not have.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Result;

use crate::process::check;

bitflags_lite! {
    /// Attributes of a mount; the kernel's `MOUNT_ATTR_*`.
    Attributes {
        /// Read-only.
        RDONLY = 0x1,
        /// Set-user-id bits have no effect.
        NOSUID = 0x2,
        /// Device nodes cannot be opened.
        NODEV = 0x4,
        /// Nothing can be executed.
        NOEXEC = 0x8,
        /// The mask of the three access time modes.
        ATIME = 0x70,
        /// Access times are never updated.
        NOATIME = 0x10,
        /// Access times are always updated.
        STRICTATIME = 0x20,
        /// Access times of directories are never updated.
        NODIRATIME = 0x80,
        /// Symbolic links are not followed.
        NOSYMFOLLOW = 0x0020_0000,
    }
}

/// What to change of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Attributes to set.
    pub set: Attributes,
    /// Attributes to clear.
    pub clear: Attributes,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED` or `MS_UNBINDABLE`, or 0 to leave propagation alone.
    pub propagation: u64,
}

impl Change {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        *self == Change::default()
    }
}

/// Changes the mount behind `fd`.
///
/// # Errors
/// What the kernel says; `ENOSYS` before Linux 5.12.
///
/// # References
/// - [mount_setattr(2)](https://man7.org/linux/man-pages/man2/mount_setattr.2.html)
pub fn set_attributes(fd: BorrowedFd<'_>, change: &Change) -> Result<()> {
    setattr(fd, change, libc::AT_EMPTY_PATH)
}

/// Changes the mount behind `fd` and every mount below it.
///
/// # Errors
/// As [`set_attributes`].
pub fn set_attributes_recursive(fd: BorrowedFd<'_>, change: &Change) -> Result<()> {
    setattr(fd, change, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)
}

fn setattr(fd: BorrowedFd<'_>, change: &Change, flags: i32) -> Result<()> {
    #[repr(C)]
    struct MountAttr {
        attr_set: u64,
        attr_clr: u64,
        propagation: u64,
        userns_fd: u64,
    }
    let mut clear = change.clear.bits();
    // The kernel wants the whole mode cleared before another one is set.
    if change.set.bits() & Attributes::ATIME.bits() != 0 {
        clear |= Attributes::ATIME.bits();
    }
    let attr = MountAttr {
        attr_set: change.set.bits(),
        attr_clr: clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    let empty: &CStr = c"";
    // SAFETY: the path ends in NUL, `attr` is read for the size passed, and both outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            empty.as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    check(done as i32)
}
