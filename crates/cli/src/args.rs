//! What was typed. Man pages and completions are made from these types.

pub mod conformance;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Run containers from OCI images, every byte verified.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, arg_required_else_help = true)]
pub struct Arguments {
    /// Keep images and containers in this directory.
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Use this OCI runtime; the default is plimsoll-runtime beside this program or on PATH.
    #[arg(long, global = true, value_name = "PROGRAM", env = "PLIMSOLL_RUNTIME")]
    pub runtime: Option<PathBuf>,
    /// Print results in this form; with json a failure, too, is one object on standard error, {"error": "...", "code": 125}, and so is a note, {"note": "..."}.
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value_t)]
    pub format: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines and columns for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command in a new container and wait for it.
    Run(Box<Run>),
    /// List containers.
    Ps(Ps),
    /// Run another command in a running container.
    Exec(Exec),
    /// Send a signal to containers.
    Kill(Kill),
    /// Remove containers.
    Rm(Rm),
    /// List images.
    Images(Listing),
    /// Copy an image into the store, verified.
    Import(Import),
    /// Remove names of images, and what no other name needs.
    Rmi(Rmi),
    /// Show all that is known about an image or a container as JSON.
    Inspect(Inspect),
    /// Unpack the file system of an image to a directory.
    Unpack(Unpack),
    /// Make a bundle that any OCI runtime can run.
    Bundle(Box<Bundle>),
    /// Say what is wrong with an image layout, byte by byte.
    Validate(conformance::Validate),
    /// Judge OCI implementations by the requirements of the specifications.
    Conformance(conformance::Conformance),
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Name the container; names are unique.
    #[arg(long)]
    pub name: Option<String>,
    /// Remove the container when it exits.
    #[arg(long)]
    pub rm: bool,
    /// Keep standard input open.
    #[arg(short, long)]
    pub interactive: bool,
    /// What the container gets beyond its image.
    #[command(flatten)]
    pub options: ContainerOptions,
    /// An image: a name from `plimsoll images`, `embedded`, or `oci:DIR[:REF]`, `oci-archive:FILE[:REF]`, `docker-archive:FILE[:REF]`.
    pub image: String,
    /// The command, in place of the image's.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<String>,
}

/// What a container gets beyond its image.
#[derive(Debug, Args)]
pub struct ContainerOptions {
    /// Give the container a terminal.
    #[arg(short, long)]
    pub tty: bool,
    /// Mount SOURCE of the host at DESTINATION.
    #[arg(short, long, value_name = "SOURCE:DESTINATION[:OPTIONS]")]
    pub volume: Vec<String>,
    /// Set an environment variable; without a value, take this process's.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Run as this user, by name or number.
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Start in this directory.
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Use this program in place of the image's entrypoint.
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Limit memory: bytes, or with a suffix of k, m, g.
    #[arg(long, value_name = "BYTES", value_parser = memory)]
    pub memory: Option<i64>,
    /// Limit processors, as 1.5.
    #[arg(long, value_name = "NUMBER", value_parser = milli_cpus)]
    pub cpus: Option<u64>,
    /// Limit the number of processes; -1 for no limit.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,
    /// Make the root file system read-only.
    #[arg(long)]
    pub read_only: bool,
    /// Add a capability, or ALL.
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Drop a capability, or ALL.
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// seccomp=unconfined, seccomp=FILE or no-new-privileges.
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// What the container sees of the network.
    #[arg(long, value_enum, default_value_t = Network::None)]
    pub network: Network,
    /// The container's host name.
    #[arg(long)]
    pub hostname: Option<String>,
    /// Choose this platform of the image.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
}

/// What the container sees of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Network {
    /// The host's devices.
    Host,
    /// A loopback device of its own.
    None,
}

/// `ps`.
#[derive(Debug, Args)]
pub struct Ps {
    /// Show containers that have exited too.
    #[arg(short, long)]
    pub all: bool,
    /// How to show them.
    #[command(flatten)]
    pub listing: Listing,
}

/// How a list is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct Listing {
    /// Print names only.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// Keep standard input open.
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal.
    #[arg(short, long)]
    pub tty: bool,
    /// Set an environment variable; without a value, take this process's.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Run as this user of the container, by name or number.
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Start in this directory.
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// The container.
    pub container: String,
    /// The command.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub args: Vec<String>,
}

/// `kill`.
#[derive(Debug, Args)]
pub struct Kill {
    /// The signal, by name or number.
    #[arg(short, long, default_value = "KILL")]
    pub signal: String,
    /// The containers.
    #[arg(required = true)]
    pub containers: Vec<String>,
}

/// `rm`.
#[derive(Debug, Args)]
pub struct Rm {
    /// Kill a running container first.
    #[arg(short, long)]
    pub force: bool,
    /// The containers.
    #[arg(required = true)]
    pub containers: Vec<String>,
}

/// `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Choose this platform of the image.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
    /// `oci:DIR[:REF]`, `oci-archive:FILE[:REF]`, `docker-archive:FILE[:REF]` or embedded.
    pub source: String,
    /// What to call it; the default is the source's own name for it.
    pub name: Option<String>,
}

/// `rmi`.
#[derive(Debug, Args)]
pub struct Rmi {
    /// Names of images.
    #[arg(required = true)]
    pub images: Vec<String>,
}

/// `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// An image or a container.
    pub name: String,
}

/// `unpack`.
#[derive(Debug, Args)]
pub struct Unpack {
    /// Choose this platform of the image.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
    /// An image, as for run.
    pub image: String,
    /// Where to; an empty directory or one that does not exist yet.
    pub directory: PathBuf,
}

/// `bundle`.
#[derive(Debug, Args)]
pub struct Bundle {
    /// What the container gets beyond its image.
    #[command(flatten)]
    pub options: ContainerOptions,
    /// An image, as for run.
    pub image: String,
    /// Where to; it must not exist yet.
    pub directory: PathBuf,
    /// The command, in place of the image's.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<String>,
}

fn memory(text: &str) -> Result<i64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        suffix => return Err(format!("unknown suffix {suffix:?}; use k, m or g")),
    };
    let number: i64 = digits.parse().map_err(|_| "not a whole number of bytes, as 512m is one".to_owned())?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "out of range; at least 1 byte".to_owned())
}

fn milli_cpus(text: &str) -> Result<u64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of processors".to_owned())?;
    let milli = (number * 1000.0).round();
    if (1.0..=1e9).contains(&milli) { Ok(milli as u64) } else { Err("out of range".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn quantities_are_read() {
        assert_eq!(memory("512m"), Ok(512 << 20));
        assert_eq!(memory("1G"), Ok(1 << 30));
        assert_eq!(memory("7"), Ok(7));
        assert_eq!(memory("x"), Err("unknown suffix \"x\"; use k, m or g".to_owned()));
        assert_eq!(memory("0"), Err("out of range; at least 1 byte".to_owned()));
        assert_eq!(memory("1.5g"), Err("not a whole number of bytes, as 512m is one".to_owned()));
        assert_eq!(memory("99999999999g"), Err("out of range; at least 1 byte".to_owned()));
        assert_eq!(milli_cpus("1.5"), Ok(1500));
        assert_eq!(milli_cpus("nan"), Err("out of range".to_owned()));
    }
}
