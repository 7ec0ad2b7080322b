//! The whole suite of runtimes: how long it takes for each of them, and whether it says the same every time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{Options, median};
use crate::compile;

/// Verdicts by the ids of requirements.
type Verdicts = BTreeMap<String, String>;

/// A runtime, and what was said of it.
struct Subject {
    name: String,
    program: PathBuf,
    times: Vec<f64>,
    verdicts: Verdicts,
    /// Requirements whose verdict was not the same every time.
    unsteady: Vec<String>,
}

impl Subject {
    fn new(name: &str, program: PathBuf) -> Subject {
        let (times, unsteady) = (Vec::new(), Vec::new());
        Subject { name: name.to_owned(), program, times, verdicts: Verdicts::new(), unsteady }
    }

    /// Has it judged once more by `judge`, in the folder `place`.
    fn run(&mut self, judge: &Path, place: &Path, selection: &[&str]) -> Result<()> {
        let results = place.join("results.json");
        let mut command = Command::new(judge);
        command.args(["conformance", "run"]).args(selection).arg("-o").arg(&results).arg(&self.program);
        let start = Instant::now();
        let output = command.current_dir(place).output().with_context(|| format!("judge {}", self.name))?;
        let seconds = start.elapsed().as_secs_f64();
        // Its exit code is about the subject; what tells that it has judged is what it wrote.
        let said = || format!("judge {}: {}", self.name, String::from_utf8_lossy(&output.stderr).trim());
        let verdicts = verdicts(&std::fs::read(&results).with_context(said)?).with_context(said)?;
        std::fs::remove_file(&results)?;
        if !self.times.is_empty() {
            self.unsteady.extend(differing(&self.verdicts, &verdicts));
        }
        self.times.push(seconds);
        self.verdicts = verdicts;
        Ok(())
    }
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
        let row = |s: &Subject| json!({"name": s.name, "medianSeconds": median(&s.times), "requirements": s.verdicts.len(), "unsteady": s.unsteady});
        let rows: Vec<Value> = subjects.iter().map(row).collect();
        println!("{}", json!({"benchmark": title, "runs": options.suites(), "results": rows}));
        return;
    }
    println!("{title}, median of {} runs", options.suites());
    println!("  {:<18} {:>12} {:>14} {:>28}", "", "median s", "requirements", "not the same every time");
    for s in subjects {
        let (seconds, rows, unsteady) = (median(&s.times), s.verdicts.len(), s.unsteady.len());
        println!("  {:<18} {seconds:>12.1} {rows:>14} {unsteady:>28}", s.name);
    }
}

fn verdicts(results: &[u8]) -> Result<Verdicts> {
    let results: Value = serde_json::from_slice(results)?;
    let rows = results.get("rows").and_then(Value::as_array).context("results without rows")?;
    let row = |row: &Value| {
        let text = |name: &str| Some(row.get(name)?.as_str()?.to_owned());
        Some((text("id")?, text("verdict")?))
    };
    rows.iter().map(row).collect::<Option<_>>().context("a row without an id and a verdict")
}

/// The requirements whose verdict is not the same in both, with both.
fn differing(first: &Verdicts, second: &Verdicts) -> Vec<String> {
    let ids = first.keys().chain(second.keys().filter(|id| !first.contains_key(*id)));
    let said = |verdicts: &Verdicts, id: &str| verdicts.get(id).map_or("absent", String::as_str).to_owned();
    ids.filter(|id| first.get(*id) != second.get(*id))
        .map(|id| format!("{id}: {}, then {}", said(first, id), said(second, id)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_with_both_verdicts() {
        let read = |text: &str| verdicts(text.as_bytes()).unwrap();
        let first = read(r#"{"rows":[{"id":"A","verdict":"PASS"},{"id":"B","verdict":"FAIL"}]}"#);
        let second = read(r#"{"rows":[{"id":"A","verdict":"SKIP"},{"id":"C","verdict":"PASS"}]}"#);
        assert_eq!(differing(&first, &first), [""; 0]);
        let want = ["A: PASS, then SKIP", "B: FAIL, then absent", "C: absent, then PASS"];
        assert_eq!(differing(&first, &second), want);
        assert!(verdicts(br#"{"rows":[{"id":"A"}]}"#).is_err());
        assert!(verdicts(b"{}").is_err());
    }
}
