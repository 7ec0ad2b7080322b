//! `validate` and `conformance image`: what is wrong with an image layout; `conformance unpacker` and
//! `conformance converter`: what is wrong with programs that consume layouts; `conformance digest`: likewise with
//! digests.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use plimsoll_conformance::image::consumer::{self, Request, Subject};
use plimsoll_conformance::image::{self, Colour, Limits, Report, Strictness};
use plimsoll_conformance::image::{converter, copier, unpacker};
use plimsoll_conformance::runtime::Keeper;
use plimsoll_conformance::{Kind, Registry, Results};

use crate::args::Format;
use crate::args::conformance::{JudgeConsumer, JudgeDigest, JudgeImage, ReportFormat, Validate};
use crate::output::print;

/// The exit code for what is no image at all.
const UNREADABLE: u8 = 2;

pub(super) fn validate(format: Format, verb: &Validate) -> Result<ExitCode> {
    let report = match image::validate(&verb.path, &verb.spec, Limits::default()) {
        Ok(report) => report,
        Err(error) => return unreadable(&error),
    };
    let strictness = if verb.strict { Strictness::Recommended } else { Strictness::Binding };
    let text =
        match verb.to.unwrap_or(super::conformance::either(format, ReportFormat::Text, ReportFormat::Json)) {
            ReportFormat::Text => report.text(colour())?,
            ReportFormat::Json => format!("{}\n", report.to_json()),
            ReportFormat::Sarif => format!("{}\n", report.to_sarif()?),
        };
    print(&text)?;
    Ok(ExitCode::from(report.exit_code(strictness)))
}

pub(super) fn image(verb: &JudgeImage) -> Result<ExitCode> {
    let report: Report = match image::validate(&verb.path, &verb.spec, Limits::default()) {
        Ok(report) => report,
        Err(error) => return unreadable(&error),
    };
    finish(&report.results()?, verb.output.as_deref())
}

pub(super) fn unpacker(verb: &JudgeConsumer) -> Result<ExitCode> {
    consume("unpacker", verb)
}

pub(super) fn converter(verb: &JudgeConsumer) -> Result<ExitCode> {
    consume("converter", verb)
}

fn consume(kind: &str, verb: &JudgeConsumer) -> Result<ExitCode> {
    let subject = match (&verb.command, &verb.preset) {
        (Some(command), _) => Subject::new(first_word(command), command, &verb.rootfs),
        (None, preset) => Subject::preset(kind, preset.as_deref().unwrap_or_default()),
    };
    let judged = subject.and_then(|subject| judge(kind, &subject, &verb.spec, &verb.only));
    match judged {
        Err(error) if error.kind() == Kind::Request => unreadable(&error),
        results => finish(&results?, verb.output.as_deref()),
    }
}

/// Runs what `only` selects of the suite of consumers of `kind`, and shows how far it is.
pub(super) fn judge(
    kind: &str,
    subject: &Subject,
    spec: &str,
    only: &[String],
) -> Result<Results, plimsoll_conformance::Error> {
    let keeper = Some(Arc::new(Keeper::begin()?));
    let bar = super::conformance::progress_bar();
    let mut show = |done: usize, total: usize, name: &str| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(name.to_owned());
    };
    let request = Request { subject: subject.clone(), version: spec.to_owned(), only: only.to_vec(), keeper };
    let suite = match kind {
        "unpacker" => unpacker::suite(),
        "converter" => converter::suite(),
        _ => copier::suite(),
    };
    let judged = consumer::run(kind, &request, &suite, &mut show);
    bar.finish_and_clear();
    judged
}

pub(super) fn copier(verb: &JudgeConsumer) -> Result<ExitCode> {
    consume("copier", verb)
}

pub(super) fn digest(verb: &JudgeDigest) -> Result<ExitCode> {
    match plimsoll_conformance::digest::run(&verb.command, Some(&Keeper::begin()?)) {
        Err(error) if error.kind() == Kind::Request => unreadable(&error),
        results => finish(&results?, verb.output.as_deref()),
    }
}

fn first_word(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or_default()
}

/// Writes the results, shows what does not pass.
fn finish(results: &Results, output: Option<&Path>) -> Result<ExitCode> {
    if let Some(file) = output {
        std::fs::write(file, results.to_vec()).with_context(|| format!("write {}", file.display()))?;
    }
    print(&super::conformance::summary(results))?;
    Ok(ExitCode::from(results.exit_code(&Registry::load()?)))
}

fn colour() -> Colour {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Colour::Terminal
    } else {
        Colour::None
    }
}

fn unreadable(error: &plimsoll_conformance::Error) -> Result<ExitCode> {
    // Nobody can be told when standard error is closed.
    let _ = writeln!(std::io::stderr(), "plimsoll: {}", error.chain());
    Ok(ExitCode::from(UNREADABLE))
}
