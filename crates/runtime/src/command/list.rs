//! `list`: every container below the root.

use std::io::Write as _;
use std::process::ExitCode;

use plimsoll_spec::json::{Value, Wire as _};

use crate::args::{Flag, Parsed, switch, usage, value};
use crate::error::Result;
use crate::state::{Container, ids};

use super::{Context, state};

pub(super) const FLAGS: &[Flag] = &[
    value(&["format", "f"], "table|json", "the form of the list"),
    switch(&["quiet", "q"], "print ids only"),
];

pub(super) fn run(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let mut containers = Vec::new();
    for id in ids(&context.root)? {
        match Container::open(&context.root, &id) {
            Ok(container) => containers.push(container),
            // One that cannot be read must not hide the others.
            Err(error) => drop(writeln!(std::io::stderr(), "skipped: {}", error.chain())),
        }
    }
    if parsed.is_on("quiet") {
        return super::print(&containers.iter().map(|c| format!("{}\n", c.record.id)).collect::<String>());
    }
    match parsed.value("format").unwrap_or("table") {
        "json" => {
            super::print_json(&Value::Array(containers.iter().map(|c| state::shown(c).encode()).collect()))
        }
        "table" => super::print(&table(&containers)),
        other => Err(usage(format!("invalid format option {other:?}"))),
    }
}

fn table(containers: &[Container]) -> String {
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let row = |container: &Container| {
        let status = container.status();
        let pid = container.state(status).pid.unwrap_or_default();
        let record = &container.record;
        let status = status.as_str().to_owned();
        let owner = state::owner(record.owner);
        [record.id.clone(), pid.to_string(), status, record.bundle.clone(), record.created.clone(), owner]
    };
    let rows: Vec<_> = std::iter::once(header).chain(containers.iter().map(row)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
