//! The project's own commands: `cargo xtask VERB`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers talks to them")]

mod bench;
mod ci;
mod compile;
mod demo;
mod embed;
mod engines;
mod findings;
mod fuzz;
mod install;
mod old_suite;
mod setup;
mod shell;
mod tar;
mod tidy;
mod verbs;
mod vm;

use clap::Parser as _;

fn main() -> anyhow::Result<std::process::ExitCode> {
    verbs::run(verbs::Arguments::parse())
}
