//! The witness inside: a program that reports facts about itself and its surroundings, and judges nothing.
//!
//! `probe do ACTION...` reports once what it is and what came of each action, in their order; `wait`, `exit:N`
//! and the like end the list. `probe hook LOG NAME [ACTION...]` is a hook that writes what it was given to a
//! file. `probe hold KIND` and `probe listen WHO PATH` stand in for what a case had around the subject. A
//! report is one line of JSON behind a record separator, so that it is told from whatever else a runtime
//! prints to the same stream.

mod actions;
mod facts;
mod hook;
mod stand_in;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

/// Stands before every report.
const SEPARATOR: char = '\u{1e}';

/// Runs the probe's command line, the program's name first.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "do", actions @ ..] => act(actions),
        [_, "hook", log, name, actions @ ..] => hook::run(log, name, actions),
        [_, "hold", kind] => stand_in::hold(kind),
        [_, "listen", "terminal", path] => stand_in::terminal(path),
        [_, "listen", "agent", path, answer] => stand_in::agent(path, answer),
        [_, "listen", "datagram", path] => stand_in::datagrams(path),
        // Executed by an action, possibly with other privileges.
        [_, "whoami"] => report(&facts::identity()),
        _ => ExitCode::from(64),
    }
}

fn act(actions: &[&str]) -> ExitCode {
    let mut facts = facts::all();
    let (ending, tried): (Vec<&str>, Vec<&str>) =
        actions.iter().partition(|action| actions::is_ending(action));
    let results: Vec<Value> = tried.iter().map(|action| actions::run(action)).collect();
    if let Some(members) = facts.as_object_mut() {
        members.insert("results".to_owned(), results.into());
    }
    let reported = report(&facts);
    match ending.first() {
        Some(ending) => actions::end(ending),
        None => reported,
    }
}

/// Prints one report.
fn report(value: &Value) -> ExitCode {
    let line = format!("{SEPARATOR}{value}\n");
    let mut stdout = std::io::stdout();
    match stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody can be told.
        Err(_) => ExitCode::from(70),
    }
}

/// The reports in `text`; a line that is no report, or not whole yet, is passed over.
pub fn frames(text: &str) -> Vec<Value> {
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let report = |line: &str| {
        let (_, json) = line.split_once(SEPARATOR)?;
        serde_json::from_str(json.trim_end()).ok()
    };
    whole.filter_map(report).collect()
}

/// The namespaces of `process`, a pid or `self`, by kind.
pub fn namespaces(process: &str) -> std::collections::BTreeMap<String, String> {
    facts::namespaces(process)
}

/// Whether the process may not be looked into; see [`HIDDEN`].
pub(crate) fn is_hidden(process: &str) -> bool {
    facts::is_hidden(process)
}

/// Why a row is skipped that needs a look into such a process.
pub(crate) const HIDDEN: &str = "the process hides from its owner until it executes the program";

/// An outcome as results have it.
fn outcome<T>(result: Result<T, rustix::io::Errno>, value: impl FnOnce(T) -> Value) -> Value {
    match result {
        Ok(done) => json!({"ok": true, "value": value(done)}),
        Err(errno) => json!({"ok": false, "errno": errno_name(errno)}),
    }
}

/// The kernel's name of an error that tests look for, else its number.
fn errno_name(errno: rustix::io::Errno) -> Value {
    use rustix::io::Errno;
    const NAMES: [(Errno, &str); 22] = [
        (Errno::PERM, "EPERM"),
        (Errno::NOENT, "ENOENT"),
        (Errno::ACCESS, "EACCES"),
        (Errno::EXIST, "EEXIST"),
        (Errno::ROFS, "EROFS"),
        (Errno::INVAL, "EINVAL"),
        (Errno::NOSYS, "ENOSYS"),
        (Errno::LOOP, "ELOOP"),
        (Errno::AGAIN, "EAGAIN"),
        (Errno::NOMEM, "ENOMEM"),
        (Errno::NOTDIR, "ENOTDIR"),
        (Errno::ISDIR, "EISDIR"),
        (Errno::NXIO, "ENXIO"),
        (Errno::NODEV, "ENODEV"),
        (Errno::NOSPC, "ENOSPC"),
        (Errno::BUSY, "EBUSY"),
        (Errno::FAULT, "EFAULT"),
        (Errno::BADF, "EBADF"),
        (Errno::NOTTY, "ENOTTY"),
        (Errno::SRCH, "ESRCH"),
        (Errno::IO, "EIO"),
        (Errno::NOEXEC, "ENOEXEC"),
    ];
    let known = NAMES.iter().find(|(known, _)| *known == errno);
    known.map_or_else(|| json!(errno.raw_os_error()), |(_, name)| json!(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_found_among_other_output() {
        let text = "noise\n\u{1e}{\"a\":1}\nmore \u{1e}{\"b\":2}\n\u{1e}{\"half\":";
        assert_eq!(frames(text), [json!({"a": 1}), json!({"b": 2})]);
    }
}
