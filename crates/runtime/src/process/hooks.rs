//! Hooks: those of the runtime's namespaces by the parent, those of the container's by the child.
//!
//! # References
//! - [config.md, POSIX-platform hooks](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config.md#posix-platform-hooks)

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_spec::runtime::{Hook, State};
use plimsoll_sys::process::{self, CloneFlags, SingleThreaded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, WaitOptions};

use crate::error::{Context as _, Error, Kind, Result};
use crate::plan::HookPlan;

use super::child::{Entry as _, Outcome};

/// Runs `hooks` in order with `state` on their standard input; the first failure ends it.
pub(crate) fn run(name: &str, hooks: &[Hook], state: &State) -> Result<()> {
    hooks.iter().enumerate().try_for_each(|(i, hook)| {
        run_one(hook, state)
            .map_err(|e| Error::because(Kind::Hook, format!("error running {name} hook #{i}"), e))
    })
}

/// Runs all of `hooks` in order, whatever becomes of each; the failures.
pub(crate) fn run_all(name: &str, hooks: &[Hook], state: &State) -> Vec<Error> {
    let failure = |(i, hook): (usize, &Hook)| {
        let failed = run_one(hook, state).err()?;
        Some(Error::because(Kind::Hook, format!("error running {name} hook #{i}"), failed))
    };
    hooks.iter().enumerate().filter_map(failure).collect()
}

fn run_one(hook: &Hook, state: &State) -> Result<()> {
    let failed = |why: String| Error::new(Kind::Hook, format!("{}: {why}", hook.path));
    let mut command = Command::new(&hook.path);
    if let Some((zeroth, rest)) = hook.args.split_first() {
        command.arg0(zeroth).args(rest);
    }
    command.env_clear().envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|e| Error::because(Kind::Hook, format!("execute {}", hook.path), e))?;
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let pid = pid.ok_or_else(|| failed("has no pid".to_owned()))?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).context(|| "watch hook".to_owned())?;
    let timeout = hook.timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    let state = plimsoll_spec::json::to_vec(state);
    let stdin = child.stdin.take().map(OwnedFd::from);
    let ended = feed(pidfd.as_fd(), stdin, &[&state], timeout).context(|| "wait for hook".to_owned())?;
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(format!("timed out after {} s", hook.timeout.unwrap_or_default())));
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(status.to_string())),
        Err(e) => Err(Error::because(Kind::Hook, format!("wait for {}", hook.path), e)),
    }
}

/// Writes `parts` to `stdin` and waits for the end of the hook behind `pidfd`; whether that came within `timeout`.
///
/// A hook need not read its state, nor at once, so the wait for it to read and the wait for its end are one.
fn feed(
    pidfd: BorrowedFd<'_>,
    stdin: Option<OwnedFd>,
    parts: &[&[u8]],
    timeout: Option<Duration>,
) -> rustix::io::Result<bool> {
    // A moment too far away to be told is never.
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut input = Input::new(stdin, parts)?;
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let (exited, reads) = wait(pidfd, input.waiting(), left)?;
        match (exited, left) {
            (true, _) => return Ok(true),
            (false, Some(Duration::ZERO)) => return Ok(false),
            _ => {}
        }
        if reads {
            input.write();
        }
    }
}

/// Waits until the process behind `pidfd` has ended or `stdin` takes more, at most as long as is `left`; which it is.
fn wait(
    pidfd: BorrowedFd<'_>,
    stdin: Option<BorrowedFd<'_>>,
    left: Option<Duration>,
) -> rustix::io::Result<(bool, bool)> {
    // More seconds than the kernel can count are as good as no limit.
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    // Where nothing is to be written, the second is as good as the first, and asked for nothing.
    let (second, events) = stdin.map_or((pidfd, PollFlags::empty()), |stdin| (stdin, PollFlags::OUT));
    let mut watched =
        [PollFd::from_borrowed_fd(pidfd, PollFlags::IN), PollFd::from_borrowed_fd(second, events)];
    match poll(&mut watched, left.as_ref()) {
        Err(Errno::INTR) => Ok((false, false)),
        Err(errno) => Err(errno),
        Ok(_) => {
            let [exited, reads] = watched.map(|one| !one.revents().is_empty());
            Ok((exited, reads))
        }
    }
}

/// What a hook has not read yet, and the pipe to it while there is more.
struct Input<'a> {
    pipe: Option<OwnedFd>,
    parts: &'a [&'a [u8]],
    /// How much of the first part is written.
    written: usize,
}

impl<'a> Input<'a> {
    fn new(pipe: Option<OwnedFd>, parts: &'a [&'a [u8]]) -> rustix::io::Result<Input<'a>> {
        if let Some(pipe) = &pipe {
            // This end alone; the hook waits for what it reads.
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Input { pipe, parts, written: 0 })
    }

    fn waiting(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Writes once. The pipe is closed behind the last byte, and where the hook has closed its end.
    fn write(&mut self) {
        let (Some(pipe), Some((part, rest))) = (&self.pipe, self.parts.split_first()) else { return };
        match rustix::io::write(pipe, part.get(self.written..).unwrap_or_default()) {
            Ok(length) => self.written += length,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => return self.pipe = None,
        }
        if self.written == part.len() {
            (self.parts, self.written) = (rest, 0);
        }
        if self.parts.is_empty() {
            self.pipe = None;
        }
    }
}

/// The state as the child's hooks read it, cut where the pid goes: the child knows its own.
pub(crate) fn state_halves(container: &crate::state::Container) -> (Vec<u8>, Vec<u8>) {
    // No pid has this value, so its digits stand once; a text of an annotation cannot look like the member.
    const PLACE: i32 = i32::MAX;
    let mut state = container.state(plimsoll_spec::runtime::Status::Creating);
    state.pid = Some(PLACE);
    let text = plimsoll_spec::json::to_vec(&state);
    let member = format!("\"pid\":{PLACE}");
    let at = text.windows(member.len()).rposition(|window| window == member.as_bytes());
    let at = at.map_or(text.len(), |at| at + "\"pid\":".len());
    let (before, after) = text.split_at(at);
    (before.to_vec(), after.get(PLACE.to_string().len()..).unwrap_or_default().to_vec())
}

/// Runs hooks from the child itself, with system calls alone; `state` lacks the pid between its halves.
///
/// The errno of a fault is `ETIMEDOUT` for a hook that was killed in the end and `ECHILD` for one that failed.
pub(crate) fn run_in_child(token: SingleThreaded, hooks: &[HookPlan], state: [&[u8]; 2]) -> Outcome {
    for (i, hook) in hooks.iter().enumerate() {
        run_one_in_child(token, hook, state).entry(i)?;
    }
    Ok(())
}

fn run_one_in_child(token: SingleThreaded, hook: &HookPlan, state: [&[u8]; 2]) -> rustix::io::Result<()> {
    let own = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let Some(pid) = process::fork_from_child(token, CloneFlags::empty())? else {
        process::default_sigpipe();
        let ready = process::unblock_signals()
            .and_then(|()| process::dup_to(read.as_fd(), 0))
            .and_then(|()| process::cloexec_from(3));
        if ready.is_ok() {
            process::execve(&hook.path, &hook.args, &hook.env);
        }
        process::exit(127)
    };
    drop(read);
    let pid = rustix::process::Pid::from_raw(pid).ok_or(Errno::CHILD)?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let timeout = hook.timeout.map(|seconds| Duration::from_secs(seconds.into()));
    let mut digits = [0u8; 10];
    let state = [state[0], decimal(own, &mut digits), state[1]];
    let in_time = feed(pidfd.as_fd(), Some(write), &state, timeout)?;
    if !in_time {
        rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL)?;
    }
    let status = rustix::process::waitpid(Some(pid), WaitOptions::empty())?;
    match status.and_then(|(_, status)| status.exit_status()) {
        _ if !in_time => Err(Errno::TIMEDOUT),
        Some(0) => Ok(()),
        _ => Err(Errno::CHILD),
    }
}

/// `number` in decimal, written from the end of `digits`.
fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut start = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    digits.get(start..).unwrap_or_default()
}

/// What an errno of [`run_in_child`] says.
pub(crate) fn explain(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::TIMEDOUT => Some("timed out"),
        Errno::CHILD => Some("exited with a failure"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn numbers_are_written_in_decimal() {
        for (number, text) in [(0, "0"), (7, "7"), (10, "10"), (4_294_967_295, "4294967295")] {
            assert_eq!(decimal(number, &mut [0; 10]), text.as_bytes());
        }
    }
}
