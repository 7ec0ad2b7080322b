//! Stored evidence, judged by the rules of this suite.
//!
//! What was recorded once can be judged again by anybody. Records are hostile: nothing in them may decide a
//! verdict but what a case has seen, so an obstacle that claims a row to hold is refused.

use std::collections::BTreeSet;

use crate::case::Case;
use crate::error::{Error, Kind, Result};
use crate::requirement::{Area, Registry};
use crate::results::{CaseRecord, ProfileRecord, Results, RowRecord, judge_all, profiles};
use crate::verdict::Verdict;
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
/// twice or an obstacle says that something holds.
pub fn rejudge(results: &Results, registry: &Registry) -> Result<Judged> {
    check(&results.cases)?;
    let (version, records) = (results.spec(), &results.cases);
    let rows = match results.subject.kind.as_str() {
        "runtime" => judge_all(registry, Area::Runtime, version, &runtime::suite(), records),
        "image" => judge_all(registry, Area::Image, version, &image::suite(), records),
        "unpacker" => judge_all(registry, Area::Image, version, &image::unpacker::suite(), records),
        "converter" => judge_all(registry, Area::Image, version, &image::converter::suite(), records),
        "copier" => judge_all(registry, Area::Image, version, &image::copier::suite(), records),
        "digest" => judge_all(registry, Area::Digest, version, &digest::suite(), records),
        other => return Err(unknown(other)),
    };
    let profiles = profiles(registry, &rows);
    Ok(Judged { rows, profiles })
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

fn check(records: &[CaseRecord]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for record in records {
        if !seen.insert(record.name.as_str()) {
            return Err(Error::new(
                Kind::Document,
                format!("judge again: case {:?} stands twice", record.name),
            ));
        }
    }
    let claims = |verdict: Verdict| matches!(verdict, Verdict::Pass | Verdict::Fail);
    for record in records.iter().flat_map(|record| std::iter::once(record).chain(&record.again)) {
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
