//! TAP 14: a test point for every row, with a YAML block where it does not pass.
//!
//! # References
//! - [TAP 14](https://testanything.org/tap-version-14-specification.html)

use crate::requirement::Registry;
use crate::results::Results;
use crate::verdict::Verdict;

use super::escape::{line, quoted};
use super::{Row, rows};

pub(super) fn report(results: &Results, registry: &Registry) -> String {
    let rows = rows(results, registry);
    let mut text = format!("TAP version 14\n1..{}\n", rows.len());
    text.push_str(&format!("# {} {}\n", line(&results.subject.name), line(&results.subject.version)));
    for (at, row) in rows.iter().enumerate() {
        point(at + 1, *row, &mut text);
    }
    text
}

/// What cannot be taken for a directive: `#` begins one, and `\` keeps it from that.
fn description(text: &str) -> String {
    line(text).replace('\\', "\\\\").replace('#', "\\#")
}

fn point(number: usize, row: Row<'_>, text: &mut String) {
    let record = row.record;
    let why = row.decisive().map_or("", |judgement| judgement.observed.as_str());
    let (ok, directive) = match record.verdict {
        Verdict::Pass => ("ok", String::new()),
        Verdict::NotApplicable => ("ok", format!(" # SKIP not applicable: {}", line(why))),
        Verdict::Skip => {
            let reason = record.reason.map_or("unknown", |reason| reason.as_str());
            ("ok", format!(" # SKIP {reason}: {}", line(why)))
        }
        // A failure that decides nothing is what TODO means: harnesses show it and count it as passed.
        Verdict::Fail if !row.decides() => ("not ok", format!(" # TODO {} only", row.level())),
        Verdict::Fail | Verdict::Inconclusive | Verdict::Error => ("not ok", String::new()),
    };
    text.push_str(&format!(
        "{ok} {number} - {} {}{directive}\n",
        description(&record.id),
        description(row.statement())
    ));
    if row.is_quiet() {
        return;
    }
    text.push_str("  ---\n");
    let mut member = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("  {name}: {}\n", quoted(value)));
        }
    };
    member("verdict", record.verdict.as_str());
    member("level", row.level());
    member("spec", &row.url().unwrap_or_default());
    if let Some(judgement) = row.decisive() {
        member("case", &judgement.case);
        member("expected", &judgement.expected);
        member("observed", &judgement.observed);
    }
    text.push_str("  ...\n");
}
