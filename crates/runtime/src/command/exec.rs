//! `exec`: another process in a running container.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use plimsoll_cgroups::Cgroup;
use plimsoll_spec::json::Limits;
use plimsoll_spec::runtime::{Process, Status};

use crate::args::{Flag, Parsed, switch, usage, value};
use crate::error::{Context as _, Error, Kind, Result};
use crate::plan::{Bundle, ProcessPlan, keyring_name, read_limited, supported};
use crate::process::{exec, foreground};
use crate::state::Container;

use super::{Context, create, socket, terminal};

pub(super) const FLAGS: &[Flag] = &[
    value(&["process", "p"], "FILE", "the whole process as JSON"),
    value(&["console-socket"], "SOCKET", "send the terminal's master to this unix socket"),
    value(&["pidfd-socket"], "SOCKET", "send a descriptor of the process to this unix socket"),
    value(&["pid-file"], "FILE", "write the process id to FILE"),
    value(&["preserve-fds"], "N", "pass N descriptors from 3 on to the process"),
    value(&["cwd"], "DIR", "the working directory"),
    value(&["env", "e"], "NAME=VALUE", "set an environment variable"),
    value(&["user", "u"], "UID[:GID]", "run as this user"),
    value(&["additional-gids", "g"], "GID", "add a group"),
    value(&["cap", "c"], "CAP", "add a capability"),
    value(&["apparmor"], "PROFILE", "run under this AppArmor profile"),
    value(&["process-label"], "LABEL", "the SELinux label; not supported yet"),
    value(&["cgroup"], "[CONTROLLERS:]PATH", "run in this existing cgroup below the container's own"),
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
    // What the container's files say is read through the root of its first process.
    let root = PathBuf::from(format!("/proc/{}/root", target.pid));
    let mut plan = ProcessPlan::new(&process, &root, &linux)?;
    plan.preserved = create::preserved(parsed)?;
    if container.record.own_keyring {
        plan.keyring = Some(keyring_name(id)?);
    }
    let cgroup = cgroup(&container, parsed)?;
    context.warn(&plan.warnings);
    let (console, detach) = (parsed.value("console-socket"), parsed.is_on("detach"));
    terminal::check(process.terminal, console, detach)?;
    let signals = match detach {
        true => None,
        false => Some(plimsoll_sys::signal::block_and_watch().context(|| "watch signals".to_owned())?),
    };
    let (mut child, master) = exec::exec(&cgroup, &target, &plan)?;
    socket::send_process(&child, parsed.value("pidfd-socket"), "setns")?;
    terminal::hand_over(master.as_ref(), console)?;
    if let Some(path) = parsed.value("pid-file") {
        create::write_pid_file(Path::new(path), child.pid)?;
    }
    let Some(signals) = signals else {
        child.release();
        return Ok(ExitCode::SUCCESS);
    };
    let master = master.as_ref().filter(|_| console.is_none());
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
    if let Some(profile) = parsed.value("apparmor").filter(|profile| !profile.is_empty()) {
        process.apparmor_profile = Some(profile.to_owned());
    }
    if parsed.value("process-label").is_some_and(|label| !label.is_empty()) {
        return Err(Error::new(Kind::Unsupported, "--process-label is not supported yet"));
    }
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

/// The container's cgroup, or what `--cgroup` names below it: one place in every hierarchy, or one for each that its
/// controllers name.
fn cgroup(container: &Container, parsed: &Parsed) -> Result<Cgroup> {
    let own = container.cgroup()?;
    let asked: Vec<_> = parsed.values("cgroup").map(place).collect::<Result<_>>()?;
    if asked.is_empty() {
        return Ok(own);
    }
    if asked.len() > 1 && asked.iter().any(|(controllers, _)| controllers.is_empty()) {
        return Err(usage("every --cgroup but a single one names controllers"));
    }
    let mut paths = own.paths();
    for (controllers, path) in asked {
        controllers.split(',').try_for_each(|controller| descend(&mut paths, controller, path))?;
    }
    let cgroup = Cgroup::open(&paths)
        .map_err(|e| Error::because(Kind::Environment, "open the cgroup of --cgroup", e))?;
    let there = cgroup.paths();
    match paths.iter().find(|path| !there.contains(path)) {
        Some((_, path)) => Err(Error::new(Kind::Input, format!("cgroup {} does not exist", path.display()))),
        None => Ok(cgroup),
    }
}

/// Goes down by `path` in the hierarchy of `controller`, in all of them where that is empty.
fn descend(paths: &mut [(String, PathBuf)], controller: &str, path: &str) -> Result<()> {
    let named = |of: &str| controller.is_empty() || of.split(',').any(|one| one == controller);
    let mut hierarchies = paths.iter_mut().filter(|(of, _)| named(of)).peekable();
    if hierarchies.peek().is_none() {
        return Err(usage(format!("the container has no cgroup of controller {controller:?}")));
    }
    hierarchies.for_each(|(_, whole)| whole.push(path));
    Ok(())
}

/// The controllers and the path of one `--cgroup`, the path relative to the container's own.
fn place(text: &str) -> Result<(&str, &str)> {
    let (controllers, path) = text.split_once(':').unwrap_or(("", text));
    if path.contains(':') || path.split('/').any(|part| part == "..") {
        return Err(usage(format!("invalid value {text:?} for flag -cgroup")));
    }
    Ok((controllers, path.trim_start_matches('/')))
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
