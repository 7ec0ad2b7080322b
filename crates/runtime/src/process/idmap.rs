//! Writing the id mappings of a new user namespace: directly where the kernel lets us, else by the
//! set-user-id helpers `newuidmap` and `newgidmap`.
//!
//! # References
//! - [user_namespaces(7)](https://man7.org/linux/man-pages/man7/user_namespaces.7.html)
//! - [newuidmap(1)](https://man7.org/linux/man-pages/man1/newuidmap.1.html)

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use plimsoll_spec::runtime::IdMapping;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context as _, Error, Kind, Result};

/// Maps the ids of process `pid`, whose user namespace is new.
pub(crate) fn write(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let process = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())
        .context(|| format!("open process {pid}"))?;
    one(&process, pid, "uid_map", "newuidmap", uids)?;
    if !rustix::process::geteuid().is_root() && is_own(gids, rustix::process::getegid().as_raw()) {
        // The kernel lets an ordinary user map its own group only once setgroups is out of reach.
        put(&process, "setgroups", "deny").context(|| "forbid setgroups".to_owned())?;
    }
    one(&process, pid, "gid_map", "newgidmap", gids)
}

/// Whether `mappings` is the only one an ordinary user may write: one id, its own.
fn is_own(mappings: &[IdMapping], own: u32) -> bool {
    matches!(mappings, [IdMapping { host_id, size: 1, .. }] if *host_id == own)
}

fn one(process: &OwnedFd, pid: i32, file: &str, helper: &str, mappings: &[IdMapping]) -> Result<()> {
    let lines: String =
        mappings.iter().map(|m| format!("{} {} {}\n", m.container_id, m.host_id, m.size)).collect();
    match put(process, file, &lines) {
        Err(Errno::PERM) if !rustix::process::geteuid().is_root() => by_helper(helper, pid, mappings),
        other => other
            .context(|| format!("write {file} of the user namespace ({})", lines.trim().replace('\n', ", "))),
    }
}

fn put(process: &OwnedFd, file: &str, text: &str) -> rustix::io::Result<()> {
    let file = rustix::fs::openat(process, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes()).map(drop)
}

fn by_helper(helper: &str, pid: i32, mappings: &[IdMapping]) -> Result<()> {
    let numbers = mappings.iter().flat_map(|m| [m.container_id, m.host_id, m.size]);
    let output = Command::new(helper)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output()
        .map_err(|e| {
            Error::because(Kind::Environment, format!("more than the own id is mapped, execute {helper}"), e)
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(Kind::Environment, format!("{helper} refuses the mapping: {said}")))
}
