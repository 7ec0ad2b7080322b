//! `delete`: nothing is left of a container.

use std::process::ExitCode;

use plimsoll_spec::runtime::Status;

use crate::args::{Flag, Parsed, switch};
use crate::error::{Error, Kind, Result};
use crate::state::{Container, remove_remnant};

use super::Context;

pub(super) const FLAGS: &[Flag] =
    &[switch(&["force", "f"], "kill the container first, and clean up after an interrupted create")];

pub(super) fn run(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let id = parsed.only("container ID")?;
    let force = parsed.is_on("force");
    let container = match Container::lock(&context.root, id) {
        Err(error) if force && error.kind() == Kind::State => {
            remove_remnant(&context.root, id)?;
            return Ok(ExitCode::SUCCESS);
        }
        other => other?,
    };
    match container.status() {
        Status::Stopped | Status::Created => {}
        _ if force => {}
        status => {
            let why = format!("cannot delete container {id} that is not stopped: {}", status.as_str());
            return Err(Error::new(Kind::State, why));
        }
    }
    context.warn(&container.destroy()?);
    Ok(ExitCode::SUCCESS)
}
