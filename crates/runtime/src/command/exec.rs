//! `exec`: another process in a running container.

use std::path::Path;
use std::process::ExitCode;

use plimsoll_spec::json::Limits;
use plimsoll_spec::runtime::{Process, Status};

use crate::args::{Flag, Parsed, switch, usage, value};
use crate::error::{Context as _, Error, Kind, Result};
use crate::plan::{Bundle, read_limited, supported};
use crate::process::{exec, foreground};
use crate::state::Container;

use super::{Context, create, terminal};

pub(super) const FLAGS: &[Flag] = &[
    value(&["process", "p"], "FILE", "the whole process as JSON"),
    value(&["console-socket"], "SOCKET", "send the terminal's master to this unix socket"),
    value(&["pid-file"], "FILE", "write the process id to FILE"),
    value(&["preserve-fds"], "N", "pass N descriptors from 3 on to the process"),
    value(&["cwd"], "DIR", "the working directory"),
    value(&["env", "e"], "NAME=VALUE", "set an environment variable"),
    value(&["user", "u"], "UID[:GID]", "run as this user"),
    value(&["additional-gids", "g"], "GID", "add a group"),
    value(&["cap", "c"], "CAP", "add a capability"),
    switch(&["tty", "t"], "give the process a terminal"),
    switch(&["detach", "d"], "leave the process in the background"),
    switch(&["no-new-privs"], "set no_new_privs"),
    switch(&["ignore-paused"], "add the process to a paused container too"),
];

pub(super) fn run(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let (id, args) = parsed.operands.split_first().ok_or_else(|| usage("container ID is missing"))?;
    let container = Container::open(&context.root, id)?;
    match container.status() {
        Status::Running | Status::Created => {}
        Status::Paused if parsed.is_on("ignore-paused") => {}
        Status::Paused => {
            return Err(Error::new(
                Kind::State,
                "cannot exec in a paused container (use --ignore-paused to override)",
            ));
        }
        _ => return Err(Error::new(Kind::State, "cannot exec in a stopped container")),
    }
    let target =
        container.process().ok_or_else(|| Error::new(Kind::State, "cannot exec in a stopped container"))?;
    let bundle = Bundle::read(Path::new(&container.record.bundle))?;
    let linux = bundle.config.linux.unwrap_or_default();
    let process = process(bundle.config.process.as_ref(), parsed, args)?;
    let (socket, detach) = (parsed.value("console-socket"), parsed.is_on("detach"));
    terminal::check(process.terminal, socket, detach)?;
    let signals = match detach {
        true => None,
        false => Some(plimsoll_sys::signal::block_and_watch().context(|| "watch signals".to_owned())?),
    };
    let (mut child, master) = exec::exec(&container, &target, &process, &linux, create::preserved(parsed)?)?;
    terminal::hand_over(master.as_ref(), socket)?;
    if let Some(path) = parsed.value("pid-file") {
        create::write_pid_file(Path::new(path), child.pid)?;
    }
    let Some(signals) = signals else {
        child.release();
        return Ok(ExitCode::SUCCESS);
    };
    let master = master.as_ref().filter(|_| socket.is_none());
    Ok(ExitCode::from(foreground::wait(&mut child, &signals, master)?))
}

/// The process of `--process`, or the container's own with what the flags change.
fn process(own: Option<&Process>, parsed: &Parsed, args: &[String]) -> Result<Process> {
    if let Some(file) = parsed.value("process") {
        let text = read_limited(Path::new(file), Limits::DEFAULT.size)?;
        let process = plimsoll_spec::json::from_slice(&text)
            .map_err(|e| Error::because(Kind::Input, format!("parse {file}"), e))?;
        supported::process(&process, &format!("{file}: "))?;
        return Ok(process);
    }
    if args.is_empty() {
        return Err(usage("process args cannot be empty"));
    }
    let mut process = own.cloned().unwrap_or_default();
    process.args = args.to_vec();
    process.terminal = parsed.is_on("tty");
    process.env.extend(parsed.values("env").map(str::to_owned));
    process.no_new_privileges |= parsed.is_on("no-new-privs");
    if let Some(cwd) = parsed.value("cwd") {
        cwd.clone_into(&mut process.cwd);
    }
    if let Some(user) = parsed.value("user") {
        (process.user.uid, process.user.gid) = ids(user)?;
    }
    for gid in parsed.values("additional-gids") {
        process.user.additional_gids.push(id(gid)?);
    }
    for name in parsed.values("cap") {
        let sets = process.capabilities.get_or_insert_default();
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.push(name.to_owned());
        }
    }
    Ok(process)
}

fn ids(user: &str) -> Result<(u32, u32)> {
    match user.split_once(':') {
        Some((uid, gid)) => Ok((id(uid)?, id(gid)?)),
        None => Ok((id(user)?, 0)),
    }
}

fn id(text: &str) -> Result<u32> {
    text.parse().map_err(|_| usage(format!("not a numeric id: {text:?}")))
}
