//! Judges over what the probe has seen in a container that `Stage::observe` has written down as `name`:
//! what came of its actions, and its mount table.

use serde_json::Value;

use crate::evidence::{Evidence, Judge, describe, was_refused};
use crate::verdict::{Judgement, Reason, Verdict};

/// What came of `action`, in the first report of the container `name`.
pub(super) fn result<'a>(evidence: &'a Evidence, name: &str, action: &str) -> Option<&'a Value> {
    let results = evidence.at(&format!("/{name}/report/results"))?.as_array()?;
    results.iter().find(|result| result.get("do").and_then(Value::as_str) == Some(action))
}

/// An action's result for an observation.
fn show(evidence: &Evidence, name: &str, action: &str) -> String {
    match result(evidence, name, action) {
        Some(result) => result.to_string().chars().take(400).collect(),
        None => evidence.show(&format!("/{name}/report")),
    }
}

fn about(
    name: &str,
    action: &str,
    expected: &str,
    test: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> Judge {
    let (name, action) = (name.to_owned(), action.to_owned());
    let expected = format!("in {name}, {action} {expected}");
    Box::new(move |evidence| {
        let holds = result(evidence, &name, &action).is_some_and(&test);
        Judgement::of(holds, expected.as_str(), show(evidence, &name, &action))
    })
}

/// The action succeeded.
pub(super) fn succeeds(name: &str, action: &str) -> Judge {
    about(name, action, "succeeds", |result| result["ok"] == true)
}

/// The action failed, with one of `errors` where any are given.
pub(super) fn fails(name: &str, action: &str, errors: &'static [&'static str]) -> Judge {
    let expected = format!("fails {}", errors.join(" or "));
    about(name, action, expected.trim_end(), move |result| {
        let error = result["errno"].as_str().unwrap_or_default();
        result["ok"] == false && (errors.is_empty() || errors.contains(&error))
    })
}

/// The action succeeded, and at `pointer` of its value stands `want`; the empty pointer is the value itself.
pub(super) fn gives(name: &str, action: &str, pointer: &str, want: impl Into<Value>) -> Judge {
    let (pointer, want) = (pointer.to_owned(), want.into());
    let expected = format!("gives {want} as {}", if pointer.is_empty() { "its value" } else { &pointer });
    about(name, action, &expected, move |result| {
        result["ok"] == true && result["value"].pointer(&pointer) == Some(&want)
    })
}

/// The action succeeded and its value satisfies `test`, which `expected` describes.
pub(super) fn yields(
    name: &str,
    action: &str,
    expected: &str,
    test: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> Judge {
    about(name, action, expected, move |result| result["ok"] == true && test(&result["value"]))
}

/// Both actions succeeded, and their values agree in `members`.
pub(super) fn agree(name: &str, left: &str, right: &str, members: &'static [&'static str]) -> Judge {
    let (name, left, right) = (name.to_owned(), left.to_owned(), right.to_owned());
    Box::new(move |evidence| {
        let value = |action: &str| {
            result(evidence, &name, action).filter(|result| result["ok"] == true).map(|it| &it["value"])
        };
        let holds = match (value(&left), value(&right)) {
            (Some(left), Some(right)) => {
                members.iter().all(|member| !left[*member].is_null() && left[*member] == right[*member])
            }
            _ => false,
        };
        let expected = format!("in {name}, {left} and {right} have the same {}", members.join(" and "));
        let observed = format!("{} and {}", show(evidence, &name, &left), show(evidence, &name, &right));
        Judgement::of(holds, expected, observed)
    })
}

/// The mounts at `target` in the container's own table, the topmost last.
fn mounts<'a>(evidence: &'a Evidence, name: &str, target: &str) -> Vec<&'a Value> {
    let table = evidence.at(&format!("/{name}/report/mounts")).and_then(Value::as_array);
    table.into_iter().flatten().filter(|mount| mount["target"] == target).collect()
}

fn about_mount(
    name: &str,
    target: &str,
    expected: &str,
    test: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> Judge {
    let (name, target) = (name.to_owned(), target.to_owned());
    let expected = format!("in {name}, the mount at {target} {expected}");
    Box::new(move |evidence| {
        let found = mounts(evidence, &name, &target);
        let observed = match found.last() {
            Some(mount) => mount.to_string(),
            None if evidence.at(&format!("/{name}/report/mounts")).is_some() => {
                format!("nothing is mounted at {target}")
            }
            None => evidence.show(&format!("/{name}/report")),
        };
        Judgement::of(found.last().is_some_and(|mount| test(mount)), expected.as_str(), observed)
    })
}

fn lists(mount: &Value, option: &str) -> bool {
    let has = |member: &str| mount[member].as_array().is_some_and(|all| all.iter().any(|it| it == option));
    has("options") || has("superblock")
}

/// The mount at `target` has `option`, itself or by its file system.
pub(super) fn mount_has(name: &str, target: &str, option: &'static str) -> Judge {
    about_mount(name, target, &format!("has {option}"), move |mount| lists(mount, option))
}

/// Something is mounted at `target` that has none of `options`.
pub(super) fn mount_lacks(name: &str, target: &str, options: &'static [&'static str]) -> Judge {
    about_mount(name, target, &format!("has not {}", options.join(", ")), move |mount| {
        options.iter().all(|option| !lists(mount, option))
    })
}

/// The mount at `target` is of the file system `kind`.
pub(super) fn mount_is(name: &str, target: &str, kind: &'static str) -> Judge {
    about_mount(name, target, &format!("is of type {kind}"), move |mount| mount["type"] == kind)
}

/// Nothing is mounted at `target`.
pub(super) fn not_mounted(name: &str, target: &str) -> Judge {
    let (name, target) = (name.to_owned(), target.to_owned());
    Box::new(move |evidence| {
        let table = evidence.at(&format!("/{name}/report/mounts"));
        let holds = table.is_some() && mounts(evidence, &name, &target).is_empty();
        let observed = match table {
            Some(_) => format!("{} mounts there", mounts(evidence, &name, &target).len()),
            None => evidence.show(&format!("/{name}/report")),
        };
        Judgement::of(holds, format!("in {name}, nothing is mounted at {target}"), observed)
    })
}

/// Exactly `count` mounts lie over each other at `target`.
pub(super) fn mounted_times(name: &str, target: &str, count: usize) -> Judge {
    let (name, target) = (name.to_owned(), target.to_owned());
    Box::new(move |evidence| {
        let found = mounts(evidence, &name, &target).len();
        Judgement::of(
            found == count,
            format!("in {name}, {target} is mounted {count} times"),
            format!("{found} times; {}", evidence.show(&format!("/{name}/exit"))),
        )
    })
}

/// How a mount takes part in propagation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Propagation {
    Shared,
    Slave,
    Private,
    Unbindable,
}

/// The mount at `target` propagates as `kind`.
pub(super) fn propagates(name: &str, target: &str, kind: Propagation) -> Judge {
    about_mount(name, target, &format!("is {kind:?}").to_lowercase(), move |mount| {
        let tags = mount["propagation"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is = |tag: &str| {
            tags.iter().filter_map(Value::as_str).any(|it| it.split(':').next().is_some_and(|it| it == tag))
        };
        match kind {
            Propagation::Shared => is("shared"),
            Propagation::Slave => is("master") && !is("shared"),
            Propagation::Private => tags.is_empty(),
            Propagation::Unbindable => is("unbindable"),
        }
    })
}

/// `judge`, where `control` holds; else nothing can be said.
pub(super) fn given(control: Judge, judge: Judge) -> Judge {
    Box::new(move |evidence| {
        let first = control(evidence);
        match first.verdict {
            Verdict::Pass => judge(evidence),
            _ => Judgement::inconclusive(format!("the control: {}, but {}", first.expected, first.observed)),
        }
    })
}

/// `judge`; but where the subject refuses to create the container `name`, it does not support what it may
/// leave out.
pub(super) fn optional(name: &str, judge: Judge) -> Judge {
    let pointer = format!("/{name}/create");
    Box::new(move |evidence| match evidence.at(&pointer) {
        Some(create) if was_refused(create) => Judgement::skip(Reason::Unsupported, describe(create)),
        _ => judge(evidence),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evidence() -> Evidence {
        let mut evidence = Evidence::default();
        evidence.record(
            "c",
            json!({
                "create": {"exit": 0},
                "report": {
                    "results": [
                        {"do": "a", "ok": true, "value": {"major": 1, "minor": 3}},
                        {"do": "b", "ok": true, "value": {"major": 1, "minor": 5}},
                        {"do": "f", "ok": false, "errno": "EROFS"},
                    ],
                    "mounts": [
                        {"target": "/m", "type": "ext4", "options": ["ro"], "superblock": ["rw"], "propagation": ["shared:1"]},
                        {"target": "/m", "type": "tmpfs", "options": ["rw", "nodev"], "superblock": ["sync"], "propagation": ["master:1"]},
                    ],
                },
            }),
        );
        evidence.record("refused", json!({"create": {"exit": 1}}));
        evidence.record("crashed", json!({"create": {"exit": null}}));
        evidence
    }

    fn check(judge: &Judge, verdict: Verdict) {
        let said = judge(&evidence());
        assert_eq!(said.verdict, verdict, "{said:?}");
    }

    #[test]
    fn actions_are_judged_by_what_came_of_them() {
        check(&succeeds("c", "a"), Verdict::Pass);
        check(&succeeds("c", "f"), Verdict::Fail);
        check(&fails("c", "f", &["EROFS"]), Verdict::Pass);
        check(&fails("c", "f", &["EACCES"]), Verdict::Fail);
        check(&fails("c", "a", &[]), Verdict::Fail);
        check(&gives("c", "a", "/minor", 3), Verdict::Pass);
        check(&gives("c", "b", "/minor", 3), Verdict::Fail);
        check(&agree("c", "a", "b", &["major"]), Verdict::Pass);
        check(&agree("c", "a", "b", &["major", "minor"]), Verdict::Fail);
        check(&agree("c", "a", "b", &["inode"]), Verdict::Fail);
    }

    #[test]
    fn the_topmost_mount_counts() {
        check(&mount_has("c", "/m", "nodev"), Verdict::Pass);
        check(&mount_has("c", "/m", "sync"), Verdict::Pass);
        check(&mount_lacks("c", "/m", &["ro"]), Verdict::Pass);
        check(&mount_lacks("c", "/m", &["rw"]), Verdict::Fail);
        check(&mount_is("c", "/m", "ext4"), Verdict::Fail);
        check(&mounted_times("c", "/m", 1), Verdict::Fail);
        check(&propagates("c", "/m", Propagation::Slave), Verdict::Pass);
        check(&propagates("c", "/m", Propagation::Private), Verdict::Fail);
    }

    #[test]
    fn what_was_not_seen_never_passes() {
        for name in ["c", "refused", "nobody"] {
            check(&succeeds(name, "x"), Verdict::Fail);
            check(&fails(name, "x", &[]), Verdict::Fail);
            check(&agree(name, "x", "x", &["major"]), Verdict::Fail);
            check(&mount_lacks(name, "/x", &[]), Verdict::Fail);
            check(&propagates(name, "/x", Propagation::Private), Verdict::Fail);
        }
        check(&not_mounted("c", "/x"), Verdict::Pass);
        check(&not_mounted("refused", "/x"), Verdict::Fail);
    }

    #[test]
    fn only_a_refusal_excuses() {
        check(&optional("refused", succeeds("refused", "a")), Verdict::Skip);
        check(&optional("crashed", succeeds("crashed", "a")), Verdict::Fail);
        check(&optional("c", succeeds("c", "f")), Verdict::Fail);
        check(&given(succeeds("c", "f"), succeeds("c", "a")), Verdict::Inconclusive);
    }
}
