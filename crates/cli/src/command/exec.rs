//! `exec`: the runtime's own, with this tool's words.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::args::Exec;
use crate::context::Context;

use super::run::foreground;

pub(super) fn exec(context: &Context, verb: &Exec) -> Result<ExitCode> {
    context.store.snapshot(&verb.container)?;
    if verb.tty && !rustix::termios::isatty(rustix::stdio::stdin()) {
        bail!("-t needs a terminal, and standard input is none");
    }
    let mut runtime = context.runtime()?;
    runtime.arg("exec");
    if verb.tty {
        runtime.arg("--tty");
    }
    for entry in &verb.env {
        runtime.args(["--env", entry]);
    }
    for (flag, value) in [("--user", &verb.user), ("--cwd", &verb.workdir)] {
        if let Some(value) = value {
            runtime.args([flag, value]);
        }
    }
    runtime.arg(&verb.container).args(&verb.args);
    Ok(ExitCode::from(foreground(&mut runtime, verb.interactive || verb.tty)?))
}
