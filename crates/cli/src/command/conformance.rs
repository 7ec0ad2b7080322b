//! `conformance`: the judge.

mod certificates;
mod mutants;
mod reports;
mod requirements;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use plimsoll_conformance::runtime::{CgroupDriver, Dialect, Request, Subject};
use plimsoll_conformance::{Registry, Results, runtime};

use crate::args::Format;
use crate::args::conformance::{Conformance, ConformanceCommand, Driver, RunConformance, worker_command};
use crate::output::print;

/// What the general `--format` means for a verb that has forms of its own.
pub(super) fn either<T>(general: Format, people: T, programs: T) -> T {
    match general {
        Format::Table => people,
        Format::Json => programs,
    }
}

/// The probe that was built into this program; empty in a build without one.
const PROBE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/probe"));

/// The exit code for a selection that is empty or makes no sense.
const SENSELESS: u8 = 2;

/// `runtime` is the one that was named for all verbs.
pub(super) fn run(format: Format, verb: &Conformance, runtime: Option<&Path>) -> Result<ExitCode> {
    match &verb.command {
        ConformanceCommand::Run(verb) => judge(verb),
        ConformanceCommand::Image(verb) => super::judge_image::image(verb),
        ConformanceCommand::Unpacker(verb) => super::judge_image::unpacker(verb),
        ConformanceCommand::Converter(verb) => super::judge_image::converter(verb),
        ConformanceCommand::Copier(verb) => super::judge_image::copier(verb),
        ConformanceCommand::Digest(verb) => super::judge_image::digest(verb),
        ConformanceCommand::DigestAdapter => super::digest_adapter::answer(),
        ConformanceCommand::List(verb) => requirements::list(format, verb),
        ConformanceCommand::Explain(verb) => requirements::explain(format, verb),
        ConformanceCommand::Report(verb) => reports::report(format, verb),
        ConformanceCommand::Diff(verb) => reports::diff(format, verb),
        ConformanceCommand::Matrix(verb) => reports::matrix(format, verb),
        ConformanceCommand::Reproduce(verb) => reports::reproduce(format, verb),
        ConformanceCommand::Probe(verb) => {
            write_probe(&verb.file)?;
            Ok(ExitCode::SUCCESS)
        }
        ConformanceCommand::Keygen(verb) => certificates::keygen(verb),
        ConformanceCommand::Attest(verb) => certificates::attest(verb),
        ConformanceCommand::Countersign(verb) => certificates::countersign(verb),
        ConformanceCommand::Verify(verb) => certificates::verify(verb),
        ConformanceCommand::Submit(verb) => certificates::submit(verb),
        ConformanceCommand::Mutants(verb) => mutants::prove(verb, runtime),
        ConformanceCommand::Mutant(verb) => mutants::play(verb),
        ConformanceCommand::Worker(verb) => {
            runtime::work(&verb.case, &verb.index)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn judge(verb: &RunConformance) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let results = match run_suite(verb) {
        Err(error) if is_senseless(&error) => {
            // Nobody can be told when standard error is closed.
            let _ = writeln!(std::io::stderr(), "plimsoll: {error:#}");
            return Ok(ExitCode::from(SENSELESS));
        }
        results => results?,
    };
    if let Some(file) = &verb.output {
        std::fs::write(file, results.to_vec()).with_context(|| format!("write {}", file.display()))?;
    }
    print(&summary(&results))?;
    Ok(ExitCode::from(results.exit_code(&registry)))
}

/// Whether what was asked for makes no sense.
fn is_senseless(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<plimsoll_conformance::Error>()
        .is_some_and(|error| error.kind() == plimsoll_conformance::Kind::Request)
}

/// Runs what `verb` selects, and shows how far it is.
fn run_suite(verb: &RunConformance) -> Result<Results> {
    let (request, _held) = request(verb)?;
    run_request(&request)
}

/// What `verb` asks for, and what must be held while it is done.
fn request(verb: &RunConformance) -> Result<(Request, Option<tempfile::TempDir>)> {
    let manner = &verb.manner;
    // A runtime that is not there is no empty selection.
    let mut subject = Subject::find(&verb.subject).map_err(|e| anyhow!(e.chain()))?;
    if let Some(file) = &manner.dialect {
        let text = std::fs::read(file).with_context(|| format!("read dialect {}", file.display()))?;
        subject.dialect = Dialect::parse(&text)?;
    }
    let (probe, held) = probe(manner.probe.as_deref())?;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let request = Request {
        subject,
        version: verb.spec.clone(),
        only: verb.only.clone(),
        jobs: manner.jobs.unwrap_or(processors + 1),
        cgroup_driver: cgroup_driver(verb.cgroup_driver),
        only_cgroup2: verb.only_cgroup2,
        probe,
        worker: worker_command(std::env::current_exe().context("find this program")?.into()),
        patience: Duration::from_secs(manner.patience),
        operation_patience: Duration::from_secs(manner.operation_patience),
    };
    Ok((request, held))
}

fn run_request(request: &Request) -> Result<Results> {
    let registry = Registry::load()?;
    let bar = progress_bar();
    let mut show = |done: usize, total: usize, name: &str| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(name.to_owned());
    };
    let results = runtime::run(request, &registry, &mut show)?;
    bar.finish_and_clear();
    Ok(results)
}

fn cgroup_driver(driver: Driver) -> CgroupDriver {
    match driver {
        Driver::Cgroupfs => CgroupDriver::Cgroupfs,
        Driver::Systemd => CgroupDriver::Systemd,
    }
}

/// The probe's file, and what must be held while it is used.
fn probe(file: Option<&Path>) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(file) = file {
        return Ok((file.to_owned(), None));
    }
    let dir = tempfile::Builder::new().prefix("plimsoll-probe-").tempdir().context("make a folder")?;
    let file = dir.path().join("probe");
    write_probe(&file)?;
    Ok((file, Some(dir)))
}

fn write_probe(file: &Path) -> Result<()> {
    if PROBE.is_empty() {
        bail!(
            "this program was built without a probe; `cargo xtask build` builds one with it, --probe names one"
        );
    }
    std::fs::write(file, PROBE).context("write the probe")?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(file, mode).context("write the probe")
}

pub(super) fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("{pos}/{len} {wide_bar} {msg:40!}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// What a person wants to know first: every row that does not pass, then the counts.
pub(super) fn summary(results: &Results) -> String {
    use plimsoll_conformance::Verdict;
    let mut text = String::new();
    for row in
        results.rows.iter().filter(|row| !matches!(row.verdict, Verdict::Pass | Verdict::NotApplicable))
    {
        let decisive = row.judgements.iter().find(|judgement| judgement.verdict == row.verdict);
        text.push_str(&format!("{:<14} {}\n", row.verdict.as_str(), row.id));
        if let Some(judgement) = decisive {
            text.push_str(&format!("    case {}\n", judgement.case));
            for (label, what) in [("expected", &judgement.expected), ("observed", &judgement.observed)] {
                if !what.is_empty() {
                    text.push_str(&format!("    {label} {what}\n"));
                }
            }
        }
    }
    let counts = results.counts();
    let counts: Vec<String> =
        counts.iter().rev().map(|(verdict, count)| format!("{} {count}", verdict.as_str())).collect();
    text.push_str(&format!("{} {}\n", results.subject.name, results.subject.version));
    text.push_str(&format!(
        "{} cases, {} rows: {}\n",
        results.cases.len(),
        results.rows.len(),
        counts.join(", ")
    ));
    for profile in &results.profiles {
        let counts: Vec<String> =
            profile.counts.iter().map(|(verdict, count)| format!("{verdict} {count}")).collect();
        text.push_str(&format!(
            "{:<10} {:<15} {}\n",
            profile.name,
            profile.verdict.as_str(),
            counts.join(", ")
        ));
    }
    text
}
