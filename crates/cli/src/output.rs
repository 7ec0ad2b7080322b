//! What is printed: lines, tables without frames, or JSON; and failures in the form that was asked for.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use plimsoll_spec::json::{self, Value, Wire};

use crate::args::Format;

/// A failure with an exit code of its own.
#[derive(Debug)]
pub(crate) struct Failure {
    pub message: String,
    pub code: u8,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Says on standard error that this tool failed with `code`.
pub(crate) fn print_failure(format: Format, message: &str, code: u8) {
    let failure = || object([("error", text(message)), ("code", Value::Unsigned(code.into()))]);
    say(format, message, failure);
}

/// Says on standard error what the user may want to know, though nothing failed.
pub(crate) fn note(format: Format, message: &str) {
    say(format, &format!("note: {message}"), || object([("note", text(message))]));
}

fn say(format: Format, line: &str, value: impl FnOnce() -> Value) {
    let mut line = match format {
        Format::Table => format!("plimsoll: {line}").into_bytes(),
        Format::Json => json::to_vec(&value()),
    };
    line.push(b'\n');
    // Nobody can be told when standard error is closed.
    let _ = std::io::stderr().write_all(&line);
}

/// What a verb has done to one of its operands, for programs and for people.
pub(crate) struct Done {
    pub value: Value,
    pub line: String,
}

/// Does `work` for each of `names` and prints what was done, as one list or a line each; what was done before
/// a failure, too.
pub(crate) fn each(
    format: Format,
    names: &[String],
    mut work: impl FnMut(&str) -> Result<Done>,
) -> Result<ExitCode> {
    let mut values = Vec::with_capacity(names.len());
    let mut all = || -> Result<()> {
        for name in names {
            let done = work(name)?;
            if format == Format::Table {
                print(&format!("{}\n", done.line))?;
            }
            values.push(done.value);
        }
        Ok(())
    };
    let ended = all();
    if format == Format::Json {
        print_json(&Value::Array(values))?;
    }
    ended.map(|()| ExitCode::SUCCESS)
}

/// Prints a list of names.
pub(crate) fn print_names<'a>(format: Format, names: impl Iterator<Item = &'a String>) -> Result<ExitCode> {
    match format {
        Format::Json => print_json(&Value::Array(names.map(text).collect())),
        Format::Table => print(&names.map(|name| format!("{name}\n")).collect::<String>()),
    }
}

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
