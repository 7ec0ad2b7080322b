//! One process, told apart from a later one of the same number by when it started.
//!
//! # References
//! - [proc_pid_stat(5)](https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::{Context as _, Error, Kind, Result};

/// A process that lived when it was looked for.
#[derive(Debug)]
pub(crate) struct Process {
    pub pid: i32,
    pub pidfd: OwnedFd,
}

impl Process {
    /// The process `pid`, if it started at `start_time` and has not exited.
    pub(crate) fn find(pid: i32, start_time: u64) -> Option<Process> {
        let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        // The descriptor comes first: what is read now is about the process that it refers to, or a later one.
        let (status, started) = stat(pid).ok()?;
        (started == start_time && !matches!(status, b'Z' | b'X')).then_some(Process { pid, pidfd })
    }

    /// Sends `signal`.
    pub(crate) fn signal(&self, signal: i32) -> Result<()> {
        plimsoll_sys::signal::send(&self.pidfd, signal).context(|| format!("signal process {}", self.pid))
    }

    /// Kills the process; one that has exited is fine.
    pub(crate) fn kill(&self) -> Result<()> {
        match plimsoll_sys::signal::send(&self.pidfd, 9) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno).context(|| format!("kill process {}", self.pid)),
        }
    }

    /// Waits, at most ten seconds, until the process has exited.
    pub(crate) fn wait(&self) -> Result<()> {
        let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
        loop {
            match poll(&mut [PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN)], Some(&limit)) {
                Err(Errno::INTR) => continue,
                Ok(0) => {
                    return Err(Error::new(Kind::Environment, format!("process {} does not die", self.pid)));
                }
                other => return other.map(drop).context(|| format!("wait for process {}", self.pid)),
            }
        }
    }
}

/// When process `pid` started, in clock ticks since boot.
pub(crate) fn start_time(pid: i32) -> Result<u64> {
    stat(pid).map(|(_, started)| started).context(|| format!("read the start time of process {pid}"))
}

fn stat(pid: i32) -> rustix::io::Result<(u8, u64)> {
    let file =
        rustix::fs::open(format!("/proc/{pid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0u8; 1024];
    let length = rustix::io::read(&file, &mut buffer)?;
    parse(buffer.get(..length).unwrap_or_default()).ok_or(Errno::PROTO)
}

/// State (field 3) and start time (field 22); the name in field 2 may hold anything but ends at the last `)`.
fn parse(stat: &[u8]) -> Option<(u8, u64)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let status = *fields.next()?.as_bytes().first()?;
    Some((status, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_fields() {
        let stat = b"7 (a) R 1 (b) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1\n";
        assert_eq!(parse(stat), Some((b'S', 4711)));
        assert_eq!(parse(b"7 (a"), None);
        assert_eq!(parse(b"7 (a) S 1"), None);
    }

    #[test]
    fn a_process_is_found_by_its_start() {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let (_, started) = stat(own).unwrap();
        assert_eq!(Process::find(own, started).map(|process| process.pid), Some(own));
        assert!(Process::find(own, started + 1).is_none());
        assert!(Process::find(0, 0).is_none());
    }
}
