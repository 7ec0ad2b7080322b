//! The look at a submission, as labels with a reason each.
//!
//! Everything in the folder is hostile: links are not followed, sizes are bounded, and nothing is believed that
//! can be made again.

use std::collections::BTreeSet;
use std::path::Path;

use plimsoll_digest::Digest;

use crate::certificate::{
    Against, Certificate, Check, Keys, Rule, eligible, examine_results, specification, verify,
};
use crate::day::Day;
use crate::error::{Context as _, Error, Kind, Result};
use crate::report::{Format, render};
use crate::requirement::Registry;
use crate::results::{Results, read_beneath};
use crate::verdict::Verdict;

use super::product::{Product, SIZE};
use super::{CERTIFICATE, JUNIT, PRODUCT, README, REPORT, RESULTS, minor};

/// Most bytes of a document that is compared or looked for.
const DOCUMENT: usize = 64 << 20;
/// As for any results.
const RESULTS_SIZE: usize = 256 << 20;

/// What a label means for the submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// In order.
    Good,
    /// To be known.
    Note,
    /// To be put right.
    Bad,
}

/// A label, as a forge shows it, and why it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub tone: Tone,
    /// Why.
    pub reason: String,
}

/// The labels as they are given.
struct Labels(Vec<Label>);

impl Labels {
    fn add(&mut self, tone: Tone, name: &'static str, reason: impl Into<String>) {
        self.0.push(Label { name, tone, reason: reason.into() });
    }

    /// `bad` with all `faults`, or `good` where there are none.
    fn judge(&mut self, faults: &[String], bad: &'static str, good: (&'static str, String)) {
        match faults.is_empty() {
            true => self.add(Tone::Good, good.0, good.1),
            false => self.add(Tone::Bad, bad, faults.join("; ")),
        }
    }
}

/// What a submission is looked at with.
#[derive(Debug)]
pub struct Glass<'a> {
    /// The rows.
    pub registry: &'a Registry,
    /// Whose word counts; without it a signature is not checked, which is told.
    pub keys: Option<&'a Keys>,
    /// The digest of the product's file, where it is at hand.
    pub subject: Option<&'a Digest>,
    /// The day that is asked about.
    pub at: Day,
}

/// Looks at the submission in `dir`.
///
/// # Errors
/// [`Kind::Document`] where `dir` holds no results that can be read; [`Kind::Environment`] where it cannot be
/// read.
pub fn review(dir: &Path, glass: &Glass<'_>) -> Result<Vec<Label>> {
    let there = entries(dir)?;
    let bytes = read_beneath(dir, RESULTS, RESULTS_SIZE)?;
    let results = Results::parse(&bytes)?;
    let mut labels = Labels(Vec::new());
    files(&there, &mut labels);
    product(dir, &mut labels);
    versions(dir, &results, &mut labels);
    tests(&results, glass.registry, &mut labels);
    documents(dir, &results, glass.registry, &mut labels);
    match there.contains(CERTIFICATE) {
        true => signature(&dir.join(CERTIFICATE), &bytes, &results, glass, &mut labels),
        false => labels.add(Tone::Bad, "not-signed", "there is no certificate"),
    }
    Ok(labels.0)
}

/// The names in the folder; what is neither a file nor a folder is refused at once.
fn entries(dir: &Path) -> Result<BTreeSet<String>> {
    let context = || format!("read the submission {}", dir.display());
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir).context(context)? {
        let entry = entry.context(context)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().context(context)?;
        if !kind.is_file() && !kind.is_dir() {
            return Err(Error::new(Kind::Document, format!("{}: {name:?} is no file", context())));
        }
        if names.len() > 100 {
            return Err(Error::new(Kind::Document, format!("{}: it holds more than 100 files", context())));
        }
        names.insert(name);
    }
    Ok(names)
}

fn files(there: &BTreeSet<String>, labels: &mut Labels) {
    let wanted = [README, PRODUCT, RESULTS, REPORT, JUNIT];
    let missing: Vec<String> = wanted
        .iter()
        .filter(|name| !there.contains(**name))
        .map(|name| format!("{name} is missing"))
        .collect();
    labels.judge(
        &missing,
        "evidence-missing",
        ("release-documents-checked", "every file that the program asks for is there".to_owned()),
    );
    let known = wanted.into_iter().chain([CERTIFICATE]).collect::<BTreeSet<_>>();
    let others: Vec<String> = there
        .iter()
        .filter(|name| !known.contains(name.as_str()))
        .map(|name| format!("{name:?} does not belong here"))
        .collect();
    if !others.is_empty() {
        labels.add(Tone::Bad, "unexpected-files", others.join("; "));
    }
}

fn product(dir: &Path, labels: &mut Labels) {
    let product = read_beneath(dir, PRODUCT, SIZE).and_then(|text| Product::parse(&text));
    let (faults, name) = match &product {
        Ok(product) => (product.faults(), format!("{} {}", product.field("name"), product.field("version"))),
        Err(e) => (vec![e.chain()], String::new()),
    };
    labels.judge(&faults, "product-invalid", ("product-checked", name));
}

fn versions(dir: &Path, results: &Results, labels: &mut Labels) {
    let specification = specification(&results.subject.kind);
    let version = minor(results.spec());
    let mut faults = Vec::new();
    let place = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let mut above =
        place.ancestors().skip(1).filter_map(|path| path.file_name()).map(|name| name.to_string_lossy());
    for want in [format!("v{version}"), specification.to_owned()] {
        match above.next() {
            Some(name) if name == want => {}
            found => faults.push(format!(
                "the folder {:?} above it is to be called {want:?}",
                found.unwrap_or_default()
            )),
        }
    }
    if !eligible(specification, results.spec()) {
        faults.push(format!(
            "{specification} {version} is neither the newest version nor one of the two before it"
        ));
    }
    labels.judge(
        &faults,
        "version-mismatch",
        ("version-checked", format!("judged by {specification} {}", results.spec())),
    );
}

fn tests(results: &Results, registry: &Registry, labels: &mut Labels) {
    let refusals = examine_results(results, registry);
    let of = |wanted: &[Check]| -> Vec<String> {
        refusals
            .iter()
            .filter(|refusal| wanted.contains(&refusal.check))
            .map(|refusal| refusal.sentence.clone())
            .collect()
    };
    let missing = of(&[Check::Complete]);
    if !missing.is_empty() {
        labels.add(Tone::Bad, "required-tests-missing", missing.join("; "));
    }
    let faults = of(&[Check::Suite, Check::Verdicts, Check::Days, Check::Subject, Check::Statements]);
    labels.judge(
        &faults,
        "not-verifiable",
        ("tests-verified", "the stored verdicts follow from the stored evidence".to_owned()),
    );
    let counts = results.counts();
    let count = |verdict: Verdict| counts.get(&verdict).copied().unwrap_or(0);
    let decides = |id: &str| registry.row(id).map_or(true, |row| row.level.decides());
    let failed: Vec<&str> = results
        .rows
        .iter()
        .filter(|row| row.verdict == Verdict::Fail && decides(&row.id))
        .map(|row| row.id.as_str())
        .collect();
    match failed.is_empty() {
        true => labels.add(Tone::Good, "no-failed-tests", format!("{} rows pass", count(Verdict::Pass))),
        false => labels.add(
            Tone::Bad,
            "failed-tests",
            format!("{} rows fail: {}", failed.len(), failed.join(", ")),
        ),
    }
    let unjudged = count(Verdict::Skip) + count(Verdict::Inconclusive) + count(Verdict::Error);
    if unjudged > 0 {
        let reason = format!("{unjudged} rows were skipped or could not be judged");
        labels.add(Tone::Note, "unjudged-tests", reason);
    }
}

fn documents(dir: &Path, results: &Results, registry: &Registry, labels: &mut Labels) {
    let mut faults = Vec::new();
    for (name, format) in [(REPORT, Format::Html), (JUNIT, Format::Junit)] {
        match read_beneath(dir, name, DOCUMENT) {
            Ok(found) if found == render(results, registry, format).as_bytes() => {}
            Ok(_) => faults.push(format!("{name} is not what these results give")),
            // That it is missing was said.
            Err(_) => {}
        }
    }
    labels.judge(
        &faults,
        "reports-altered",
        ("reports-checked", "report.html and junit.xml are those of these results".to_owned()),
    );
}

fn signature(dir: &Path, bytes: &[u8], results: &Results, glass: &Glass<'_>, labels: &mut Labels) {
    let Some(keys) = glass.keys else {
        return labels.add(Tone::Bad, "signature-not-checked", "no folder of trusted keys is named");
    };
    let certificate = match Certificate::read(dir) {
        Ok(certificate) => certificate,
        Err(e) => return labels.add(Tone::Bad, "signature-refused", e.chain()),
    };
    if certificate.results != bytes {
        return labels.add(
            Tone::Bad,
            "signature-refused",
            format!("the certificate is not about this {RESULTS}"),
        );
    }
    // Without the file at hand, all that can be said is that the certificate is about what the results name.
    let named = Digest::parse_known(&results.subject.digest);
    let digest = match (glass.subject, &named) {
        (Some(digest), _) => digest,
        (None, Ok(digest)) => digest,
        (None, Err(e)) => {
            return labels.add(Tone::Bad, "signature-refused", format!("the subject has no digest: {e}"));
        }
    };
    if glass.subject.is_none() {
        labels.add(Tone::Note, "subject-not-checked", format!("no file was given to compare with {digest}"));
    }
    let (registry, at) = (glass.registry, glass.at);
    let against = Against { registry, keys, rule: Rule::Submission, subject: digest, at };
    match verify(&certificate, &against) {
        Ok(verified) => labels.add(
            Tone::Good,
            "signature-verified",
            format!("signed by {}", verified.submitters.join(", ")),
        ),
        Err(refusals) => {
            let why: Vec<String> = refusals.into_iter().map(|refusal| refusal.sentence).collect();
            labels.add(Tone::Bad, "signature-refused", why.join("; "));
        }
    }
}
