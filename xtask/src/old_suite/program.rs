//! One validation program, and what a run of it reports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A program of the suite.
pub(super) struct Program {
    pub name: String,
    pub file: PathBuf,
}

/// What a run says.
pub(super) struct Ran {
    /// Failing lines without their numbers, the exit code where it is not 0, a time-out.
    pub reports: BTreeSet<String>,
    pub seconds: f64,
}

/// What is known of a program from its runs with the runtime itself.
pub(super) struct Baseline {
    pub reports: BTreeSet<String>,
    pub seconds: f64,
    /// Every configuration that it makes a container of.
    pub configs: Vec<Value>,
    /// Every operation that it calls.
    pub operations: Vec<String>,
}

/// Longest report that is kept.
const SHOWN: usize = 120;

impl Program {
    /// Which of the cgroups it uses that several programs name alike.
    pub(super) fn shared_cgroup(&self) -> Option<usize> {
        match self.name.as_str() {
            name if name.starts_with("linux_cgroups_relative") => Some(1),
            name if name.starts_with("linux_cgroups") || name == "delete_resources" => Some(0),
            _ => None,
        }
    }

    /// Runs it with `runtime`. What it leaves behind dies with its namespaces.
    pub(super) fn run(&self, suite: &Path, runtime: &Path, seconds: u64) -> Result<Ran> {
        let start = Instant::now();
        let limit = format!("{seconds}");
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=2", &limit])
            .args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", "mount -t tmpfs none /run && exec \"$1\"", "sh"])
            .arg(&self.file)
            .env("RUNTIME", runtime)
            .current_dir(suite)
            .stdin(Stdio::null());
        let output = command.output().with_context(|| format!("execute {}", self.file.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut reports: BTreeSet<String> = text.lines().filter_map(failing).collect();
        match output.status.code() {
            Some(0) => {}
            Some(124 | 137) => drop(reports.insert("takes too long".to_owned())),
            Some(code) => drop(reports.insert(format!("exits with {code}"))),
            None => drop(reports.insert("is killed".to_owned())),
        }
        Ok(Ran { reports, seconds: start.elapsed().as_secs_f64() })
    }
}

/// What a failing line says, without its number and other digits, which differ from run to run.
fn failing(line: &str) -> Option<String> {
    let said = line.trim_start().strip_prefix("not ok")?;
    let said = said.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
    let said = said.trim_start().trim_start_matches('-').trim_start();
    let plain: String = said.chars().filter(|c| !c.is_ascii_digit()).take(SHOWN).collect();
    Some(plain)
}

impl Baseline {
    /// From two runs, whose record is in `folder`.
    pub(super) fn new(folder: &Path, first: &Ran, second: &Ran) -> Result<Baseline> {
        let mut configs = Vec::new();
        for entry in std::fs::read_dir(folder).context("read a record")?.flatten() {
            let text = std::fs::read(entry.path()).context("read a record")?;
            if let Ok(config) = serde_json::from_slice::<Value>(&text) {
                configs.push(config);
            }
        }
        let operations = std::fs::read_to_string(folder.join("operations")).unwrap_or_default();
        Ok(Baseline {
            reports: first.reports.union(&second.reports).cloned().collect(),
            seconds: first.seconds.max(second.seconds),
            configs,
            operations: operations.lines().map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::failing;

    #[test]
    fn failing_lines_are_told_without_numbers() {
        assert_eq!(failing("not ok 12 - has 3 mounts"), Some("has  mounts".to_owned()));
        assert_eq!(failing("ok 1 - fine"), None);
    }
}
