//! The whole suite of runtimes: how long it takes for each of them, and whether it says the same every time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use plimsoll_conformance::report::diff::{Changed, diff};
use plimsoll_conformance::{Results, Verdict};
use serde_json::{Value, json};

use super::{Options, median};
use crate::compile;

/// A runtime, and what was said of it.
struct Subject {
    name: String,
    program: PathBuf,
    times: Vec<f64>,
    /// Of the last time.
    results: Option<Results>,
    /// Requirements whose verdict was another than the time before.
    unsteady: Vec<String>,
}

impl Subject {
    fn new(name: &str, program: PathBuf) -> Subject {
        Subject { name: name.to_owned(), program, times: Vec::new(), results: None, unsteady: Vec::new() }
    }

    /// Has it judged once more by `judge`, in the folder `place`.
    fn run(&mut self, judge: &Path, place: &Path, selection: &[&str]) -> Result<()> {
        let file = place.join("results.json");
        let mut command = Command::new(judge);
        command.args(["conformance", "run"]).args(selection).arg("-o").arg(&file).arg(&self.program);
        let start = Instant::now();
        let output = command.current_dir(place).output().with_context(|| format!("judge {}", self.name))?;
        self.times.push(start.elapsed().as_secs_f64());
        // Its exit code is about the subject; what tells that it has judged is what it wrote.
        let said = || format!("judge {}: {}", self.name, String::from_utf8_lossy(&output.stderr).trim());
        let results = Results::read(&file).with_context(said)?;
        std::fs::remove_file(&file)?;
        if let Some(before) = &self.results {
            let changed = diff(before, &results).rows;
            self.unsteady.extend(changed.iter().map(|row| format!("{}: {}", self.name, both(row))));
        }
        self.results = Some(results);
        Ok(())
    }

    /// Whether it runs containers here: of one that does not, the suite says the same every time.
    fn works(&self) -> bool {
        let counts = self.results.as_ref().map(Results::counts).unwrap_or_default();
        counts.get(&Verdict::Pass).is_some_and(|count| *count > 0)
    }

    fn requirements(&self) -> usize {
        self.results.as_ref().map_or(0, |results| results.rows.len())
    }
}

fn both(row: &Changed) -> String {
    let said = |verdict: Option<Verdict>| verdict.map_or("absent", Verdict::as_str);
    format!("{}: {}, then {}", row.id, said(row.before), said(row.after))
}

pub(super) fn run(options: &Options) -> Result<()> {
    let built = compile::release()?;
    let place = tempfile::Builder::new().prefix("plimsoll-bench-").tempdir()?;
    let mut subjects = vec![Subject::new("plimsoll-runtime", built.binary("plimsoll-runtime"))];
    for name in ["runc", "crun", "youki"] {
        subjects.extend(options.peer(name).map(|program| Subject::new(name, program)));
    }
    // On one version of cgroups alone: crun refuses hybrid ones.
    let selection: &[&str] =
        if options.smoke { &["--only-cgroup2", "--only", "features/"] } else { &["--only-cgroup2"] };
    for _ in 0..options.suites() {
        for subject in &mut subjects {
            subject.run(&built.binary("plimsoll"), place.path(), selection)?;
        }
        if subjects.first().is_none_or(|ours| !ours.works()) {
            bail!("plimsoll-runtime passes nothing");
        }
        for subject in subjects.extract_if(.., |subject| !subject.works()) {
            println!("skipped: {}: it runs no container here", subject.name);
        }
    }
    print(&subjects, options);
    let unsteady: Vec<String> = subjects.iter().flat_map(|subject| subject.unsteady.clone()).collect();
    if !unsteady.is_empty() {
        bail!("verdicts are not the same every time:\n{}", unsteady.join("\n"));
    }
    Ok(())
}

fn print(subjects: &[Subject], options: &Options) {
    let title = "judge: the suite of runtimes";
    if options.json {
        let row = |s: &Subject| json!({"name": s.name, "medianSeconds": median(&s.times), "requirements": s.requirements(), "unsteady": s.unsteady});
        let rows: Vec<Value> = subjects.iter().map(row).collect();
        println!("{}", json!({"benchmark": title, "runs": options.suites(), "results": rows}));
        return;
    }
    println!("{title}, median of {} runs", options.suites());
    println!("  {:<18} {:>12} {:>14} {:>28}", "", "median s", "requirements", "not the same every time");
    for s in subjects {
        let (seconds, rows, unsteady) = (median(&s.times), s.requirements(), s.unsteady.len());
        println!("  {:<18} {seconds:>12.1} {rows:>14} {unsteady:>28}", s.name);
    }
}
