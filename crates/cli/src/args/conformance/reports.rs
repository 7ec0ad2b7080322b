//! What was typed behind the verbs of `conformance` that show results.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One file for a browser.
    Html,
    /// JUnit's XML.
    Junit,
    /// TAP 14.
    Tap,
    /// SARIF 2.1.0.
    Sarif,
    /// Markdown.
    Markdown,
    /// The results themselves.
    Json,
}

/// `conformance report`.
#[derive(Debug, Args)]
pub struct Report {
    /// The file that `run -o` has written.
    pub results: PathBuf,
    /// The form: html, or what the general --format says.
    #[arg(long, value_enum, value_name = "FORM")]
    pub to: Option<ReportFormat>,
    /// Judge the stored evidence again by the rules of this program, and say what changes.
    #[arg(long)]
    pub rejudge: bool,
    /// Write to this file; the default is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The form of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// For a terminal.
    Text,
    /// For a comment on a forge.
    Markdown,
    /// For programs.
    Json,
}

/// `conformance diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The results before.
    pub before: PathBuf,
    /// The results after.
    pub after: PathBuf,
    /// The form: text, or what the general --format says.
    #[arg(long, value_enum, value_name = "FORM")]
    pub to: Option<DiffFormat>,
}

/// The form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MatrixFormat {
    /// For a browser.
    Html,
    /// For a forge.
    Markdown,
    /// For programs.
    Json,
    /// A line of verdicts for each requirement.
    Tsv,
}

/// `conformance matrix`.
#[derive(Debug, Args)]
pub struct Matrix {
    /// Results, a column each.
    #[arg(required = true)]
    pub results: Vec<PathBuf>,
    /// The form: html, or what the general --format says.
    #[arg(long, value_enum, value_name = "FORM")]
    pub to: Option<MatrixFormat>,
    /// Only requirements on which not all have PASS.
    #[arg(long)]
    pub differing: bool,
    /// Write to this file; the default is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `conformance reproduce`.
#[derive(Debug, Args)]
pub struct Reproduce {
    /// The file that `run -o` has written.
    pub results: PathBuf,
    /// The case; without one, those are named that fail.
    pub case: Option<String>,
}

/// `conformance probe`.
#[derive(Debug, Args)]
pub struct ProbeFile {
    /// Where to write it.
    pub file: PathBuf,
}
