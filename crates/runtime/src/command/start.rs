//! `start`: the program of a created container is executed.

use std::process::ExitCode;

use plimsoll_spec::runtime::Status;

use crate::args::Parsed;
use crate::error::{Error, Kind, Result};
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
    container.open_gate()?;
    hooks::run("poststart", &container.record.poststart, &container.state(Status::Running))?;
    Ok(ExitCode::SUCCESS)
}
