//! What can be asked for, and who does it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{bench, ci, compile, demo, engines, findings, fuzz, install, old_suite, setup, tidy, vm};

/// The command line.
#[derive(Parser)]
#[command(name = "xtask", about = "Build, show, test and measure Plimsoll")]
pub(crate) struct Arguments {
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
    /// Publish what runs of the judge have found in runtimes.
    Findings(findings::Options),
    /// Feed every parser what it does not expect.
    Fuzz(fuzz::Options),
    /// Run runtime-tools' validation programs over the mutants of a runtime.
    OldSuite(old_suite::Options),
    /// Boot a Debian with systemd and cgroup v2, and run tests, the judge or a command inside.
    Vm(Box<vm::Options>),
}

/// Does it; the exit code is that of a command that it ran in its place, if it did.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.verb {
        Verb::Demo => demo::run(),
        Verb::Build => compile::release().map(|built| println!("{}", built.dir.display())),
        Verb::Test => ci::test(),
        Verb::Tidy => tidy::run(),
        Verb::Ci => ci::run(),
        Verb::Setup => setup::run(),
        Verb::Install(options) => install::run(&options),
        Verb::Engines(options) => return engines::run(&options),
        Verb::Bench(options) => bench::run(&options),
        Verb::Findings(options) => findings::run(&options),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::OldSuite(options) => old_suite::run(&options),
        Verb::Vm(options) => return vm::run(&options),
    }
    .map(|()| ExitCode::SUCCESS)
}
