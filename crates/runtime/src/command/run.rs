//! `run`: create and start in one, and in the foreground until the container exits.

use std::process::ExitCode;

use plimsoll_spec::runtime::Status;

use crate::args::{Flag, Parsed, switch, value};
use crate::error::{Context as _, Result};
use crate::process::parent::{self, Start};
use crate::process::{foreground, hooks};

use super::{Context, create, terminal};

pub(super) const FLAGS: &[Flag] = &[
    value(&["bundle", "b"], "DIR", "the bundle; the current directory where absent"),
    value(&["console-socket"], "SOCKET", "send the terminal's master to this unix socket"),
    value(&["pidfd-socket"], "SOCKET", "send a descriptor of the process to this unix socket"),
    value(&["pid-file"], "FILE", "write the process id to FILE"),
    value(&["preserve-fds"], "N", "pass N descriptors from 3 on to the process"),
    switch(&["detach", "d"], "leave the container in the background"),
    switch(&["keep"], "do not delete the container after it has exited"),
    switch(&["no-pivot"], "move the root instead of pivoting; for a root on a ramdisk only"),
    switch(&["no-new-keyring"], "leave the container the session keyring of the caller"),
    switch(&["no-subreaper"], "accepted; the runtime adopts no orphans"),
];

pub(super) fn run(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let id = parsed.only("container ID")?;
    let (bundle, mut plan) = create::plan(context, parsed)?;
    let (socket, detach) = (parsed.value("console-socket"), parsed.is_on("detach"));
    plan.dies_with_runtime = !detach;
    terminal::check(plan.process.terminal, socket, detach)?;
    // From here on a signal is for the container; it must not end the runtime with half of it made.
    let signals = match detach {
        true => None,
        false => Some(plimsoll_sys::signal::block_and_watch().context(|| "watch signals".to_owned())?),
    };
    let created = parent::create(&context.root, id, &bundle, plan, Start::Now)?;
    let mut created = create::finish(created, parsed, |created| {
        if socket.is_some() {
            terminal::hand_over(created.master.as_ref(), socket)?;
        }
        parent::start_now(created)?;
        let state = created.container.state(Status::Running);
        hooks::run("poststart", &created.container.record.poststart, &state)
    })?;
    let Some(signals) = signals else {
        created.child.release();
        return Ok(ExitCode::SUCCESS);
    };
    let master = created.master.as_ref().filter(|_| socket.is_none());
    let code = foreground::wait(&mut created.child, &signals, master);
    if !parsed.is_on("keep") {
        context.warn(&created.container.destroy()?);
    }
    Ok(ExitCode::from(code?))
}
