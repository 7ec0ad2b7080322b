//! What a run has found, in a form that can be stored, compared, signed and judged again.
//!
//! The document is canonical JSON: members sorted, no spaces. Reading one is reading hostile input: it goes
//! through [`plimsoll_spec::json`] with its limits.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::Path;

use plimsoll_spec::json::{self, Limits, Value, wire_enum, wire_object};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::case::{Case, Rule};
use crate::error::{Context as _, Error, Kind, Result};
use crate::evidence::Evidence;
use crate::requirement::{Area, Registry, Requirement};
use crate::runtime::Claims;
use crate::verdict::{Judgement, Reason, Verdict};
use crate::version::Version;

wire_enum! {
    /// Whether a profile's rows all hold.
    pub enum Conformance {
        /// Every binding row passes.
        Conformant = "conformant",
        /// No binding row fails, but one could not be judged.
        Inconclusive = "inconclusive",
        /// A binding row fails.
        NonConformant = "non-conformant",
    }
}

wire_object! {
    /// A whole run.
    pub struct Results {
        /// 1.
        pub format: u32 = "format" required,
        /// What judged.
        pub suite: Suite = "suite" required,
        /// What was judged.
        pub subject: SubjectRecord = "subject" required,
        /// Where.
        pub environment: BTreeMap<String, String> = "environment",
        /// How.
        pub settings: BTreeMap<String, String> = "settings",
        /// What was done and seen.
        pub cases: Vec<CaseRecord> = "cases",
        /// What follows from it, a row each, in the order of the registry.
        pub rows: Vec<RowRecord> = "rows",
        /// And for each profile.
        pub profiles: Vec<ProfileRecord> = "profiles",
    }

    /// Identifies the judge.
    pub struct Suite {
        /// Its version.
        pub version: String = "version" required,
        /// Digest of its program.
        pub binary: String = "binary" required,
        /// Digest of its registry.
        pub registry: String = "registry" required,
    }

    /// Identifies the subject.
    pub struct SubjectRecord {
        /// `runtime`, `image`, `unpacker`, `converter`, `copier` or `digest`.
        pub kind: String = "kind" required,
        /// What it calls itself.
        pub name: String = "name" required,
        /// Its version, as it says itself.
        pub version: String = "version",
        /// Digest of its program, or of an image's index.json.
        pub digest: String = "digest" required,
        /// Digests that an image's index.json lists: what registries know the image by.
        pub manifests: Vec<String> = "manifests",
    }

    /// One case.
    pub struct CaseRecord {
        /// `family/what`.
        pub name: String = "name" required,
        /// What was seen.
        pub evidence: Value = "evidence" required,
        /// Why there is none.
        pub obstacle: Option<JudgementRecord> = "obstacle",
        /// How long it took.
        pub milliseconds: u64 = "milliseconds",
        /// The case once more, where a rule failed: what is not seen again is no failure.
        pub again: Vec<CaseRecord> = "again",
    }

    /// One row.
    pub struct RowRecord {
        /// The requirement.
        pub id: String = "id" required,
        /// The outcome: the weightiest of the judgements.
        pub verdict: Verdict = "verdict" required,
        /// Why it was skipped.
        pub reason: Option<Reason> = "reason",
        /// What each rule says.
        pub judgements: Vec<JudgementRecord> = "judgements",
    }

    /// What one rule says.
    pub struct JudgementRecord {
        /// The case whose evidence it looked at.
        pub case: String = "case" required,
        /// The outcome.
        pub verdict: Verdict = "verdict" required,
        /// Why it was skipped.
        pub reason: Option<Reason> = "reason",
        /// What the row demands.
        pub expected: String = "expected",
        /// What was seen.
        pub observed: String = "observed",
    }

    /// One profile.
    pub struct ProfileRecord {
        /// Its name in the registry.
        pub name: String = "name" required,
        /// The outcome.
        pub verdict: Conformance = "verdict" required,
        /// How many binding rows have which verdict.
        pub counts: BTreeMap<String, u64> = "counts",
    }
}

/// The only form that there is.
pub const FORMAT: u32 = 1;

/// Results hold whole transcripts: larger than any document of an image, but not without end.
const LIMITS: Limits = Limits { size: 256 << 20, depth: 64 };

impl JudgementRecord {
    pub(crate) fn new(case: &str, judgement: Judgement) -> JudgementRecord {
        let Judgement { verdict, reason, expected, observed } = judgement;
        JudgementRecord {
            case: case.to_owned(),
            verdict,
            reason,
            expected,
            observed,
            extra: json::Object::new(),
        }
    }
}

impl Suite {
    /// This program, with the registry in it.
    ///
    /// # Errors
    /// [`Kind::Environment`] where the program's file cannot be read.
    pub fn current() -> Result<Suite> {
        let program = std::path::Path::new("/proc/self/exe");
        Ok(Suite {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            binary: crate::runtime::digest_of(program)?.to_string(),
            registry: Registry::digest().to_string(),
            extra: json::Object::new(),
        })
    }
}

impl Results {
    /// Reads results, which anybody may have written.
    ///
    /// # Errors
    /// [`Kind::Document`] where they are malformed, too large, or of another format.
    pub fn parse(text: &[u8]) -> Result<Results> {
        let results: Results = json::from_slice_within(text, LIMITS)
            .map_err(|e| Error::because(Kind::Document, "parse results", e))?;
        match results.format {
            FORMAT => Ok(results),
            other => {
                let why = format!("results of format {other}, this program knows {FORMAT}");
                Err(Error::new(Kind::Document, why))
            }
        }
    }

    /// Reads the results in a file.
    ///
    /// # Errors
    /// As [`Results::parse`]; [`Kind::Environment`] where the file cannot be read.
    pub fn read(file: &Path) -> Result<Results> {
        Results::parse(&read_within(file, LIMITS.size)?)
            .map_err(|e| Error::because(Kind::Document, format!("read {}", file.display()), e))
    }

    /// The canonical bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        json::to_vec(self)
    }

    /// Refuses results that [`Results::parse`] would refuse for their size.
    ///
    /// # Errors
    /// [`Kind::Environment`] where that is so.
    pub(crate) fn require_readable(&self) -> Result<()> {
        match self.to_vec().len() {
            size if size <= LIMITS.size => Ok(()),
            size => {
                let why =
                    format!("the results take {size} bytes, and no more than {} are read again", LIMITS.size);
                Err(Error::new(Kind::Environment, why))
            }
        }
    }

    /// The version of the specification that it was judged by.
    pub fn spec(&self) -> &str {
        self.settings.get("spec").map_or("", String::as_str)
    }

    /// The row `id`.
    pub fn row(&self, id: &str) -> Option<&RowRecord> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// The cases that a row fails by, in their order.
    pub fn failing_cases(&self) -> BTreeSet<&str> {
        let judgements = self.rows.iter().flat_map(|row| &row.judgements);
        judgements.filter(|said| said.verdict == Verdict::Fail).map(|said| said.case.as_str()).collect()
    }

    /// Rows by verdict.
    pub fn counts(&self) -> BTreeMap<Verdict, usize> {
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            *counts.entry(row.verdict).or_default() += 1;
        }
        counts
    }

    /// The exit code of a run: 0 conformant, 1 a row fails, 3 the harness failed, 4 nothing fails but a
    /// binding row could not be judged. (2 is for a selection that is empty or makes no sense.)
    ///
    /// A SHOULD that does not hold is shown, and decides nothing.
    pub fn exit_code(&self, registry: &Registry) -> u8 {
        let fails = |row: &RowRecord| {
            row.verdict == Verdict::Fail && registry.row(&row.id).is_ok_and(|known| known.level.decides())
        };
        if self.rows.iter().any(fails) {
            1
        } else if self.rows.iter().any(|row| row.verdict == Verdict::Error) {
            3
        } else if self.profiles.iter().any(|profile| profile.verdict != Conformance::Conformant) {
            4
        } else {
            0
        }
    }
}

/// The bytes of a regular file that has no more than `most` of them.
///
/// # Errors
/// [`Kind::Document`] for a larger file and for what is no file, [`Kind::Environment`] where it cannot be read.
pub(crate) fn read_within(file: &Path, most: usize) -> Result<Vec<u8>> {
    let opened = rustix::fs::open(file, READ, Mode::empty());
    contents(opened.context(|| format!("read {}", file.display()))?, file, most)
}

/// As [`read_within`], for a file in a folder that somebody else has made: no link is followed on the way.
///
/// # Errors
/// As [`read_within`]; also [`Kind::Document`] where there is no such file.
pub(crate) fn read_beneath(dir: &Path, name: &str, most: usize) -> Result<Vec<u8>> {
    let file = dir.join(name);
    let context = || format!("read {}", file.display());
    let folder = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let opened = match rustix::fs::openat2(folder.context(context)?, name, READ, Mode::empty(), resolve) {
        Err(e @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV)) => {
            return Err(Error::because(Kind::Document, context(), e));
        }
        opened => opened.context(context)?,
    };
    contents(opened, &file, most)
}

/// A fifo would make the opener wait for a writer.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

fn contents(opened: OwnedFd, file: &Path, most: usize) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let context = || format!("read {}", file.display());
    let opened = std::fs::File::from(opened);
    if !opened.metadata().context(context)?.is_file() {
        return Err(Error::new(Kind::Document, format!("{}: it is no regular file", context())));
    }
    let mut text = Vec::new();
    opened.take(most as u64 + 1).read_to_end(&mut text).context(context)?;
    if text.len() > most {
        return Err(Error::new(Kind::Document, format!("{}: it has more than {most} bytes", context())));
    }
    Ok(text)
}

/// Judges what cases have seen: one record for every row of `area` and `version` that a case has a rule for.
///
/// `records` of cases that the suite does not know are ignored, so evidence of an older suite can be judged
/// by a newer one.
pub fn judge_all<S>(
    registry: &Registry,
    area: Area,
    version: Version,
    suite: &[Case<S>],
    records: &[CaseRecord],
) -> Vec<RowRecord> {
    let mut said: BTreeMap<&str, Vec<JudgementRecord>> = BTreeMap::new();
    // Only runtimes have a structure that says what they support.
    let claims = (area == Area::Runtime).then(|| Claims::of(records));
    let by_name: BTreeMap<&str, &Case<S>> = suite.iter().map(|case| (case.name.as_str(), case)).collect();
    for record in records {
        let Some(case) = by_name.get(record.name.as_str()) else { continue };
        let first = judge_case(case, record, claims.as_ref());
        let again: Vec<_> =
            record.again.iter().map(|record| judge_case(case, record, claims.as_ref())).collect();
        for (at, (rule, judgement)) in case.rules.iter().zip(first).enumerate() {
            let later = again.iter().filter_map(|judgements| judgements.get(at));
            said.entry(rule.requirement).or_default().push(confirmed(judgement, later));
        }
    }
    let wanted = |row: &&Requirement| row.area == area && row.is_in(version);
    let rows = registry.rows().iter().filter(wanted);
    rows.filter_map(|row| said.remove(row.id).map(|judgements| weigh(row.id, judgements))).collect()
}

/// Refuses a selection of `cases` that says nothing about any row of `version`.
///
/// # Errors
/// [`Kind::Request`] where that is so.
pub(crate) fn require_rows<S>(registry: &Registry, version: Version, cases: &[&Case<S>]) -> Result<()> {
    let is_in = |rule: &Rule| registry.row(rule.requirement).is_ok_and(|row| row.is_in(version));
    if cases.iter().any(|case| case.rules.iter().any(is_in)) {
        return Ok(());
    }
    Err(Error::new(Kind::Request, format!("what is selected tells nothing about version {version}")))
}

/// What each rule of `case` says of one record.
fn judge_case<S>(case: &Case<S>, record: &CaseRecord, claims: Option<&Claims>) -> Vec<JudgementRecord> {
    if let Some(obstacle) = &record.obstacle {
        return vec![JudgementRecord { case: case.name.clone(), ..obstacle.clone() }; case.rules.len()];
    }
    let evidence = Evidence::from_record(&record.evidence);
    let judge = |rule: &Rule| {
        let said = (rule.judge)(&evidence);
        let said = match claims {
            Some(claims) => claims.check(&case.name, said),
            None => said,
        };
        JudgementRecord::new(&case.name, said)
    };
    case.rules.iter().map(judge).collect()
}

/// A failure stands only where it was seen every time.
fn confirmed<'a>(
    judgement: JudgementRecord,
    mut later: impl Iterator<Item = &'a JudgementRecord>,
) -> JudgementRecord {
    match later.find(|other| other.verdict != Verdict::Fail) {
        Some(other) if judgement.verdict == Verdict::Fail => JudgementRecord {
            verdict: Verdict::Inconclusive,
            observed: format!("{}; once more it was {}", judgement.observed, other.verdict.as_str()),
            ..judgement
        },
        _ => judgement,
    }
}

/// The weightiest judgement decides.
fn weigh(id: &str, judgements: Vec<JudgementRecord>) -> RowRecord {
    let weightiest = judgements.iter().max_by_key(|judgement| judgement.verdict);
    let (verdict, reason) =
        weightiest.map_or((Verdict::Inconclusive, None), |judgement| (judgement.verdict, judgement.reason));
    RowRecord { id: id.to_owned(), verdict, reason, judgements, extra: json::Object::new() }
}

/// What the rows mean for each profile that has binding rows among them.
pub fn profiles(registry: &Registry, rows: &[RowRecord]) -> Vec<ProfileRecord> {
    let mut found: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    for row in rows {
        let Ok(known) = registry.row(&row.id) else { continue };
        if known.level.is_binding() {
            let counts = found.entry(known.profile).or_default();
            *counts.entry(row.verdict.as_str().to_owned()).or_default() += 1;
        }
    }
    let record = |(name, counts): (&str, BTreeMap<String, u64>)| {
        let any = |verdicts: &[Verdict]| verdicts.iter().any(|verdict| counts.contains_key(verdict.as_str()));
        let verdict = if any(&[Verdict::Fail]) {
            Conformance::NonConformant
        } else if any(&[Verdict::Error, Verdict::Inconclusive, Verdict::Skip]) {
            Conformance::Inconclusive
        } else {
            Conformance::Conformant
        };
        ProfileRecord { name: name.to_owned(), verdict, counts, extra: json::Object::new() }
    };
    found.into_iter().map(record).collect()
}
