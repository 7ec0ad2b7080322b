//! `create`: a container whose process waits for `start`.

use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags};

use crate::args::{Flag, Parsed, switch, value};
use crate::error::{Context as _, Error, Kind, Result};
use crate::plan::{Bundle, Plan, keyring_name};
use crate::process::parent::{self, Created, Start};

use super::{Context, socket, terminal};

pub(super) const FLAGS: &[Flag] = &[
    value(&["bundle", "b"], "DIR", "the bundle; the current directory where absent"),
    value(&["console-socket"], "SOCKET", "send the terminal's master to this unix socket"),
    value(&["pidfd-socket"], "SOCKET", "send a descriptor of the process to this unix socket"),
    value(&["pid-file"], "FILE", "write the process id to FILE"),
    value(&["preserve-fds"], "N", "pass N descriptors from 3 on to the process"),
    switch(&["no-pivot"], "move the root instead of pivoting; for a root on a ramdisk only"),
    switch(&["no-new-keyring"], "leave the container the session keyring of the caller"),
];

pub(super) fn run(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let id = parsed.only("container ID")?;
    let (bundle, plan) = plan(context, parsed)?;
    let socket = parsed.value("console-socket");
    terminal::check(plan.process.terminal, socket, true)?;
    let created = parent::create(&context.root, id, &bundle, plan, Start::Later)?;
    finish(created, parsed, |created| terminal::hand_over(created.master.as_ref(), socket))?.child.release();
    Ok(ExitCode::SUCCESS)
}

/// The bundle and the plan that the flags ask for.
pub(super) fn plan(context: &Context, parsed: &Parsed) -> Result<(Bundle, Plan)> {
    let bundle = Bundle::read(Path::new(parsed.value("bundle").unwrap_or(".")))?;
    let mut plan = Plan::from_bundle(&bundle)?;
    context.warn(&plan.process.warnings);
    plan.pivots = !parsed.is_on("no-pivot");
    plan.process.preserved = preserved(parsed)?;
    if !parsed.is_on("no-new-keyring") {
        plan.process.keyring = Some(keyring_name(parsed.only("container ID")?)?);
    }
    Ok((bundle, plan))
}

/// How many descriptors from 3 on the process keeps: those asked for, and those of socket activation.
pub(super) fn preserved(parsed: &Parsed) -> Result<i32> {
    let asked = parsed.number::<u16>("preserve-fds")?.unwrap_or_default();
    let activated =
        std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse::<u16>().ok()).unwrap_or_default();
    Ok(i32::from(asked) + i32::from(activated))
}

/// Takes the last steps of a creation; the container is destroyed where one fails.
pub(super) fn finish(
    mut created: Created,
    parsed: &Parsed,
    last: impl FnOnce(&mut Created) -> Result<()>,
) -> Result<Created> {
    let sent = socket::send_process(&created.child, parsed.value("pidfd-socket"), "standard");
    let done = sent.and_then(|()| last(&mut created)).and_then(|()| match parsed.value("pid-file") {
        Some(path) => write_pid_file(Path::new(path), created.child.pid),
        None => Ok(()),
    });
    match done {
        Ok(()) => {
            created.container.unlock();
            Ok(created)
        }
        Err(error) => {
            let Created { container, child, .. } = created;
            drop(child);
            // The first error says why all this is; what cannot be removed stays for `delete --force`.
            let _ = container.destroy();
            Err(error)
        }
    }
}

/// Writes digits and nothing else, visible at once and only when complete.
pub(super) fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let context = || format!("write pid file {}", path.display());
    let name = path
        .file_name()
        .ok_or_else(|| Error::new(Kind::Input, format!("{} is no file name", path.display())))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let hidden = path.with_file_name(hidden);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(&hidden, flags, Mode::from_raw_mode(0o644)).context(context)?;
    let written = rustix::io::write(&file, pid.to_string().as_bytes()).map(drop);
    written.and_then(|()| rustix::fs::rename(&hidden, path)).context(context).inspect_err(|_| {
        // Half a file is worse than none.
        let _ = rustix::fs::unlink(&hidden);
    })
}
