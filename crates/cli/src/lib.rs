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

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use args::Arguments;

/// The exit code of a failure of this tool, as Docker has it; other codes are the container's.
const FAILURE: u8 = 125;

/// Runs the command line `args`, the program's name first; prints what fails, once, and says how it ended.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(e) => {
            // Help and version are no failures, and go where they are looked for.
            let code = if e.use_stderr() { FAILURE } else { 0 };
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    match command::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // Nobody can be told when standard error is closed.
            let _ = writeln!(std::io::stderr(), "plimsoll: {error:#}");
            ExitCode::from(FAILURE)
        }
    }
}
