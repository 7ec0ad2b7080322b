//! Making the root file system a mount of its own, and changing to it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plimsoll_spec::runtime::RootfsPropagation;
use plimsoll_sys::mount::{Attributes, Change, set_attributes, set_attributes_recursive};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::{Errno, Result};
use rustix::mount::UnmountFlags;

use crate::process::child::Outcome;
use crate::process::init::Init;

use super::mount;

const SHARED: u64 = 1 << 20;
const SLAVE: u64 = 1 << 19;
const PRIVATE: u64 = 1 << 18;
const UNBINDABLE: u64 = 1 << 17;

fn flag(propagation: RootfsPropagation) -> u64 {
    match propagation {
        RootfsPropagation::Shared | RootfsPropagation::RShared => SHARED,
        RootfsPropagation::Slave | RootfsPropagation::RSlave => SLAVE,
        RootfsPropagation::Private | RootfsPropagation::RPrivate => PRIVATE,
        RootfsPropagation::Unbindable | RootfsPropagation::RUnbindable => UNBINDABLE,
    }
}

fn propagation(flag: u64) -> Change {
    Change { propagation: flag, ..Change::default() }
}

/// Cuts the namespace off from the host and copies the root's mounts onto the root.
pub(crate) fn prepare(init: &mut Init<'_>) -> Outcome {
    let host = directory(c"/")?;
    if init.plan.propagation.map(flag) == Some(SHARED) {
        // Mounts stay peers of the host's, but not the one that carries the root: what is mounted on it
        // below would appear on the host.
        set_attributes(carrier(directory(&init.plan.rootfs)?)?.as_fd(), &propagation(PRIVATE))?;
    } else {
        set_attributes_recursive(host.as_fd(), &propagation(SLAVE))?;
    }
    let place = directory(&init.plan.rootfs)?;
    let tree = mount::clone(place.as_fd(), c"", true)?;
    mount::attach(tree.as_fd(), place.as_fd())?;
    init.root = Some(tree);
    Ok(())
}

fn directory(path: &std::ffi::CStr) -> Result<OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// The root directory of the mount that `place` lies in.
fn carrier(mut place: OwnedFd) -> Result<OwnedFd> {
    loop {
        let stat = rustix::fs::statx(&place, c"", AtFlags::EMPTY_PATH, StatxFlags::empty())?;
        if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return Ok(place);
        }
        place = rustix::fs::openat(
            &place,
            c"..",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
    }
}

/// Makes the container's root the root of the namespace and lets go of the host's.
pub(crate) fn change(init: &mut Init<'_>) -> Outcome {
    let root = init.root.take().ok_or(Errno::BADF)?;
    if init.plan.readonly_root {
        set_attributes(root.as_fd(), &Change { set: Attributes::RDONLY, ..Change::default() })?;
    }
    if init.plan.pivots {
        pivot(root.as_fd())?;
    } else {
        move_root(root.as_fd())?;
    }
    rustix::process::chdir(c"/")?;
    if let Some(kind) = init.plan.propagation {
        set_attributes(directory(c"/")?.as_fd(), &propagation(flag(kind)))?;
    }
    Ok(())
}

fn pivot(root: BorrowedFd<'_>) -> Result<()> {
    let host = directory(c"/")?;
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(c".", c".")?;
    // The host's root lies on top of ours now. Its mounts become slaves before they go, so that nothing
    // is unmounted on the host with them.
    rustix::process::fchdir(&host)?;
    set_attributes_recursive(host.as_fd(), &propagation(SLAVE))?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)
}

/// For a root that cannot be pivoted away from, such as an initial ramdisk's.
fn move_root(root: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(root)?;
    mount::attach(root, directory(c"/")?.as_fd())?;
    rustix::process::chroot(c".")
}
