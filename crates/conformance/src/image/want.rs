//! What is wanted of a tree or a configuration, in a vocabulary that cases are tables of.

use serde_json::Value;

use crate::evidence::{Evidence, Judge};
use crate::verdict::{Judgement, Reason};

/// One thing that has to be so.
#[derive(Debug, Clone)]
pub(super) enum Want {
    /// There is no such path.
    Absent(String),
    /// The path has this kind.
    Kind(String, &'static str),
    /// The path has this member: its pointer below the node, and the value.
    Is(String, &'static str, Value),
    /// Two paths are one file.
    Same(String, String),
    /// Two paths are two files.
    Other(String, String),
}

/// Nothing is at `path`.
pub(super) fn absent(path: impl Into<String>) -> Want {
    Want::Absent(path.into())
}

/// `path` is a file with `content`.
pub(super) fn content(path: impl Into<String>, content: &str) -> Want {
    Want::Is(path.into(), "/content", content.into())
}

/// `path` has the member at `pointer` of its node.
pub(super) fn is(path: impl Into<String>, pointer: &'static str, value: impl Into<Value>) -> Want {
    Want::Is(path.into(), pointer, value.into())
}

/// `path` is of this kind.
pub(super) fn kind(path: impl Into<String>, kind: &'static str) -> Want {
    Want::Kind(path.into(), kind)
}

impl Want {
    /// Whether it is so in `tree`, what was wanted and what is there.
    fn look(&self, tree: &Value) -> (bool, String, String) {
        let node = |path: &str| tree.get(path);
        let show = |path: &str| node(path).map_or("nothing is there".to_owned(), Value::to_string);
        match self {
            Want::Absent(path) => (node(path).is_none(), format!("nothing is at {path}"), show(path)),
            Want::Kind(path, kind) => {
                let found = node(path).and_then(|node| node.get("kind")).and_then(Value::as_str);
                (found == Some(kind), format!("{path} is a {kind}"), show(path))
            }
            Want::Is(path, pointer, value) => {
                let found = node(path).and_then(|node| node.pointer(pointer));
                (found == Some(value), format!("{path} has {pointer} {value}"), show(path))
            }
            Want::Same(left, right) | Want::Other(left, right) => {
                let file = |path: &str| node(path).and_then(|node| node.get("file"));
                let same = file(left) == file(right);
                let wanted = matches!(self, Want::Same(..));
                let holds = file(left).is_some() && file(right).is_some() && same == wanted;
                let words = if wanted { "are one file" } else { "are two files" };
                (holds, format!("{left} and {right} {words}"), format!("{} and {}", show(left), show(right)))
            }
        }
    }
}

/// The run called `run` succeeded and everything is as wanted.
pub(super) fn tree(run: &str, wants: Vec<Want>) -> Judge {
    let run = run.to_owned();
    Box::new(move |evidence| {
        if let Some(failure) = failure(evidence, &run) {
            return Judgement::of(false, "the layout is consumed", failure);
        }
        let tree = evidence.at(&format!("/{run}/tree")).cloned().unwrap_or_default();
        let mut last = Judgement::inconclusive("nothing is wanted");
        for want in &wants {
            let (holds, expected, observed) = want.look(&tree);
            last = Judgement::of(holds, expected, observed);
            if !holds {
                break;
            }
        }
        last
    })
}

/// As [`tree`], but a subject that refuses the layout need not support it.
pub(super) fn tree_or_refusal(run: &str, why: &'static str, wants: Vec<Want>) -> Judge {
    unless_refused(run, why, tree(run, wants))
}

/// `judge`, but a subject that refuses the layout need not support it.
pub(super) fn unless_refused(run: &str, why: &'static str, judge: Judge) -> Judge {
    let pointer = format!("/{run}/refused");
    Box::new(move |evidence| match evidence.at(&pointer) {
        Some(Value::Bool(true)) => Judgement::skip(Reason::Unsupported, why),
        _ => judge(evidence),
    })
}

/// The run called `run` ended with an error of its own.
pub(super) fn refused(run: &str) -> Judge {
    let run = run.to_owned();
    Box::new(move |evidence| {
        let holds = evidence.at(&format!("/{run}/refused")) == Some(&Value::Bool(true));
        let observed = failure(evidence, &run).unwrap_or_else(|| "it was accepted".to_owned());
        Judgement::of(holds, "the layout is refused with an error", observed)
    })
}

/// As [`refused`], but a subject that accepts shows nothing.
pub(super) fn refused_or_unknown(run: &str, why: &'static str) -> Judge {
    let (run, judge) = (run.to_owned(), refused(run));
    Box::new(move |evidence| match evidence.at(&format!("/{run}/ok")) {
        Some(Value::Bool(true)) => Judgement::inconclusive(why),
        _ => judge(evidence),
    })
}

/// As [`refused`], but a subject that accepts and ends with `right` has passed over what is wrong.
pub(super) fn refused_or_passed_over(run: &str, why: &'static str, right: &Want) -> Judge {
    let (run, right, judge) = (run.to_owned(), right.clone(), refused(run));
    Box::new(move |evidence| {
        let tree = evidence.at(&format!("/{run}/tree")).cloned().unwrap_or_default();
        let accepted = evidence.at(&format!("/{run}/ok")) == Some(&Value::Bool(true));
        match accepted && right.look(&tree).0 {
            true => Judgement::skip(Reason::Unsupported, why),
            false => judge(evidence),
        }
    })
}

/// Nothing outside of the target was changed, however the run ended.
pub(super) fn contained(run: &str) -> Judge {
    let run = run.to_owned();
    Box::new(move |evidence| {
        let pointer = format!("/{run}/outside");
        let ended = evidence.at(&format!("/{run}/run/timedOut")) == Some(&Value::Bool(false));
        let changed = evidence.at(&format!("{pointer}/changed"));
        Judgement::of(
            ended && changed == Some(&Value::Bool(false)),
            "nothing outside is changed",
            evidence.show(&pointer),
        )
    })
}

/// Why the run did not succeed.
fn failure(evidence: &Evidence, run: &str) -> Option<String> {
    match evidence.at(&format!("/{run}/ok")) {
        Some(Value::Bool(true)) => None,
        _ => Some(
            evidence
                .at(&format!("/{run}/run"))
                .map_or("it was not run".to_owned(), crate::evidence::describe),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::verdict::Verdict;

    #[test]
    fn whoever_passes_over_what_is_wrong_is_not_judged_by_it() {
        let verdict = |refused: bool, content: &str| {
            let mut evidence = Evidence::default();
            let tree = json!({"f": {"content": content}});
            evidence.record("out", json!({"ok": !refused, "refused": refused, "tree": tree}));
            refused_or_passed_over("out", "unseen", &super::content("f", "text"))(&evidence).verdict
        };
        assert_eq!(verdict(true, ""), Verdict::Pass);
        assert_eq!(verdict(false, "text"), Verdict::Skip);
        assert_eq!(verdict(false, "data"), Verdict::Fail);
        let nothing = refused_or_passed_over("out", "unseen", &super::content("f", "text"));
        assert_eq!(nothing(&Evidence::default()).verdict, Verdict::Fail);
    }
}
