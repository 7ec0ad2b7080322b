//! The `cgroup` mount: one tree of version 2, or a directory of version 1 hierarchies.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use plimsoll_sys::mount::{Attributes, Change, set_attributes};
use rustix::fs::{AtFlags, CWD, Mode};
use rustix::io::{Errno, Result};

use crate::plan::Parameter;

use super::{mount, path};

/// One hierarchy as it is mounted in the container.
#[derive(Debug)]
pub(crate) struct HierarchyMount {
    /// Name of its directory; empty where it is the whole mount.
    pub name: CString,
    /// `cgroup` or `cgroup2`.
    pub kind: CString,
    pub parameters: Vec<Parameter>,
    /// What the host has of it for the container, or at all: bound where the hierarchy cannot be mounted.
    pub own: CString,
    /// Other names of the directory, such as `cpu` of `cpu,cpuacct`.
    pub links: Vec<CString>,
}

/// What stands at `/sys/fs/cgroup`.
#[derive(Debug, Default)]
pub(crate) struct CgroupMounts {
    pub hierarchies: Vec<HierarchyMount>,
    /// Whether the container has a cgroup namespace, whose root is then its own cgroup.
    pub namespaced: bool,
}

/// Mounts the hierarchies on `target`.
pub(crate) fn mount(target: BorrowedFd<'_>, mounts: &CgroupMounts, attributes: Attributes) -> Result<()> {
    if let [whole] = mounts.hierarchies.as_slice()
        && whole.name.is_empty()
    {
        return hierarchy(target, whole, mounts.namespaced, attributes);
    }
    let writable = attributes.without(Attributes::RDONLY);
    let tree = mount::filesystem(c"tmpfs", &[], writable)?;
    rustix::fs::chmodat(&tree, c".", Mode::from_raw_mode(0o755), AtFlags::empty())?;
    mount::attach(tree.as_fd(), target)?;
    for one in &mounts.hierarchies {
        let directory = path::create_directory(tree.as_fd(), &one.name)?;
        hierarchy(directory.as_fd(), one, mounts.namespaced, attributes)?;
        for link in &one.links {
            rustix::fs::symlinkat(one.name.as_c_str(), &tree, link.as_c_str())?;
        }
    }
    set_attributes(tree.as_fd(), &Change { set: attributes, ..Change::default() })
}

fn hierarchy(
    target: BorrowedFd<'_>,
    plan: &HierarchyMount,
    namespaced: bool,
    attributes: Attributes,
) -> Result<()> {
    let fresh = match namespaced {
        true => mount::filesystem(&plan.kind, &plan.parameters, attributes),
        false => Err(Errno::PERM),
    };
    let tree = match fresh {
        Ok(tree) => tree,
        Err(_) => {
            let tree = mount::clone(CWD, &plan.own, true)?;
            set_attributes(tree.as_fd(), &Change { set: attributes, ..Change::default() })?;
            tree
        }
    };
    mount::attach(tree.as_fd(), target)
}
