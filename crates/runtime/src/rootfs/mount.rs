//! The mounts of the configuration: each made detached, given its final attributes, then moved to its place.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plimsoll_sys::mount::{Attributes, Change, set_attributes, set_attributes_recursive};
use rustix::fs::CWD;
use rustix::io::{Errno, Result};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::plan::{Action, MountPlan, Parameter, Takes};
use crate::process::child::{Entry as _, Outcome};
use crate::process::init::Init;

use super::{cgroup, copy, path};

/// Makes every mount, in order.
pub(crate) fn all(init: &mut Init<'_>) -> Outcome {
    let root = init.root.as_ref().ok_or(Errno::BADF)?.as_fd();
    // Modes of what is made below are exact.
    rustix::process::umask(rustix::fs::Mode::empty());
    for (i, mount) in init.plan.mounts.iter().enumerate() {
        one(root, mount, init).entry(i)?;
    }
    Ok(())
}

fn one(root: BorrowedFd<'_>, mount: &MountPlan, init: &Init<'_>) -> Result<()> {
    let tree = match &mount.action {
        Action::Remount => return change(path::open(root, &mount.target)?.as_fd(), mount),
        Action::Cgroup { attributes } => {
            let target = target(root, mount, true)?;
            return cgroup::mount(target.as_fd(), &init.plan.cgroup_mounts, *attributes);
        }
        Action::Bind { source, recursive } => clone(CWD, source, *recursive)?,
        Action::Cover { parameters, attributes, takes } => {
            return cover(
                root,
                mount,
                &filesystem(c"tmpfs", parameters, attributes.without(Attributes::RDONLY))?,
                *attributes,
                *takes,
            );
        }
        Action::Filesystem { kind, parameters, attributes } => {
            let made = filesystem(kind, parameters, *attributes);
            match made {
                // Only the owner of the network namespace may mount its sysfs; the host's is what is left.
                Err(Errno::PERM) if kind.as_bytes() == b"sysfs" => {
                    let tree = clone(CWD, c"/sys", true)?;
                    set_attributes(tree.as_fd(), &Change { set: *attributes, ..Change::default() })?;
                    tree
                }
                other => other?,
            }
        }
    };
    let target = target(root, mount, path::is_directory(&tree)?)?;
    change(tree.as_fd(), mount)?;
    attach(tree.as_fd(), target.as_fd())
}

/// Mounts `tree`, a tmpfs that takes something over from the directory that it covers, where there is one.
fn cover(
    root: BorrowedFd<'_>,
    mount: &MountPlan,
    tree: &OwnedFd,
    attributes: Attributes,
    takes: Takes,
) -> Result<()> {
    match path::open_directory(root, &mount.target) {
        Err(Errno::NOENT) => {}
        covered => {
            let covered = covered?;
            if takes.content {
                copy::tree(covered.as_fd(), tree.as_fd())?;
            }
            if takes.mode {
                copy::mode(covered.as_fd(), tree.as_fd())?;
            }
        }
    }
    if attributes.contains(Attributes::RDONLY) {
        set_attributes(tree.as_fd(), &Change { set: Attributes::RDONLY, ..Change::default() })?;
    }
    let target = target(root, mount, true)?;
    change(tree.as_fd(), mount)?;
    attach(tree.as_fd(), target.as_fd())
}

/// The place of a mount, made where it is missing.
fn target(root: BorrowedFd<'_>, mount: &MountPlan, directory: bool) -> Result<OwnedFd> {
    if mount.no_symlink {
        match path::open_without_links(root, &mount.target) {
            Err(Errno::NOENT) => {}
            Err(Errno::LOOP) => return Err(Errno::LOOP),
            other => return other,
        }
    }
    let place = if directory {
        path::create_directory(root, &mount.target)?
    } else {
        path::create_file(root, &mount.target)?
    };
    // The plan has looked at the words, but links of the image may lead there as well.
    if !mount.is_below_proc() && path::is_in_procfs(&place)? { Err(Errno::LOOP) } else { Ok(place) }
}

fn change(tree: BorrowedFd<'_>, mount: &MountPlan) -> Result<()> {
    if !mount.recursive_change.is_empty() {
        set_attributes_recursive(tree, &mount.recursive_change)?;
    }
    if !mount.change.is_empty() {
        match set_attributes(tree, &mount.change) {
            // What the host has locked stays; taking a restriction away was a wish, setting one is a demand.
            Err(Errno::PERM) if mount.change.set == Attributes::empty() => {}
            other => other?,
        }
    }
    for (flag, recursive) in &mount.propagation {
        let change = Change { propagation: *flag, ..Change::default() };
        if *recursive { set_attributes_recursive(tree, &change)? } else { set_attributes(tree, &change)? }
    }
    Ok(())
}

/// A detached instance of a file system.
pub(crate) fn filesystem(
    kind: &std::ffi::CStr,
    parameters: &[Parameter],
    attributes: Attributes,
) -> Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for Parameter { key, value } in parameters {
        match value {
            Some(value) => fsconfig_set_string(&context, key.as_c_str(), value.as_c_str())?,
            None => fsconfig_set_flag(&context, key.as_c_str())?,
        }
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::from_bits_retain(attributes.bits() as u32);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A detached copy of the mount at `path`.
pub(crate) fn clone(at: BorrowedFd<'_>, path: &std::ffi::CStr, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if path.is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(at, path, flags)
}

/// Puts a detached mount on `target`.
pub(crate) fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, c"", target, c"", flags)
}
