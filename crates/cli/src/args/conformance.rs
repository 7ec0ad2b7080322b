//! What was typed behind `conformance`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `conformance`.
#[derive(Debug, Args)]
pub struct Conformance {
    /// What to do.
    #[command(subcommand)]
    pub command: ConformanceCommand,
}

/// The verbs behind `conformance`.
#[derive(Debug, Subcommand)]
pub enum ConformanceCommand {
    /// Judge an OCI runtime by the runtime specification.
    Run(Box<RunConformance>),
    /// List the requirements, and what tests each.
    List(ListRequirements),
    /// Say what a requirement is, how it is tested, and what proves the test.
    Explain(Explain),
    /// Run one case; started by `run`.
    #[command(hide = true)]
    Worker(Worker),
}

/// `conformance run`.
#[derive(Debug, Args)]
pub struct RunConformance {
    /// The runtime: a path, or a name on PATH.
    pub subject: String,
    /// Only cases, requirements or profiles of this name or beginning; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Run so many cases at a time; the default is one more than there are processors.
    #[arg(short, long, value_name = "NUMBER")]
    pub jobs: Option<usize>,
    /// Judge by this version of the specification.
    #[arg(long, value_name = "VERSION", default_value = "1.3.0")]
    pub spec: String,
    /// Who makes the cgroups of containers.
    #[arg(long, value_enum, default_value_t)]
    pub cgroup_driver: Driver,
    /// Show the runtime cgroup v2 alone, in a private mount namespace.
    #[arg(long)]
    pub only_cgroup2: bool,
    /// How the runtime's command line differs from runc's, as a JSON file.
    #[arg(long, value_name = "FILE")]
    pub dialect: Option<PathBuf>,
    /// Use this probe; the default is the one inside this program.
    #[arg(long, value_name = "FILE", env = "PLIMSOLL_PROBE")]
    pub probe: Option<PathBuf>,
    /// Give up on a case after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub patience: u64,
    /// End an operation of the runtime after so many seconds; an emulated machine needs more.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub operation_patience: u64,
    /// Write the results, with all evidence, to this file.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Who makes the cgroups of containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// The runtime itself.
    #[default]
    Cgroupfs,
    /// systemd, asked by the runtime.
    Systemd,
}

/// `conformance list`.
#[derive(Debug, Args)]
pub struct ListRequirements {
    /// Only requirements of this name or beginning, or of this profile.
    pub only: Vec<String>,
}

/// `conformance explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The requirement's id, as RUN-STATE-02.
    pub id: String,
}

/// `conformance worker`.
#[derive(Debug, Args)]
pub struct Worker {
    /// The case.
    pub case: String,
    /// Its number in the run.
    pub index: String,
}

/// The command line that starts a worker of this program.
pub fn worker_command(program: OsString) -> Vec<OsString> {
    vec![program, "conformance".into(), "worker".into()]
}
