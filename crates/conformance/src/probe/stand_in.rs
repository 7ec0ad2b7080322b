//! Stands in for what a case had around the subject, when a script runs the case again: a process whose
//! namespaces are joined, and whoever listens at a socket. It lives until it is asked to end.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use plimsoll_sys::signal::block_and_watch_requests_to_end;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::SocketType;
use serde_json::json;

use crate::runtime::{Agent, ConsoleSocket, Holder, KINDS, bound};

use super::report;

/// Longest wait for a terminal, and for the end of what it prints: a person may be at work between.
const PATIENCE: Duration = Duration::from_secs(3600);
/// What is tried was refused by the kernel.
const REFUSED: u8 = 71;

/// Holds a new namespace of the kind that `/proc` calls `kind`; prints who does.
pub(super) fn hold(kind: &str) -> ExitCode {
    let Some((.., flags)) = KINDS.iter().find(|(_, known, _)| *known == kind) else {
        return ExitCode::from(64);
    };
    let Ok(holder) = Holder::start(*flags) else { return ExitCode::from(REFUSED) };
    let mut stdout = std::io::stdout();
    // Whoever does not read it cannot join, and will see that.
    let _ = writeln!(stdout, "{}", holder.pid()).and_then(|()| stdout.flush());
    until_asked()
}

/// Takes one terminal at `path` and prints what is printed there.
pub(super) fn terminal(path: &str) -> ExitCode {
    let taken = ConsoleSocket::listen(path.into()).and_then(|socket| socket.receive(PATIENCE));
    let Ok(Some(mut terminal)) = taken else { return ExitCode::from(REFUSED) };
    terminal.read_frames(usize::MAX, PATIENCE);
    match std::io::stdout().write_all(terminal.output().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(70),
    }
}

/// Answers calls that wait at what is sent to `path`; in the end it reports what came.
pub(super) fn agent(path: &str, answer: &str) -> ExitCode {
    // Before the agent's thread is made, which is to leave these signals alone too.
    let watch = block_and_watch_requests_to_end();
    let agent = Agent::listen(Path::new(path), answer.parse().unwrap_or_default());
    let (Ok(watch), Ok(agent)) = (watch, agent) else { return ExitCode::from(REFUSED) };
    await_request(&watch);
    match agent.finish() {
        Ok(connections) => report(&json!({"connections": connections})),
        Err(_) => ExitCode::from(REFUSED),
    }
}

/// Is there at `path` as a socket of datagrams, and reads none.
pub(super) fn datagrams(path: &str) -> ExitCode {
    match bound(Path::new(path), SocketType::DGRAM) {
        Ok(_held) => until_asked(),
        Err(_) => ExitCode::from(REFUSED),
    }
}

fn until_asked() -> ExitCode {
    match block_and_watch_requests_to_end() {
        Ok(watch) => await_request(&watch),
        Err(_) => return ExitCode::from(REFUSED),
    }
    ExitCode::SUCCESS
}

fn await_request(watch: &OwnedFd) {
    while poll(&mut [PollFd::new(watch, PollFlags::IN)], None) == Err(Errno::INTR) {}
}
