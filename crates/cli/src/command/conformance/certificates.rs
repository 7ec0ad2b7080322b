//! `conformance keygen`, `attest`, `countersign`, `verify`, `submit`: who vouches for results, and who checks.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use plimsoll_conformance::certificate::{
    self, Against, Certificate, Keys, Refusal, Rule, SecretKey, TestResult, Verified, rerun, specification,
    validity,
};
use plimsoll_conformance::image::{self, consumer};
use plimsoll_conformance::report::escape::line;
use plimsoll_conformance::runtime::Keeper;
use plimsoll_conformance::submission::{self, Glass, Tone};
use plimsoll_conformance::{Day, Error, Kind, Registry, Results, digest};
use plimsoll_digest::Digest;
use plimsoll_spec::image::Descriptor;

use crate::args::conformance::certificates::{Attest, Countersign, Keygen, Submit, Verify};
use crate::args::conformance::{Driver, RunConformance};
use crate::output::print;

use super::reports::read;
use crate::command::judge_image;

/// A certificate or submission that is not to be believed.
const REFUSED: u8 = 1;
/// A submission that cannot be read.
const UNREADABLE: u8 = 2;
/// A certificate that is to be believed, of which something cannot be tried here.
const UNSEEN: u8 = 3;
/// A certificate that is to be believed, and says that the subject does not conform.
const FAILED: u8 = 4;

pub(super) fn keygen(verb: &Keygen) -> Result<ExitCode> {
    let key = SecretKey::generate()?;
    let public = key.write(&verb.file)?;
    print(&format!("{}\n{}\n", public.display(), key.public().id()))
}

pub(super) fn attest(verb: &Attest) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let results = read(&verb.results)?;
    let key = SecretKey::read(&verb.key)?;
    let subject = verb.image_manifest.as_deref().map(manifest).transpose()?;
    let certificate = Certificate::issue(&results, Day::today(), &key, &registry, subject)?;
    certificate.write(&verb.output)?;
    print(&format!("{}\n", certificate.digest()))
}

fn manifest(file: &Path) -> Result<Descriptor> {
    Ok(certificate::describe_manifest(file)?)
}

pub(super) fn countersign(verb: &Countersign) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let mut certificate = match Certificate::read(&verb.certificate) {
        Ok(certificate) => certificate,
        Err(e) => return unreadable(&e, REFUSED),
    };
    let refusals = match (&verb.keys, &verb.subject) {
        (Some(keys), Some(subject)) => {
            let (keys, subject) = (trusted(keys)?, digest_of_subject(subject)?);
            let rule = Rule::Submission;
            let against =
                Against { registry: &registry, keys: &keys, rule, subject: &subject, at: Day::today() };
            certificate::verify(&certificate, &against).err().unwrap_or_default()
        }
        _ => certificate::examine(&certificate, &registry),
    };
    if !refusals.is_empty() {
        print(&refused(&refusals))?;
        return Ok(ExitCode::from(REFUSED));
    }
    certificate.sign(&SecretKey::read(&verb.key)?)?;
    certificate.replace(&verb.certificate)?;
    print(&format!("{}\n", certificate.digest()))
}

/// A malformed document is an answer; that it cannot be reached is a failure of ours.
fn unreadable(error: &Error, code: u8) -> Result<ExitCode> {
    if error.kind() != Kind::Document {
        bail!(error.chain());
    }
    print(&format!("refused: {}\n", line(&error.chain())))?;
    Ok(ExitCode::from(code))
}

/// The keys in `dir`; this program trusts itself.
fn trusted(dir: &Path) -> Result<Keys> {
    let mut keys = Keys::read(dir)?;
    keys.add_suite(&certificate::digest_of_file(Path::new("/proc/self/exe"))?.to_string());
    Ok(keys)
}

fn day(text: Option<&str>) -> Result<Day> {
    Ok(text.map_or_else(|| Ok(Day::today()), Day::parse)?)
}

pub(super) fn verify(verb: &Verify) -> Result<ExitCode> {
    if let Some(dir) = &verb.pr {
        return review(dir, verb);
    }
    let (Some(place), Some(file), Some(keys)) = (&verb.certificate, &verb.subject, &verb.keys) else {
        bail!("verify needs a certificate, --subject and --keys");
    };
    let registry = Registry::load()?;
    let (keys, at) = (trusted(keys)?, day(verb.at.as_deref())?);
    let certificate = match Certificate::read(place) {
        Ok(certificate) => certificate,
        Err(e) => return unreadable(&e, REFUSED),
    };
    let subject = digest_of_subject(file)?;
    let against =
        Against { registry: &registry, keys: &keys, rule: Rule::Certificate, subject: &subject, at };
    let verified = match certificate::verify(&certificate, &against) {
        Ok(verified) => verified,
        Err(refusals) => {
            print(&refused(&refusals))?;
            return Ok(ExitCode::from(REFUSED));
        }
    };
    let differences = if verb.rerun { run_again(&verified.results, file, verb)? } else { Vec::new() };
    let said = differences.iter().map(|difference| format!("{}\n", line(&difference.sentence())));
    print(&said.collect::<String>())?;
    if differences.iter().any(|difference| difference.cause != rerun::Cause::Environment) {
        return Ok(ExitCode::from(REFUSED));
    }
    print(&believed(&certificate, &verified))?;
    Ok(match (verified.result, differences.is_empty()) {
        (TestResult::Failed, _) => ExitCode::from(FAILED),
        (_, false) => ExitCode::from(UNSEEN),
        (_, true) => ExitCode::SUCCESS,
    })
}

/// The digest of the tested artefact: a file's own, and of an image layout that of its index.
fn digest_of_subject(path: &Path) -> Result<Digest> {
    if !path.is_dir() {
        return Ok(certificate::digest_of_file(path)?);
    }
    let digest = image::digest_of_layout(path, image::Limits::default()).map_err(|e| anyhow!(e.chain()))?;
    Digest::parse_known(&digest).with_context(|| format!("{} has no index.json", path.display()))
}

fn refused(refusals: &[Refusal]) -> String {
    refusals.iter().map(|refusal| format!("refused: {}\n", line(&refusal.sentence))).collect()
}

fn believed(certificate: &Certificate, verified: &Verified) -> String {
    let results = &verified.results;
    let name = specification(&results.subject.kind);
    let until = match (verified.expires, validity(name, results.spec())) {
        (Some(day), _) => day.to_string(),
        (None, Ok(validity)) => {
            let sure = validity.at_least;
            format!("9 months after the release that follows {name} {}, not before {sure}", results.spec())
        }
        (None, Err(_)) => String::new(),
    };
    let mut rows = vec![
        ("certificate", certificate.digest().to_string()),
        ("subject", format!("{} {}", results.subject.version, results.subject.digest)),
        ("says", verified.result.as_str().to_owned()),
        ("issued", verified.issued.to_string()),
        ("submitted by", verified.submitters.join(", ")),
        ("reviewed by", verified.reviewers.join(", ")),
        ("good until", until),
    ];
    if verified.not_tested > 0 {
        rows.push(("not tested", format!("{} binding rows of the specification", verified.not_tested)));
    }
    for profile in &results.profiles {
        rows.push(("profile", format!("{} {}", profile.name, profile.verdict.as_str())));
    }
    rows.iter().map(|(label, value)| format!("{label:<13}{}\n", line(value))).collect()
}

/// Runs the suite as the results say it was run, and `verb` too; up to three times where something differs.
fn run_again(stored: &Results, subject: &Path, verb: &Verify) -> Result<Vec<rerun::Difference>> {
    let mut suite = suite_of(stored, subject, verb)?;
    let mut runs = Vec::new();
    while runs.len() < rerun::RUNS {
        let run = suite()?;
        if run.subject.digest != stored.subject.digest {
            bail!("run again: what was run is {}, and not the tested artefact", line(&run.subject.digest));
        }
        runs.push(run);
        if rerun::compare(stored, &runs).is_empty() {
            break;
        }
    }
    Ok(rerun::compare(stored, &runs))
}

/// A run of today.
type Suite = Box<dyn FnMut() -> Result<Results>>;

/// What runs the suite that `stored` is of.
fn suite_of(stored: &Results, subject: &Path, verb: &Verify) -> Result<Suite> {
    let spec = stored.spec().to_owned();
    match stored.subject.kind.as_str() {
        "runtime" => suite_of_runtimes(stored, subject, verb),
        "image" => {
            let layout = subject.to_owned();
            Ok(Box::new(move || {
                let report = image::validate(&layout, &spec, image::Limits::default());
                report.and_then(|report| report.results()).map_err(|e| anyhow!(e.chain()))
            }))
        }
        "digest" => {
            let command = said_again(stored, verb)?;
            Ok(Box::new(move || Ok(digest::run(&command, Some(&Keeper::begin()?))?)))
        }
        kind => {
            let kind = kind.to_owned();
            let name = stored.subject.name.clone();
            let known = consumer::presets(&kind)
                .find(|preset| preset.name == name && of(stored, "command") == preset.template);
            let subject = match known {
                Some(preset) => consumer::Subject::preset(&kind, preset.name)?,
                None => consumer::Subject::new(&name, &said_again(stored, verb)?, of(stored, "rootfs"))?,
            };
            Ok(Box::new(move || Ok(judge_image::judge(&kind, &subject, &spec, &[])?)))
        }
    }
}

/// A setting of the stored run.
fn of<'a>(stored: &'a Results, name: &str) -> &'a str {
    stored.settings.get(name).map_or("", String::as_str)
}

/// The command line that is to be executed: never one that only the results name.
fn said_again(stored: &Results, verb: &Verify) -> Result<String> {
    match &verb.command {
        Some(command) if command == of(stored, "command") => Ok(command.clone()),
        given => bail!(
            "run again in the manner of the stored run: its command is {}, here {}; name it with --command",
            line(of(stored, "command")),
            given.as_deref().unwrap_or("none")
        ),
    }
}

fn suite_of_runtimes(stored: &Results, subject: &Path, verb: &Verify) -> Result<Suite> {
    let of = |name: &str| stored.environment.get(name).map_or("", String::as_str);
    let (request, held) = super::request(&RunConformance {
        subject: std::path::absolute(subject)?.display().to_string(),
        // A certificate is about the whole suite.
        only: Vec::new(),
        spec: stored.spec().to_owned(),
        cgroup_driver: if of("cgroupDriver") == "systemd" { Driver::Systemd } else { Driver::Cgroupfs },
        only_cgroup2: of("cgroup") == "v2",
        manner: verb.manner.clone(),
        output: None,
    })?;
    let unlike = rerun::other_manner(stored, &request);
    if !unlike.is_empty() {
        bail!("run again in the manner of the stored run: {}", line(&unlike.join("; ")));
    }
    Ok(Box::new(move || {
        // The probe stays as long as it is needed.
        let _held = &held;
        super::run_request(&request)
    }))
}

fn review(dir: &Path, verb: &Verify) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let keys = verb.keys.as_deref().map(trusted).transpose()?;
    let subject = verb.subject.as_deref().map(digest_of_subject).transpose()?;
    let glass = Glass {
        registry: &registry,
        keys: keys.as_ref(),
        subject: subject.as_ref(),
        at: day(verb.at.as_deref())?,
    };
    let labels = match submission::review(dir, &glass) {
        Ok(labels) => labels,
        Err(e) => return unreadable(&e, UNREADABLE),
    };
    let shown: String = labels
        .iter()
        .map(|label| {
            let tone = match label.tone {
                Tone::Good => "good",
                Tone::Note => "note",
                Tone::Bad => "bad",
            };
            format!("{tone:<6}{}: {}\n", label.name, line(&label.reason))
        })
        .collect();
    print(&shown)?;
    let bad = labels.iter().any(|label| label.tone == Tone::Bad);
    Ok(if bad { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

pub(super) fn submit(verb: &Submit) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let results = read(&verb.results)?;
    let product = std::fs::read(&verb.product).with_context(|| format!("read {}", verb.product.display()))?;
    let key = verb.key.as_deref().map(SecretKey::read).transpose()?;
    let place = submission::submit(&results, &product, key.as_ref(), &verb.out, &registry)?;
    print(&format!("{}\n", place.display()))
}
