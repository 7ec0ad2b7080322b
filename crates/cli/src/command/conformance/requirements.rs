//! `conformance list`, `explain`: what is required, how it is tested, and what runs have shown.

use std::process::ExitCode;

use anyhow::{Result, bail};
use plimsoll_conformance::{Covered, Registry, coverage, report, seen};
use plimsoll_spec::json::Value;

use crate::args::Format;
use crate::args::conformance::{Explain, ListForm, ListRequirements};
use crate::output::{object, print, print_json, text};

use super::either;

pub(super) fn list(general: Format, verb: &ListRequirements) -> Result<ExitCode> {
    let registry = Registry::load()?;
    let wanted = |covered: &Covered<'_>| {
        let (id, profile) = (covered.row.id, covered.row.profile);
        verb.only.is_empty() || verb.only.iter().any(|only| id.starts_with(only.as_str()) || profile == only)
    };
    let rows: Vec<Covered<'_>> = coverage(&registry).into_iter().filter(wanted).collect();
    if rows.is_empty() {
        bail!("no requirement is called {}", verb.only.join(" "));
    }
    match verb.to.unwrap_or(either(general, ListForm::Text, ListForm::Json)) {
        ListForm::Text => print(&rows.iter().map(line).collect::<String>()),
        ListForm::Markdown => print(&report::coverage::page(&rows)),
        ListForm::Json => print_json(&Value::Array(rows.iter().map(as_json).collect())),
    }
}

fn line(covered: &Covered<'_>) -> String {
    let Covered { row, cases, reason, .. } = covered;
    let tested = match (cases.len(), reason) {
        (0, Some(_)) => "no test possible".to_owned(),
        (0, None) => "not tested".to_owned(),
        (1, _) => "1 case".to_owned(),
        (count, _) => format!("{count} cases"),
    };
    let level = row.level.as_str();
    format!("{:<26} {level:<11} {:<9} {tested:<17} {}\n", row.id, row.profile, row.statement)
}

pub(super) fn explain(format: Format, verb: &Explain) -> Result<ExitCode> {
    let registry = Registry::load()?;
    // One that is not there is an error of its own.
    registry.row(&verb.id)?;
    let Some(covered) = coverage(&registry).into_iter().find(|covered| covered.row.id == verb.id) else {
        bail!("there is no requirement {:?}", verb.id);
    };
    match format {
        Format::Table => print(&explained(&covered)),
        Format::Json => print_json(&as_json(&covered)),
    }
}

fn explained(covered: &Covered<'_>) -> String {
    let Covered { row, cases, reason, mutants } = covered;
    let mut said = format!(
        "{} ({}, binds: {}, since {}, profile {})\n  {}\n  {}\n",
        row.id,
        row.level.as_str(),
        row.applies,
        row.since,
        row.profile,
        row.statement,
        row.url()
    );
    match (cases.is_empty(), reason) {
        (false, _) => said.push_str(&format!("  tested by {}\n", cases.join(", "))),
        (true, Some(reason)) => said.push_str(&format!("  no test is possible: {reason}\n")),
        (true, None) => said.push_str("  not tested yet\n"),
    }
    match (cases.is_empty(), mutants.is_empty()) {
        (true, _) => {}
        (false, true) => said.push_str("  unproven: no mutant is made to break it\n"),
        (false, false) => said.push_str(&format!("  proven by the mutants {}\n", mutants.join(", "))),
    }
    for (verdict, subjects) in seen(row.id) {
        said.push_str(&format!("  {} for {}\n", verdict.as_str(), subjects.join("; ")));
    }
    if !row.others.is_empty() {
        said.push_str(&format!("  other suites: {}\n", row.others));
    }
    said
}

fn as_json(covered: &Covered<'_>) -> Value {
    let Covered { row, cases, reason, mutants } = covered;
    let names = |names: &[String]| Value::Array(names.iter().map(text).collect());
    let shown = seen(row.id).into_iter().flat_map(|(verdict, subjects)| {
        subjects
            .into_iter()
            .map(move |subject| object([("subject", text(subject)), ("verdict", text(verdict.as_str()))]))
    });
    object([
        ("id", text(row.id)),
        ("level", text(row.level.as_str())),
        ("binds", text(row.applies)),
        ("since", text(row.since)),
        ("profile", text(row.profile)),
        ("statement", text(row.statement)),
        ("url", text(row.url())),
        ("cases", names(cases)),
        ("reason", reason.map_or(Value::Null, text)),
        ("mutants", names(mutants)),
        ("seen", Value::Array(shown.collect())),
        ("otherSuites", text(row.others)),
    ])
}
