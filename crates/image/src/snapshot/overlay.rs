//! Mounting layers on top of each other with overlayfs, by descriptors: no path is built, so neither the
//! place of the store nor the number of layers runs into a limit of the mount options.
//!
//! # References
//! - [overlayfs](https://docs.kernel.org/filesystems/overlayfs.html)
//! - [fsconfig(2)](https://man7.org/linux/man-pages/man2/fsconfig.2.html)

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount, unmount,
};

use crate::{Error, Kind, Result};

/// A page: the most that mount(2) takes, for kernels that cannot be given the layers one by one.
const OPTIONS_LIMIT: usize = 4095;

/// What is stacked.
#[derive(Debug)]
pub(super) struct Overlay {
    /// Lowest first; at least one.
    pub(super) lower: Vec<OwnedFd>,
    pub(super) upper: OwnedFd,
    pub(super) work: OwnedFd,
}

/// What a layer's own attributes may not bring about, and what would tie a container to its inode numbers.
const SETTINGS: [(&str, &str); 3] = [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off")];

/// The setting without which the kernel stacks nothing in a user namespace.
const USER_ATTRIBUTES: &str = "userxattr";

impl Overlay {
    /// Mounts the stack at `target` in the mount namespace of the caller.
    ///
    /// # Errors
    /// [`Kind::Limit`] where the kernel, before Linux 6.5, cannot take so many layers; [`Kind::Io`] where it
    /// does not mount them.
    pub(super) fn mount(&self, target: BorrowedFd<'_>) -> Result<()> {
        match self.mount_by_descriptors(target) {
            Err(Errno::INVAL | Errno::NOSYS) => self.mount_by_options(target),
            done => done.map_err(|e| Error::io("mount the layers", e)),
        }
    }

    /// Linux 6.5 and later.
    fn mount_by_descriptors(&self, target: BorrowedFd<'_>) -> Result<(), Errno> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in SETTINGS {
            fsconfig_set_string(&context, key, value)?;
        }
        for lower in self.lower.iter().rev() {
            fsconfig_set_string(&context, "lowerdir+", path(lower))?;
        }
        fsconfig_set_string(&context, "upperdir", path(&self.upper))?;
        fsconfig_set_string(&context, "workdir", path(&self.work))?;
        if !super::has_all_ids() {
            fsconfig_set_flag(&context, USER_ATTRIBUTES)?;
        }
        fsconfig_create(&context)?;
        let made = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(&made, "", target, "", flags)
    }

    /// Before that: all of it in one string, with names of descriptors to keep it short.
    fn mount_by_options(&self, target: BorrowedFd<'_>) -> Result<()> {
        let lower: Vec<String> = self.lower.iter().rev().map(path).collect();
        let mut options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            path(&self.upper),
            path(&self.work)
        );
        for (key, value) in SETTINGS {
            options.push_str(&format!(",{key}={value}"));
        }
        if !super::has_all_ids() {
            options.push_str(&format!(",{USER_ATTRIBUTES}"));
        }
        if options.len() > OPTIONS_LIMIT {
            let context = format!("mount the layers: this kernel cannot take {}", self.lower.len());
            return Err(Error::new(Kind::Limit, context));
        }
        let options = std::ffi::CString::new(options)
            .map_err(|e| Error::new(Kind::Invalid, "mount the layers").because(e))?;
        mount("overlay", path(&target), "overlay", MountFlags::empty(), options.as_c_str())
            .map_err(|e| Error::io("mount the layers", e))
    }
}

/// Takes the mount off whose root `target` is.
///
/// # Errors
/// [`Kind::Io`] where it stays.
pub(super) fn take_off(target: BorrowedFd<'_>) -> Result<()> {
    // The descriptor keeps the mount in use, so it can only be detached.
    unmount(path(&target), UnmountFlags::DETACH).map_err(|e| Error::io("unmount the layers", e))
}

fn path(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}
