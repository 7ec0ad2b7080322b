//! What goes to standard output: tables without frames, or JSON.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use plimsoll_spec::json::{self, Value, Wire};

/// Prints `text`; a reader that has seen enough is no failure.
pub(crate) fn print(text: &str) -> Result<ExitCode> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("write to standard output"),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Prints `value` as JSON for people and programs.
pub(crate) fn print_json<T: Wire>(value: &T) -> Result<ExitCode> {
    print(&String::from_utf8_lossy(&json::to_vec_pretty(value)))
}

/// Prints rows below a header.
pub(crate) fn print_table(header: &[&str], rows: Vec<Vec<String>>) -> Result<ExitCode> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    table.add_rows(rows);
    let lines: String = table
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(&line).trim_end()))
        .collect();
    print(&lines)
}

/// An object of `members`.
pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A string.
pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::String(text.into())
}
