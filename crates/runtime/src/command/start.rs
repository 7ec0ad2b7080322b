//! `start`: the program of a created container is executed.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::ExitCode;

use plimsoll_spec::runtime::Status;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::args::Parsed;
use crate::error::{Context as _, Error, Kind, Result};
use crate::process::hooks;
use crate::state::Container;

use super::Context;

pub(super) fn run(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let container = Container::lock(&context.root, parsed.only("container ID")?)?;
    match container.status() {
        Status::Created => {}
        Status::Stopped => return Err(Error::new(Kind::State, "cannot start a container that has stopped")),
        Status::Running => return Err(Error::new(Kind::State, "cannot start an already running container")),
        other => {
            let why = format!("cannot start a container in the {} state", other.as_str());
            return Err(Error::new(Kind::State, why));
        }
    }
    let gate = container.open_gate()?;
    if container.record.poststart.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    wait_for_execution(gate.as_fd())?;
    let hooked = hooks::run("poststart", &container.record.poststart, &container.state(Status::Running));
    if hooked.is_err() {
        // The hook's failure is the one to report; what cannot be removed stays for `delete --force`.
        let _ = container.destroy();
    }
    hooked.map(|()| ExitCode::SUCCESS)
}

/// The process holds both ends of the gate until it executes its program.
fn wait_for_execution(gate: BorrowedFd<'_>) -> Result<()> {
    loop {
        // Without events only the end of all readers is reported.
        match poll(&mut [PollFd::from_borrowed_fd(gate, PollFlags::empty())], None) {
            Err(Errno::INTR) => continue,
            other => return other.map(drop).context(|| "wait for the program".to_owned()),
        }
    }
}
