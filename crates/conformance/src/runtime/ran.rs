//! One operation of the subject: executed within limits of time and output, and written down.

use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde_json::{Value, json};

use crate::error::{Context as _, Error, Kind, Result};

use super::keeper::Keeper;

/// Most bytes that an operation may print before it is killed; a container's output counts, for it shares
/// the streams of its `create`.
const OUTPUT_LIMIT: u64 = 16 << 20;
/// Most bytes of it that are kept as evidence.
const KEPT: usize = 16 << 10;
/// Most bytes of what a container prints that are searched for a probe's reports: one of an ordinary user who is
/// lent many mounts takes some ten thousand, and what its hooks have seen as many each.
const REPORTED: usize = 256 << 10;
/// How often a running operation's output is measured.
const LOOK: Duration = Duration::from_millis(100);

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// What it was, as the dialect calls it.
    pub operation: String,
    /// The whole command line.
    pub command: Vec<String>,
    /// The exit code; `None` where a signal ended it.
    pub exit: Option<i32>,
    /// Whether it had to be killed because its time was over.
    pub timed_out: bool,
    /// What it printed by the time it ended, at most 16 KiB.
    pub stdout: String,
    /// Likewise.
    pub stderr: String,
}

impl Ran {
    /// Whether it exited with 0.
    pub fn ok(&self) -> bool {
        self.exit == Some(0)
    }

    /// As evidence.
    pub fn to_json(&self) -> Value {
        json!({
            "operation": self.operation,
            "command": self.command,
            "exit": self.exit,
            "timedOut": self.timed_out,
            "stdout": self.stdout,
            "stderr": self.stderr,
        })
    }
}

/// The files that an operation, and a container it leaves behind, print to.
#[derive(Debug)]
pub(crate) struct Streams {
    pub stdout: std::fs::File,
    pub stderr: std::fs::File,
}

impl Streams {
    /// `NAME.out` and `NAME.err` in `place`; they must not exist.
    pub(crate) fn new(place: &std::path::Path, name: &str) -> Result<Streams> {
        let file = |suffix: &str| {
            let path = place.join(format!("{name}.{suffix}"));
            let opened = std::fs::OpenOptions::new().read(true).append(true).create_new(true).open(&path);
            opened.context(|| format!("make {}", path.display()))
        };
        Ok(Streams { stdout: file("out")?, stderr: file("err")? })
    }

    fn size(&self) -> u64 {
        let size = |file: &std::fs::File| file.metadata().map_or(0, |metadata| metadata.len());
        size(&self.stdout) + size(&self.stderr)
    }

    /// Gives back the space of what is not kept.
    fn shorten(&self) {
        for file in [&self.stdout, &self.stderr] {
            // What stays goes with the folder.
            let _ = file.set_len(contents(file, KEPT).len() as u64);
        }
    }

    /// What was printed so far, as far as probes are listened to.
    pub(crate) fn reports(file: &std::fs::File) -> String {
        String::from_utf8_lossy(&contents(file, REPORTED)).into_owned()
    }

    /// What was printed so far, as far as it is kept.
    pub(crate) fn text(file: &std::fs::File) -> String {
        String::from_utf8_lossy(&contents(file, KEPT)).into_owned()
    }
}

/// How many bytes were printed to the [`Streams`] in `place`, also by what operations have left running.
pub(crate) fn printed_in(place: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let is_stream = |entry: &std::fs::DirEntry| {
        entry.path().extension().is_some_and(|suffix| suffix == "out" || suffix == "err")
    };
    entries.filter(is_stream).filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// The first `most` bytes of `file`, wherever its writers stand.
pub(crate) fn contents(file: &std::fs::File, most: usize) -> Vec<u8> {
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(most).min(most)];
    let mut length = 0;
    // What cannot be read back was not printed, as far as evidence goes.
    while let Ok(count @ 1..) = file.read_at(bytes.get_mut(length..).unwrap_or_default(), length as u64) {
        length += count;
    }
    bytes.truncate(length);
    bytes
}

/// What ends an operation that does not end by itself, besides too much output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds<'a> {
    /// Most time that it may take.
    pub patience: Duration,
    /// Who hears when the judge is asked to end; `None` where somebody else ends the judge.
    pub keeper: Option<&'a Keeper>,
}

/// Runs `command` with `streams` and nothing to read, within `bounds`.
pub(crate) fn execute(
    operation: &str,
    command: &mut Command,
    streams: &Streams,
    bounds: Bounds<'_>,
) -> Result<Ran> {
    execute_with(operation, command, Stdio::null(), streams, bounds)
}

/// As [`execute`], with something to read.
pub(crate) fn execute_with(
    operation: &str,
    command: &mut Command,
    input: Stdio,
    streams: &Streams,
    bounds: Bounds<'_>,
) -> Result<Ran> {
    let duplicate = |file: &std::fs::File| file.try_clone().context(|| "duplicate a descriptor");
    command.stdout(duplicate(&streams.stdout)?).stderr(duplicate(&streams.stderr)?);
    // A group of its own: what it starts without leaving the group dies with it.
    command.stdin(input).process_group(0);
    let line = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = line.map(|word| word.to_string_lossy().into_owned()).collect();
    let mut child = command.spawn().context(|| format!("execute {}", line.join(" ")))?;
    let ended = wait(&mut child, streams, bounds)?;
    Ok(Ran {
        operation: operation.to_owned(),
        command: line,
        exit: ended.and_then(|status| status.code()),
        timed_out: ended.is_none(),
        stdout: Streams::text(&streams.stdout),
        stderr: Streams::text(&streams.stderr),
    })
}

/// Waits for the child; kills its group and gives `None` when its time or its output is over, or the judge is asked
/// to end.
fn wait(child: &mut Child, streams: &Streams, bounds: Bounds<'_>) -> Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).context(|| "watch the subject")?;
    let end = Instant::now() + bounds.patience;
    while Instant::now() < end && streams.size() <= OUTPUT_LIMIT {
        let next = LOOK.min(end.saturating_duration_since(Instant::now()));
        let next = Timespec { tv_sec: 0, tv_nsec: i64::from(next.subsec_nanos()) };
        let mut watched = vec![PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        watched.extend(bounds.keeper.map(Keeper::interrupt));
        match poll(&mut watched, Some(&next)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) if watched.first().is_some_and(|child| child.revents().is_empty()) => break,
            Ok(_) => return child.wait().map(Some).context(|| "wait for the subject"),
            Err(e) => return Err(Error::because(Kind::Environment, "wait for the subject", e)),
        }
    }
    // It may have ended at the last moment, and then there is nothing to kill; or have left its group.
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = plimsoll_sys::signal::send(&pidfd, 9);
    streams.shorten();
    let status = child.wait().context(|| "wait for the subject")?;
    Ok(Some(status).filter(|status| status.signal() != Some(9)))
}
