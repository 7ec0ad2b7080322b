//! `exec`: the runtime's own, with this tool's words and the container's users.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use plimsoll_image::bundle::{Added, added};
use plimsoll_spec::json;
use plimsoll_spec::runtime::{Config, Process, State};
use rustix::fs::{MemfdFlags, Mode, OFlags};

use crate::args::Exec;
use crate::context::Context;
use crate::trees::path_of;

use super::options::variable;
use super::run::{Ended, check_terminal, foreground, log_to};
use super::{container, must};

pub(super) fn exec(context: &Context, verb: &Exec) -> Result<ExitCode> {
    let name = &verb.container;
    let bundle = container(context, name)?.bundle();
    check_terminal(verb.tty)?;
    let process = in_memory("process", &json::to_vec(&process(context, verb, &bundle)?))?;
    let log = in_memory("log", b"")?;
    let mut runtime = context.runtime()?;
    let log_path = PathBuf::from(path_of(&log));
    log_to(&mut runtime, context.format, &log_path);
    runtime.args(["exec", "--process"]).arg(path_of(&process)).arg(name);
    let code = foreground(&mut runtime, verb.interactive || verb.tty)?;
    Ended::of(code, &log_path).beside(&runtime, context.format).exit(context.format)
}

/// The process that the container's own configuration and `verb` mean.
fn process(context: &Context, verb: &Exec, bundle: &Path) -> Result<Process> {
    let name = &verb.container;
    let config = bundle.join("config.json");
    let config = std::fs::read(&config).with_context(|| format!("read {}", config.display()))?;
    let config: Config = json::from_slice(&config).context("parse the container's configuration")?;
    let rootfs = root(context, name)?;
    let wanted = Added {
        args: verb.args.clone(),
        env: verb.env.iter().filter_map(|entry| variable(entry)).collect(),
        user: verb.user.clone(),
        workdir: verb.workdir.clone(),
        terminal: verb.tty,
    };
    Ok(added(&config, rootfs.as_fd(), &wanted)?)
}

/// The root file system of the running container `name`, as its first process has it.
fn root(context: &Context, name: &str) -> Result<OwnedFd> {
    let absent = || format!("container {name} is not running; `plimsoll ps` lists those that are");
    let Ok(printed) = must(context.runtime()?.args(["state", name]), "ask for the container's state") else {
        bail!(absent())
    };
    let state: State = json::from_slice(&printed).context("read the container's state")?;
    let Some(pid) = state.pid.filter(|pid| *pid > 0) else { bail!(absent()) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty()).with_context(absent)
}

/// A file without a name, which goes with this process.
fn in_memory(name: &str, text: &[u8]) -> Result<OwnedFd> {
    let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).context("make a file in memory")?;
    let mut rest = text;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest).context("write a file in memory")?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(file)
}
