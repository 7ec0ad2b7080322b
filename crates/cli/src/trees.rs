//! Who writes and removes trees of files: root does so himself, an ordinary user as root of a user namespace
//! in which his ranges of ids are mapped, so that files have the owners that the image gives them.
//!
//! Only that work is done inside. The runtime is executed outside and makes the container a namespace of its
//! own with the same mapping: a process inside would have no power over another such namespace, the user who
//! owns it does. Where there are no ranges one id is mapped, and a note says why.
//!
//! # References
//! - [user_namespaces(7)](https://man7.org/linux/man-pages/man7/user_namespaces.7.html)

mod ranges;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use plimsoll_image::bundle::{Joined, Rootless};
use plimsoll_spec::json::{self, Limits, Value};
use plimsoll_spec::runtime::IdMapping;
use plimsoll_sys::process::{
    self, CloneFlags, Forked, SingleThreaded, close_inherited, fork, fork_program, setns,
};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getppid, set_parent_process_death_signal, waitid};
use rustix::thread::{Gid, Uid};

use crate::output::{object, text};

/// This user's way to trees.
#[derive(Debug)]
pub(crate) struct Trees {
    /// The ids that an ordinary user's containers have; none for root, whose containers have the host's.
    pub rootless: Option<Rootless>,
    /// The namespaces that trees are written in, where it takes any.
    namespaces: Option<Namespaces>,
    /// Where an ordinary user has a single id: that he has, and why.
    pub single: Option<String>,
}

/// A user namespace, and a mount namespace that it owns and whose mounts never reach the host.
#[derive(Debug)]
struct Namespaces {
    user: OwnedFd,
    mount: OwnedFd,
}

/// What a child enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Enter {
    User,
    UserAndMount,
}

impl Trees {
    /// The best that this user has.
    pub(crate) fn of_this_user() -> Trees {
        if rustix::process::geteuid().is_root() {
            return Trees { rootless: None, namespaces: None, single: None };
        }
        match ranged() {
            Ok((rootless, namespaces)) => {
                Trees { rootless: Some(rootless), namespaces: Some(namespaces), single: None }
            }
            Err(why) => {
                let uids = vec![mapping(0, rustix::process::geteuid().as_raw(), 1)];
                let gids = vec![mapping(0, rustix::process::getegid().as_raw(), 1)];
                let why = format!("only your own id is mapped: {why:#}");
                let rootless = Rootless { uids, gids, joined: None };
                Trees { rootless: Some(rootless), namespaces: None, single: Some(why) }
            }
        }
    }

    /// Whether work is done in a user namespace.
    pub(crate) fn have_namespace(&self) -> bool {
        self.namespaces.is_some()
    }

    /// Where a runtime finds the namespaces while this process lives, if there are any.
    pub(crate) fn joined(&self) -> Option<Joined> {
        let Namespaces { user, mount } = self.namespaces.as_ref()?;
        Some(Joined { user: path_of(user), mount: path_of(mount) })
    }

    /// Does `work` where trees can be written and removed: here, or in a child that is root of the namespace.
    pub(crate) fn within(&self, work: impl FnOnce() -> Result<Value>) -> Result<Value> {
        self.inside(Enter::User, work)
    }

    /// As [`Trees::within`], and in the mount namespace that [`Trees::joined`] names. What was opened before
    /// cannot be mounted there.
    pub(crate) fn within_mounts(&self, work: impl FnOnce() -> Result<Value>) -> Result<Value> {
        self.inside(Enter::UserAndMount, work)
    }

    fn inside(&self, what: Enter, work: impl FnOnce() -> Result<Value>) -> Result<Value> {
        let Some(namespaces) = &self.namespaces else { return work() };
        let parent = rustix::process::getpid();
        in_child(|| {
            namespaces.enter(what, parent).context("enter the user namespace")?;
            work()
        })
    }
}

/// What a child of this process can open `file` by.
pub(crate) fn path_of(file: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

fn mapping(container_id: u32, host_id: u32, size: u32) -> IdMapping {
    IdMapping { container_id, host_id, size, ..IdMapping::default() }
}

/// The user's ranges behind his own id, and a user namespace that has them.
fn ranged() -> Result<(Rootless, Namespaces)> {
    let helpers = ["newuidmap", "newgidmap"].map(|name| {
        crate::context::on_path(name)
            .with_context(|| format!("{name} is not on PATH; install it (Debian and Ubuntu: package uidmap)"))
    });
    let [newuidmap, newgidmap] = helpers;
    let (newuidmap, newgidmap) = (newuidmap?, newgidmap?);
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let rootless = Rootless {
        uids: ranges::of("/etc/subuid", user, user)?,
        gids: ranges::of("/etc/subgid", user, group)?,
        joined: None,
    };
    let namespaces = make_namespaces(|pid| {
        map(&newuidmap, pid, &rootless.uids)?;
        map(&newgidmap, pid, &rootless.gids)
    })?;
    Ok((rootless, namespaces))
}

/// New namespaces, the user namespace mapped by `map` for the process whose pid it is given.
fn make_namespaces(map: impl FnOnce(i32) -> Result<()>) -> Result<Namespaces> {
    let token = SingleThreaded::prove().context("make sure that there is one thread")?;
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).context("make a pipe")?;
    // Namespaces need a process only until they are opened.
    let (pid, pidfd) = match fork(token, CloneFlags::NEWUSER | CloneFlags::NEWNS, None) {
        Ok(Forked::Parent { pid, pidfd }) => (pid, pidfd),
        Ok(Forked::Child) => {
            close_inherited(theirs.as_fd());
            // The end of the pipe is all that is waited for.
            let _ = rustix::io::read(&ours, &mut [0u8; 1]);
            process::exit(0)
        }
        Err(Errno::PERM | Errno::NOSPC) => {
            bail!(
                "user namespaces are not for ordinary users here; see the sysctls user.max_user_namespaces and \
                 kernel.unprivileged_userns_clone, and AppArmor"
            )
        }
        Err(e) => return Err(e).context("make a user namespace"),
    };
    let open = |kind| {
        let path = format!("/proc/{pid}/ns/{kind}");
        let opened = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        opened.with_context(|| format!("open {path}"))
    };
    let made = map(pid).and_then(|()| Ok(Namespaces { user: open("user")?, mount: open("mnt")? }));
    drop(theirs);
    reap(&pidfd).context("wait for the user namespace's first process")?;
    made
}

fn map(helper: &Path, pid: i32, mappings: &[IdMapping]) -> Result<()> {
    let numbers = mappings.iter().flat_map(|m| [m.container_id, m.host_id, m.size]);
    let output = Command::new(helper)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("execute {}", helper.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().replace('\n', "; ");
    bail!("{} refuses the ranges of /etc/subuid and /etc/subgid: {said}", helper.display())
}

impl Namespaces {
    /// Becomes root of the user namespace; groups stay, because they may be why the user can read a file.
    fn enter(&self, what: Enter, parent: Pid) -> rustix::io::Result<()> {
        setns(self.user.as_fd(), CloneFlags::NEWUSER)?;
        rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
        rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
        if what == Enter::UserAndMount {
            // What is typed is relative to where it was typed, which the change would forget.
            let here = rustix::process::getcwd(Vec::new())?;
            setns(self.mount.as_fd(), CloneFlags::NEWNS)?;
            rustix::process::chdir(&here)?;
        }
        // Last, because a change of user takes it back.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH) }
    }
}

/// Does `work` in a child and hands its result on.
fn in_child(work: impl FnOnce() -> Result<Value>) -> Result<Value> {
    let token = SingleThreaded::prove().context("make sure that there is one thread")?;
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).context("make a pipe")?;
    match fork_program(token).context("fork")? {
        Forked::Child => {
            drop(ours);
            let report = match work() {
                Ok(value) => object([("ok", value)]),
                Err(error) => object([("error", text(format!("{error:#}")))]),
            };
            // A parent that is gone does not want to know.
            let _ = File::from(theirs).write_all(&json::to_vec(&report));
            process::exit(0)
        }
        Forked::Parent { pidfd, .. } => {
            drop(theirs);
            let mut report = Vec::new();
            let read = File::from(ours).take(Limits::DEFAULT.size as u64).read_to_end(&mut report);
            reap(&pidfd).context("wait for the process in the user namespace")?;
            read.context("listen to the process in the user namespace")?;
            understand(&report)
        }
    }
}

fn understand(report: &[u8]) -> Result<Value> {
    let nonsense = || anyhow!("the process in the user namespace died before it was done");
    let Ok(Value::Object(mut report)) = json::from_slice::<Value>(report) else { return Err(nonsense()) };
    match (report.remove("ok"), report.remove("error")) {
        (Some(value), None) => Ok(value),
        (None, Some(Value::String(error))) => Err(anyhow!(error)),
        _ => Err(nonsense()),
    }
}

fn reap(pidfd: &OwnedFd) -> rustix::io::Result<()> {
    let wait = || waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    rustix::io::retry_on_intr(wait).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_value_a_failure_or_nonsense() {
        let failed = |report: &[u8]| understand(report).unwrap_err().to_string();
        assert_eq!(understand(br#"{"ok": [1]}"#).unwrap(), Value::Array(vec![Value::Unsigned(1)]));
        assert_eq!(failed(br#"{"error": "why"}"#), "why");
        for report in [b"".as_slice(), b"{}", b"[]", br#"{"ok": 1, "error": "x"}"#, br#"{"ok": 1"#] {
            assert_eq!(failed(report), "the process in the user namespace died before it was done");
        }
    }
}
