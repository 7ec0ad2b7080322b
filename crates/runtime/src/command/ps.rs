//! `ps`: the processes of a container.

use std::process::ExitCode;

use plimsoll_spec::json::Value;

use crate::args::{Flag, Parsed, usage, value};
use crate::error::{Error, Kind, Result};
use crate::state::Container;

use super::Context;

pub(super) const FLAGS: &[Flag] = &[value(&["format", "f"], "table|json", "the form of the list")];

pub(super) fn run(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let (id, options) = parsed.operands.split_first().ok_or_else(|| usage("container ID is missing"))?;
    let container = Container::open(&context.root, id)?;
    let found = container.cgroup()?.processes();
    let mut pids =
        found.map_err(|e| Error::because(Kind::Environment, "list the container's processes", e))?;
    pids.sort_unstable();
    match parsed.value("format").unwrap_or("table") {
        "json" => {
            let number = |pid: &i32| Value::Unsigned(u64::from(pid.unsigned_abs()));
            super::print_json(&Value::Array(pids.iter().map(number).collect()))
        }
        "table" => super::print(&table(&pids, options)?),
        other => Err(usage(format!("invalid format option {other:?}"))),
    }
}

/// The lines of ps(1) that are about `pids`.
fn table(pids: &[i32], options: &[String]) -> Result<String> {
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() { &default } else { options };
    let output = std::process::Command::new("ps")
        .args(options)
        .output()
        .map_err(|e| Error::because(Kind::Environment, "execute ps", e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::new(Kind::Environment, format!("ps failed: {said}")));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let column =
        text.lines().next().and_then(|header| header.split_whitespace().position(|title| title == "PID"));
    let column = column.ok_or_else(|| usage("the output of ps has no column PID"))?;
    let about = |line: &str| {
        let pid = line.split_whitespace().nth(column).and_then(|text| text.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let lines = text.lines().enumerate().filter(|(i, line)| *i == 0 || about(line));
    Ok(lines.map(|(_, line)| format!("{line}\n")).collect())
}
