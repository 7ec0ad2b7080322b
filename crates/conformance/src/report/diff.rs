//! Two results of one subject, or of two: what has become worse, what better, what is gone.
//!
//! A row that was judged and no longer is counts as much as one that fails: whoever skips a row must say so.

use std::collections::BTreeMap;

use plimsoll_spec::json::{self, wire_enum, wire_object};

use crate::results::{Results, RowRecord};
use crate::verdict::Verdict;

use super::escape::{code, line};

wire_enum! {
    /// What has become of a row, the worst first.
    pub enum Change {
        /// It fails, and did not.
        NewFailure = "new failure",
        /// It was judged, and no longer is: skipped, inconclusive, an error or not applicable.
        Unjudged = "no longer judged",
        /// It is gone.
        Missing = "missing",
        /// It holds, and did not.
        Fixed = "fixed",
        /// It is judged, and was not: it holds.
        NewlyJudged = "newly judged",
        /// It was not there.
        New = "new",
        /// Another of the verdicts that say nothing.
        Other = "changed",
    }
}

wire_object! {
    /// Everything that differs.
    pub struct Diff {
        /// What was compared to what: subject and environment of both.
        pub before: String = "before" required,
        /// Likewise.
        pub after: String = "after" required,
        /// What else must be known of the comparison.
        pub remarks: Vec<String> = "remarks",
        /// The rows that differ, the worst first.
        pub rows: Vec<Changed> = "rows" always,
        /// How many rows have the same verdict in both.
        pub same: u64 = "same" required,
        /// How long the cases took, in milliseconds.
        pub milliseconds_before: u64 = "millisecondsBefore" required,
        /// Likewise.
        pub milliseconds_after: u64 = "millisecondsAfter" required,
    }

    /// A row that differs.
    pub struct Changed {
        /// The requirement.
        pub id: String = "id" required,
        /// How.
        pub change: Change = "change" required,
        /// The verdict that it had.
        pub before: Option<Verdict> = "before",
        /// The verdict that it has.
        pub after: Option<Verdict> = "after",
        /// What was seen last.
        pub observed: String = "observed",
    }
}

impl Change {
    /// Whether it is a step back.
    pub fn is_regression(self) -> bool {
        matches!(self, Change::NewFailure | Change::Unjudged | Change::Missing)
    }

    fn of(before: Option<Verdict>, after: Option<Verdict>) -> Change {
        let judged = |verdict: Verdict| matches!(verdict, Verdict::Pass | Verdict::Fail);
        match (before, after) {
            (_, Some(Verdict::Fail)) => Change::NewFailure,
            (_, None) => Change::Missing,
            (None, _) => Change::New,
            (Some(Verdict::Fail), Some(Verdict::Pass)) => Change::Fixed,
            (Some(before), Some(_)) if judged(before) => Change::Unjudged,
            (Some(_), Some(Verdict::Pass)) => Change::NewlyJudged,
            (Some(_), Some(_)) => Change::Other,
        }
    }
}

/// Compares `after` to `before`.
pub fn diff(before: &Results, after: &Results) -> Diff {
    let mut old = index(before);
    let new = index(after);
    let mut same = 0;
    let mut rows = Vec::new();
    for (id, row) in &new {
        let was = old.remove(id).map(|row| row.verdict);
        if was == Some(row.verdict) {
            same += 1;
        } else {
            rows.push(changed(id, was, Some(row)));
        }
    }
    rows.extend(old.iter().map(|(id, row)| changed(id, Some(row.verdict), None)));
    rows.sort_by(|left, right| (left.change, &left.id).cmp(&(right.change, &right.id)));
    Diff {
        before: title(before),
        after: title(after),
        remarks: remarks(before, after),
        rows,
        same,
        milliseconds_before: duration(before),
        milliseconds_after: duration(after),
        extra: json::Object::new(),
    }
}

fn index(results: &Results) -> BTreeMap<&str, &RowRecord> {
    results.rows.iter().map(|row| (row.id.as_str(), row)).collect()
}

fn changed(id: &str, before: Option<Verdict>, after: Option<&RowRecord>) -> Changed {
    let verdict = after.map(|row| row.verdict);
    let decisive =
        after.and_then(|row| row.judgements.iter().find(|judgement| judgement.verdict == row.verdict));
    Changed {
        id: id.to_owned(),
        change: Change::of(before, verdict),
        before,
        after: verdict,
        observed: decisive.map_or(String::new(), |judgement| judgement.observed.clone()),
        extra: json::Object::new(),
    }
}

/// The subject and where it was judged.
pub(super) fn title(results: &Results) -> String {
    let of = |name: &str| results.environment.get(name).map_or("", String::as_str);
    // What is usual needs no word.
    let unusual =
        |name: &str, usual: &str| Some(of(name)).filter(|value| *value != usual).unwrap_or_default();
    let (driver, user) = (unusual("cgroupDriver", "cgroupfs"), unusual("user", "root"));
    let places: Vec<String> = [("Linux", of("kernel")), ("cgroup", of("cgroup")), ("", driver), ("", user)]
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name} {value}").trim().to_owned())
        .collect();
    let (name, version) = (&results.subject.name, &results.subject.version);
    // Most print their name before their version.
    let subject =
        if version.starts_with(name.as_str()) { version.clone() } else { format!("{name} {version}") };
    if places.is_empty() { subject } else { format!("{subject} ({})", places.join(", ")) }
}

fn remarks(before: &Results, after: &Results) -> Vec<String> {
    let differs = |setting: &str| before.settings.get(setting) != after.settings.get(setting);
    let differ = [
        ("the registries differ", before.suite.registry != after.suite.registry),
        ("the programs of the suite differ", before.suite.binary != after.suite.binary),
        ("the versions of the specification differ", before.spec() != after.spec()),
        ("the environments differ", before.environment != after.environment),
        ("the selections differ", differs("selection")),
        ("the dialects differ", differs("dialect")),
        ("the subject is the same file", before.subject.digest == after.subject.digest),
    ];
    differ.into_iter().filter(|(_, holds)| *holds).map(|(remark, _)| remark.to_owned()).collect()
}

fn duration(results: &Results) -> u64 {
    results.cases.iter().fold(0, |sum, case| sum.saturating_add(case.milliseconds))
}

impl Diff {
    /// Whether anything has become worse.
    pub fn is_regression(&self) -> bool {
        self.rows.iter().any(|row| row.change.is_regression())
    }

    fn of(&self, change: Change) -> Vec<&Changed> {
        self.rows.iter().filter(|row| row.change == change).collect()
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("before  {}\nafter   {}\n", line(&self.before), line(&self.after));
        self.remarks.iter().for_each(|remark| text.push_str(&format!("note: {remark}\n")));
        for change in Change::ALL {
            let rows = self.of(*change);
            if rows.is_empty() {
                continue;
            }
            text.push_str(&format!("\n{}: {}\n", change.as_str(), rows.len()));
            for row in rows {
                text.push_str(&format!("  {:<14} {}\n", line(&row.id), verdicts(row)));
                if row.change.is_regression() && !row.observed.is_empty() {
                    text.push_str(&format!("      {}\n", line(&row.observed)));
                }
            }
        }
        text.push_str(&format!("\n{}\n", self.conclusion()));
        text
    }

    /// For a comment on a forge.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "**{}**\n\n- before: {}\n- after: {}\n",
            self.conclusion(),
            code(&self.before),
            code(&self.after)
        );
        self.remarks.iter().for_each(|remark| text.push_str(&format!("- {remark}\n")));
        if !self.rows.is_empty() {
            text.push_str("\n| change | requirement | verdicts | observed |\n|---|---|---|---|\n");
        }
        for row in &self.rows {
            let loud = if row.change.is_regression() { "**" } else { "" };
            text.push_str(&format!(
                "| {loud}{}{loud} | {} | {} | {} |\n",
                row.change.as_str(),
                code(&row.id),
                verdicts(row),
                code(&row.observed)
            ));
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> String {
        String::from_utf8_lossy(&json::to_vec_pretty(self)).into_owned()
    }

    fn conclusion(&self) -> String {
        let count = |change: Change| (self.of(change).len(), change.as_str());
        let parts: Vec<String> = Change::ALL
            .iter()
            .map(|change| count(*change))
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let judged = if self.is_regression() { "regression" } else { "no regression" };
        let parts = if parts.is_empty() { String::new() } else { format!("{}, ", parts.join(", ")) };
        format!(
            "{judged}: {parts}{} the same; {} ms, was {} ms",
            self.same, self.milliseconds_after, self.milliseconds_before
        )
    }
}

fn verdicts(row: &Changed) -> String {
    let shown = |verdict: Option<Verdict>| verdict.map_or("nothing", Verdict::as_str);
    format!("{} -> {}", shown(row.before), shown(row.after))
}
