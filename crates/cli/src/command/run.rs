//! `run`: image, tree, bundle, process, exit code.
//!
//! The tree is mounted in a mount namespace of this process, so that the mount goes with it however it ends.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::process::{Child, Command as Process, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use plimsoll_image::bundle::Overrides;
use plimsoll_image::layer::Limits;
use plimsoll_image::snapshot::{Options, Snapshot};
use plimsoll_image::{Image, Kind};
use plimsoll_spec::json::{self, Value};
use plimsoll_spec::runtime::Config;
use plimsoll_sys::mount::{Change, set_attributes_recursive};
use plimsoll_sys::process::{CloneFlags, die_with_parent, unshare};
use plimsoll_sys::signal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode as Permissions, OFlags};
use rustix::io::Errno;

use crate::args::{ContainerOptions, Format, Run};
use crate::container::Container;
use crate::context::Context;
use crate::output::{Failure, note};
use crate::progress::bar;

use super::{options, remains};

const MS_SLAVE: u64 = 1 << 19;

pub(super) fn run(context: &Context, verb: &Run) -> Result<ExitCode> {
    check_terminal(verb.options.tty)?;
    remains::of_the_killed(context)?;
    let name = verb.name.clone().map_or_else(random_name, Ok)?;
    // Before any work is done for it.
    context.runtime()?;
    let mut overrides = options::overrides(context, &name, &verb.options, &verb.args)?;
    if let Some(rootless) = overrides.rootless.as_mut().filter(|_| context.joins()) {
        rootless.joined = context.trees().joined();
    }
    // From the making of the snapshot until it is held here, nobody takes it for abandoned.
    let lease = context.store.share()?;
    context.mount_tree(|context| make(context, verb, &name, &overrides).map(|()| Value::Null))?;
    let snapshot = context.store.take_over(&name)?.context("hold the container: somebody else does")?;
    drop(lease);
    let status = start(context, verb, &snapshot.bundle(), &name);
    let remove = verb.rm || status.is_err();
    let ended = status.and_then(|ended| remember(&snapshot, &ended).map(|()| ended));
    let removed = if remove { remains::remove(context, snapshot) } else { Ok(()) };
    // Why it failed matters more than what that has left.
    ended.and_then(|ended| removed.map(|()| ended))?.exit(context.format)
}

pub(super) fn check_terminal(wanted: bool) -> Result<()> {
    if wanted && !rustix::termios::isatty(rustix::stdio::stdin()) {
        bail!("-t needs a terminal, and standard input is none");
    }
    Ok(())
}

fn remove_snapshot(snapshot: Snapshot<'_>) -> Result<()> {
    match snapshot.remove() {
        // `rm --force` was faster.
        Err(e) if e.kind() == Kind::NotFound => Ok(()),
        removed => Ok(removed?),
    }
}

/// Makes the bundle of container `name`, whole or not at all.
fn make(context: &Context, verb: &Run, name: &str, overrides: &Overrides) -> Result<()> {
    let lease = context.store.share()?;
    let image = context.image(&verb.image, verb.options.platform.as_deref())?;
    let snapshot = prepare(context, name, &image)?;
    let filled = fill(verb, &image, overrides, &snapshot);
    drop(lease);
    let removed = if filled.is_err() { remove_snapshot(snapshot) } else { Ok(()) };
    // Why it failed matters more than what that has left.
    filled.and(removed)
}

fn fill(verb: &Run, image: &Image, overrides: &Overrides, snapshot: &Snapshot<'_>) -> Result<()> {
    snapshot.mount()?;
    let rootfs = snapshot.open_rootfs()?;
    let config = configure(image, &verb.options, overrides, rootfs.as_fd())?;
    let bundle = snapshot.bundle();
    write_config(&bundle, &config)?;
    write_volumes(image, overrides, rootfs.as_fd(), snapshot.folder())?;
    let process = config.process.unwrap_or_default();
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let container = Container {
        format: 1,
        name: snapshot.id().to_owned(),
        image: verb.image.clone(),
        digest: image.descriptor.digest.to_string(),
        command: process.args,
        created,
        remove: verb.rm,
        ..Container::default()
    };
    container.write(&bundle)
}

fn start(context: &Context, verb: &Run, bundle: &Path, name: &str) -> Result<Ended> {
    let log = bundle.join("runtime.log");
    let mut runtime = context.runtime()?;
    log_to(&mut runtime, context.format, &log);
    runtime.args(["run", "--bundle"]).arg(bundle).arg(name);
    let code = foreground(&mut runtime, verb.interactive || verb.options.tty)?;
    Ok(Ended::of(code, &log).beside(&runtime, context.format))
}

/// Whether `runtime` is the one that prints what it logs, too.
fn is_ours(runtime: &Process) -> bool {
    Path::new(runtime.get_program()).ends_with("plimsoll-runtime")
}

/// The configuration of a container, with the filter that suits its capabilities.
pub(super) fn configure(
    image: &Image,
    options: &ContainerOptions,
    overrides: &Overrides,
    rootfs: BorrowedFd<'_>,
) -> Result<Config> {
    let mut config =
        plimsoll_image::bundle::config(&image.config, rootfs, overrides).context("make the bundle")?;
    let sets = config.process.as_ref().and_then(|process| process.capabilities.clone()).unwrap_or_default();
    let capabilities: Vec<&str> = sets.bounding.iter().map(String::as_str).collect();
    config.linux.get_or_insert_default().seccomp = options::seccomp(options, &capabilities)?;
    Ok(config)
}

/// Makes the directories of `bundle` that [`configure`] has as volumes of the image.
pub(super) fn write_volumes(
    image: &Image,
    overrides: &Overrides,
    rootfs: BorrowedFd<'_>,
    bundle: BorrowedFd<'_>,
) -> Result<()> {
    let volumes = plimsoll_image::bundle::anonymous_volumes(&image.config, rootfs, overrides)?;
    until_asked_to_end(|go_on| {
        let options = Options { limits: Limits::DEFAULT, progress: &|_| go_on() };
        volumes.write(bundle, &options).context("make the bundle")
    })
}

pub(super) fn write_config(bundle: &Path, config: &Config) -> Result<()> {
    let path = bundle.join("config.json");
    std::fs::write(&path, json::to_vec_pretty(config)).with_context(|| format!("write {}", path.display()))
}

fn prepare<'a>(context: &'a Context, name: &str, image: &Image) -> Result<Snapshot<'a>> {
    with_progress(context, image, |options| {
        let mode = context.mode()?;
        match context.store.prepare(name, image, mode, options) {
            Err(e) if e.kind() == Kind::Exists => Err(anyhow!(
                "the name {name:?} is in use; choose another, or remove that container with `plimsoll rm {name}`"
            )),
            done => done.context("unpack the image"),
        }
    })
}

/// Does `work` with a bar over the layers of `image` that are read meanwhile, [`until_asked_to_end`].
pub(super) fn with_progress<T>(
    context: &Context,
    image: &Image,
    work: impl FnOnce(&Options<'_>) -> Result<T>,
) -> Result<T> {
    let format = context.format;
    let size = image.layers.iter().map(|layer| layer.descriptor.size).sum();
    // Only once something is read: layers that are there already take no time.
    let started = std::sync::OnceLock::new();
    let done = until_asked_to_end(|go_on| {
        work(&Options {
            limits: Limits::DEFAULT,
            progress: &|count| {
                started.get_or_init(|| bar(format, "unpack", size)).inc(count);
                go_on()
            },
        })
    });
    if let Some(bar) = started.get() {
        bar.finish_and_clear();
    }
    done
}

/// Does `work`, which asks now and then whether it may go on. A signal that asks this process to end is obeyed by
/// ending the work, which then leaves nothing.
fn until_asked_to_end<T>(
    work: impl FnOnce(&(dyn Fn() -> std::io::Result<()> + Sync)) -> Result<T>,
) -> Result<T> {
    let signals = signal::block_and_watch_requests_to_end().context("watch signals")?;
    work(&|| match signal::next(&signals)? {
        None => Ok(()),
        Some(number) => Err(std::io::Error::other(format!("ended by signal {number}"))),
    })
}

/// Gives this process a mount namespace that the host's mounts reach and whose mounts do not reach the host.
pub(super) fn private_mounts() -> Result<()> {
    unshare(CloneFlags::NEWNS).context("make a mount namespace")?;
    let root =
        rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Permissions::empty())?;
    let change = Change { propagation: MS_SLAVE, ..Change::default() };
    set_attributes_recursive(root.as_fd(), &change).context("make mounts private")
}

/// Twelve hexadecimal digits, as short ids have.
fn random_name() -> Result<String> {
    let mut bytes = [0u8; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).context("choose a name")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn remember(snapshot: &Snapshot<'_>, ended: &Ended) -> Result<()> {
    let bundle = snapshot.bundle();
    if !bundle.exists() {
        return Ok(());
    }
    let mut container = Container::read(&bundle)?;
    container.exit_code = Some(ended.code);
    container.write(&bundle)
}

/// Runs `command` with this process's streams, hands it signals, and waits; its exit code.
pub(super) fn foreground(command: &mut Process, interactive: bool) -> Result<u8> {
    let signals = signal::block_and_watch().context("watch signals")?;
    if !interactive {
        command.stdin(Stdio::null());
    }
    die_with_parent(command);
    let child = command.spawn();
    let child = child.with_context(|| format!("execute {}", command.get_program().display()))?;
    wait(child, &signals)
}

fn wait(mut child: Child, signals: &std::os::fd::OwnedFd) -> Result<u8> {
    // What a terminal sends, it sends to the runtime as well.
    const OF_TERMINALS: [i32; 5] = [1, 2, 3, 20, 28];
    const SIGCHLD: i32 = 17;
    let at_terminal = rustix::termios::isatty(rustix::stdio::stdin());
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        .context("watch the runtime")?;
    loop {
        let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut watched = [readable(pidfd.as_fd()), readable(signals.as_fd())];
        match poll(&mut watched, None) {
            Err(Errno::INTR) => continue,
            other => other.context("wait for the runtime")?,
        };
        let exited = !watched[0].revents().is_empty();
        while let Some(number) = signal::next(signals).context("read a signal")? {
            if number != SIGCHLD && !(at_terminal && OF_TERMINALS.contains(&number)) {
                // A runtime that has exited meanwhile needs no signal.
                let _ = signal::send(&pidfd, number);
            }
        }
        if exited {
            use std::os::unix::process::ExitStatusExt as _;
            let status = child.wait().context("wait for the runtime")?;
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            return Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255));
        }
    }
}

/// How a command of the runtime ended.
#[derive(Debug)]
pub(super) struct Ended {
    code: u8,
    said: Said,
}

impl Ended {
    /// A runtime that exited with `code` and wrote what it had to say, if anything, to `log`.
    pub(super) fn of(code: u8, log: &Path) -> Ended {
        let said = Said::parse(&std::fs::read(log).unwrap_or_default());
        let code = said.failure.as_deref().map_or(code, code_of);
        Ended { code, said }
    }

    /// Without the warnings that `runtime` has printed itself: ours does, others keep them to the log that they are
    /// given.
    pub(super) fn beside(mut self, runtime: &Process, format: Format) -> Ended {
        if format == Format::Table && is_ours(runtime) {
            self.said.warnings.clear();
        }
        self
    }

    /// The exit code of this tool. A failure is told here where the runtime was asked to leave that to us.
    pub(super) fn exit(self, format: Format) -> Result<ExitCode> {
        for warning in &self.said.warnings {
            note(format, warning);
        }
        match self.said.failure {
            Some(message) if format == Format::Json => Err(Failure { message, code: self.code }.into()),
            _ => Ok(ExitCode::from(self.code)),
        }
    }
}

/// Lets `runtime` log its failures to `log`, and nowhere else where they are to be printed as `format` has it.
pub(super) fn log_to(runtime: &mut Process, format: Format, log: &Path) {
    runtime.args(["--log-format", "json", "--log"]).arg(log);
    if format == Format::Json {
        runtime.env("PLIMSOLL_LOG_ONLY", "1");
    }
}

/// What a runtime wrote in its log.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// The last failure: it was not the container that ended but the runtime that failed.
    failure: Option<String>,
    /// What the user should know although nothing failed by it.
    warnings: Vec<String>,
}

impl Said {
    fn parse(log: &[u8]) -> Said {
        let mut said = Said::default();
        for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match Line::parse(line) {
                Line::Failure(message) => said.failure = Some(message),
                Line::Warning(message) => said.warnings.push(message),
                Line::Talk => {}
            }
        }
        said
    }
}

/// One line of a runtime's log.
enum Line {
    Failure(String),
    Warning(String),
    /// For whoever looks for bugs in the runtime.
    Talk,
}

impl Line {
    /// What does not say how bad it is counts as a failure, which nobody may miss.
    fn parse(line: &[u8]) -> Line {
        let Ok(Value::Object(mut entry)) = json::from_slice(line) else {
            return Line::Failure(String::from_utf8_lossy(line).into_owned());
        };
        let level = match entry.get("level") {
            Some(Value::String(level)) => level.to_ascii_lowercase(),
            _ => String::new(),
        };
        // runc and crun have one name for it, youki another.
        let message = match entry.remove("msg").or_else(|| entry.remove("message")) {
            Some(Value::String(message)) => Some(message),
            _ => None,
        };
        match level.as_str() {
            "warning" | "warn" => message.map_or(Line::Talk, Line::Warning),
            "info" | "debug" | "trace" => Line::Talk,
            _ => {
                Line::Failure(message.unwrap_or_else(|| "the runtime failed and did not log why".to_owned()))
            }
        }
    }
}

/// Docker's codes: 127 for a command that is not there, 126 for one that cannot be executed.
fn code_of(message: &str) -> u8 {
    let Some((_, why)) = message.split_once("exec: ") else { return 125 };
    match why.contains("executable file not found") || why.contains("no such file or directory") {
        true => 127,
        false => 126,
    }
}

#[cfg(test)]
mod tests {
    use super::code_of;

    #[test]
    fn failures_have_dockers_codes() {
        let start = "unable to start container process: ";
        assert_eq!(code_of(&format!("{start}exec: \"x\": executable file not found in $PATH")), 127);
        assert_eq!(code_of(&format!("{start}exec: \"/x\": stat /x: no such file or directory")), 127);
        assert_eq!(code_of(&format!("{start}exec: \"/x\": permission denied")), 126);
        assert_eq!(code_of("set up the cgroup: no such file or directory"), 125);
    }
}
