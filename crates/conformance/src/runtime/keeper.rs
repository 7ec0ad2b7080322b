//! Whoever starts subjects, and answers for what they leave.

use std::os::fd::{AsFd as _, OwnedFd};

use plimsoll_sys::signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Context as _, Error, Kind, Result};

use super::host;

/// Takes in what loses its parent among the descendants of this process, and hears when this process is asked to
/// end. What descends from it is ended when it is dropped: what a subject has left that forks and goes its own
/// way. All children of this process end with it, so it is for programs that have no others.
#[derive(Debug)]
pub struct Keeper {
    requests_to_end: OwnedFd,
}

impl Keeper {
    /// From now on, requests to end this process are held back, for it to ask about.
    ///
    /// # Errors
    /// [`Kind::Environment`] where the kernel refuses.
    pub fn begin() -> Result<Keeper> {
        adopt_orphans()?;
        let requests_to_end = signal::block_and_watch_requests_to_end().context(|| "watch signals")?;
        Ok(Keeper { requests_to_end })
    }

    /// # Errors
    /// [`Kind::Environment`] where this process is asked to end.
    pub(crate) fn go_on(&self) -> Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut [self.interrupt()], Some(&now)).context(|| "watch signals")? == 0 {
            return Ok(());
        }
        Err(Error::new(Kind::Environment, "interrupted; what was running is ended and removed"))
    }

    /// What can be read from when this process is asked to end.
    pub(crate) fn interrupt(&self) -> PollFd<'_> {
        PollFd::from_borrowed_fd(self.requests_to_end.as_fd(), PollFlags::IN)
    }

    /// Ends all that descends from this process.
    pub(crate) fn sweep(&self) {
        host::kill_descendants();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.sweep();
    }
}

/// Makes this process the parent of those among its descendants who lose theirs.
///
/// # Errors
/// [`Kind::Environment`] where the kernel refuses.
pub(super) fn adopt_orphans() -> Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .context(|| "become the reaper of orphans")
}
