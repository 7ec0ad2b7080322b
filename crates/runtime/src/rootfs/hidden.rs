//! Masked and read-only paths.

use std::os::fd::{AsFd, OwnedFd};

use plimsoll_sys::mount::{Attributes, Change, set_attributes};
use rustix::fs::CWD;
use rustix::io::{Errno, Result};

use crate::process::child::{Entry as _, Outcome};
use crate::process::init::Init;

use super::{mount, path};

/// Makes each path read-only; one that is not there needs no protection.
pub(crate) fn readonly(init: &mut Init<'_>) -> Outcome {
    let root = init.root.as_ref().ok_or(Errno::BADF)?.as_fd();
    for (i, place) in init.plan.readonly.iter().enumerate() {
        let target = match path::open(root, place) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            other => other.entry(i)?,
        };
        let tree = mount::clone(target.as_fd(), c"", true).entry(i)?;
        let change = Change { set: Attributes::RDONLY, ..Change::default() };
        set_attributes(tree.as_fd(), &change).entry(i)?;
        mount::attach(tree.as_fd(), target.as_fd()).entry(i)?;
    }
    Ok(())
}

/// Hides each path: a directory below an empty one, a file below the host's null device.
pub(crate) fn masked(init: &mut Init<'_>) -> Outcome {
    let root = init.root.as_ref().ok_or(Errno::BADF)?.as_fd();
    let (mut empty, mut null) = (None, None);
    for (i, place) in init.plan.masked.iter().enumerate() {
        let target = match path::open(root, place) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            other => other.entry(i)?,
        };
        let covered = match path::is_directory(&target).entry(i)? {
            true => cover(&mut empty, empty_directory, &target),
            false => cover(&mut null, null_device, &target),
        };
        covered.entry(i)?;
    }
    Ok(())
}

/// Covers `target`: the first cover is made, all others are copies of its mount. It is copied where it is attached,
/// because kernels before 6.15 copy no mount that is detached.
fn cover(first: &mut Option<OwnedFd>, make: fn() -> Result<OwnedFd>, target: &OwnedFd) -> Result<()> {
    match first {
        Some(attached) => mount::attach(mount::clone(attached.as_fd(), c"", false)?.as_fd(), target.as_fd()),
        None => {
            let made = make()?;
            mount::attach(made.as_fd(), target.as_fd())?;
            *first = Some(made);
            Ok(())
        }
    }
}

fn empty_directory() -> Result<OwnedFd> {
    mount::filesystem(
        c"tmpfs",
        &[],
        Attributes::RDONLY | Attributes::NOSUID | Attributes::NODEV | Attributes::NOEXEC,
    )
}

/// A copy of the host's null device, made sure to be that.
fn null_device() -> Result<OwnedFd> {
    let tree = mount::clone(CWD, c"/dev/null", false)?;
    match rustix::fs::fstat(&tree)?.st_rdev == rustix::fs::makedev(1, 3) {
        true => Ok(tree),
        false => Err(Errno::NODEV),
    }
}
