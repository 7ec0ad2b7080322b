//! Mutants that run hooks at the wrong time, in the wrong place, with the wrong input, or not at all.
//!
//! A hook of the host is put behind a shell of the host, which does the wrong thing to it. In the container
//! there is no shell, so there hooks are only moved and taken away.

use serde_json::{Map, Value, json};

use super::Mutant;
use super::call::Call;
use super::edit::{each, push, remove, replace, reverse};
use crate::error::Result;

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all: Vec<Mutant> = KINDS.iter().map(absent).collect();
    let outside = || KINDS.iter().filter(|kind| kind.name != "startContainer");
    all.extend(outside().map(elsewhere));
    // Of poststop, a failure is only warned of.
    all.extend(outside().filter(|kind| kind.name != "poststop").map(failing));
    all.extend(MOVES.map(moved));
    all.extend(STATES.map(told));
    all.extend(EDITS.map(|(name, breaks, rows, edit)| Mutant::config(name, breaks, rows, edit)));
    all.push(Mutant::call(
        "startContainer-hooks-outside",
        "startContainer hooks are executed outside of the container, by create",
        &["CFG-HOOK-13", "RUN-LIFE-11"],
        start_container_outside,
    ));
    all
}

struct Kind {
    name: &'static str,
    /// What their absence breaks.
    absence: &'static [&'static str],
    failure: &'static str,
    place: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "prestart",
        absence: &["RUN-LIFE-05", "CFG-HOOK-06"],
        failure: "RUN-LIFE-06",
        place: "CFG-HOOK-07",
    },
    Kind {
        name: "createRuntime",
        absence: &["RUN-LIFE-07", "CFG-HOOK-08", "FEA-HOOK-01"],
        failure: "RUN-LIFE-08",
        place: "CFG-HOOK-09",
    },
    Kind {
        name: "createContainer",
        absence: &["RUN-LIFE-09", "CFG-HOOK-10"],
        failure: "RUN-LIFE-10",
        place: "CFG-HOOK-11",
    },
    Kind {
        name: "startContainer",
        absence: &["RUN-LIFE-11", "RUN-LIFE-12", "CFG-HOOK-12", "CFG-HOOK-25"],
        failure: "RUN-LIFE-12",
        place: "CFG-HOOK-13",
    },
    Kind {
        name: "poststart",
        absence: &["RUN-LIFE-14", "CFG-HOOK-14"],
        failure: "RUN-LIFE-15",
        place: "CFG-HOOK-15",
    },
    Kind {
        name: "poststop",
        absence: &["RUN-LIFE-18", "CFG-HOOK-16"],
        failure: "RUN-LIFE-19",
        place: "CFG-HOOK-17",
    },
];

fn absent(kind: &'static Kind) -> Mutant {
    let name = kind.name;
    Mutant::config(
        format!("no-{name}-hooks"),
        format!("{name} hooks are not run"),
        kind.absence,
        move |config| {
            remove(config, &format!("/hooks/{name}"));
        },
    )
}

fn elsewhere(kind: &'static Kind) -> Mutant {
    let name = kind.name;
    Mutant::config(
        format!("{name}-hooks-elsewhere"),
        format!("{name} hooks are executed in a namespace that is neither the host's nor the container's"),
        &[kind.place],
        move |config| behind_a_shell(config, name, r#"unshare --uts -- "$@""#),
    )
}

fn failing(kind: &'static Kind) -> Mutant {
    let name = kind.name;
    Mutant::config(
        format!("failing-{name}-hooks-are-fine"),
        format!("a failing {name} hook is taken for one that has succeeded"),
        &[kind.failure],
        move |config| behind_a_shell(config, name, r#""$@" || true"#),
    )
}

/// Lets a shell of the host run the hooks called `kind`; in `script` they are `"$@"`.
fn behind_a_shell(config: &mut Value, kind: &str, script: &str) {
    each(config, &format!("/hooks/{kind}"), |hook| {
        let path = hook.get("path").cloned().unwrap_or_default();
        let behind = hook.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut args = vec![json!("sh"), json!("-c"), json!(script), json!("sh"), path];
        args.extend(behind.into_iter().skip(1));
        if let Some(members) = hook.as_object_mut() {
            members.insert("path".to_owned(), json!("/bin/sh"));
            members.insert("args".to_owned(), args.into());
        }
    });
}

/// From, to, the rows.
type Move = (&'static str, &'static str, &'static [&'static str]);

const MOVES: [Move; 5] = [
    ("prestart", "poststart", &["CFG-HOOK-20", "CFG-HOOK-21", "RUN-LIFE-05"]),
    ("createRuntime", "poststart", &["CFG-HOOK-22", "CFG-HOOK-24", "RUN-LIFE-07"]),
    ("createContainer", "createRuntime", &["CFG-HOOK-11", "CFG-HOOK-23"]),
    ("poststart", "createRuntime", &["CFG-HOOK-26", "RUN-LIFE-14"]),
    ("poststop", "poststart", &["CFG-HOOK-27", "RUN-LIFE-18"]),
];

fn moved((from, to, rows): Move) -> Mutant {
    let name = format!("{from}-hooks-as-{to}");
    Mutant::config(name, format!("{from} hooks are run when {to} hooks are"), rows, move |config| {
        let Some(hooks) = config.get_mut("hooks").and_then(Value::as_object_mut) else { return };
        append(hooks, from, to);
    })
}

/// Puts the hooks called `from` behind those called `to`.
fn append(hooks: &mut Map<String, Value>, from: &str, to: &str) {
    let Some(Value::Array(moved)) = hooks.remove(from) else { return };
    match hooks.entry(to).or_insert_with(|| json!([])) {
        Value::Array(there) => there.extend(moved),
        other => *other = moved.into(),
    }
}

/// Kind, name, what is wrong, the rows, and what is done to the state on its way into the hook.
type State = (&'static str, &'static str, &'static str, &'static [&'static str], &'static str);

const STATES: [State; 5] = [
    (
        "createRuntime",
        "hooks-without-state",
        "hooks are not given the state",
        &["CFG-HOOK-19", "RUN-STATE-16"],
        "true",
    ),
    (
        "createRuntime",
        "hooks-see-it-run",
        "hooks of a container that is being created are told that it runs",
        &["RUN-STATE-05"],
        r#"sed 's/"status": *"[a-z]*"/"status":"running"/'"#,
    ),
    (
        "createRuntime",
        "hooks-outside-see-the-pid-inside",
        "hooks of the host are given the pid as the container sees it",
        &["RUN-STATE-11"],
        r#"sed 's/"pid": *[0-9]*/"pid":1/'"#,
    ),
    (
        "createContainer",
        "hooks-inside-see-the-pid-outside",
        "hooks of the container are given the pid as the host sees it",
        &["RUN-STATE-12"],
        r#"sed 's/"pid": *[0-9]*/"pid":7777/'"#,
    ),
    (
        "createRuntime",
        "hooks-without-bundle",
        "the state of hooks lacks the bundle",
        &["RUN-STATE-16", "CFG-HOOK-19"],
        r#"sed 's/"bundle"/"place"/'"#,
    ),
];

fn told((kind, name, breaks, rows, filter): State) -> Mutant {
    Mutant::config(name, breaks, rows, move |config| {
        behind_a_shell(config, kind, &format!(r#"{filter} | "$@""#));
    })
}

type Entry = (&'static str, &'static str, &'static [&'static str], fn(&mut Value));

const NAMES: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Changes every hook there is.
fn every(config: &mut Value, change: impl Fn(&mut Value)) {
    for name in NAMES {
        each(config, &format!("/hooks/{name}"), &change);
    }
}

const EDITS: [Entry; 6] = [
    ("hooks-in-reverse", "hooks of one kind are run from last to first", &["CFG-HOOK-18"], |config| {
        for name in NAMES {
            reverse(config, &format!("/hooks/{name}"));
        }
    }),
    (
        "hooks-with-more-arguments",
        "hooks are given an argument that nobody has written",
        &["CFG-HOOK-02"],
        |config| {
            every(config, |hook| push(hook, "/args", "more"));
        },
    ),
    (
        "hooks-with-more-environment",
        "hooks are given a variable that nobody has set",
        &["CFG-HOOK-03"],
        |config| {
            every(config, |hook| push(hook, "/env", "MORE=1"));
        },
    ),
    ("hooks-without-end", "the time of hooks is not limited", &["CFG-HOOK-05"], |config| {
        every(config, |hook| remove(hook, "/timeout"));
    }),
    ("hooks-of-no-time", "a time limit that is not positive is passed over", &["CFG-HOOK-04"], |config| {
        every(config, |hook| {
            if hook.get("timeout").and_then(Value::as_i64).is_some_and(|seconds| seconds <= 0) {
                remove(hook, "/timeout");
            }
        });
    }),
    ("hooks-by-relative-paths", "hooks are found where a relative path leads", &["CFG-HOOK-01"], |config| {
        every(config, |hook| {
            let relative =
                hook.get("path").and_then(Value::as_str).is_some_and(|path| !path.starts_with('/'));
            if let (true, Some(program)) = (relative, hook.pointer("/args/0").cloned()) {
                replace(hook, "/path", program);
            }
        });
    }),
];

/// What such a hook names in the container, it finds below the root file system's place on the host.
fn start_container_outside(call: &Call) -> Result<i32> {
    let root = std::path::absolute(call.bundle().join("rootfs")).unwrap_or_default();
    call.with_config(&|config| {
        each(config, "/hooks/startContainer", |hook| {
            for pointer in ["/path", "/args/0", "/args/2"] {
                let outside =
                    hook.pointer(pointer).and_then(Value::as_str).filter(|path| path.starts_with('/'));
                if let Some(outside) = outside.map(|path| format!("{}{path}", root.display())) {
                    replace(hook, pointer, outside);
                }
            }
        });
        if let Some(hooks) = config.get_mut("hooks").and_then(Value::as_object_mut) {
            append(hooks, "startContainer", "createRuntime");
        }
    })
}
