//! What a case had arranged around the subject, as lines of a script: namespaces, devices, callers, listeners.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::evidence::Evidence;

use super::Place;
use crate::report::escape::word;

/// Starts what has to be there while the runtime is called, and ends it with the script.
const COMPANY: &str = "ends=
trap 'kill $ends 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
hold() {
  mkfifo \"$here\"/held || return
  \"$PROBE\" hold \"$1\" > \"$here\"/held &
  ends=\"$ends $!\"
  read -r held < \"$here\"/held
  rm \"$here\"/held
}
listen() {
  \"$PROBE\" listen \"$@\" > \"$2\".seen &
  ends=\"$ends $!\"
  for try in 1 2 3 4 5 6 7 8 9 10; do [ -S \"$2\" ] && return; sleep 0.1; done
}
";

/// Namespaces that `unshare(1)` is asked for.
const OWN: [&str; 3] = ["mount", "net", "uts"];
/// Namespaces that the probe holds.
const HELD: [&str; 8] = ["pid", "net", "mnt", "ipc", "uts", "user", "cgroup", "time"];
/// What a shell does itself.
const BUILT_IN: [&str; 1] = ["umask"];
/// The highest descriptor that every shell can open by its number.
const DESCRIPTORS: i64 = 9;

/// The notes of one case.
#[derive(Debug, Default)]
pub(super) struct Props<'a> {
    notes: Vec<&'a Value>,
}

impl<'a> Props<'a> {
    pub(super) fn of(evidence: &'a Evidence) -> Props<'a> {
        let notes = evidence.0.get("props").and_then(Value::as_array).into_iter().flatten();
        Props { notes: notes.collect() }
    }

    /// The process ids of those that held namespaces, each with the kind.
    pub(super) fn holders(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.notes.iter().filter_map(|note| {
            let held = note.get("holds")?;
            let kind = held.get("kind")?.as_str()?;
            let kind = HELD.iter().find(|known| **known == kind)?;
            Some((*kind, held.get("pid")?.as_u64()?))
        })
    }

    /// Whether `file`, which lay in the folder `place`, was the socket of a listener.
    pub(super) fn listens_at(&self, file: &Value, place: &str) -> bool {
        let Some(path) = file.get("path").and_then(Value::as_str) else { return false };
        let mut sockets = self.notes.iter().filter_map(|note| note.get("listens")?.get("path")?.as_str());
        sockets.any(|socket| socket.strip_prefix(place) == Some(path))
    }

    /// What stands before everything else: the script in namespaces of its own, which it executes itself for.
    pub(super) fn own(&self) -> String {
        let kinds: BTreeSet<&str> = self.notes.iter().filter_map(|note| note.get("own")?.as_str()).collect();
        let options: String =
            OWN.iter().filter(|kind| kinds.contains(*kind)).map(|kind| format!(" --{kind}")).collect();
        if options.is_empty() {
            return options;
        }
        format!(
            "# The case had namespaces of its own; for them this executes itself again, so it has to be a file.\n\
             [ -n \"$PLIMSOLL_OWN\" ] || exec env PLIMSOLL_OWN=1 unshare{options} sh \"$0\"\n"
        )
    }

    /// Functions, tools and holders: what stands before the bundles.
    pub(super) fn beginning(&self) -> String {
        let mut text = String::new();
        if self.notes.iter().any(|note| note.get("holds").is_some() || note.get("listens").is_some()) {
            text.push_str(COMPANY);
        }
        let tools = self.tools();
        if !tools.is_empty() {
            text.push_str(&format!(
                "for tool in {tools}; do\n  command -v \"$tool\" >/dev/null || echo \"$tool is missing, so what it does below is not done\" >&2\ndone\n"
            ));
        }
        for (kind, pid) in self.holders() {
            text.push_str(&format!("hold {kind}; held_{pid}=$held\n"));
        }
        text
    }

    /// The programs that are called beside the runtime.
    fn tools(&self) -> String {
        let words = |note: &Value| note.get("command").or_else(|| note.get("caller")).cloned();
        let first = self.notes.iter().filter_map(|note| words(note)?.get(0)?.as_str().map(str::to_owned));
        let tools: BTreeSet<String> =
            first.filter(|tool| !tool.contains('/') && !BUILT_IN.contains(&tool.as_str())).collect();
        tools.iter().map(|tool| word(tool)).collect::<Vec<_>>().join(" ")
    }

    /// What was done when `done` operations had been run, and by no other operation since.
    pub(super) fn at(&self, done: usize, place: &Place<'_>) -> String {
        let now =
            self.notes.iter().filter(|note| note.get("before").and_then(Value::as_u64) == Some(done as u64));
        let lines: String = now.filter_map(|note| line(note, place)).collect();
        if lines.is_empty() { lines } else { format!("\n{lines}") }
    }

    /// What stood before the command line of the operation that `done` operations preceded.
    pub(super) fn caller(&self, done: usize, place: &Place<'_>) -> String {
        let before = |note: &&&Value| note.get("before").and_then(Value::as_u64) <= Some(done as u64);
        let callers = self.notes.iter().filter(before).filter_map(|note| note.get("caller"));
        callers.map(|words| format!("{} ", place.words(words))).collect()
    }
}

/// One note as a line.
fn line(note: &Value, place: &Place<'_>) -> Option<String> {
    if let Some(words) = note.get("command") {
        return Some(format!("{}\n", place.words(words)));
    }
    if let Some(listens) = note.get("listens") {
        let path = place.word(listens.get("path")?.as_str()?);
        return match listens.get("as")?.as_str()? {
            "terminal" => Some(format!("listen terminal {path}\n")),
            "datagram" => Some(format!("listen datagram {path}\n")),
            "agent" => Some(format!("listen agent {path} {}\n", listens.get("answer")?.as_i64()?)),
            _ => None,
        };
    }
    let opens = note.get("opens")?;
    let (number, path) = (opens.get("number")?.as_i64()?, place.word(opens.get("path")?.as_str()?));
    Some(match (3..=DESCRIPTORS).contains(&number) {
        true => format!("exec {number}<>{path}\n"),
        false => {
            format!("echo \"The case had the descriptor {number} open, which a script cannot name\" >&2\n")
        }
    })
}
