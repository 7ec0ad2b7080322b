//! Figures beside peers: the same work, taken in turns in one sitting, medians as ratios.

mod hash;
mod image;
mod start;
mod unpack;
mod validate;

use std::path::PathBuf;
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
    /// How often each is run.
    #[arg(long, default_value_t = 30)]
    runs: usize,
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
}

impl Options {
    /// What the check of every change runs.
    pub(crate) fn smoke() -> Options {
        Options { what: None, peers: Vec::new(), runs: 3, smoke: true, json: false }
    }

    fn runs(&self) -> usize {
        if self.smoke { 3 } else { self.runs.max(1) }
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
    /// Peak of the resident set in KiB, of the process itself.
    memory: u64,
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
            memory: 0,
        }
    }

    fn run(&mut self) -> Result<()> {
        let mut command = (self.command)();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let start = Instant::now();
        let output = command.output().with_context(|| format!("execute {}", self.name))?;
        self.times.push(start.elapsed().as_secs_f64());
        if !output.status.success() {
            bail!("{}: {}: {}", self.name, output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        (self.reset)()
    }

    /// The peak of one more run, measured by GNU time, whose own small process is what gets forked.
    fn weigh(&mut self) -> Result<()> {
        let Some(time) = find_program("time", &[]) else { return Ok(()) };
        let inner = (self.command)();
        let report = tempfile::NamedTempFile::new()?;
        let mut command = Command::new(time);
        command.args(["-f", "%M", "-o"]).arg(report.path()).arg(inner.get_program()).args(inner.get_args());
        if let Some(dir) = inner.get_current_dir() {
            command.current_dir(dir);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        self.memory = std::fs::read_to_string(report.path())?.trim().parse().unwrap_or(0);
        (self.reset)()
    }

    fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

/// Runs the contenders in turns and prints how they did; the first is ours.
fn compete(title: &str, mut contenders: Vec<Contender>, options: &Options) -> Result<()> {
    // One round that does not count fills the caches.
    for round in 0..=options.runs() {
        for contender in &mut contenders {
            contender.run()?;
            if round == 0 {
                contender.times.clear();
            }
        }
    }
    for contender in &mut contenders {
        contender.weigh()?;
    }
    let ours = contenders.first().map(Contender::median).unwrap_or_default();
    if options.json {
        let rows: Vec<_> = contenders
            .iter()
            .map(|c| json!({"name": c.name, "medianSeconds": c.median(), "ratio": ours / c.median(), "peakKiB": c.memory}))
            .collect();
        println!("{}", json!({"benchmark": title, "runs": options.runs(), "results": rows}));
        return Ok(());
    }
    println!("{title}, median of {} runs", options.runs());
    println!("  {:<18} {:>12} {:>18} {:>10}", "", "median ms", "ours is ... times", "peak MB");
    for c in &contenders {
        let (median, memory) = (c.median(), c.memory as f64 / 1024.0);
        println!("  {:<18} {:>12.2} {:>18.3} {:>10.2}", c.name, median * 1000.0, ours / median, memory);
    }
    Ok(())
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
    Ok(())
}
