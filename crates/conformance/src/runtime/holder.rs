//! A process that does nothing but hold namespaces, for containers that are to join them.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use plimsoll_sys::process::{CloneFlags, Forked, SingleThreaded, exit, fork};
use rustix::process::{
    Signal, WaitId, WaitIdOptions, getegid, geteuid, pidfd_send_signal, set_parent_process_death_signal,
    waitid,
};

use crate::case::Obstacle;
use crate::error::Context as _;

/// The kinds of namespaces: as a configuration calls them, as `/proc` does, and as `clone(2)` does.
pub(crate) const KINDS: [(&str, &str, CloneFlags); 8] = [
    ("pid", "pid", CloneFlags::NEWPID),
    ("network", "net", CloneFlags::NEWNET),
    ("mount", "mnt", CloneFlags::NEWNS),
    ("ipc", "ipc", CloneFlags::NEWIPC),
    ("uts", "uts", CloneFlags::NEWUTS),
    ("user", "user", CloneFlags::NEWUSER),
    ("cgroup", "cgroup", CloneFlags::NEWCGROUP),
    ("time", "time", CloneFlags::NEWTIME),
];

/// The kind of the one namespace that `flags` ask for, as `/proc` calls it.
pub(crate) fn kind_of(flags: CloneFlags) -> &'static str {
    KINDS.iter().find(|(.., known)| *known == flags).map_or("", |(_, kind, _)| kind)
}

/// The process; it ends when this value is dropped, or with the worker.
#[derive(Debug)]
pub(crate) struct Holder {
    pid: i32,
    pidfd: OwnedFd,
}

impl Holder {
    /// Starts it in new namespaces; a new user namespace maps every id to itself. An ordinary user can make
    /// other namespaces in one of users alone, in which he is root.
    ///
    /// # Errors
    /// [`Obstacle::Skip`] where the caller may not make them.
    pub(crate) fn start(flags: CloneFlags) -> Result<Holder, Obstacle> {
        let obstacle = |errno| Obstacle::of("hold namespaces", errno);
        let user = Some((geteuid().as_raw(), getegid().as_raw())).filter(|(uid, _)| *uid != 0);
        let flags = if user.is_some() { flags | CloneFlags::NEWUSER } else { flags };
        let token = SingleThreaded::prove().map_err(obstacle)?;
        match fork(token, flags, None).map_err(obstacle)? {
            Forked::Parent { pid, pidfd } => {
                let holder = Holder { pid, pidfd };
                let whole = "0 0 4294967295".to_owned();
                match user {
                    Some((uid, gid)) => {
                        let own = |id| format!("0 {id} 1");
                        // Before it is known that groups cannot be given up, nobody may map his own.
                        holder.write("setgroups", "deny")?;
                        holder.map(&own(uid), &own(gid))?;
                    }
                    None if flags.contains(CloneFlags::NEWUSER) => holder.map(&whole, &whole)?,
                    None => {}
                }
                Ok(holder)
            }
            Forked::Child => {
                // Where this fails it lives until the worker ends all that descends from it.
                let _ = set_parent_process_death_signal(Some(Signal::KILL));
                loop {
                    if rustix::event::poll(&mut [], None).is_err_and(|errno| errno != rustix::io::Errno::INTR)
                    {
                        exit(1);
                    }
                }
            }
        }
    }

    fn map(&self, uids: &str, gids: &str) -> Result<(), Obstacle> {
        self.write("uid_map", uids)?;
        self.write("gid_map", gids)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), Obstacle> {
        let path = format!("/proc/{}/{file}", self.pid);
        Ok(std::fs::write(&path, text).context(|| format!("write {path}"))?)
    }

    /// Its id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// The file of its namespace of the kind that `/proc` calls `kind`.
    pub(crate) fn path(&self, kind: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/{kind}", self.pid))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // One that is gone already needs no end.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = waitid(WaitId::PidFd(std::os::fd::AsFd::as_fd(&self.pidfd)), WaitIdOptions::EXITED);
    }
}
