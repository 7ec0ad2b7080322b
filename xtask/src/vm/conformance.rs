//! The judge inside: every runtime by every way to make cgroups that it has, as root and as an ordinary user.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::machine::Carrier;
use super::payload::quote;
use super::{Lane, Options as Machine, as_user, binaries};

/// Judged where nobody is named: ours, and Debian's.
const RUNTIMES: [&str; 3] = ["plimsoll-runtime", "runc", "crun"];
/// Looked for in the folders of peers.
const PEERS: [&str; 3] = ["runc", "crun", "youki"];

/// `vm conformance`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The runtimes: names on the machine's PATH, or paths on this host; ours and Debian's where none is named.
    runtimes: Vec<String>,
    /// Judge the peers in DIR and DIR/bin too.
    #[arg(long, value_name = "DIR")]
    peers: Vec<PathBuf>,
    /// Only cases, requirements or profiles of this name or beginning; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Judge by this version of the specification instead of the newest.
    #[arg(long, value_name = "VERSION")]
    spec: Option<String>,
    /// Only these ways.
    #[arg(long, value_name = "WAY", value_enum)]
    ways: Vec<Way>,
    /// So many seconds for one case; operations get a sixth of it.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
    /// Run so many cases at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    jobs: usize,
    /// Run the script of every case that fails, too, and say which ends otherwise than the case.
    #[arg(long)]
    replay: bool,
}

/// Who makes cgroups, and who asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    Cgroupfs,
    Systemd,
    RootlessCgroupfs,
    RootlessSystemd,
}

const WAYS: [Way; 4] = [Way::Cgroupfs, Way::Systemd, Way::RootlessCgroupfs, Way::RootlessSystemd];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Cgroupfs => "cgroupfs",
            Way::Systemd => "systemd",
            Way::RootlessCgroupfs => "rootless-cgroupfs",
            Way::RootlessSystemd => "rootless-systemd",
        }
    }

    fn driver(self) -> &'static str {
        match self {
            Way::Cgroupfs | Way::RootlessCgroupfs => "cgroupfs",
            Way::Systemd | Way::RootlessSystemd => "systemd",
        }
    }

    fn rootless(self) -> bool {
        matches!(self, Way::RootlessCgroupfs | Way::RootlessSystemd)
    }
}

/// A runtime inside.
struct Subject {
    name: String,
    place: String,
    /// What to do where it cannot be executed.
    absent: &'static str,
}

/// For one that nobody has named.
const SKIP: &str = "echo skipped:";
/// For one that somebody has.
const FAIL: &str = "failed=1; echo";

pub(super) fn run(machine: &Machine, options: &Options) -> Result<()> {
    let mut lane = Lane::new(machine, &[Carrier::Kvm, Carrier::Tcg, Carrier::Uml])?;
    let mut payload = binaries()?;
    let mut subjects = Vec::new();
    let (named, absent): (Vec<String>, _) = match options.runtimes.is_empty() {
        true => (RUNTIMES.map(str::to_owned).into(), SKIP),
        false => (options.runtimes.clone(), FAIL),
    };
    for runtime in named {
        if runtime.contains('/') {
            subjects.push(carry(&mut payload, Path::new(&runtime), "")?);
        } else {
            subjects.push(Subject { name: runtime.clone(), place: runtime, absent });
        }
    }
    for dir in &options.peers {
        let found = PEERS.iter().filter_map(|name| find_in(name, dir));
        for program in found {
            subjects.push(carry(&mut payload, &program, "peer-")?);
        }
    }
    let payload = payload.finish(&script(options, &subjects))?;
    let outcome = lane.run(&payload, &mut |line| println!("{line}"))?;
    println!("results: {}", lane.results.display());
    match outcome.code {
        0 => Ok(()),
        _ => {
            bail!("a run in the machine has given no results, or a script has ended otherwise than its case")
        }
    }
}

fn find_in(name: &str, dir: &Path) -> Option<PathBuf> {
    [dir.join("bin").join(name), dir.join(name)].into_iter().find(|file| file.is_file())
}

/// Takes a program of this host along. Its file keeps its name, by which the judge knows how to speak to it.
fn carry(payload: &mut super::Payload, program: &Path, mark: &str) -> Result<Subject> {
    let program = std::fs::canonicalize(program).with_context(|| format!("find {}", program.display()))?;
    let file = program.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{mark}{file}");
    let place = format!("/usr/local/lib/subjects/{name}/{file}");
    payload.program(&program, &place)?;
    Ok(Subject { name, place, absent: FAIL })
}

/// One run after the other; a runtime that lacks systemd is named and skipped, and so is one that cannot be executed
/// and was not asked for.
fn script(options: &Options, subjects: &[Subject]) -> String {
    let mut script = "failed=0\n".to_owned();
    if options.replay {
        script.push_str(&format!("plimsoll conformance probe {PROBE} || exit\n"));
    }
    let only = options.only.iter().map(|name| ("--only", name));
    let spec = options.spec.iter().map(|version| ("--spec", version));
    let selection: Vec<String> =
        only.chain(spec).flat_map(|(option, value)| [option.to_owned(), value.clone()]).collect();
    for subject in subjects {
        let program = quote(&[&subject.place]);
        script.push_str(&format!(
            "if ! {program} --version > /dev/null 2>&1; then {} {}: it cannot be executed; else\n",
            subject.absent, subject.name
        ));
        for way in WAYS.iter().filter(|way| options.ways.is_empty() || options.ways.contains(way)) {
            script.push_str(&one(options, subject, *way, &selection));
        }
        script.push_str("fi\n");
    }
    script + "exit $failed\n"
}

/// Where scripts of cases find their probe.
const PROBE: &str = "/usr/local/lib/probe-of-cases";

/// Runs the script of every failing case. What it leaves goes with the machine; there is no namespace
/// of processes around it, for systemd is told ids of processes.
fn replay(subject: &Subject, way: Way, results: &str) -> String {
    let (program, results) = (quote(&[&subject.place]), quote(&[results]));
    let all = format!(
        "count=0; other=0; cases=$(plimsoll conformance reproduce {results}) && for case in $cases; do \
         plimsoll conformance reproduce {results} \"$case\" > script && \
         RUNTIME={program} PROBE={PROBE} timeout 600 sh ./script > said 2>&1 || \
         {{ other=$((other + 1)); echo \"ends otherwise: $case\"; tail -n 4 said; }}; count=$((count + 1)); done; \
         [ $? = 0 ] && echo \"$count scripts, $other end otherwise\" && [ $other = 0 ]"
    );
    let all = if way.rootless() { as_user(&all) } else { all };
    format!("{all} || failed=1\n")
}

fn one(options: &Options, subject: &Subject, way: Way, selection: &[String]) -> String {
    let title = format!("{} {}", subject.name, way.name());
    let file = format!("/vm/out/{}-{}.json", subject.name, way.name());
    let (patience, operation, jobs) =
        (options.patience.to_string(), (options.patience / 6).max(1).to_string(), options.jobs.to_string());
    let mut words = vec!["plimsoll", "conformance", "run", &subject.place, "--cgroup-driver", way.driver()];
    words.extend(["--jobs", &jobs, "--patience", &patience, "--operation-patience", &operation]);
    words.extend(["--output", &file]);
    words.extend(selection.iter().map(String::as_str));
    let command = quote(&words);
    let command = if way.rootless() { as_user(&command) } else { command };
    let replay = if options.replay { replay(subject, way, &file) } else { String::new() };
    let run = format!(
        "echo '== {title}'; {command}; [ -s {file} ] || {{ echo '{title}: no results'; failed=1; }}\n{replay}",
        file = quote(&[&file])
    );
    if way.driver() == "systemd" {
        let program = quote(&[&subject.place]);
        return format!(
            "if {program} --help 2>&1 | grep -e --systemd-cgroup | grep -qv 'not supported'; then {run} else echo 'skipped: {title}: it has no --systemd-cgroup'; fi\n"
        );
    }
    run
}
