//! What was typed behind `conformance`.

pub mod certificates;
pub mod mutants;
pub mod reports;

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
    /// Judge an image layout, row by row.
    Image(JudgeImage),
    /// Judge what a program unpacks of image layouts.
    Unpacker(JudgeConsumer),
    /// Judge what a program makes of image configurations: its config.json.
    Converter(JudgeConsumer),
    /// Judge what a program that copies images makes of them.
    Copier(JudgeConsumer),
    /// Judge an implementation of digests by what it answers.
    Digest(JudgeDigest),
    /// Answer the questions of `digest` with this project's own implementation.
    #[command(hide = true)]
    DigestAdapter,
    /// List the requirements, and what tests each.
    List(ListRequirements),
    /// Say what a requirement is, how it is tested, and what proves the test.
    Explain(Explain),
    /// Show results as a page, or for other programs.
    Report(reports::Report),
    /// Compare two results; a step back exits with 1.
    Diff(reports::Diff),
    /// Show many results side by side.
    Matrix(reports::Matrix),
    /// Print a shell script that runs one case again.
    Reproduce(reports::Reproduce),
    /// Write the probe to a file, as scripts that run a case again need it.
    Probe(reports::ProbeFile),
    /// Make a key to sign with.
    Keygen(certificates::Keygen),
    /// Sign results: a certificate that waits for its reviewer.
    Attest(certificates::Attest),
    /// Add a reviewer's signature to a certificate.
    Countersign(certificates::Countersign),
    /// Check a certificate, or a submission.
    Verify(certificates::Verify),
    /// Lay out results as a certification program asks for them.
    Submit(certificates::Submit),
    /// Prove that the suite can fail: try it on a runtime that is broken in one way after the other.
    Mutants(mutants::Mutants),
    /// Stand before a runtime and break one thing; started by `mutants`.
    #[command(hide = true)]
    Mutant(mutants::Mutant),
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
    /// Judge by this version of the specification.
    #[arg(long, value_name = "VERSION", default_value = "1.3.0")]
    pub spec: String,
    /// Who makes the cgroups of containers.
    #[arg(long, value_enum, default_value_t)]
    pub cgroup_driver: Driver,
    /// Show the runtime cgroup v2 alone, in a private mount namespace.
    #[arg(long)]
    pub only_cgroup2: bool,
    /// How it is done otherwise.
    #[command(flatten)]
    pub manner: Manner,
    /// Write the results, with all evidence, to this file.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How a run is done, as far as nobody but its caller can say.
#[derive(Debug, Clone, Args)]
pub struct Manner {
    /// Run so many cases at a time; the default is one more than there are processors.
    #[arg(short, long, value_name = "NUMBER")]
    pub jobs: Option<usize>,
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
}

/// `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// An image layout: a directory, or a tar archive of one.
    pub path: PathBuf,
    /// How to show what is found: text, or what the general --format says.
    #[arg(long, value_enum, value_name = "FORM")]
    pub to: Option<ReportFormat>,
    /// Judge by this version of the specification: 1.0, 1.1 or main.
    #[arg(long, value_name = "VERSION", default_value = "1.1")]
    pub spec: String,
    /// Let recommendations decide too.
    #[arg(long)]
    pub strict: bool,
}

/// How findings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For programs that show findings of analysers.
    Sarif,
}

/// `conformance image`.
#[derive(Debug, Args)]
pub struct JudgeImage {
    /// An image layout: a directory, or a tar archive of one.
    pub path: PathBuf,
    /// Judge by this version of the specification: 1.0, 1.1 or main.
    #[arg(long, value_name = "VERSION", default_value = "1.1")]
    pub spec: String,
    /// Write the results, with all evidence, to this file.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `conformance digest`.
#[derive(Debug, Args)]
pub struct JudgeDigest {
    /// The adapter's command line: it reads a question of JSON from each line and answers with one.
    #[arg(long, value_name = "COMMAND")]
    pub command: String,
    /// Write the results, with all evidence, to this file.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `conformance unpacker`, `conformance converter` and `conformance copier`.
#[derive(Debug, Args)]
pub struct JudgeConsumer {
    /// A program that is known: umoci, oci-image-tool, skopeo+tar, skopeo, plimsoll.
    #[arg(required_unless_present = "command", conflicts_with = "command")]
    pub preset: Option<String>,
    /// The program's command line; {layout}, {ref}, {target} and {scratch} are filled in, and so are {os}
    /// and {architecture} of this machine.
    #[arg(long, value_name = "COMMAND")]
    pub command: Option<String>,
    /// Where below the target the root file system is.
    #[arg(long, value_name = "PATH", default_value = "")]
    pub rootfs: String,
    /// Only cases or requirements of this name or beginning; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Judge by this version of the specification: 1.0, 1.1 or main.
    #[arg(long, value_name = "VERSION", default_value = "1.1")]
    pub spec: String,
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
    /// The form: text, or what the general --format says.
    #[arg(long, value_enum, value_name = "FORM")]
    pub to: Option<ListForm>,
}

/// The form of a list of requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListForm {
    /// A line each.
    Text,
    /// A page that says how much is tested.
    Markdown,
    /// All that is known of each.
    Json,
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
