//! `conformance report`, `diff`, `matrix`, `reproduce`: what people see of results.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use plimsoll_conformance::rejudge::rejudge;
use plimsoll_conformance::report::{self, Format, diff, matrix};
use plimsoll_conformance::{Registry, Results};

use crate::args::conformance::reports::{
    Diff, DiffFormat, Matrix, MatrixFormat, Report, ReportFormat, Reproduce,
};
use crate::output::{print, print_names};

use super::either;

/// The exit code of a comparison that has found a step back.
const REGRESSION: u8 = 1;

/// The results in `file`, which anybody may have written.
pub(super) fn read(file: &Path) -> Result<Results> {
    Ok(Results::read(file)?)
}

pub(super) fn report(general: crate::args::Format, verb: &Report) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let mut results = read(&verb.results)?;
    if verb.rejudge {
        let judged = rejudge(&results, &registry)?;
        let again = Results { rows: judged.rows, profiles: judged.profiles, ..results.clone() };
        let changes = diff::diff(&results, &again).text();
        // The report itself may go to standard output.
        let _ = std::io::stderr().write_all(changes.as_bytes());
        results = again;
    }
    let format = match verb.to.unwrap_or(either(general, ReportFormat::Html, ReportFormat::Json)) {
        ReportFormat::Html => Format::Html,
        ReportFormat::Junit => Format::Junit,
        ReportFormat::Tap => Format::Tap,
        ReportFormat::Sarif => Format::Sarif,
        ReportFormat::Markdown => Format::Markdown,
        ReportFormat::Json => Format::Json,
    };
    write(verb.output.as_deref(), &report::render(&results, &registry, format))
}

pub(super) fn diff(general: crate::args::Format, verb: &Diff) -> Result<ExitCode> {
    let found = diff::diff(&read(&verb.before)?, &read(&verb.after)?);
    print(&match verb.to.unwrap_or(either(general, DiffFormat::Text, DiffFormat::Json)) {
        DiffFormat::Text => found.text(),
        DiffFormat::Markdown => found.markdown(),
        DiffFormat::Json => found.json(),
    })?;
    Ok(if found.is_regression() { ExitCode::from(REGRESSION) } else { ExitCode::SUCCESS })
}

pub(super) fn matrix(general: crate::args::Format, verb: &Matrix) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let columns = verb.results.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
    let whole = matrix::Matrix::new(&columns, &registry)?;
    let table = if verb.differing { whole.differing() } else { whole };
    let text = match verb.to.unwrap_or(either(general, MatrixFormat::Html, MatrixFormat::Json)) {
        MatrixFormat::Html => table.html(),
        MatrixFormat::Markdown => table.markdown(),
        MatrixFormat::Json => table.json(),
        MatrixFormat::Tsv => table.tsv(),
    };
    write(verb.output.as_deref(), &text)
}

pub(super) fn reproduce(general: crate::args::Format, verb: &Reproduce) -> Result<ExitCode> {
    let results = read(&verb.results)?;
    let Some(case) = &verb.case else {
        let names: Vec<String> = results.failing_cases().into_iter().map(report::escape::line).collect();
        return print_names(general, names.iter());
    };
    let script = report::reproducer(&results, case)
        .with_context(|| format!("reproduce {case}: the results hold no bundle of such a case"))?;
    print(&script)
}

fn write(file: Option<&Path>, text: &str) -> Result<ExitCode> {
    match file {
        None => print(text),
        Some(file) => {
            std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
