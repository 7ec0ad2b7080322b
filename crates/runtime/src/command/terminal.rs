//! Handing the terminal's master to whoever listens on the console socket.

use std::os::fd::{AsFd, OwnedFd};

use crate::args::usage;
use crate::error::{Context as _, Result};

use super::socket;

/// Refuses a console socket without a terminal, and a terminal in the background that nobody receives.
pub(super) fn check(terminal: bool, socket: Option<&str>, detached: bool) -> Result<()> {
    match (terminal, socket.is_some(), detached) {
        (true, false, true) => {
            Err(usage("cannot allocate tty if runtime will detach without setting console socket"))
        }
        (false, true, _) => {
            Err(usage("cannot use console socket if runtime will not detach or allocate tty"))
        }
        (true, true, false) => {
            Err(usage("cannot use console socket if runtime will not detach or allocate tty"))
        }
        _ => Ok(()),
    }
}

/// Sends `master` to the unix socket `path`; nothing without either.
pub(super) fn hand_over(master: Option<&OwnedFd>, path: Option<&str>) -> Result<()> {
    let (Some(master), Some(path)) = (master, path) else { return Ok(()) };
    socket::send(path, "/dev/ptmx", master.as_fd()).context(|| format!("send the terminal to {path}"))
}
