//! Device nodes and the links that every container finds in `/dev`.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid};
use rustix::io::{Errno, Result};

use crate::plan::DevicePlan;
use crate::process::child::{Entry as _, Outcome};
use crate::process::init::Init;

use super::{mount, path};

/// Links in `/dev`: where, and to what.
const LINKS: [(&CStr, &CStr); 4] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
];

/// Makes the devices and links, unless the configuration brings a whole `/dev` of its own.
pub(crate) fn all(init: &mut Init<'_>) -> Outcome {
    if !init.plan.setup_dev {
        return Ok(());
    }
    let root = init.root.as_ref().ok_or(Errno::BADF)?.as_fd();
    for (i, device) in init.plan.devices.iter().enumerate() {
        let made = if init.plan.bind_devices { bind(root, device) } else { node(root, device) };
        made.entry(i)?;
    }
    links(root)?;
    Ok(())
}

fn node(root: BorrowedFd<'_>, device: &DevicePlan) -> Result<()> {
    let (parent, name) = path::create_parent(root, &device.path)?;
    match rustix::fs::mknodat(&parent, name, device.kind, Mode::from_raw_mode(device.mode), device.device) {
        // Without CAP_MKNOD, as in a user namespace that was made before us.
        Err(Errno::PERM) => return bind(root, device),
        Err(Errno::EXIST) => {
            let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let same = FileType::from_raw_mode(stat.st_mode) == device.kind
                && (device.kind == FileType::Fifo || stat.st_rdev == device.device);
            return if same { Ok(()) } else { Err(Errno::EXIST) };
        }
        other => other?,
    }
    if (device.uid, device.gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
        rustix::fs::chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn bind(root: BorrowedFd<'_>, device: &DevicePlan) -> Result<()> {
    if device.kind == FileType::Fifo {
        return Err(Errno::PERM);
    }
    let tree = mount::clone(CWD, &device.host_path, false)?;
    let target = path::create_file(root, &device.path)?;
    mount::attach(tree.as_fd(), target.as_fd())
}

fn links(root: BorrowedFd<'_>) -> Result<()> {
    let dev = path::create_directory(root, c"dev")?;
    for (name, target) in LINKS {
        link(dev.as_fd(), name, target)?;
    }
    if rustix::fs::access("/proc/kcore", rustix::fs::Access::EXISTS).is_ok() {
        link(dev.as_fd(), c"core", c"/proc/kcore")?;
    }
    // The container's own multiplexer, never one that the image or the host's devtmpfs brought.
    match rustix::fs::unlinkat(&dev, c"ptmx", AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    link(dev.as_fd(), c"ptmx", c"pts/ptmx")
}

fn link(dev: BorrowedFd<'_>, name: &CStr, target: &CStr) -> Result<()> {
    match rustix::fs::symlinkat(target, dev, name) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Puts the terminal `slave` on `/dev/console`.
pub(crate) fn console(root: BorrowedFd<'_>, slave: BorrowedFd<'_>) -> Result<()> {
    let tree = mount::clone(slave, c"", false)?;
    let target = path::create_file(root, c"dev/console")?;
    mount::attach(tree.as_fd(), target.as_fd())
}
