//! Whether a certificate is to be believed: every check has its own sentence for a refusal.
//!
//! Nothing is taken from a statement but the day of issue: both are made again from the results, and the rows
//! of the results from the evidence.

use std::collections::BTreeSet;

use plimsoll_digest::Digest;

use crate::day::Day;
use crate::rejudge::{case_names, rejudge};
use crate::requirement::Registry;
use crate::results::{Results, RowRecord};

use super::expiry::{specification, validity};
use super::policy::{Keys, Role, Rule};
use super::statement::{self, TestResult, not_tested, result_of};
use super::{Certificate, Envelope, sha256};

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Every signature is a trusted key's, and those are there that the policy asks for.
    Signatures,
    /// The statements are those that follow from the results.
    Statements,
    /// The suite and its registry are known.
    Suite,
    /// The tested artefact is the one at hand.
    Subject,
    /// Every case and row is there.
    Complete,
    /// The verdicts follow from the evidence.
    Verdicts,
    /// The days are in order, and the certificate has not expired.
    Days,
}

/// A reason not to believe a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The check that refuses.
    pub check: Check,
    /// Why, in words.
    pub sentence: String,
}

/// What is demanded of a certificate.
#[derive(Debug)]
pub struct Against<'a> {
    /// The rows.
    pub registry: &'a Registry,
    /// Whose word counts.
    pub keys: &'a Keys,
    /// Whose signatures must be there.
    pub rule: Rule,
    /// The artefact that the certificate is to be about.
    pub subject: &'a Digest,
    /// The day that is asked about.
    pub at: Day,
}

/// What a certificate that is believed says.
#[derive(Debug)]
pub struct Verified {
    /// What the results come to.
    pub result: TestResult,
    /// Who has signed it as its submitter.
    pub submitters: Vec<String>,
    /// Who has reviewed it.
    pub reviewers: Vec<String>,
    /// The day of issue.
    pub issued: Day,
    /// The last day, where there is one yet.
    pub expires: Option<Day>,
    /// How many binding rows the suite could judge and has no case for.
    pub not_tested: usize,
    /// The results.
    pub results: Results,
}

/// Results are to be at most this old when they are signed.
const FRESH: u64 = 90;
/// Most rows of one kind that are named; the others are counted.
const NAMED: usize = 20;

/// A list of refusals that is being made.
#[derive(Default)]
struct Found(Vec<Refusal>);

impl Found {
    fn add(&mut self, check: Check, sentence: impl Into<String>) {
        self.0.push(Refusal { check, sentence: sentence.into() });
    }

    fn many(&mut self, check: Check, sentences: Vec<String>) {
        let more = sentences.len().saturating_sub(NAMED);
        sentences.into_iter().take(NAMED).for_each(|sentence| self.add(check, sentence));
        if more > 0 {
            self.add(check, format!("{more} more of the same kind"));
        }
    }
}

/// Checks what a certificate says by itself, without keys: what a signer looks at too.
pub fn examine(certificate: &Certificate, registry: &Registry) -> Vec<Refusal> {
    let mut found = Found::default();
    let results = match certificate.parsed_results() {
        Ok(results) => results,
        Err(e) => {
            found.add(Check::Verdicts, format!("the results cannot be read: {}", e.chain()));
            return found.0;
        }
    };
    statements(certificate, &results, registry, &mut found);
    if let Some(image) =
        certificate.subject.as_ref().filter(|image| !is_about(&results, &image.digest.to_string()))
    {
        found.add(
            Check::Subject,
            format!(
                "the certificate refers to {}, the results are about {}",
                image.digest, results.subject.digest
            ),
        );
    }
    found.0.extend(examine_results(&results, registry));
    found.0
}

/// Whether results are about the image that registries know as `digest`.
fn is_about(results: &Results, digest: &str) -> bool {
    results.subject.digest == digest || results.subject.manifests.iter().any(|listed| listed == digest)
}

/// Checks results that nobody has signed: whether they are whole, of this suite, and follow from the evidence.
pub fn examine_results(results: &Results, registry: &Registry) -> Vec<Refusal> {
    let mut found = Found::default();
    let own = Registry::digest().to_string();
    if results.suite.registry != own {
        found.add(
            Check::Suite,
            format!(
                "judged by the registry {}, this program has {own}: run the suite again",
                results.suite.registry
            ),
        );
    } else if results.suite.version != env!("CARGO_PKG_VERSION") {
        let version = env!("CARGO_PKG_VERSION");
        found.add(
            Check::Suite,
            format!("judged by suite {:?}, this is {version}: run the suite again", results.suite.version),
        );
    } else {
        completeness(results, &mut found);
        verdicts(results, registry, &mut found);
    }
    found.0
}

fn statements(certificate: &Certificate, results: &Results, registry: &Registry, found: &mut Found) {
    let issued = match statement::issued(&certificate.conformance.payload.0) {
        Ok(issued) => issued,
        Err(e) => return found.add(Check::Statements, e.chain()),
    };
    match statement::make(results, &certificate.results, issued, registry) {
        Err(e) => found.add(Check::Statements, e.chain()),
        Ok(made) => {
            if made.test_result != certificate.test_result.payload.0 {
                found.add(Check::Statements, "the test result is not the one that follows from the results");
            }
            if made.conformance != certificate.conformance.payload.0 {
                found.add(
                    Check::Statements,
                    "the statement of conformance is not the one that follows from the results",
                );
            }
        }
    }
    match results.settings.get("started").map(|day| Day::parse(day)) {
        Some(Ok(started)) if started > issued => {
            found.add(Check::Days, format!("signed on {issued}, before the run of {started}"));
        }
        Some(Ok(started)) if started.plus_days(FRESH) < issued => {
            found.add(
                Check::Days,
                format!("signed on {issued}, more than {FRESH} days after the run of {started}"),
            );
        }
        Some(Ok(_)) => {}
        Some(Err(_)) | None => found.add(Check::Days, "the results do not say on which day they were made"),
    }
}

fn completeness(results: &Results, found: &mut Found) {
    if let Some(selection) = results.settings.get("selection").filter(|selection| !selection.is_empty()) {
        found.add(Check::Complete, format!("only a part of the suite was run: {selection}"));
    }
    let wanted = match case_names(&results.subject.kind) {
        Ok(names) => names,
        Err(e) => return found.add(Check::Complete, e.chain()),
    };
    let there: BTreeSet<String> = results.cases.iter().map(|case| case.name.clone()).collect();
    let missing = wanted.difference(&there).map(|name| format!("the case {name} was not run")).collect();
    found.many(Check::Complete, missing);
    let unknown =
        there.difference(&wanted).map(|name| format!("there is no case {name:?} in this suite")).collect();
    found.many(Check::Complete, unknown);
}

fn verdicts(results: &Results, registry: &Registry, found: &mut Found) {
    let judged = match rejudge(results, registry) {
        Ok(judged) => judged,
        Err(e) => return found.add(Check::Verdicts, e.chain()),
    };
    let stored = results.rows.iter().map(|row| row.id.as_str()).collect::<BTreeSet<_>>();
    let made = judged.rows.iter().map(|row| row.id.as_str()).collect::<BTreeSet<_>>();
    let missing = made.difference(&stored).map(|id| format!("the row {id} is missing")).collect();
    found.many(Check::Complete, missing);
    let unknown = stored.difference(&made).map(|id| format!("the row {id:?} rests on no case")).collect();
    found.many(Check::Complete, unknown);
    let differ = judged.rows.iter().filter_map(|row| {
        let stored = results.row(&row.id)?;
        (stored != row).then(|| differs(stored, row))
    });
    found.many(Check::Verdicts, differ.collect());
    if found.0.is_empty() && results.rows != judged.rows {
        found.add(Check::Verdicts, "the rows are not in the order of the registry, or stand twice");
    }
    if found.0.is_empty() && results.profiles != judged.profiles {
        found.add(Check::Verdicts, "the profiles are not what follows from the rows");
    }
}

fn differs(stored: &RowRecord, judged: &RowRecord) -> String {
    let (before, after) = (stored.verdict.as_str(), judged.verdict.as_str());
    match before == after {
        true => format!("the row {} is {after}, but not for the stored reasons", judged.id),
        false => format!("the row {} is stored as {before}, but the evidence says {after}", judged.id),
    }
}

/// Checks everything that `against` demands.
///
/// # Errors
/// Every reason not to believe the certificate.
pub fn verify(
    certificate: &Certificate,
    against: &Against<'_>,
) -> std::result::Result<Verified, Vec<Refusal>> {
    let mut found = Found::default();
    let signers = signatures(certificate, against, &mut found);
    found.0.extend(examine(certificate, against.registry));
    let (Ok(results), Ok(issued)) =
        (certificate.parsed_results(), statement::issued(&certificate.conformance.payload.0))
    else {
        return Err(found.0);
    };
    let suite = &results.suite.binary;
    if !against.keys.knows_suite(suite) {
        found.add(
            Check::Suite,
            format!("judged by the program {suite}, which is neither this one nor among the trusted suites"),
        );
    }
    if results.subject.digest != against.subject.to_string() {
        found.add(
            Check::Subject,
            format!(
                "the certificate is about {}, the file at hand is {}",
                results.subject.digest, against.subject
            ),
        );
    }
    if issued > against.at {
        found.add(Check::Days, format!("signed on {issued}, which is after {}", against.at));
    }
    let specification = specification(&results.subject.kind);
    let expires = validity(specification, results.spec()).ok().and_then(|validity| validity.expires);
    if let Some(last) = expires.filter(|last| *last < against.at) {
        found.add(
            Check::Days,
            format!(
                "expired on {last}, by the rule for {specification} {}; asked about {}",
                results.spec(),
                against.at
            ),
        );
    }
    if !found.0.is_empty() {
        return Err(found.0);
    }
    let of = |wanted: Role| {
        signers.iter().filter(|(role, _)| *role == wanted).map(|(_, name)| name.clone()).collect()
    };
    Ok(Verified {
        result: result_of(&results, against.registry),
        submitters: of(Role::Submitter),
        reviewers: of(Role::Reviewer),
        issued,
        expires,
        not_tested: not_tested(&results, against.registry).len(),
        results,
    })
}

/// Who has signed; both statements must be signed by the same.
fn signatures(
    certificate: &Certificate,
    against: &Against<'_>,
    found: &mut Found,
) -> BTreeSet<(Role, String)> {
    let mut of = |envelope: &Envelope, name: &str| match against.keys.signers(envelope) {
        Ok(signers) => Some(signers),
        Err(faults) => {
            found.many(
                Check::Signatures,
                faults.into_iter().map(|fault| format!("{name}: {fault}")).collect(),
            );
            None
        }
    };
    let first = of(&certificate.test_result, "test result");
    let second = of(&certificate.conformance, "statement of conformance");
    let (Some(signers), Some(other)) = (first, second) else { return BTreeSet::new() };
    if signers != other {
        found.add(Check::Signatures, "the two statements are not signed by the same");
    }
    let has = |wanted: Role| signers.iter().any(|(role, _)| *role == wanted);
    if !has(Role::Submitter) {
        found.add(Check::Signatures, "no submitter has signed it");
    }
    if against.rule == Rule::Certificate && !has(Role::Reviewer) {
        found.add(Check::Signatures, "no reviewer has signed it");
    }
    signers
}

/// The digest of a certificate as it is stored: what a log or a list names it by.
impl Certificate {
    /// Identifies the statements and their signatures.
    pub fn digest(&self) -> Digest {
        sha256(&self.bundle())
    }
}
