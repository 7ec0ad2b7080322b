//! `pause` and `resume`: the cgroup freezer.

use std::process::ExitCode;

use plimsoll_spec::runtime::Status;

use crate::args::Parsed;
use crate::error::{Error, Kind, Result};
use crate::state::Container;

use super::Context;

pub(super) fn pause(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let container = Container::lock(&context.root, parsed.only("container ID")?)?;
    expect(&container, &[Status::Running, Status::Created], "container not running or created")?;
    let done = container.cgroup()?.freeze();
    done.map_err(|e| Error::because(Kind::Environment, "freeze the container", e))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn resume(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let container = Container::lock(&context.root, parsed.only("container ID")?)?;
    expect(&container, &[Status::Paused], "container not paused")?;
    let done = container.cgroup()?.thaw();
    done.map_err(|e| Error::because(Kind::Environment, "thaw the container", e))?;
    Ok(ExitCode::SUCCESS)
}

fn expect(container: &Container, allowed: &[Status], why: &str) -> Result<()> {
    let status = container.status();
    match allowed.contains(&status) {
        true => Ok(()),
        false => Err(Error::new(Kind::State, format!("{why}: {}", status.as_str()))),
    }
}
