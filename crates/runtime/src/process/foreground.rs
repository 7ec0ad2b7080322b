//! Standing in for a process in the foreground: its signals, its terminal, its exit status.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use plimsoll_sys::signal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::error::{Context as _, Result};

use super::parent::Child;

const SIGCHLD: i32 = 17;
const SIGURG: i32 = 23;
const SIGWINCH: i32 = 28;

/// The caller's terminal in raw mode; as it was again when this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Option<Raw> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw).ok()?;
        Some(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Forwards signals and the terminal until `child` exits; its exit status, 128 and the number for a signal.
pub(crate) fn wait(child: &mut Child, signals: &OwnedFd, master: Option<&OwnedFd>) -> Result<u8> {
    let _raw = master.and_then(|_| Raw::enter());
    if let Some(master) = master {
        resize(master);
    }
    let mut input = master.is_some();
    loop {
        let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let stdin = rustix::stdio::stdin();
        let mut watched = vec![readable(child.pidfd.as_fd()), readable(signals.as_fd())];
        if let Some(master) = master {
            watched.push(readable(master.as_fd()));
            if input {
                watched.push(readable(stdin));
            }
        }
        match poll(&mut watched, None) {
            Err(Errno::INTR) => continue,
            other => other.context(|| "wait for the container".to_owned())?,
        };
        let ready = |i: usize| watched.get(i).is_some_and(|fd| !fd.revents().is_empty());
        let (exited, signalled, output, typed) = (ready(0), ready(1), ready(2), ready(3));
        if signalled {
            forward(child, signals, master)?;
        }
        if let Some(master) = master {
            if output {
                copy(master.as_fd(), rustix::stdio::stdout());
            }
            if typed {
                input = copy(stdin, master.as_fd());
            }
        }
        if exited {
            // What the process wrote last is still in the terminal.
            while master.is_some_and(|master| copy(master.as_fd(), rustix::stdio::stdout())) {}
            let status = child.wait()?;
            let code =
                status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
            return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255));
        }
    }
}

fn forward(child: &Child, signals: &OwnedFd, master: Option<&OwnedFd>) -> Result<()> {
    while let Some(number) = signal::next(signals).context(|| "read a signal".to_owned())? {
        match (number, master) {
            (SIGCHLD | SIGURG, _) => {}
            (SIGWINCH, Some(master)) => resize(master),
            // A process that has exited meanwhile needs no signal.
            _ => drop(signal::send(&child.pidfd, number)),
        }
    }
    Ok(())
}

/// Gives the container's terminal the size of the caller's, where there is one.
fn resize(master: &OwnedFd) {
    let stdin = rustix::stdio::stdin();
    if isatty(stdin)
        && let Ok(size) = tcgetwinsize(stdin)
    {
        // The size is a courtesy.
        let _ = tcsetwinsize(master, size);
    }
}

/// Copies what is there; whether more may come.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0u8; 16 << 10];
    // The master of a terminal whose last slave is closed reads as EIO.
    let Ok(length @ 1..) = rustix::io::read(from, &mut buffer) else { return false };
    let mut rest = buffer.get(..length).unwrap_or_default();
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(_) => return false,
        }
    }
    true
}
