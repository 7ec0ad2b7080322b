//! A report as results: what was counted is the evidence of a row, and one rule judges it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::case::Case;
use crate::error::Result;
use crate::evidence::Evidence;
use crate::requirement::{Area, Registry};
use crate::results::{CaseRecord, FORMAT, Results, SubjectRecord, Suite, judge_all, profiles};
use crate::verdict::Judgement;
use crate::version::Version;

use super::Report;
use super::advice::RULES;
use super::report::finding_to_json;

/// Findings of one row that go into its evidence.
const SHOWN: usize = 10;

/// One case for each row: its evidence was gathered on the one way through the image.
pub fn suite() -> Vec<Case<()>> {
    RULES
        .iter()
        .map(|(row, _)| Case::new(format!("image/{row}"), |(): &mut ()| Ok(())).rule(row, Box::new(judge)))
        .collect()
}

/// Nothing passes by absence: without an instance the row does not bind.
fn judge(evidence: &Evidence) -> Judgement {
    let number = |name: &str| evidence.at(name).and_then(Value::as_u64).unwrap_or(0);
    let (seen, broken) = (number("/seen"), number("/broken"));
    let expected = "every instance in the image holds";
    if broken > 0 {
        let message = evidence.at("/findings/0/message").and_then(Value::as_str).unwrap_or_default();
        let blob = evidence.at("/findings/0/blob").and_then(Value::as_str).unwrap_or_default();
        return Judgement::of(false, expected, format!("{broken} of {seen} do not; {blob}: {message}"));
    }
    let unfinished = evidence.at("/unfinished/0").and_then(Value::as_str);
    if let Some(why) = unfinished {
        return Judgement::inconclusive(format!("not everything was looked at: {why}"));
    }
    match seen {
        0 => Judgement::not_applicable("the image has no instance of it"),
        _ => Judgement::of(true, expected, format!("{seen} hold")),
    }
}

impl Report {
    /// What the image shows of each row.
    ///
    /// # Errors
    /// Where the registry is broken or this program cannot be read.
    pub fn results(&self) -> Result<Results> {
        let registry = Registry::load()?;
        let records: Vec<CaseRecord> = RULES.iter().map(|(row, _)| self.record(row)).collect();
        let version = Version::parse(Area::Image, &self.version)?;
        let rows = judge_all(&registry, Area::Image, version, &suite(), &records);
        let profiles = profiles(&registry, &rows);
        Ok(Results {
            format: FORMAT,
            suite: Suite::current()?,
            subject: SubjectRecord {
                kind: "image".to_owned(),
                name: self.path.clone(),
                version: String::new(),
                digest: self.digest.clone(),
                manifests: self.manifests.clone(),
                extra: Default::default(),
            },
            environment: BTreeMap::new(),
            settings: BTreeMap::from([
                ("spec".to_owned(), self.version.clone()),
                ("started".to_owned(), self.started.to_string()),
            ]),
            cases: records,
            rows,
            profiles,
            extra: Default::default(),
        })
    }

    fn record(&self, row: &str) -> CaseRecord {
        let count = self.findings.counts().get(row).copied().unwrap_or_default();
        let mut evidence = Evidence::default();
        evidence.record("seen", count.seen);
        evidence.record("broken", count.broken);
        let found = self.findings.sorted();
        let found = found.into_iter().filter(|finding| finding.id == row).take(SHOWN);
        evidence.record("findings", found.map(finding_to_json).collect::<Vec<Value>>());
        evidence.record("unfinished", json!(self.findings.unfinished()));
        CaseRecord {
            name: format!("image/{row}"),
            evidence: evidence.to_record(),
            obstacle: None,
            milliseconds: 0,
            again: Vec::new(),
            extra: Default::default(),
        }
    }
}
