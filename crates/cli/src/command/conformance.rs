//! `conformance`: the judge.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use plimsoll_conformance::runtime::{CgroupDriver, Dialect, Request, Subject};
use plimsoll_conformance::{Registry, Results, runtime};

use crate::args::conformance::{
    Conformance, ConformanceCommand, Driver, Explain, ListRequirements, RunConformance, worker_command,
};
use crate::output::print;

/// The probe that was built into this program; empty in a build without one.
const PROBE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/probe"));

/// The exit code for a selection that is empty or makes no sense.
const SENSELESS: u8 = 2;

pub(super) fn run(verb: &Conformance) -> Result<ExitCode> {
    match &verb.command {
        ConformanceCommand::Run(verb) => judge(verb),
        ConformanceCommand::List(verb) => list(verb),
        ConformanceCommand::Explain(verb) => explain(verb),
        ConformanceCommand::Worker(verb) => {
            runtime::work(&verb.case, &verb.index)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn judge(verb: &RunConformance) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let mut subject = Subject::find(&verb.subject)?;
    if let Some(file) = &verb.dialect {
        let text = std::fs::read(file).with_context(|| format!("read dialect {}", file.display()))?;
        subject.dialect = Dialect::parse(&text)?;
    }
    let (probe, _held) = probe(verb)?;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let request = Request {
        subject,
        version: verb.spec.clone(),
        only: verb.only.clone(),
        jobs: verb.jobs.unwrap_or(processors + 1),
        cgroup_driver: match verb.cgroup_driver {
            Driver::Cgroupfs => CgroupDriver::Cgroupfs,
            Driver::Systemd => CgroupDriver::Systemd,
        },
        only_cgroup2: verb.only_cgroup2,
        probe,
        worker: worker_command(std::env::current_exe().context("find this program")?.into()),
        patience: Duration::from_secs(verb.patience),
        operation_patience: Duration::from_secs(verb.operation_patience),
    };
    let bar = progress_bar();
    let mut show = |done: usize, total: usize, name: &str| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(name.to_owned());
    };
    let results = match runtime::run(&request, &registry, &mut show) {
        Err(error) if error.kind() == plimsoll_conformance::Kind::Request => {
            // Nobody can be told when standard error is closed.
            let _ = writeln!(std::io::stderr(), "plimsoll: {}", error.chain());
            return Ok(ExitCode::from(SENSELESS));
        }
        results => results?,
    };
    bar.finish_and_clear();
    if let Some(file) = &verb.output {
        std::fs::write(file, results.to_vec()).with_context(|| format!("write {}", file.display()))?;
    }
    print(&summary(&results))?;
    Ok(ExitCode::from(results.exit_code(&registry)))
}

/// The probe's file, and what must be held while it is used.
fn probe(verb: &RunConformance) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(file) = &verb.probe {
        return Ok((file.clone(), None));
    }
    if PROBE.is_empty() {
        bail!(
            "this program was built without a probe; `cargo xtask build` builds one with it, --probe names one"
        );
    }
    let dir = tempfile::Builder::new().prefix("plimsoll-probe-").tempdir().context("make a folder")?;
    let file = dir.path().join("probe");
    std::fs::write(&file, PROBE).context("write the probe")?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&file, mode).context("write the probe")?;
    Ok((file, Some(dir)))
}

fn progress_bar() -> ProgressBar {
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
fn summary(results: &Results) -> String {
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

fn list(verb: &ListRequirements) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let wanted = |id: &str, profile: &str| {
        verb.only.is_empty() || verb.only.iter().any(|only| id.starts_with(only.as_str()) || profile == only)
    };
    let rows: Vec<_> = registry.rows().iter().filter(|row| wanted(row.id, row.profile)).collect();
    if rows.is_empty() {
        bail!("no requirement is called {}", verb.only.join(" "));
    }
    let suite = runtime::suite();
    let mut text = String::new();
    for row in rows {
        let cases =
            suite.iter().filter(|case| case.rules.iter().any(|rule| rule.requirement == row.id)).count();
        let tested = match (cases, registry.reason(row.id)) {
            (0, Some(_)) => "no test possible".to_owned(),
            (0, None) => "not tested".to_owned(),
            (1, _) => "1 case".to_owned(),
            (count, _) => format!("{count} cases"),
        };
        text.push_str(&format!(
            "{:<26} {:<11} {:<9} {tested:<17} {}\n",
            row.id,
            row.level.as_str(),
            row.profile,
            row.statement
        ));
    }
    print(&text)
}

fn explain(verb: &Explain) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let row = registry.row(&verb.id)?;
    let mut text = format!(
        "{} ({}, binds: {}, since {}, profile {})\n  {}\n  {}\n",
        row.id,
        row.level.as_str(),
        row.applies,
        row.since,
        row.profile,
        row.statement,
        row.url()
    );
    let suite = runtime::suite();
    let cases: Vec<&str> = suite
        .iter()
        .filter(|case| case.rules.iter().any(|rule| rule.requirement == row.id))
        .map(|case| case.name.as_str())
        .collect();
    match (cases.is_empty(), registry.reason(row.id)) {
        (false, _) => text.push_str(&format!("  tested by {}\n", cases.join(", "))),
        (true, Some(reason)) => text.push_str(&format!("  no test is possible: {reason}\n")),
        (true, None) => text.push_str("  not tested yet\n"),
    }
    if !row.others.is_empty() {
        text.push_str(&format!("  other suites: {}\n", row.others));
    }
    print(&text)
}
