//! SARIF 2.1.0, as code scanning reads it: every row is a rule, every judgement that does not pass a result.
//!
//! A row that could not be judged is a result of the kind `open` or `review`, so it is not lost; what passes
//! is told only by the rules and the run's properties.
//!
//! # References
//! - [SARIF 2.1.0](https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html), sections 3.19, 3.27 and 3.49

use serde_json::{Value, json};

use crate::requirement::Registry;
use crate::results::{JudgementRecord, Results};
use crate::verdict::Verdict;

use super::escape::lines;
use super::{Row, rows};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn report(results: &Results, registry: &Registry) -> String {
    let rows = rows(results, registry);
    let rules: Vec<Value> = rows.iter().map(|row| rule(*row)).collect();
    let mut found = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        for judgement in &row.record.judgements {
            found.extend(result(index, *row, judgement));
        }
    }
    let counts: Value = results
        .counts()
        .iter()
        .map(|(verdict, count)| (verdict.as_str().to_owned(), json!(count)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "plimsoll",
                "version": lines(&results.suite.version),
                "rules": rules,
            }},
            "properties": {
                "subject": lines(&results.subject.name),
                "subjectVersion": lines(&results.subject.version),
                "subjectDigest": lines(&results.subject.digest),
                "registry": lines(&results.suite.registry),
                "rows": counts,
            },
            "results": found,
        }],
    });
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn rule(row: Row<'_>) -> Value {
    let mut rule = json!({
        "id": lines(&row.record.id),
        "shortDescription": {"text": row.statement()},
        "defaultConfiguration": {"level": if row.decides() { "error" } else { "warning" }},
        "properties": {"level": row.level(), "profile": row.profile(), "verdict": row.record.verdict.as_str()},
    });
    if let Some(url) = row.url() {
        rule["helpUri"] = url.into();
    }
    rule
}

fn result(index: usize, row: Row<'_>, judgement: &JudgementRecord) -> Option<Value> {
    let (kind, level) = match judgement.verdict {
        Verdict::Pass | Verdict::NotApplicable => return None,
        Verdict::Fail if row.decides() => ("fail", "error"),
        Verdict::Fail => ("fail", "warning"),
        Verdict::Skip => ("open", "none"),
        Verdict::Inconclusive | Verdict::Error => ("review", "none"),
    };
    let mut message = format!("{}: {}", judgement.verdict.as_str(), lines(&judgement.observed));
    if !judgement.expected.is_empty() {
        message = format!("{message}\nexpected: {}", lines(&judgement.expected));
    }
    let mut result = json!({
        "ruleId": lines(&row.record.id),
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": message},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": lines(&judgement.case), "kind": "member"}]}],
        "partialFingerprints": {"row/v1": format!("{}@{}", lines(&row.record.id), lines(&judgement.case))},
    });
    if let Some(reason) = judgement.reason {
        result["properties"] = json!({"reason": reason.as_str()});
    }
    Some(result)
}
