//! Stored evidence, judged by the rules of this suite.
//!
//! What was recorded once can be judged again by anybody. Records are hostile: nothing in them may decide a
//! verdict but what a case has seen, so an obstacle that claims a row to hold is refused.

use std::collections::BTreeSet;

use crate::case::Case;
use crate::error::{Error, Kind, Result};
use crate::requirement::{Area, Registry};
use crate::results::{CaseRecord, ProfileRecord, Results, RowRecord, judge_all, profiles};
use crate::runtime::{CONTROL, control_failure};
use crate::verdict::Verdict;
use crate::version::Version;
use crate::{digest, image, runtime};

/// What this suite says about the evidence of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// A row each.
    pub rows: Vec<RowRecord>,
    /// And for each profile.
    pub profiles: Vec<ProfileRecord>,
}

/// Judges the evidence in `results` again.
///
/// # Errors
/// [`Kind::Request`] where this suite judges no subjects of that kind, [`Kind::Document`] where a case stands
/// twice, an obstacle says what only a rule may say, a case says something without the control, or the version is
/// unknown.
pub fn rejudge(results: &Results, registry: &Registry) -> Result<Judged> {
    let rows = match results.subject.kind.as_str() {
        "runtime" => {
            check_control(&results.cases)?;
            rows(results, registry, Area::Runtime, &runtime::suite())
        }
        "image" => rows(results, registry, Area::Image, &image::suite()),
        "unpacker" => rows(results, registry, Area::Image, &image::unpacker::suite()),
        "converter" => rows(results, registry, Area::Image, &image::converter::suite()),
        "copier" => rows(results, registry, Area::Image, &image::copier::suite()),
        "digest" => rows(results, registry, Area::Digest, &digest::suite()),
        other => Err(unknown(other)),
    }?;
    let profiles = profiles(registry, &rows);
    Ok(Judged { rows, profiles })
}

fn rows<S>(results: &Results, registry: &Registry, area: Area, suite: &[Case<S>]) -> Result<Vec<RowRecord>> {
    let conditional = suite.iter().filter(|case| case.conditional).map(|case| case.name.as_str()).collect();
    check(&results.cases, &conditional)?;
    let version =
        Version::parse(area, results.spec()).map_err(|e| Error::because(Kind::Document, "judge again", e))?;
    Ok(judge_all(registry, area, version, suite, &results.cases))
}

/// The cases of this suite for subjects of `kind`.
///
/// # Errors
/// [`Kind::Request`] where it has none.
pub fn case_names(kind: &str) -> Result<BTreeSet<String>> {
    match kind {
        "runtime" => Ok(names(runtime::suite())),
        "image" => Ok(names(image::suite())),
        "unpacker" => Ok(names(image::unpacker::suite())),
        "converter" => Ok(names(image::converter::suite())),
        "copier" => Ok(names(image::copier::suite())),
        "digest" => Ok(names(digest::suite())),
        other => Err(unknown(other)),
    }
}

fn names<S>(suite: Vec<Case<S>>) -> BTreeSet<String> {
    suite.into_iter().map(|case| case.name).collect()
}

fn unknown(kind: &str) -> Error {
    Error::new(
        Kind::Request,
        format!("judge again: this suite has no rules for a subject of the kind {kind:?}"),
    )
}

/// Where the minimal container does not run, nothing can be said about any other.
fn check_control(records: &[CaseRecord]) -> Result<()> {
    let control = records.iter().find(|record| record.name == CONTROL);
    let Some(why) = control.and_then(control_failure) else { return Ok(()) };
    let is_unjudged = |record: &CaseRecord| {
        record.obstacle.as_ref().is_some_and(|obstacle| obstacle.verdict != Verdict::NotApplicable)
    };
    match records.iter().find(|record| record.name != CONTROL && !is_unjudged(record)) {
        None => Ok(()),
        Some(record) => Err(Error::new(
            Kind::Document,
            format!("judge again: case {:?} says something, although {why}", record.name),
        )),
    }
}

/// `conditional` are the cases whose rows may not apply.
fn check(records: &[CaseRecord], conditional: &BTreeSet<&str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for record in records {
        if !seen.insert(record.name.as_str()) {
            return Err(Error::new(
                Kind::Document,
                format!("judge again: case {:?} stands twice", record.name),
            ));
        }
    }
    for record in records.iter().flat_map(|record| std::iter::once(record).chain(&record.again)) {
        let claims = |verdict: Verdict| match verdict {
            Verdict::Pass | Verdict::Fail => true,
            Verdict::NotApplicable => !conditional.contains(record.name.as_str()),
            Verdict::Skip | Verdict::Inconclusive | Verdict::Error => false,
        };
        if let Some(obstacle) = record.obstacle.as_ref().filter(|obstacle| claims(obstacle.verdict)) {
            let why = format!(
                "judge again: the obstacle of case {:?} says {}, which only a rule may say",
                record.name,
                obstacle.verdict.as_str()
            );
            return Err(Error::new(Kind::Document, why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::certificate::tests::results;
    use crate::evidence::Evidence;

    const CONTROL: &str = "control/minimal";

    /// A record of the control after which `left` was there.
    fn control(left: &[&str]) -> CaseRecord {
        let control = results().cases.into_iter().find(|case| case.name == CONTROL).unwrap();
        let mut evidence = Evidence::from_record(&control.evidence);
        *evidence.0.get_mut("minimal").unwrap().get_mut("left").unwrap() = json!(left);
        CaseRecord { evidence: evidence.to_record(), ..control }
    }

    #[test]
    fn a_failure_is_what_is_seen_every_time() {
        let (clean, dirty) = (control(&[]), control(&["+ file x"]));
        let registry = Registry::load().unwrap();
        let verdict = |first: &CaseRecord, again: &[CaseRecord]| {
            let mut results = results();
            let record = CaseRecord { again: again.to_vec(), ..first.clone() };
            results.cases.retain(|case| case.name != CONTROL);
            results.cases.push(record);
            let judged = rejudge(&results, &registry).unwrap();
            let row = judged.rows.into_iter().find(|row| row.id == "RUN-DELETE-04").unwrap();
            let said = row.judgements.into_iter().find(|judgement| judgement.case == CONTROL).unwrap();
            (said.verdict, said.observed)
        };
        assert_eq!(verdict(&clean, &[]).0, Verdict::Pass);
        assert_eq!(verdict(&dirty, &[]).0, Verdict::Fail);
        assert_eq!(verdict(&dirty, std::slice::from_ref(&dirty)).0, Verdict::Fail);
        let (said, why) = verdict(&dirty, std::slice::from_ref(&clean));
        assert_eq!((said, why.as_str()), (Verdict::Inconclusive, "[\"+ file x\"]; once more it was PASS"));
        // What has passed is not tried again, whatever somebody writes beside it.
        assert_eq!(verdict(&clean, std::slice::from_ref(&dirty)).0, Verdict::Pass);
    }

    #[test]
    fn an_obstacle_says_no_verdict_of_a_rule_the_second_time_either() {
        let mut results = results();
        let mut again = control(&[]);
        again.obstacle = results.cases.iter().find_map(|case| case.obstacle.clone());
        again.obstacle.as_mut().unwrap().verdict = Verdict::Pass;
        results.cases.iter_mut().find(|case| case.name == CONTROL).unwrap().again.push(again);
        let error = rejudge(&results, &Registry::load().unwrap()).unwrap_err().to_string();
        assert!(error.contains("says PASS, which only a rule may say"), "{error}");
    }
}
