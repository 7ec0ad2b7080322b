//! The project's own commands: `cargo xtask VERB`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers talks to them")]

mod bench;
mod ci;
mod compile;
mod demo;
mod embed;
mod engines;
mod install;
mod setup;
mod shell;
mod tar;
mod tidy;
mod vm;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "Build, show, test and measure Plimsoll")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build everything and run the embedded image, with its proof.
    Demo,
    /// Build the release binaries, static, with the embedded image; print where they are.
    Build,
    /// Pass every test, and list those that this machine cannot run.
    Test,
    /// Check what a program can check of the project's rules.
    Tidy,
    /// Everything a change must pass.
    Ci,
    /// Install the Debian packages that tests and benchmarks use.
    Setup,
    /// Install binaries, man pages and completions.
    Install(install::Options),
    /// Lead real engines through a journey with our runtime below them, beside runc.
    Engines(engines::Options),
    /// Measure beside peers.
    Bench(bench::Options),
    /// Boot a Debian with systemd and cgroup v2, and run tests, the judge or a command inside.
    Vm(Box<vm::Options>),
}

fn main() -> Result<()> {
    match Arguments::parse().verb {
        Verb::Demo => demo::run(),
        Verb::Build => compile::release().map(|built| println!("{}", built.dir.display())),
        Verb::Test => ci::test(),
        Verb::Tidy => tidy::run(),
        Verb::Ci => ci::run(),
        Verb::Setup => setup::run(),
        Verb::Install(options) => install::run(&options),
        Verb::Engines(options) => engines::run(&options),
        Verb::Bench(options) => bench::run(&options),
        Verb::Vm(options) => vm::run(&options),
    }
}
