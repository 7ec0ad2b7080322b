//! The verbs, one file each where there is more than a call.

mod conformance;
mod digest_adapter;
mod exec;
mod image;
mod judge_image;
mod options;
mod ps;
mod remains;
mod run;

use std::process::{Command as Process, ExitCode, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};

use plimsoll_image::Kind;
use plimsoll_image::snapshot::Snapshot;
use plimsoll_spec::json::Value;

use crate::args::{Arguments, Command, Kill, Rm};
use crate::context::Context;
use crate::output::{Done, each, object, text};

/// Does what was asked for.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    match &arguments.command {
        // The judge needs no store.
        Command::Conformance(verb) => {
            return conformance::run(arguments.format, verb, arguments.runtime.as_deref());
        }
        Command::Validate(verb) => return judge_image::validate(arguments.format, verb),
        _ => {}
    }
    if matches!(arguments.command, Command::Run(_)) && rustix::process::geteuid().is_root() {
        // Before the store is opened: what is opened outside a mount namespace cannot be mounted in it.
        run::private_mounts()?;
    }
    let context = Context::new(&arguments)?;
    match arguments.command {
        Command::Run(verb) => run::run(&context, &verb),
        Command::Ps(verb) => ps::ps(&context, &verb),
        Command::Exec(verb) => exec::exec(&context, &verb),
        Command::Kill(verb) => kill(&context, &verb),
        Command::Rm(verb) => rm(&context, &verb),
        Command::Images(verb) => image::images(&context, verb),
        Command::Import(verb) => image::import(&context, &verb),
        Command::Rmi(verb) => image::rmi(&context, &verb),
        Command::Inspect(verb) => image::inspect(&context, &verb),
        Command::Unpack(verb) => image::unpack(&context, &verb),
        Command::Bundle(verb) => image::bundle(&context, &verb),
        Command::Conformance(verb) => conformance::run(arguments.format, &verb, arguments.runtime.as_deref()),
        Command::Validate(verb) => judge_image::validate(arguments.format, &verb),
    }
}

fn kill(context: &Context, verb: &Kill) -> Result<ExitCode> {
    each(context.format, &verb.containers, |name| {
        container(context, name)?;
        must(context.runtime()?.args(["kill", name, &verb.signal]), &format!("kill container {name}"))?;
        let value = object([("name", text(name)), ("signal", text(&verb.signal))]);
        Ok(Done { value, line: name.to_owned() })
    })
}

fn rm(context: &Context, verb: &Rm) -> Result<ExitCode> {
    let removed = each(context.format, &verb.containers, |name| remove(context, name, verb.force));
    // Behind the named ones, which may be among them.
    remains::of_the_killed(context)?;
    removed
}

fn remove(context: &Context, name: &str, force: bool) -> Result<Done> {
    let snapshot = container(context, name)?;
    if !force && ps::statuses(context)?.get(name).is_some_and(|status| status != "stopped") {
        bail!("container {name} is running; kill it first, or use --force");
    }
    must(context.runtime()?.args(["delete", "--force", name]), &format!("remove container {name}"))?;
    context.remove_trees(|| {
        snapshot.remove()?;
        Ok(Value::Null)
    })?;
    Ok(Done { value: object([("name", text(name))]), line: name.to_owned() })
}

/// What the store has of the container that the user calls `name`.
fn container<'a>(context: &'a Context, name: &str) -> Result<Snapshot<'a>> {
    context.store.snapshot(name).map_err(|e| match e.kind() {
        Kind::NotFound => {
            anyhow!("there is no container {name:?}; `plimsoll ps --all` lists what there is")
        }
        _ => e.into(),
    })
}

/// Runs a command of the runtime that is over at once; what it printed.
fn must(command: &mut Process, what: &str) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{what}: execute {}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    bail!("{what}: {}", said.strip_prefix("plimsoll-runtime: ").unwrap_or(said))
}
