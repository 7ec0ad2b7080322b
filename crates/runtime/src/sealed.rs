//! Keeping the container's hands off the runtime's own executable.
//!
//! A container whose program is `/proc/self/exe`, or a script of it, executes the runtime's file and can
//! hold it until it may be written. So the commands that make processes run from a copy that nobody can
//! write: a read-only mount of the file, or a sealed copy in memory where mounts are not to be had.
//!
//! # References
//! - [CVE-2019-5736](https://nvd.nist.gov/vuln/detail/CVE-2019-5736)

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

use plimsoll_sys::mount::{Attributes, Change, set_attributes};
use plimsoll_sys::process::{CStrArray, fexecve};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};

use crate::error::{Context as _, Result, errno_text};
use crate::error::{Error, Kind};

/// Executes this program again from a copy that cannot be written, unless it runs from one.
pub(crate) fn ensure(args: &[OsString]) -> Result<()> {
    let context = || "protect the runtime's own executable".to_owned();
    let own = rustix::fs::open(c"/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .context(context)?;
    if is_sealed(&own) {
        return Ok(());
    }
    let copy = read_only_mount().or_else(|_| in_memory(&own)).context(context)?;
    let strings = |values: &mut dyn Iterator<Item = OsString>| {
        CStrArray::new(values.filter_map(|value| CString::new(value.into_vec()).ok()).collect())
    };
    let args = strings(&mut args.iter().cloned());
    let env = strings(&mut std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    }));
    let errno = fexecve(copy.as_fd(), &args, &env);
    Err(Error::because(Kind::Environment, context(), errno_text(errno)))
}

fn is_sealed(own: &OwnedFd) -> bool {
    let read_only =
        rustix::fs::fstatvfs(own).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY));
    read_only || rustix::fs::fcntl_get_seals(own).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
}

fn read_only_mount() -> rustix::io::Result<OwnedFd> {
    let tree = crate::rootfs::mount::clone(rustix::fs::CWD, c"/proc/self/exe", false)?;
    set_attributes(tree.as_fd(), &Change { set: Attributes::RDONLY, ..Change::default() })?;
    Ok(tree)
}

fn in_memory(own: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let copy =
        rustix::fs::memfd_create(c"plimsoll-runtime", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    while rustix::fs::sendfile(&copy, own, None, 64 << 20)? > 0 {}
    rustix::fs::fcntl_add_seals(
        &copy,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(copy)
}
