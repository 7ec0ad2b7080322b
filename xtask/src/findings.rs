//! The pages of what runtimes do, made from results of the judge: a table for each place, and the verdicts
//! that `plimsoll conformance explain` shows.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use plimsoll_conformance::rejudge::rejudge;
use plimsoll_conformance::report::matrix::Matrix;
use plimsoll_conformance::{Registry, Results};

use crate::shell::root;

/// What a reader looks at.
const TABLE: &str = "docs/compatibility/runtimes-table.md";
/// What the suite has in it.
const SEEN: &str = "crates/conformance/registry/seen.tsv";

const INTRODUCTION: &str = "# Requirements on which not all pass

Made by `cargo xtask findings RESULTS...` from what [runtimes.md](runtimes.md) says, without the rows where every runtime has `PASS`. `SKIP` is a feature that the runtime says it does not support, or that the host does not have; `INCONCLUSIVE` is one that it refuses while its features structure says nothing about it, or what was not seen every time; an empty cell is a requirement that a version of the specification does not have.
";

/// `findings`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What `plimsoll conformance run -o` has written, in the order of the columns.
    #[arg(required = true, value_name = "RESULTS")]
    results: Vec<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let registry = Registry::load()?;
    let mut all = options.results.iter().map(|file| read(file, &registry)).collect::<Result<Vec<_>>>()?;
    write(SEEN, &Matrix::new(&all, &registry)?.tsv())?;
    let mut text = INTRODUCTION.to_owned();
    while let Some(first) = all.first() {
        let place = place(first);
        let (here, rest): (Vec<Results>, Vec<Results>) =
            all.into_iter().partition(|results| self::place(results) == place);
        text.push_str(&section(&place, here, &registry)?);
        all = rest;
    }
    write(TABLE, &text)
}

fn write(file: &str, text: &str) -> Result<()> {
    std::fs::write(root().join(file), text).with_context(|| format!("write {file}"))
}

/// The evidence in `file` as it is judged today, with the subject's version alone where it says its name too.
fn read(file: &Path, registry: &Registry) -> Result<Results> {
    let mut results = Results::read(file)?;
    let what = file.display();
    if results.subject.kind != "runtime" {
        bail!("{what}: no results of a runtime");
    }
    results.rows = rejudge(&results, registry)?.rows;
    let words: Vec<&str> = results.subject.version.split_whitespace().collect();
    let version = words.iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    if let Some(kernel) = results.environment.get_mut("kernel") {
        // What distinguishes two builds of one version says nothing to a reader.
        let numbers: Vec<&str> = kernel.split('.').take(2).collect();
        *kernel = numbers.join(".");
    }
    results.subject.version = (*version.with_context(|| format!("{what}: has no version"))?).to_owned();
    Ok(results)
}

/// Where and by whom it was run.
fn place(results: &Results) -> String {
    let of = |name: &str| results.environment.get(name).map_or("", String::as_str);
    let user = if of("user") == "root" { "As root" } else { "As an ordinary user" };
    let driver = if of("cgroupDriver") == "systemd" { ", by the systemd driver" } else { "" };
    let cgroups = match of("cgroup") {
        "v2" => String::new(),
        other => format!(" with {other} cgroups"),
    };
    format!("{user}{driver}, on Linux {}{cgroups}", of("kernel"))
}

fn section(place: &str, mut columns: Vec<Results>, registry: &Registry) -> Result<String> {
    let mut text = format!("\n## {place}\n\n| runtime | specification | verdicts |\n|---|---|---|\n");
    for results in &mut columns {
        // The heading says it.
        results.environment.clear();
        let counts: Vec<String> = results
            .counts()
            .iter()
            .rev()
            .map(|(verdict, count)| format!("{} {count}", verdict.as_str()))
            .collect();
        text.push_str(&format!(
            "| {} {} | {} | {} rows: {} |\n",
            results.subject.name,
            results.subject.version,
            results.spec(),
            results.rows.len(),
            counts.join(", ")
        ));
    }
    let matrix = Matrix::new(&columns, registry)?.differing();
    Ok(format!("{text}\n{}", matrix.markdown()))
}
