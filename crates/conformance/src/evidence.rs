//! What a case has seen, as a JSON object, and the judges that look at it.
//!
//! A judge names a place by its JSON pointer. Where nothing stands there, the subject has not shown what it
//! had to: that is a failure, and the observation says which operation went wrong on the way.

use serde_json::{Map, Value};

use crate::verdict::{Judgement, Reason};

/// The record of one case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence(pub Map<String, Value>);

/// Looks at evidence and says what holds.
pub type Judge = Box<dyn Fn(&Evidence) -> Judgement + Send + Sync>;

impl Evidence {
    /// Writes `value` down as `name`, in place of what stood there.
    pub fn record(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// What stands at `pointer`; the empty pointer is nothing.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        let (name, rest) = match pointer.strip_prefix('/')?.split_once('/') {
            Some((name, rest)) => (name, Some(rest)),
            None => (pointer.get(1..)?, None),
        };
        let value = self.0.get(&name.replace("~1", "/").replace("~0", "~"))?;
        match rest {
            Some(rest) => value.pointer(&format!("/{rest}")),
            None => Some(value),
        }
    }

    /// The evidence in a stored record; what is no object holds nothing.
    pub fn from_record(value: &plimsoll_spec::json::Value) -> Evidence {
        match serde_json::to_value(value) {
            Ok(Value::Object(members)) => Evidence(members),
            _ => Evidence::default(),
        }
    }

    /// As it is stored.
    pub fn to_record(&self) -> plimsoll_spec::json::Value {
        convert(&Value::Object(self.0.clone()))
    }

    /// What stands at `pointer`, for an observation.
    pub fn show(&self, pointer: &str) -> String {
        match self.at(pointer) {
            Some(value) => clip(&value.to_string()),
            None => match self.first_failure() {
                Some(failure) => format!("nothing at {pointer}: {failure}"),
                None => format!("nothing at {pointer}"),
            },
        }
    }

    /// The first operation that went wrong, in words.
    pub(crate) fn first_failure(&self) -> Option<String> {
        let operations = self.0.get("operations")?.as_array()?;
        operations.iter().find(|ran| !has_succeeded(ran)).map(describe)
    }
}

fn convert(value: &Value) -> plimsoll_spec::json::Value {
    use plimsoll_spec::json::Value as Stored;
    match value {
        Value::Null => Stored::Null,
        Value::Bool(value) => Stored::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Stored::Unsigned(number),
            (None, Some(number)) => Stored::Negative(number),
            (None, None) => Stored::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Stored::String(text.clone()),
        Value::Array(values) => Stored::Array(values.iter().map(convert).collect()),
        Value::Object(members) => {
            Stored::Object(members.iter().map(|(name, value)| (name.clone(), convert(value))).collect())
        }
    }
}

/// One recorded operation in words.
pub(crate) fn describe(ran: &Value) -> String {
    if has_succeeded(ran) {
        return "it succeeded".to_owned();
    }
    let name = ran.get("operation").and_then(Value::as_str).unwrap_or("operation");
    let said = ran.get("stderr").and_then(Value::as_str).unwrap_or_default();
    // The last line that speaks of an error, for some print a trace behind it.
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let error = lines.iter().rfind(|line| line.to_lowercase().contains("error"));
    let said = error.or(lines.last()).unwrap_or(&"and said nothing");
    if ran.get("timedOut") == Some(&Value::Bool(true)) {
        return format!("{name} did not return in time");
    }
    match ran.get("exit").and_then(Value::as_i64) {
        Some(code) => clip(&format!("{name} exited with {code}: {}", said.trim())),
        None => clip(&format!("{name} was killed by a signal: {}", said.trim())),
    }
}

/// Whether a recorded operation exited with 0.
fn has_succeeded(ran: &Value) -> bool {
    ran.get("exit").and_then(Value::as_i64) == Some(0)
}

/// Whether a recorded operation ended by itself and with a failure: one that a signal or the harness ended
/// has refused nothing.
pub(crate) fn was_refused(ran: &Value) -> bool {
    ran.get("timedOut") != Some(&Value::Bool(true))
        && ran.get("exit").and_then(Value::as_i64).is_some_and(|code| code != 0)
}

/// Observations are for people: what is longer than this is in the evidence itself.
const SHOWN: usize = 400;

fn clip(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Judges that many rules share.
pub mod judge {
    use super::*;

    /// `pointer` has the value `want`.
    pub fn equals(pointer: &str, want: impl Into<Value>) -> Judge {
        let (pointer, want) = (pointer.to_owned(), want.into());
        Box::new(move |evidence| {
            let holds = evidence.at(&pointer) == Some(&want);
            Judgement::of(holds, format!("{pointer} is {want}"), evidence.show(&pointer))
        })
    }

    /// `pointer` has a value, and it is not `other`.
    pub fn is_not(pointer: &str, other: impl Into<Value>) -> Judge {
        let (pointer, other) = (pointer.to_owned(), other.into());
        Box::new(move |evidence| {
            let holds = evidence.at(&pointer).is_some_and(|value| *value != other);
            Judgement::of(holds, format!("{pointer} is not {other}"), evidence.show(&pointer))
        })
    }

    /// Both places have one value.
    pub fn same(left: &str, right: &str) -> Judge {
        let (left, right) = (left.to_owned(), right.to_owned());
        Box::new(move |evidence| {
            let holds = evidence.at(&left).is_some() && evidence.at(&left) == evidence.at(&right);
            let observed = format!("{} and {}", evidence.show(&left), evidence.show(&right));
            Judgement::of(holds, format!("{left} equals {right}"), observed)
        })
    }

    /// Both places have a value, and they are not the same.
    pub fn differ(left: &str, right: &str) -> Judge {
        let (left, right) = (left.to_owned(), right.to_owned());
        Box::new(move |evidence| {
            let holds = match (evidence.at(&left), evidence.at(&right)) {
                (Some(left), Some(right)) => left != right,
                _ => false,
            };
            let observed = format!("{} and {}", evidence.show(&left), evidence.show(&right));
            Judgement::of(holds, format!("{left} differs from {right}"), observed)
        })
    }

    /// The value at `pointer` satisfies `test`, which `expected` describes.
    pub fn satisfies(
        pointer: &str,
        expected: &str,
        test: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Judge {
        let (pointer, expected) = (pointer.to_owned(), expected.to_owned());
        Box::new(move |evidence| {
            let holds = evidence.at(&pointer).is_some_and(&test);
            Judgement::of(holds, format!("{pointer} {expected}"), evidence.show(&pointer))
        })
    }

    /// Every judge is content; the first that is not speaks.
    pub fn all(judges: Vec<Judge>) -> Judge {
        Box::new(move |evidence| {
            let mut last = Judgement::inconclusive("there is nothing to judge");
            for judge in &judges {
                last = judge(evidence);
                if last.verdict != crate::Verdict::Pass {
                    break;
                }
            }
            last
        })
    }

    /// The operation at `pointer` failed by itself.
    pub fn fails(pointer: &str) -> Judge {
        let pointer = pointer.to_owned();
        Box::new(move |evidence| {
            let holds = evidence.at(&pointer).is_some_and(was_refused);
            Judgement::of(holds, format!("{pointer} fails"), end_of(evidence, &pointer))
        })
    }

    /// The operation at `pointer` exited with 0.
    pub fn succeeds(pointer: &str) -> Judge {
        let pointer = pointer.to_owned();
        Box::new(move |evidence| {
            let holds = evidence.at(&pointer).is_some_and(has_succeeded);
            Judgement::of(holds, format!("{pointer} succeeds"), end_of(evidence, &pointer))
        })
    }

    /// How the operation at `pointer` ended.
    fn end_of(evidence: &Evidence, pointer: &str) -> String {
        evidence.at(pointer).map_or_else(|| evidence.show(pointer), describe)
    }

    /// Nothing was left on the host by what is recorded at `pointer`, and nothing taken from it.
    pub fn nothing_left(pointer: &str) -> Judge {
        satisfies(&format!("{pointer}/left"), "is empty", |left| left.as_array().is_some_and(Vec::is_empty))
    }

    /// The refusal at `pointer` has left the host as it was. Where nothing was refused there is nothing to say.
    pub fn unchanged(pointer: &str) -> Judge {
        let left = satisfies(&format!("{pointer}/left"), "is empty, but for trifles", are_trivial);
        let pointer = pointer.to_owned();
        Box::new(move |evidence| match evidence.at(&pointer) {
            // An attempt that is not there at all has shown nothing.
            Some(attempt) if !failed(attempt, "create") => {
                Judgement::not_applicable("create has not refused it")
            }
            _ => left(evidence),
        })
    }

    /// The attempt at `pointer` was refused by `create`: the subject ended by itself with an error, and there
    /// is no container afterwards.
    pub fn refused(pointer: &str) -> Judge {
        refusal(vec![pointer.to_owned()], "is refused by create, without a container afterwards", |attempt| {
            failed(attempt, "create") && failed(attempt, "state")
        })
    }

    /// The attempt at `pointer` was refused by `start` at the latest, which is in time for what may be applied
    /// by either: the properties of `process`.
    pub fn refused_by_start(pointer: &str) -> Judge {
        each_refused_by_start(&[pointer])
    }

    /// As [`refused_by_start`], for several attempts; every one that was not refused is named.
    pub fn each_refused_by_start(pointers: &[&str]) -> Judge {
        let pointers = pointers.iter().map(|pointer| (*pointer).to_owned()).collect();
        refusal(pointers, "is refused by start at the latest", refused_in_time)
    }

    fn refused_in_time(attempt: &Value) -> bool {
        let by_create = failed(attempt, "create") && failed(attempt, "state");
        let created = attempt.get("create").is_some_and(has_succeeded);
        by_create || (created && failed(attempt, "start"))
    }

    fn refusal(pointers: Vec<String>, expected: &'static str, test: fn(&Value) -> bool) -> Judge {
        Box::new(move |evidence| {
            let refused = |attempt: &Value| attempt.get("ran") == Some(&Value::Bool(false)) && test(attempt);
            let accepted: Vec<String> = pointers
                .iter()
                .filter(|pointer| !evidence.at(pointer).is_some_and(refused))
                .map(|pointer| format!("{pointer}: {}", outcome(evidence, pointer)))
                .collect();
            let observed =
                if accepted.is_empty() { outcomes(evidence, &pointers) } else { accepted.join("; ") };
            let holds = accepted.is_empty() && !pointers.is_empty();
            Judgement::of(holds, format!("{} {expected}", pointers.join(", ")), clip(&observed))
        })
    }

    fn outcomes(evidence: &Evidence, pointers: &[String]) -> String {
        pointers.iter().map(|pointer| outcome(evidence, pointer)).collect::<Vec<_>>().join("; ")
    }

    /// How far an attempt came, in words.
    fn outcome(evidence: &Evidence, pointer: &str) -> String {
        let Some(attempt) = evidence.at(pointer) else { return evidence.show(pointer) };
        let operations = ["create", "start"].map(|name| attempt.get(name).filter(|ran| !ran.is_null()));
        let operations = operations.into_iter().flatten();
        let wrong = operations.clone().find(|ran| !has_succeeded(ran));
        match wrong.or(operations.last()) {
            Some(ran) if has_succeeded(ran) => {
                format!("{} succeeded", ran.get("operation").and_then(Value::as_str).unwrap_or("it"))
            }
            Some(ran) => describe(ran),
            None => clip(&attempt.to_string()),
        }
    }

    /// Whether the operation ended by itself with an error.
    fn failed(attempt: &Value, operation: &str) -> bool {
        attempt.get(operation).is_some_and(was_refused)
    }

    /// Why there is no container at `pointer`, where the subject has refused it.
    fn refusal_of(evidence: &Evidence, pointer: &str) -> Option<String> {
        let life = evidence.at(pointer)?;
        (failed(life, "create") || failed(life, "start")).then(|| outcome(evidence, pointer))
    }

    /// No attempt of the case that `create` has refused has left anything on the host. (One that only `start`
    /// has refused leaves the container that `create` has made.)
    pub fn refusals_leave_nothing() -> Judge {
        Box::new(|evidence| {
            let refused =
                |(_, value): &(&String, &Value)| value.get("ran").is_some() && failed(value, "create");
            let mut looked = 0;
            let mut left = Vec::new();
            for (name, attempt) in evidence.0.iter().filter(refused) {
                looked += 1;
                let lines = attempt.get("left").unwrap_or(&Value::Null);
                if !are_trivial(lines) {
                    left.push(format!("{name}: {lines}"));
                }
            }
            match looked {
                0 => Judgement::not_applicable("nothing was refused by create"),
                _ if left.is_empty() => {
                    Judgement::of(true, EXPECTED, format!("nothing after {looked} refusals"))
                }
                _ => Judgement::of(false, EXPECTED, clip(&left.join("; "))),
            }
        })
    }

    fn are_trivial(left: &Value) -> bool {
        left.as_array().is_some_and(|lines| lines.iter().all(is_trivial))
    }

    /// A file that the subject hides in its own folder is a cache, which the text calls trivial.
    fn is_trivial(line: &Value) -> bool {
        let path = line.as_str().and_then(|line| line.strip_prefix("+ file "));
        let path = path.and_then(|path| path.rsplit_once("/state/"));
        path.is_some_and(|(_, name)| name.starts_with('.'))
    }

    const EXPECTED: &str = "what create refuses leaves nothing behind";

    /// `judge`, where the subject has run the container at `pointer`. One that it has refused shows that it
    /// does not support something that it need not support.
    pub fn where_supported(pointer: &str, judge: Judge) -> Judge {
        let pointer = pointer.to_owned();
        Box::new(move |evidence| match refusal_of(evidence, &pointer) {
            Some(why) => Judgement::skip(Reason::Unsupported, why),
            None => judge(evidence),
        })
    }

    /// `judge`, or a refusal of the container at `pointer`: either is right.
    pub fn or_refused(pointer: &str, judge: Judge) -> Judge {
        let pointer = pointer.to_owned();
        Box::new(move |evidence| match refusal_of(evidence, &pointer) {
            Some(why) => Judgement::of(true, "it is refused", why),
            None => judge(evidence),
        })
    }

    /// `judge`, where the subject has not refused the container at `pointer`; otherwise the row does not bind.
    pub fn unless_refused(pointer: &str, judge: Judge) -> Judge {
        let pointer = pointer.to_owned();
        Box::new(move |evidence| match refusal_of(evidence, &pointer) {
            Some(why) => Judgement::not_applicable(why),
            None => judge(evidence),
        })
    }

    /// `judge`, where `control` is content; otherwise what `judge` says would mean nothing.
    pub fn provided(control: Judge, judge: Judge) -> Judge {
        Box::new(move |evidence| {
            let seen = control(evidence);
            match seen.verdict {
                crate::Verdict::Pass => judge(evidence),
                crate::Verdict::Skip => seen,
                _ => Judgement::inconclusive(format!(
                    "the control does not hold: {}, not {}",
                    seen.observed, seen.expected
                )),
            }
        })
    }

    /// `judge`, unless `pointer` is `null` or absent: then the row is skipped for `reason`.
    pub fn where_present(pointer: &str, reason: Reason, why: &str, judge: Judge) -> Judge {
        let (pointer, why) = (pointer.to_owned(), why.to_owned());
        Box::new(move |evidence| match evidence.at(&pointer) {
            None | Some(Value::Null) => Judgement::skip(reason, why.as_str()),
            Some(_) => judge(evidence),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Verdict;

    fn evidence() -> Evidence {
        let mut evidence = Evidence::default();
        evidence.record("probe", json!({"pid": 1, "a/b": [7]}));
        evidence.record("operations", json!([{"operation": "create", "exit": 0}, {"operation": "start", "exit": 1, "stderr": "x\nno way\n"}]));
        evidence
    }

    #[test]
    fn places_are_named_by_pointers() {
        let evidence = evidence();
        assert_eq!(evidence.at("/probe/pid"), Some(&json!(1)));
        assert_eq!(evidence.at("/probe/a~1b/0"), Some(&json!(7)));
        assert_eq!((evidence.at(""), evidence.at("/nothing"), evidence.at("/probe/x")), (None, None, None));
        assert_eq!(evidence.show("/nothing"), "nothing at /nothing: start exited with 1: no way");
    }

    #[test]
    fn a_trace_behind_an_error_is_not_the_error() {
        let ran =
            json!({"operation": "create", "exit": 1, "stderr": "Error: no such file\nStack:\n  0: main\n"});
        assert_eq!(describe(&ran), "create exited with 1: Error: no such file");
    }

    #[test]
    fn what_is_absent_never_passes() {
        let evidence = evidence();
        for judge in [
            judge::equals("/no", 1),
            judge::is_not("/no", 1),
            judge::same("/no", "/no"),
            judge::differ("/no", "/probe"),
            judge::satisfies("/no", "is anything", |_| true),
            judge::refused("/no"),
            judge::nothing_left("/no"),
        ] {
            assert_eq!(judge(&evidence).verdict, Verdict::Fail);
        }
        assert_eq!(judge::equals("/probe/pid", 1)(&evidence).verdict, Verdict::Pass);
        assert_eq!(judge::all(Vec::new())(&evidence).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn only_who_fails_by_himself_has_refused() {
        let verdict = |create: Value, state: i64, ran: bool| {
            let mut evidence = Evidence::default();
            evidence.record("a", json!({"create": create, "state": {"exit": state}, "ran": ran}));
            judge::refused("/a")(&evidence).verdict
        };
        assert_eq!(verdict(json!({"exit": 1}), 1, false), Verdict::Pass);
        assert_eq!(verdict(json!({"exit": 0}), 1, false), Verdict::Fail);
        assert_eq!(verdict(json!({"exit": null}), 1, false), Verdict::Fail);
        assert_eq!(verdict(json!({"exit": 1, "timedOut": true}), 1, false), Verdict::Fail);
        assert_eq!(verdict(json!({"exit": 1}), 0, false), Verdict::Fail);
        assert_eq!(verdict(json!({"exit": 1}), 1, true), Verdict::Fail);
    }

    #[test]
    fn only_an_error_has_to_leave_nothing() {
        let verdict = |exit: i64, left: &[&str]| {
            let mut evidence = Evidence::default();
            evidence.record("a", json!({"create": {"exit": exit}, "left": left}));
            judge::unchanged("/a")(&evidence).verdict
        };
        assert_eq!(verdict(1, &[]), Verdict::Pass);
        assert_eq!(verdict(1, &["+ mount"]), Verdict::Fail);
        assert_eq!(verdict(0, &["+ mount"]), Verdict::NotApplicable);
    }

    #[test]
    fn a_refusal_is_an_error_of_the_subject_itself() {
        let attempt = |create: Value, start: Value, state: i64, ran: bool| {
            let mut evidence = Evidence::default();
            let value = json!({"create": {"operation": "create", "exit": create}, "start": {"operation": "start", "exit": start}, "state": {"exit": state}, "ran": ran});
            evidence.record("a", value);
            [judge::refused("/a"), judge::refused_by_start("/a")].map(|judge| judge(&evidence).verdict)
        };
        use Verdict::{Fail, Pass};
        assert_eq!(attempt(json!(1), Value::Null, 1, false), [Pass, Pass]);
        assert_eq!(attempt(json!(0), json!(1), 0, false), [Fail, Pass]);
        assert_eq!(attempt(json!(0), json!(0), 0, true), [Fail, Fail]);
        // Killed, a container left behind, or the program run all the same.
        assert_eq!(attempt(Value::Null, Value::Null, 1, false), [Fail, Fail]);
        assert_eq!(attempt(json!(1), Value::Null, 0, false), [Fail, Fail]);
        assert_eq!(attempt(json!(1), Value::Null, 1, true), [Fail, Fail]);
        assert_eq!(judge::each_refused_by_start(&[])(&Evidence::default()).verdict, Fail);
        assert_eq!(judge::refused("/none")(&Evidence::default()).verdict, Fail);
        let left = |left: Value, create: i64| {
            let mut evidence = Evidence::default();
            evidence.record("a", json!({"create": {"exit": create}, "ran": false, "left": left}));
            judge::refusals_leave_nothing()(&evidence).verdict
        };
        assert_eq!((left(json!([]), 1), left(json!(["+ file"]), 1)), (Pass, Fail));
        assert_eq!(
            (left(json!(["+ file /x/state/.cache"]), 1), left(json!(["+ file /x/state/a"]), 1)),
            (Pass, Fail)
        );
        assert_eq!((left(Value::Null, 1), left(json!(["+ file"]), 0)), (Fail, Verdict::NotApplicable));
    }

    #[test]
    fn what_is_refused_is_no_failure_where_it_need_not_be_supported() {
        let mut evidence = Evidence::default();
        evidence.record("a", json!({"create": {"operation": "create", "exit": 1, "stderr": "no"}}));
        let judgement = judge::where_supported("/a", judge::equals("/a/x", 1))(&evidence);
        assert_eq!((judgement.verdict, judgement.reason), (Verdict::Skip, Some(Reason::Unsupported)));
        let control = judge::provided(judge::equals("/a/x", 1), judge::equals("/a/create/exit", 1));
        assert_eq!(control(&evidence).verdict, Verdict::Inconclusive);
    }
}
