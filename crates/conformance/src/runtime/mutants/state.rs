//! Mutants that say wrong things of a container.

use serde_json::{Value, json};

use super::Mutant;
use super::edit::{put, remove, replace};

/// Name, what is wrong, the rows, and what becomes of the document.
type Entry = (&'static str, &'static str, &'static [&'static str], fn(&mut Value));

const TABLE: [Entry; 13] = [
    (
        "state-without-version",
        "state does not tell the version of the specification",
        &["RUN-STATE-01", "RUN-STATE-16", "RUN-QUERY-03"],
        |state| remove(state, "/ociVersion"),
    ),
    ("state-version-two-numbers", "state tells a version that is none", &["RUN-STATE-01"], |state| {
        replace(state, "/ociVersion", "1.0");
    }),
    ("state-other-id", "state tells another id than the container's", &["RUN-STATE-02"], |state| {
        replace(state, "/id", "another");
    }),
    ("state-without-status", "state does not tell the status", &["RUN-STATE-04", "RUN-STATE-16"], |state| {
        remove(state, "/status");
    }),
    (
        "state-creating",
        "a created container is still being created",
        &["RUN-STATE-05", "RUN-STATE-06"],
        |state| {
            say(state, "created", "creating");
        },
    ),
    (
        "state-created-runs",
        "a created container is said to run",
        &["RUN-STATE-06", "RUN-STATE-09", "RUN-CREATE-05", "RUN-DELETE-06"],
        |state| say(state, "created", "running"),
    ),
    ("state-running-as-created", "a running container is said to be created", &["RUN-STATE-07"], |state| {
        say(state, "running", "created");
    }),
    (
        "state-stopped-runs",
        "a container whose process has exited is said to run",
        &["RUN-STATE-08", "RUN-LIFE-16", "RUN-KILL-05"],
        |state| say(state, "stopped", "running"),
    ),
    (
        "state-own-word",
        "a running container has a status that the specification does not know",
        &["RUN-STATE-09", "RUN-STATE-16"],
        |state| say(state, "running", "active"),
    ),
    ("state-other-pid", "state tells another process than the pid file", &["RUN-STATE-10"], |state| {
        let pid = state.get("pid").and_then(Value::as_u64).unwrap_or_default();
        replace(state, "/pid", pid + 1);
    }),
    ("state-without-pid", "state does not tell the process", &["RUN-STATE-10"], |state| {
        remove(state, "/pid");
    }),
    ("state-bundle-name", "state tells the bundle's name without its place", &["RUN-STATE-13"], |state| {
        let bundle = state.get("bundle").and_then(Value::as_str).unwrap_or_default();
        let name = bundle.rsplit('/').next().unwrap_or_default().to_owned();
        replace(state, "/bundle", name);
    }),
    (
        "state-without-annotations",
        "state does not tell the annotations",
        &["RUN-STATE-14", "CFG-ANN-11", "CFG-ANN-13"],
        |state| remove(state, "/annotations"),
    ),
];

/// Says `other` where the runtime says `status`.
fn say(state: &mut Value, status: &str, other: &str) {
    if state.get("status") == Some(&json!(status)) {
        put(state, "/status", other);
    }
}

pub(super) fn mutants() -> Vec<Mutant> {
    let output = |(name, breaks, rows, edit): Entry| Mutant::output("state", name, breaks, rows, edit);
    TABLE.map(output).into()
}
