//! Fuzzing: the targets in `fuzz/`, each for a while. Needs cargo-fuzz and a nightly compiler; what a target has
//! found interesting is kept below `target/`, so the next run goes on from there.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::shell::{must, root};

/// `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these targets.
    targets: Vec<String>,
    /// Run each target for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
}

/// Runs the targets, and stops at the first that finds something.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(lack) = lack() {
        bail!("{lack}");
    }
    let all = targets()?;
    if let Some(unknown) = options.targets.iter().find(|target| !all.contains(target)) {
        bail!("there is no target {unknown}; there are {}", all.join(", "));
    }
    let chosen = if options.targets.is_empty() { &all } else { &options.targets };
    chosen.iter().try_for_each(|target| fuzz(target, options.seconds))
}

/// The short form for every change; a machine without the tools says so.
pub(crate) fn smoke() -> Result<()> {
    match lack() {
        None => run(&Options { targets: Vec::new(), seconds: 5 }),
        Some(lack) => {
            println!("skipped: fuzz: {lack}");
            Ok(())
        }
    }
}

/// Installs cargo-fuzz where it could be used; fuzzing is skipped where that fails.
pub(crate) fn setup() {
    if is_there(&["--version"]) && !is_there(&["fuzz", "--version"]) {
        let installed = must(nightly().args(["install", "--quiet", "--locked", "cargo-fuzz"]));
        installed.unwrap_or_else(|error| println!("skipped: fuzz: {error:#}"));
    }
}

/// What is missing here, if something is.
fn lack() -> Option<&'static str> {
    if !is_there(&["--version"]) {
        return Some("there is no nightly compiler; run: rustup toolchain install nightly");
    }
    (!is_there(&["fuzz", "--version"])).then_some("cargo-fuzz is not there; run: cargo install cargo-fuzz")
}

/// Whether the nightly cargo can do this.
fn is_there(arguments: &[&str]) -> bool {
    let status = nightly().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Rustup's cargo, for the one that runs this program belongs to one compiler.
fn nightly() -> Command {
    let mut command = Command::new("cargo");
    command.arg("+nightly").current_dir(root());
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}

fn targets() -> Result<Vec<String>> {
    let place = root().join("fuzz/fuzz_targets");
    let context = || format!("list {}", place.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&place).with_context(context)? {
        let path = entry.with_context(context)?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn fuzz(target: &str, seconds: u64) -> Result<()> {
    let built = root().join("target/fuzz");
    let corpus = built.join("corpus").join(target);
    std::fs::create_dir_all(&corpus).with_context(|| format!("make {}", corpus.display()))?;
    let path = |path: &Path| path.display().to_string();
    let time = format!("-max_total_time={seconds}");
    let artifacts = format!("-artifact_prefix={}/{target}-", path(&built));
    must(nightly().args(["fuzz", "run", "--target-dir", &path(&built), target, &path(&corpus), "--"]).args([
        time.as_str(),
        "-print_final_stats=1",
        "-verbosity=0",
        artifacts.as_str(),
    ]))
}
