//! Figures beside peers: the same work, taken in turns in one sitting, medians as ratios.

mod hash;
mod image;
mod judge;
mod start;
mod unpack;
mod validate;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::shell::find_program;

/// `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to measure; everything where absent.
    #[arg(value_enum)]
    what: Option<What>,
    /// Look for peers in DIR and DIR/bin before PATH.
    #[arg(long, value_name = "DIR")]
    peers: Vec<PathBuf>,
    /// How often each is run; 30 times where absent, and twice for the suite of runtimes.
    #[arg(long)]
    runs: Option<usize>,
    /// Small input and three runs: shows that the benchmark works, measures nothing.
    #[arg(long)]
    smoke: bool,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Start,
    Unpack,
    Hash,
    Validate,
    Judge,
}

impl Options {
    /// What the check of every change runs.
    pub(crate) fn smoke() -> Options {
        Options { what: None, peers: Vec::new(), runs: None, smoke: true, json: false }
    }

    fn runs(&self) -> usize {
        if self.smoke { 3 } else { self.runs.unwrap_or(30).max(1) }
    }

    /// How often a whole suite is run: at least twice, for what it says to be compared.
    fn suites(&self) -> usize {
        if self.smoke { 2 } else { self.runs.unwrap_or(2).max(2) }
    }

    /// The peer `name`; prints the reason where there is none.
    fn peer(&self, name: &str) -> Option<PathBuf> {
        let found = find_program(name, &self.peers);
        if found.is_none() {
            println!("skipped: {name}: not found in --peers or on PATH");
        }
        found
    }
}

/// One contender.
struct Contender {
    name: String,
    /// Makes the command of one run.
    command: Box<dyn Fn() -> Command>,
    /// Puts things back after it.
    reset: Box<dyn Fn() -> Result<()>>,
    times: Vec<f64>,
    /// Peak of the resident set in KiB, of the process itself, where it was measured.
    memory: Option<u64>,
}

impl Contender {
    fn new(
        name: &str,
        command: impl Fn() -> Command + 'static,
        reset: impl Fn() -> Result<()> + 'static,
    ) -> Contender {
        Contender {
            name: name.to_owned(),
            command: Box::new(command),
            reset: Box::new(reset),
            times: Vec::new(),
            memory: None,
        }
    }

    fn run(&mut self) -> Result<()> {
        let command = (self.command)();
        let start = Instant::now();
        let ended = self.execute(command);
        self.times.push(start.elapsed().as_secs_f64());
        ended?;
        (self.reset)()
    }

    /// The peak of one more run, measured by GNU `time`, whose own small process is what gets forked.
    fn weigh(&mut self, time: &Path) -> Result<()> {
        let inner = (self.command)();
        let report = tempfile::NamedTempFile::new()?;
        let mut command = Command::new(time);
        command.args(["-f", "%M", "-o"]).arg(report.path()).arg(inner.get_program()).args(inner.get_args());
        if let Some(dir) = inner.get_current_dir() {
            command.current_dir(dir);
        }
        self.execute(command)?;
        let peak = std::fs::read_to_string(report.path())?;
        let unclear = || format!("{} reports {peak:?} as the peak of {}", time.display(), self.name);
        self.memory = Some(peak.trim().parse().with_context(unclear)?);
        (self.reset)()
    }

    fn execute(&self, mut command: Command) -> Result<()> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = command.output().with_context(|| format!("execute {}", self.name))?;
        if !output.status.success() {
            bail!("{}: {}: {}", self.name, output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    fn median(&self) -> f64 {
        median(&self.times)
    }
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Those of `peers` that can run here: one that cannot must not end the comparison with the others.
fn able(mut peers: Vec<Contender>) -> Vec<Contender> {
    peers.retain_mut(|peer| match peer.run() {
        Ok(()) => true,
        Err(e) => {
            println!("skipped: {}: {e:#}", peer.name);
            false
        }
    });
    peers
}

/// Runs ours and `peers` in turns and prints how they did.
fn compete(title: &str, ours: Contender, peers: Vec<Contender>, options: &Options) -> Result<()> {
    let mut contenders = vec![ours];
    contenders.extend(peers);
    // One round that does not count fills the caches.
    for round in 0..=options.runs() {
        for contender in &mut contenders {
            contender.run()?;
            if round == 0 {
                contender.times.clear();
            }
        }
    }
    match find_program("time", &[]) {
        Some(time) => contenders.iter_mut().try_for_each(|contender| contender.weigh(&time))?,
        None => println!("skipped: peaks of memory: GNU time is not on PATH"),
    }
    print(title, &contenders, options);
    Ok(())
}

/// Prints how `contenders` did beside the first, which is ours.
fn print(title: &str, contenders: &[Contender], options: &Options) {
    let ours = contenders.first().map(Contender::median).unwrap_or_default();
    if options.json {
        let rows: Vec<_> = contenders
            .iter()
            .map(|c| json!({"name": c.name, "medianSeconds": c.median(), "ratio": ours / c.median(), "peakKiB": c.memory}))
            .collect();
        println!("{}", json!({"benchmark": title, "runs": options.runs(), "results": rows}));
        return;
    }
    println!("{title}, median of {} runs", options.runs());
    println!("  {:<18} {:>12} {:>18} {:>10}", "", "median ms", "ours is ... times", "peak MB");
    for c in contenders {
        let median = c.median();
        let memory = c.memory.map_or_else(|| "-".to_owned(), |peak| format!("{:.2}", peak as f64 / 1024.0));
        println!("  {:<18} {:>12.2} {:>18.3} {memory:>10}", c.name, median * 1000.0, ours / median);
    }
}

/// Runs what was asked for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted = |what| options.what.is_none_or(|only| only == what);
    if wanted(What::Start) {
        start::run(options)?;
    }
    if wanted(What::Unpack) {
        unpack::run(options)?;
    }
    if wanted(What::Hash) {
        hash::run(options)?;
    }
    if wanted(What::Validate) {
        validate::run(options)?;
    }
    if wanted(What::Judge) {
        judge::run(options)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use plimsoll_test_support::write_program;

    use super::*;

    /// A contender that the shell runs.
    fn contender(name: &str, script: &'static str) -> Contender {
        let command = move || {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        Contender::new(name, command, || Ok(()))
    }

    #[test]
    fn ours_must_run_and_peers_need_not() {
        let peers = || able(vec![contender("good", "true"), contender("bad", "echo why >&2; exit 3")]);
        assert_eq!(peers().iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>(), ["good"]);
        let options = Options::smoke();
        compete("works", contender("ours", "true"), peers(), &options).unwrap();
        let failed = compete("fails", contender("ours", "echo why >&2; exit 3"), peers(), &options);
        assert_eq!(failed.unwrap_err().to_string(), "ours: exit status: 3: why");
    }

    #[test]
    fn a_peak_is_measured_or_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let time = dir.path().join("time");
        let measured = |peak: &str, script: &'static str| {
            let text = format!("#!/bin/sh\necho {peak} > \"$4\"; shift 4; exec \"$@\"\n");
            write_program(&time, text.as_bytes()).unwrap();
            let mut contender = contender("it", script);
            contender.weigh(&time).map(|()| contender.memory).map_err(|e| e.to_string())
        };
        assert_eq!(measured("2048", "true"), Ok(Some(2048)));
        assert_eq!(measured("2048", "exit 3"), Err("it: exit status: 3: ".to_owned()));
        let unclear = format!("{} reports \"much\\n\" as the peak of it", time.display());
        assert_eq!(measured("much", "true"), Err(unclear));
    }
}
