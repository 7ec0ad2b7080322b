//! What a change must pass.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::shell::{cargo, find_program, must};
use crate::{bench, compile, fuzz, tidy, vm};

/// Format, lints, tidy, dependencies, docs, tests, and the short form of what takes longer.
pub(crate) fn run() -> Result<()> {
    must(cargo().args(["fmt", "--all", "--check"]))?;
    must(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    tidy::run()?;
    deny()?;
    must(cargo().args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    test()?;
    bench::run(&bench::Options::smoke())?;
    vm::run(&vm::Options::smoke())?;
    fuzz::smoke()
}

/// What dependencies may be, as `deny.toml` has it.
fn deny() -> Result<()> {
    if find_program("cargo-deny", &[]).is_none() {
        println!("skipped: licenses and sources of dependencies: cargo-deny is not on PATH");
        return Ok(());
    }
    must(cargo().args(["deny", "check", "bans", "licenses", "sources"]))
}

/// Every test; then the release binaries, and the demonstration that they work.
pub(crate) fn test() -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).stderr(Stdio::piped());
    command.env(compile::EMBEDDED_PROBE, compile::probe()?);
    eprintln!("$ cargo test --workspace --no-fail-fast");
    let mut child = command.spawn().context("execute cargo test")?;
    let mut skipped = Vec::new();
    for line in BufReader::new(child.stderr.take().context("read from cargo test")?).lines() {
        let line = line?;
        if line.starts_with("skipped: ") {
            skipped.push(line.clone());
        }
        eprintln!("{line}");
    }
    let status = child.wait()?;
    println!("{} tests or peers skipped on this machine", skipped.len());
    for line in skipped {
        println!("  {line}");
    }
    if !status.success() {
        bail!("cargo test: {status}");
    }
    crate::demo::run()?;
    compile::release().map(drop)
}
