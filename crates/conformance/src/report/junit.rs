//! JUnit's XML, as CI systems read it.
//!
//! A case is a test case; the rows it judges are its properties called `requirement`. What decides nothing, as
//! a SHOULD that does not hold, is no failure: it is told in `system-out`.
//!
//! # References
//! - [the schema of Surefire](https://maven.apache.org/surefire/maven-surefire-plugin/xsd/surefire-test-report.xsd), whose elements the usual readers know

use std::collections::BTreeMap;

use crate::requirement::Registry;
use crate::results::{JudgementRecord, Results};
use crate::verdict::Verdict;

use super::escape::markup;
use super::{Row, rows};

type Said<'a> = Vec<(Row<'a>, &'a JudgementRecord)>;

pub(super) fn report(results: &Results, registry: &Registry) -> String {
    let mut said: BTreeMap<&str, Said<'_>> = BTreeMap::new();
    for row in rows(results, registry) {
        for judgement in &row.record.judgements {
            said.entry(&judgement.case).or_default().push((row, judgement));
        }
    }
    let times: BTreeMap<&str, u64> =
        results.cases.iter().map(|case| (case.name.as_str(), case.milliseconds)).collect();
    let mut families: BTreeMap<&str, Vec<Case<'_>>> = BTreeMap::new();
    for (name, said) in said {
        let (family, what) = name.split_once('/').unwrap_or(("", name));
        let milliseconds = times.get(name).copied().unwrap_or(0);
        families.entry(family).or_default().push(Case { what, family, milliseconds, said });
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&Case<'_>> = families.values().flatten().collect();
    let name = format!("{} {}", results.subject.name, results.subject.version);
    text.push_str(&format!("<testsuites name=\"{}\" {}>\n", markup(&name), counts(&all)));
    for (family, cases) in &families {
        let cases: Vec<&Case<'_>> = cases.iter().collect();
        text.push_str(&format!("  <testsuite name=\"{}\" {}>\n", markup(family), counts(&cases)));
        cases.iter().for_each(|case| case.write(&mut text));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

struct Case<'a> {
    what: &'a str,
    family: &'a str,
    milliseconds: u64,
    said: Said<'a>,
}

fn counts(cases: &[&Case<'_>]) -> String {
    let with = |wanted: &[Verdict]| cases.iter().filter(|case| wanted.contains(&case.outcome())).count();
    let milliseconds: u64 = cases.iter().fold(0, |sum, case| sum.saturating_add(case.milliseconds));
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\"",
        cases.len(),
        with(&[Verdict::Fail]),
        with(&[Verdict::Error, Verdict::Inconclusive]),
        with(&[Verdict::Skip, Verdict::NotApplicable]),
        seconds(milliseconds),
    )
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// Whether a judgement decides nothing although it does not pass.
fn is_advice(row: Row<'_>, judgement: &JudgementRecord) -> bool {
    judgement.verdict == Verdict::Fail && !row.decides()
}

impl Case<'_> {
    /// The weightiest judgement that decides something.
    fn outcome(&self) -> Verdict {
        let deciding = self.said.iter().filter(|(row, judgement)| !is_advice(*row, judgement));
        deciding.map(|(_, judgement)| judgement.verdict).max().unwrap_or(Verdict::Pass)
    }

    fn write(&self, text: &mut String) {
        text.push_str(&format!(
            "    <testcase name=\"{}\" classname=\"{}\" time=\"{}\">\n      <properties>\n",
            markup(self.what),
            markup(self.family),
            seconds(self.milliseconds)
        ));
        for (row, _) in &self.said {
            text.push_str(&format!(
                "        <property name=\"requirement\" value=\"{}\"/>\n",
                markup(&row.record.id)
            ));
        }
        text.push_str("      </properties>\n");
        let outcome = self.outcome();
        let element = match outcome {
            Verdict::Fail => "failure",
            Verdict::Error | Verdict::Inconclusive => "error",
            Verdict::Skip | Verdict::NotApplicable => "skipped",
            Verdict::Pass => "",
        };
        if !element.is_empty() {
            let of = self.said.iter().filter(|(row, said)| said.verdict == outcome && !is_advice(*row, said));
            self.element(element, outcome, &of.collect::<Vec<_>>(), text);
        }
        let advice: Vec<String> = self
            .said
            .iter()
            .filter(|(row, said)| is_advice(*row, said))
            .map(|(row, said)| tell(*row, said))
            .collect();
        if !advice.is_empty() {
            text.push_str(&format!("      <system-out>{}</system-out>\n", markup(&advice.join("\n"))));
        }
        text.push_str("    </testcase>\n");
    }

    fn element(&self, name: &str, outcome: Verdict, of: &[&(Row<'_>, &JudgementRecord)], text: &mut String) {
        let message = of.first().map_or(String::new(), |(row, said)| {
            let reason = said.reason.map_or(String::new(), |reason| format!(" ({})", reason.as_str()));
            format!("{}{reason}: {}", row.record.id, said.observed)
        });
        let told: Vec<String> = of.iter().map(|(row, said)| tell(*row, said)).collect();
        text.push_str(&format!(
            "      <{name} type=\"{}\" message=\"{}\">{}</{name}>\n",
            outcome.as_str(),
            markup(&message),
            markup(&told.join("\n"))
        ));
    }
}

fn tell(row: Row<'_>, said: &JudgementRecord) -> String {
    let mut told = format!("{} ({}) {}\n", row.record.id, row.level(), row.statement());
    for (label, what) in [("expected", &said.expected), ("observed", &said.observed)] {
        if !what.is_empty() {
            told.push_str(&format!("{label}: {what}\n"));
        }
    }
    if let Some(url) = row.url() {
        told.push_str(&format!("{url}\n"));
    }
    told
}
