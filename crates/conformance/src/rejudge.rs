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
        let claims = |verdict: Verdict| matches!(verdict, Verdict::Pass | Verdict::Fail);
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
