//! Markdown for a forge: the profiles, then every row that a person has to look at, then all of them.

use crate::requirement::Registry;
use crate::results::Results;
use crate::verdict::Verdict;

use super::escape::code;
use super::{Row, rows};

pub(super) fn report(results: &Results, registry: &Registry) -> String {
    let rows = rows(results, registry);
    let mut text = format!("# Conformance of {}\n\n", code(&results.subject.name));
    text.push_str(&facts(results));
    text.push_str("\n| profile | verdict | rows |\n|---|---|---|\n");
    for profile in &results.profiles {
        let counts: Vec<String> =
            profile.counts.iter().map(|(verdict, count)| format!("{count} {}", code(verdict))).collect();
        text.push_str(&format!(
            "| {} | **{}** | {} |\n",
            code(&profile.name),
            profile.verdict.as_str(),
            counts.join(", ")
        ));
    }
    let loud = [
        ("Failed", Verdict::Fail),
        ("Broken in the harness", Verdict::Error),
        ("Inconclusive", Verdict::Inconclusive),
        ("Skipped", Verdict::Skip),
    ];
    for (title, verdict) in loud {
        let of: Vec<&Row<'_>> = rows.iter().filter(|row| row.record.verdict == verdict).collect();
        if !of.is_empty() {
            text.push_str(&format!("\n## {title}: {}\n\n", of.len()));
            of.iter().for_each(|row| item(**row, &mut text));
        }
    }
    text.push_str(
        "\n<details><summary>All rows</summary>\n\n| requirement | level | verdict |\n|---|---|---|\n",
    );
    for row in &rows {
        text.push_str(&format!("| {} | {} | {} |\n", link(*row), row.level(), row.record.verdict.as_str()));
    }
    text.push_str("\n</details>\n");
    text
}

fn facts(results: &Results) -> String {
    let environment: Vec<String> = results
        .environment
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{} {}", code(name), code(value)))
        .collect();
    format!(
        "- subject: {} {}\n- specification: {}\n- environment: {}\n- suite: {}, registry {}\n",
        code(&results.subject.version),
        code(&results.subject.digest),
        code(results.spec()),
        environment.join(", "),
        code(&results.suite.version),
        code(&results.suite.registry),
    )
}

/// The id of a row, as a link where it is known.
pub(super) fn link(row: Row<'_>) -> String {
    match row.url() {
        Some(url) => format!("[{}]({url})", code(&row.record.id)),
        None => code(&row.record.id),
    }
}

fn item(row: Row<'_>, text: &mut String) {
    text.push_str(&format!("- {} {}: {}\n", link(row), row.level(), code(row.statement())));
    for judgement in row.record.judgements.iter().filter(|said| said.verdict == row.record.verdict) {
        text.push_str(&format!("  - case {}", code(&judgement.case)));
        if let Some(reason) = judgement.reason {
            text.push_str(&format!(" ({})", reason.as_str()));
        }
        for (label, what) in [("expected", &judgement.expected), ("observed", &judgement.observed)] {
            if !what.is_empty() {
                text.push_str(&format!(", {label} {}", code(what)));
            }
        }
        text.push('\n');
    }
}
