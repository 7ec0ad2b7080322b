//! The two statements of a certificate, as they follow from results and a day.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_digest::Digest;
use plimsoll_spec::json::{self, wire_enum, wire_object};

use crate::day::Day;
use crate::error::{Error, Kind, Result};
use crate::requirement::{Area, Registry};
use crate::results::{ProfileRecord, Results, RowRecord};
use crate::verdict::{Reason, Verdict};
use crate::version::Version;

use super::expiry::{specification, validity};
use super::sha256;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// The predicate of a test result, by in-toto.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// Our predicate. A tag URI (RFC 4151) is a name and no address: nobody is to look for it anywhere.
pub const PREDICATE: &str = "tag:plimsoll,2026:conformance/v1";

wire_enum! {
    /// How in-toto's test result puts it.
    pub enum TestResult {
        /// Every row holds or does not bind the subject, and every binding row that can be was tested.
        Passed = "PASSED",
        /// No row that decides fails, but something was not judged, or a recommendation does not hold.
        Warned = "WARNED",
        /// A row that decides does not hold.
        Failed = "FAILED",
    }
}

wire_object! {
    /// A thing by its digest.
    pub struct Resource {
        pub name: String = "name" required,
        pub digest: BTreeMap<String, String> = "digest" required,
    }

    /// The statement for tools that know test results.
    pub struct TestStatement {
        pub kind: String = "_type" required,
        pub subject: Vec<Resource> = "subject" required,
        pub predicate_type: String = "predicateType" required,
        pub predicate: TestPredicate = "predicate" required,
    }

    /// What in-toto knows of a test run.
    pub struct TestPredicate {
        pub result: TestResult = "result" required,
        pub configuration: Vec<Resource> = "configuration" required,
        pub passed: Vec<String> = "passedTests" always,
        pub warned: Vec<String> = "warnedTests" always,
        pub failed: Vec<String> = "failedTests" always,
    }

    /// The statement that lets nothing be left out.
    pub struct ConformanceStatement {
        pub kind: String = "_type" required,
        pub subject: Vec<Resource> = "subject" required,
        pub predicate_type: String = "predicateType" required,
        pub predicate: ConformancePredicate = "predicate" required,
    }

    /// What a test result has no words for.
    pub struct ConformancePredicate {
        pub issued: String = "issued" required,
        pub started: String = "started" required,
        pub specification: Specification = "specification" required,
        pub valid_at_least_until: String = "validAtLeastUntil" required,
        pub suite: SuiteName = "suite" required,
        pub results: Resource = "results" required,
        pub kind: String = "subjectKind" required,
        pub version: String = "subjectVersion" required,
        pub environment: BTreeMap<String, String> = "environment" always,
        pub settings: BTreeMap<String, String> = "settings" always,
        pub profiles: Vec<ProfileRecord> = "profiles" always,
        pub not_passed: Vec<NotPassed> = "notPassed" always,
        pub not_tested: Vec<String> = "notTested" always,
        pub not_testable: Vec<String> = "notTestable" always,
    }

    /// What was judged by.
    pub struct Specification {
        pub name: String = "name" required,
        pub version: String = "version" required,
        pub released: String = "released" required,
    }

    /// What judged.
    pub struct SuiteName {
        pub version: String = "version" required,
        pub binary: String = "binary" required,
        pub registry: String = "registry" required,
    }

    /// A row that did not pass.
    pub struct NotPassed {
        pub id: String = "id" required,
        pub level: String = "level" required,
        pub verdict: Verdict = "verdict" required,
        pub reason: Option<Reason> = "reason",
        pub why: String = "why",
    }
}

/// The bytes of both statements.
pub(super) struct Statements {
    pub(super) test_result: Vec<u8>,
    pub(super) conformance: Vec<u8>,
}

/// What results come to, in a word.
pub fn result_of(results: &Results, registry: &Registry) -> TestResult {
    let quiet = |row: &RowRecord| matches!(row.verdict, Verdict::Pass | Verdict::NotApplicable);
    if results.rows.iter().any(|row| fails(row, registry)) {
        TestResult::Failed
    } else if results.rows.iter().all(quiet) && not_tested(results, registry).is_empty() {
        TestResult::Passed
    } else {
        TestResult::Warned
    }
}

fn fails(row: &RowRecord, registry: &Registry) -> bool {
    // A row that the registry lacks cannot be known to decide nothing.
    row.verdict == Verdict::Fail && registry.row(&row.id).map_or(true, |known| known.level.decides())
}

/// Makes the statements about `results`, whose bytes are `bytes`.
///
/// # Errors
/// [`Kind::Request`] for a specification that is not released, [`Kind::Document`] where the subject's digest is
/// none.
pub(super) fn make(results: &Results, bytes: &[u8], issued: Day, registry: &Registry) -> Result<Statements> {
    let name = specification(&results.subject.kind);
    let validity = validity(name, results.spec())?;
    let subject = resource(&results.subject.name, &results.subject.digest)?;
    let stored = resource("results", &sha256(bytes).to_string())?;
    let of = |wanted: &dyn Fn(&RowRecord) -> bool| -> Vec<String> {
        results.rows.iter().filter(|row| wanted(row)).map(|row| row.id.clone()).collect()
    };
    let passed = |row: &RowRecord| row.verdict == Verdict::Pass;
    let quiet = |row: &RowRecord| passed(row) || row.verdict == Verdict::NotApplicable;
    let test_result = TestStatement {
        kind: STATEMENT.to_owned(),
        subject: vec![subject.clone()],
        predicate_type: TEST_RESULT.to_owned(),
        predicate: TestPredicate {
            result: result_of(results, registry),
            configuration: vec![
                resource("suite", &results.suite.binary)?,
                resource("registry", &results.suite.registry)?,
                stored.clone(),
            ],
            passed: of(&passed),
            warned: of(&|row| !quiet(row) && !fails(row, registry)),
            failed: of(&|row| fails(row, registry)),
            extra: json::Object::new(),
        },
        extra: json::Object::new(),
    };
    let started = results.settings.get("started").cloned().unwrap_or_default();
    let conformance = ConformanceStatement {
        kind: STATEMENT.to_owned(),
        subject: vec![subject],
        predicate_type: PREDICATE.to_owned(),
        predicate: ConformancePredicate {
            issued: issued.to_string(),
            started,
            specification: Specification {
                name: name.to_owned(),
                version: results.spec().to_owned(),
                released: validity.released.to_string(),
                extra: json::Object::new(),
            },
            valid_at_least_until: validity.at_least.to_string(),
            suite: SuiteName {
                version: results.suite.version.clone(),
                binary: results.suite.binary.clone(),
                registry: results.suite.registry.clone(),
                extra: json::Object::new(),
            },
            results: stored,
            kind: results.subject.kind.clone(),
            version: results.subject.version.clone(),
            environment: results.environment.clone(),
            settings: results.settings.clone(),
            profiles: results.profiles.clone(),
            not_passed: results
                .rows
                .iter()
                .filter(|row| !passed(row))
                .map(|row| not_passed(row, registry))
                .collect(),
            not_tested: not_tested(results, registry),
            not_testable: not_testable(results, registry),
            extra: json::Object::new(),
        },
        extra: json::Object::new(),
    };
    Ok(Statements { test_result: json::to_vec(&test_result), conformance: json::to_vec(&conformance) })
}

fn resource(name: &str, digest: &str) -> Result<Resource> {
    let wrong = |e| Error::because(Kind::Document, format!("name {name} by its digest {digest:?}"), e);
    let digest = Digest::parse_known(digest).map_err(wrong)?;
    let digest = BTreeMap::from([(digest.algorithm_name().to_owned(), digest.encoded().to_owned())]);
    Ok(Resource { name: name.to_owned(), digest, extra: json::Object::new() })
}

fn not_passed(row: &RowRecord, registry: &Registry) -> NotPassed {
    let decisive = row.judgements.iter().find(|judgement| judgement.verdict == row.verdict);
    NotPassed {
        id: row.id.clone(),
        level: registry.row(&row.id).map_or("unknown", |known| known.level.as_str()).to_owned(),
        verdict: row.verdict,
        reason: row.reason,
        why: decisive.map_or(String::new(), |judgement| judgement.observed.clone()),
        extra: json::Object::new(),
    }
}

/// Binding rows of the specification without a verdict.
fn without_verdict<'a>(results: &Results, registry: &'a Registry) -> Vec<&'a str> {
    let area = Area::ALL.iter().copied().find(|area| area.as_str() == results.subject.kind);
    let asked = area.and_then(|area| Some((area, Version::parse(area, results.spec()).ok()?)));
    let Some((area, version)) = asked else { return Vec::new() };
    let judged: BTreeSet<&str> = results.rows.iter().map(|row| row.id.as_str()).collect();
    let open = registry.rows().iter().filter(|row| {
        row.area == area && row.is_in(version) && row.level.is_binding() && !judged.contains(row.id)
    });
    open.map(|row| row.id).collect()
}

/// Binding rows that the suite could judge and has no case for.
pub(crate) fn not_tested(results: &Results, registry: &Registry) -> Vec<String> {
    let open = without_verdict(results, registry).into_iter().filter(|id| registry.reason(id).is_none());
    open.map(str::to_owned).collect()
}

/// Binding rows that no black box can show.
fn not_testable(results: &Results, registry: &Registry) -> Vec<String> {
    let open = without_verdict(results, registry).into_iter().filter(|id| registry.reason(id).is_some());
    open.map(str::to_owned).collect()
}

/// The day of issue that a statement of ours names.
///
/// # Errors
/// [`Kind::Document`] where it is no such statement.
pub(super) fn issued(payload: &[u8]) -> Result<Day> {
    let statement: ConformanceStatement = json::from_slice(payload)
        .map_err(|e| Error::because(Kind::Document, "parse the statement of conformance", e))?;
    Day::parse(&statement.predicate.issued)
        .map_err(|e| Error::because(Kind::Document, "parse the statement of conformance", e))
}
