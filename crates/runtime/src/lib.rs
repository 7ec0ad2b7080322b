//! A low-level OCI runtime with the command line of runc.
//!
//! `config.json` becomes a `Plan` once; the child that is cloned from it makes system calls
//! and nothing else, in the order of one table. The crate is reached by executing its program: it relies on
//! being single-threaded, and nothing imports it but that program and the tests.

mod args;
mod command;
mod error;
mod plan;
mod process;
mod rootfs;
mod sealed;
pub mod security;
mod state;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line `args`, the program's name first; prints what fails, and says how it ended.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    command::run(&args.collect::<Vec<_>>())
}
