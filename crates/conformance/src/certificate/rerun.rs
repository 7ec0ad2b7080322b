//! A certificate against runs of today: whether what it says can be seen again.

use std::collections::{BTreeMap, BTreeSet};

use crate::results::Results;
use crate::runtime::Request;
use crate::verdict::{Reason, Verdict};

/// How often a row that differs is tried before anything is said about it.
pub const RUNS: usize = 3;

/// A row that today says something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The requirement.
    pub id: String,
    /// Why, as far as can be told.
    pub cause: Cause,
    /// The stored verdict.
    pub stored: Option<Verdict>,
    /// The verdicts of the runs.
    pub seen: Vec<Option<Verdict>>,
}

/// Why a run says something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The runs do not agree with each other: nothing can be said of the row.
    Unstable,
    /// The row cannot be tried here, for what this machine or its user lacks.
    Environment,
    /// The subject does not do what the certificate says.
    Real,
}

impl Difference {
    /// In words.
    pub fn sentence(&self) -> String {
        let shown = |verdict: &Option<Verdict>| verdict.map_or("nothing", Verdict::as_str);
        let seen: Vec<&str> = self.seen.iter().map(shown).collect();
        let cause = match self.cause {
            Cause::Unstable => "runs do not agree",
            Cause::Environment => "it cannot be tried here",
            Cause::Real => "it cannot be seen again",
        };
        format!(
            "the row {} is certified as {}, seen {}: {cause}",
            self.id,
            shown(&self.stored),
            seen.join(", ")
        )
    }
}

/// Why a run of `request` would not be done as the `stored` one was; empty where it would.
///
/// Nothing of this is taken from results, which anybody may have written: a dialect decides with which words a
/// program is called, and patience for how long. Who runs it again says it again.
pub fn other_manner(stored: &Results, request: &Request) -> Vec<String> {
    let own = request.manner();
    let differs = |(name, label): &(&str, &str)| {
        let (before, now) = (stored.settings.get(*name), own.get(*name));
        let shown = |value: Option<&String>| value.map_or("as usual", String::as_str).to_owned();
        (before != now)
            .then(|| format!("the {label} of the stored run is {}, here {}", shown(before), shown(now)))
    };
    let members = [
        ("dialect", "dialect"),
        ("patience", "patience with a case"),
        ("operationPatience", "patience with an operation"),
    ];
    members.iter().filter_map(differs).collect()
}

/// Whether the row was skipped for what is no property of the subject. Nothing else excuses a row, least of all
/// what the stored results say of their environment.
fn lacks_something(run: &Results, id: &str) -> bool {
    let reason = run.row(id).filter(|row| row.verdict == Verdict::Skip).and_then(|row| row.reason);
    matches!(reason, Some(Reason::Kernel | Reason::Privilege | Reason::Hardware | Reason::Lsm | Reason::Tool))
}

/// What differs between the `stored` results and one or more runs of today.
pub fn compare(stored: &Results, runs: &[Results]) -> Vec<Difference> {
    let verdicts = |results: &Results| -> BTreeMap<String, Verdict> {
        results.rows.iter().map(|row| (row.id.clone(), row.verdict)).collect()
    };
    let before = verdicts(stored);
    let after: Vec<_> = runs.iter().map(verdicts).collect();
    let ids: BTreeSet<&String> = before.keys().chain(after.iter().flat_map(BTreeMap::keys)).collect();
    let mut differences = Vec::new();
    for id in ids {
        let was = before.get(id).copied();
        let seen: Vec<Option<Verdict>> = after.iter().map(|run| run.get(id).copied()).collect();
        if seen.iter().all(|verdict| *verdict == was) {
            continue;
        }
        let cause = match seen.as_slice() {
            [first, rest @ ..] if rest.iter().any(|other| other != first) => Cause::Unstable,
            _ if runs.iter().all(|run| lacks_something(run, id)) => Cause::Environment,
            _ => Cause::Real,
        };
        differences.push(Difference { id: id.clone(), cause, stored: was, seen });
    }
    differences
}
