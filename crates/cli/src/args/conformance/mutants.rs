//! What was typed behind `conformance mutants` and `conformance mutant`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::Driver;

/// `conformance mutants`. The runtime that they stand before is the one of `--runtime`.
#[derive(Debug, Args)]
pub struct Mutants {
    /// Only mutants of this name or beginning; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Run so many cases at a time; the default is one more than there are processors.
    #[arg(short, long, value_name = "NUMBER")]
    pub jobs: Option<usize>,
    /// Who makes the cgroups of containers.
    #[arg(long, value_enum, default_value_t)]
    pub cgroup_driver: Driver,
    /// Show the runtime cgroup v2 alone, in a private mount namespace.
    #[arg(long)]
    pub only_cgroup2: bool,
    /// Use this probe; the default is the one inside this program.
    #[arg(long, value_name = "FILE", env = "PLIMSOLL_PROBE")]
    pub probe: Option<PathBuf>,
    /// List the mutants, what each breaks and who has to notice, and try none.
    #[arg(long)]
    pub list: bool,
    /// Write the matrix, with what was seen, to this file as JSON.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `conformance mutant`.
#[derive(Debug, Args)]
pub struct Mutant {
    /// The mutant, the runtime, and the runtime's arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, num_args = 2..)]
    pub words: Vec<OsString>,
}
