//! `validate` and `conformance image`: what is wrong with an image layout.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use plimsoll_conformance::Registry;
use plimsoll_conformance::image::{self, Colour, Limits, Report, Strictness};

use crate::args::conformance::{JudgeImage, ReportFormat, Validate};
use crate::output::print;

/// The exit code for what is no image at all.
const UNREADABLE: u8 = 2;

pub(super) fn validate(verb: &Validate) -> Result<ExitCode> {
    let report = match image::validate(&verb.path, &verb.spec, Limits::default()) {
        Ok(report) => report,
        Err(error) => return unreadable(&error),
    };
    let strictness = if verb.strict { Strictness::Recommended } else { Strictness::Binding };
    let text = match verb.format {
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
    let results = report.results()?;
    if let Some(file) = &verb.output {
        std::fs::write(file, results.to_vec()).with_context(|| format!("write {}", file.display()))?;
    }
    print(&super::conformance::summary(&results))?;
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
