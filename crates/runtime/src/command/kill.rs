//! `kill`: a signal for a container.

use std::process::ExitCode;

use plimsoll_spec::runtime::Status;

use crate::args::{Flag, Parsed, switch, usage};
use crate::error::{Error, Kind, Result};
use crate::state::Container;

use super::Context;

pub(super) const FLAGS: &[Flag] = &[switch(&["all", "a"], "signal every process of the container")];

const SIGKILL: i32 = 9;

/// Signals by number on the architectures of this runtime; real-time ones are given by number.
const SIGNALS: [(&str, i32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

pub(super) fn run(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let (id, name) = match parsed.operands.as_slice() {
        [id] => (id, "TERM"),
        [id, name] => (id, name.as_str()),
        [] => return Err(usage("container ID is missing")),
        [_, _, extra, ..] => return Err(usage(format!("unexpected argument {extra:?}"))),
    };
    let signal = number(name).ok_or_else(|| usage(format!("unknown signal {name:?}")))?;
    let container = Container::open(&context.root, id)?;
    send(&container, signal, parsed.is_on("all"))?;
    Ok(ExitCode::SUCCESS)
}

fn send(container: &Container, signal: i32, all: bool) -> Result<()> {
    let of_cgroup = |signal| {
        let sent = container.cgroup()?.kill_all(signal);
        sent.map_err(|e| Error::because(Kind::Environment, "signal the container's processes", e))
    };
    match container.process() {
        None if all => of_cgroup(signal),
        None => Err(Error::new(Kind::State, "container not running")),
        Some(_) if all => of_cgroup(signal),
        // Without a pid namespace of its own the first process does not take the others with it.
        Some(_) if signal == SIGKILL && !container.record.own_pid_namespace => of_cgroup(signal),
        Some(process) => {
            process.signal(signal)?;
            // A frozen process does not die before it is thawed.
            if signal == SIGKILL && container.status() == Status::Paused {
                let thawed = container.cgroup()?.thaw();
                thawed.map_err(|e| Error::because(Kind::Environment, "thaw the container", e))?;
            }
            Ok(())
        }
    }
}

fn number(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn signals_are_read_in_every_form() {
        for (name, want) in [
            ("KILL", Some(9)),
            ("sigterm", Some(15)),
            ("10", Some(10)),
            ("65", None),
            ("0", None),
            ("X", None),
        ] {
            assert_eq!(number(name), want, "{name}");
        }
    }
}
