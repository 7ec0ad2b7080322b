//! Real engines with our runtime below them: the same journey through each, beside runc as the control.
//!
//! All of it happens in a mount namespace with an empty `/run`, in one temporary folder, and in cgroups below
//! one parent. In the end they are gone, and the host is held against what it was.

mod buildah;
mod client;
mod containerd;
mod daemon;
mod docker;
mod host;
mod image;
mod journey;
mod podman;
mod report;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::compile;
use crate::shell::find_program;
use client::Client;
use daemon::Daemon;
use report::{Column, Report, Verdict};

/// `engines`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Engines by name; every one where absent.
    #[arg(value_parser = ["containerd", "docker", "podman", "buildah"])]
    names: Vec<String>,
    /// Look for engines and for runc in DIR and DIR/bin before PATH.
    #[arg(long, value_name = "DIR")]
    peers: Vec<PathBuf>,
    /// Only the steps whose name holds TEXT.
    #[arg(long, value_name = "TEXT", default_value = "")]
    step: String,
}

/// An engine that can be led through its journey.
struct Engine {
    name: &'static str,
    /// What must be on PATH.
    programs: &'static [&'static str],
    /// Starts what must run, and loads the image.
    start: fn(&Place) -> Result<Started>,
    /// Its steps, in lists that engines may share.
    journey: &'static [&'static [Step]],
    /// What it leaves by itself: mounts below its folder and cgroups below its parent.
    leaves: &'static [&'static str],
}

const ENGINES: [&Engine; 4] = [&containerd::ENGINE, &docker::ENGINE, &podman::ENGINE, &buildah::ENGINE];

/// Where an engine may leave things, and what it is given.
struct Place {
    dir: PathBuf,
    image: PathBuf,
    /// Name of a cgroup, and of all that an engine keeps outside its folder.
    mark: String,
    runtimes: Vec<Runtime>,
    peers: Vec<PathBuf>,
}

/// A runtime below the engine.
#[derive(Clone)]
struct Runtime {
    name: &'static str,
    path: PathBuf,
}

/// An engine that runs.
struct Started {
    /// Stopped in this order.
    daemons: Vec<Daemon>,
    /// The engine with a runtime below it.
    subject: Box<dyn Fn(&Runtime) -> Subject>,
    /// Removes every container.
    sweep: fn(&Subject) -> Result<()>,
}

/// An engine with one runtime below it.
struct Subject {
    client: Client,
    /// The words that make a container.
    run: Vec<String>,
    /// A folder of the host, empty when a step begins.
    data: PathBuf,
    mark: String,
}

/// One step of a journey.
struct Step {
    name: &'static str,
    run: fn(&Subject) -> Result<()>,
}

/// Set in the process that has the mounts to itself: our runtime.
const INSIDE: &str = "PLIMSOLL_ENGINES_RUNTIME";

/// Leads every engine that is there through its journey.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: engines: needs root");
        return Ok(ExitCode::SUCCESS);
    }
    let Some(ours) = std::env::var_os(INSIDE) else { return isolate(&compile::runtime()?) };
    let mut runtimes = vec![Runtime { name: "plimsoll", path: ours.into() }];
    match find_program("runc", &options.peers) {
        Some(path) => runtimes.push(Runtime { name: "control", path }),
        None => println!("skipped: control: runc is not in --peers or on PATH"),
    }
    let mut report = Report::default();
    for engine in
        ENGINES.iter().filter(|e| options.names.is_empty() || options.names.iter().any(|n| n == e.name))
    {
        match lead(engine, &runtimes, options) {
            Ok(column) => report.columns.push(column),
            Err(why) => println!("skipped: {}: {why:#}", engine.name),
        }
    }
    report.print();
    if report.failed() { bail!("a step has failed") } else { Ok(ExitCode::SUCCESS) }
}

/// Runs this command again where its mounts are nobody else's.
fn isolate(ours: &Path) -> Result<ExitCode> {
    let unshare = find_program("unshare", &[]).context("unshare is not on PATH")?;
    let mut command = Command::new(unshare);
    command.args(["--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$@\"", "sh"]);
    command.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(INSIDE, ours);
    let status = command.status().context("execute unshare")?;
    // What went wrong has been told.
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One engine's journey with every runtime. An error is the reason why there is none.
fn lead(engine: &Engine, runtimes: &[Runtime], options: &Options) -> Result<Column> {
    for program in engine.programs.iter().chain(&["script", "timeout"]) {
        find_program(program, &options.peers).with_context(|| format!("{program} is not on PATH"))?;
    }
    let temporary =
        tempfile::Builder::new().prefix("plimsoll-engines-").tempdir().context("make a folder")?;
    let mark = temporary.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let before = host::look(temporary.path(), &mark);
    let place = Place {
        dir: temporary.path().to_owned(),
        image: temporary.path().join("image.tar"),
        mark: mark.clone(),
        runtimes: runtimes.to_vec(),
        peers: options.peers.clone(),
    };
    image::pack(&place.image)?;
    let started = (engine.start)(&place)?;
    let mut column = Column::new(engine.name);
    for step in engine.journey.iter().copied().flatten().filter(|step| step.name.contains(&options.step)) {
        let verdicts = runtimes.iter().map(|runtime| attempt(step, &started, &(started.subject)(runtime)));
        column.add(step.name, verdicts.collect());
        eprint!(".");
    }
    eprintln!(" {}", engine.name);
    for daemon in started.daemons {
        drop(daemon);
    }
    host::clear(temporary.path(), &mark, engine.leaves);
    let mut left = host::look(temporary.path(), &mark).left_since(&before);
    if let Err(why) = temporary.close() {
        left.push_str(&format!("; the folder: {why}"));
    }
    column.add(
        "leave nothing behind",
        vec![if left.is_empty() { Verdict::Done } else { Verdict::Failed(left) }],
    );
    Ok(column)
}

fn attempt(step: &Step, started: &Started, subject: &Subject) -> Verdict {
    let tried = host::empty(&subject.data).and_then(|()| (step.run)(subject));
    let swept = (started.sweep)(subject).context("remove what the step left");
    match tried.and(swept) {
        Ok(()) => Verdict::Done,
        Err(why) => Verdict::Failed(format!("{why:#}")),
    }
}
