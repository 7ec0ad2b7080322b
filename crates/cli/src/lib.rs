//! `plimsoll`, the user's tool: what was typed, one module per verb, and how results are shown.
//!
//! It has no container logic of its own: images and their trees are `plimsoll-image`'s, processes are the
//! runtime's, which is executed like any other OCI runtime could be.

pub mod args;
mod command;
mod container;
mod context;
mod output;
mod progress;
mod trees;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Arguments, Format};
use output::{Failure, print_failure};

/// The exit code of a failure of this tool, as Docker has it; other codes are the container's.
const FAILURE: u8 = 125;

/// Runs the command line `args`, the program's name first; prints what fails, once, and says how it ended.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let arguments = match Arguments::try_parse_from(&args) {
        Ok(arguments) => arguments,
        // Help and version are no failures, and go where they are looked for.
        Err(e) if !e.use_stderr() => {
            let _ = e.print();
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            match usage::format(&args) {
                Format::Table => drop(e.print()),
                Format::Json => print_failure(Format::Json, &usage::message(&e), FAILURE),
            }
            return ExitCode::from(FAILURE);
        }
    };
    let format = arguments.format;
    match command::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            let code = error.downcast_ref::<Failure>().map_or(FAILURE, |failure| failure.code);
            print_failure(format, &format!("{error:#}"), code);
            ExitCode::from(code)
        }
    }
}
