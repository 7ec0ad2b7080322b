//! `update`: other limits for a container that runs.
//!
//! Refuses the cache and bandwidth schemata of resctrl. Device rules are left as they are, because engines send
//! those of the container's making with every update, and what was allowed since would be lost.

use std::path::Path;
use std::process::ExitCode;

use plimsoll_spec::json::Limits;
use plimsoll_spec::runtime::{Resources, Status};

use crate::args::{Flag, Parsed, switch, usage, value};
use crate::error::{Context as _, Error, Kind, Result};
use crate::plan::{read_all, read_limited};
use crate::state::Container;

use super::Context;

pub(super) const FLAGS: &[Flag] = &[
    value(&["resources", "r"], "FILE|-", "all changes as JSON; flags are not looked at then"),
    value(&["blkio-weight"], "N", "relative weight of block I/O, 10 to 1000"),
    value(&["cpu-period"], "USEC", "the period of the CPU quota"),
    value(&["cpu-quota"], "USEC", "CPU time in a period; -1 for no limit"),
    value(&["cpu-burst"], "USEC", "CPU time that may accumulate beyond the quota"),
    value(&["cpu-share"], "N", "relative share of CPU time"),
    value(&["cpu-rt-period"], "USEC", "the period of the real-time limit"),
    value(&["cpu-rt-runtime"], "USEC", "real-time CPU time in a period"),
    value(&["cpu-idle"], "0|1", "whether the processes run only where nobody else does"),
    value(&["cpuset-cpus"], "LIST", "CPUs that may be used"),
    value(&["cpuset-mems"], "LIST", "memory nodes that may be used"),
    value(&["memory"], "BYTES", "memory; -1 for no limit"),
    value(&["memory-reservation"], "BYTES", "memory that is left to the container under pressure"),
    value(&["memory-swap"], "BYTES", "memory and swap together; -1 for no limit"),
    value(&["kernel-memory"], "BYTES", "accepted; the kernel has dropped this limit"),
    value(&["kernel-memory-tcp"], "BYTES", "accepted; the kernel has dropped this limit"),
    value(&["pids-limit"], "N", "number of tasks; -1 for no limit"),
    value(&["l3-cache-schema"], "SCHEMA", "not supported yet"),
    value(&["mem-bw-schema"], "SCHEMA", "not supported yet"),
    switch(&["check-before-update"], "refuse a memory limit below what is in use"),
];

pub(super) fn run(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    let container = Container::lock(&context.root, parsed.only("container ID")?)?;
    if matches!(container.status(), Status::Stopped | Status::Creating) {
        return Err(Error::new(Kind::State, "container not running"));
    }
    let resources = match parsed.value("resources") {
        Some(file) => from_file(file)?,
        None => from_flags(parsed)?,
    };
    let done = container.cgroup()?.update(&resources);
    done.map_err(|e| Error::because(Kind::Environment, "update the cgroup", e))?;
    Ok(ExitCode::SUCCESS)
}

fn from_file(file: &str) -> Result<Resources> {
    let text = match file {
        "-" => read_all(rustix::stdio::stdin(), Limits::DEFAULT.size)
            .context(|| "read resources from standard input".to_owned())?,
        file => read_limited(Path::new(file), Limits::DEFAULT.size)?,
    };
    let parsed = plimsoll_spec::json::from_slice(&text);
    parsed.map_err(|e| Error::because(Kind::Input, format!("parse {file}"), e))
}

fn from_flags(parsed: &Parsed) -> Result<Resources> {
    for name in ["l3-cache-schema", "mem-bw-schema"] {
        if parsed.value(name).is_some() {
            return Err(Error::new(Kind::Unsupported, format!("flag -{name} is not supported yet")));
        }
    }
    let text = |name: &str| parsed.value(name).map(str::to_owned);
    let mut resources = Resources::default();
    let memory = resources.memory.get_or_insert_default();
    memory.limit = bytes(parsed, "memory")?;
    memory.reservation = bytes(parsed, "memory-reservation")?;
    memory.swap = bytes(parsed, "memory-swap")?;
    memory.check_before_update = parsed.is_on("check-before-update");
    let cpu = resources.cpu.get_or_insert_default();
    cpu.shares = parsed.number("cpu-share")?;
    cpu.period = parsed.number("cpu-period")?;
    cpu.quota = parsed.number("cpu-quota")?;
    cpu.burst = parsed.number("cpu-burst")?;
    cpu.realtime_period = parsed.number("cpu-rt-period")?;
    cpu.realtime_runtime = parsed.number("cpu-rt-runtime")?;
    cpu.idle = parsed.number("cpu-idle")?;
    (cpu.cpus, cpu.mems) = (text("cpuset-cpus"), text("cpuset-mems"));
    // In JSON 0 means nothing; who types it wants no further task, and the first process is one.
    resources.pids.get_or_insert_default().limit =
        parsed.number("pids-limit")?.map(|n: i64| if n == 0 { 1 } else { n });
    resources.block_io.get_or_insert_default().weight = parsed.number("blkio-weight")?;
    Ok(resources)
}

/// Bytes, with a unit of 1024 to some power where one is named, as `50M`, `1gb` or `2KiB`; -1 for no limit.
fn bytes(parsed: &Parsed, name: &str) -> Result<Option<i64>> {
    let Some(text) = parsed.value(name) else { return Ok(None) };
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let power = match lower.get(digits.len()..).unwrap_or_default() {
        "" | "b" => Some(0),
        "k" | "kb" | "kib" => Some(1),
        "m" | "mb" | "mib" => Some(2),
        "g" | "gb" | "gib" => Some(3),
        "t" | "tb" | "tib" => Some(4),
        _ => None,
    };
    let value = digits.parse::<i64>().ok().zip(power);
    let value = value.and_then(|(number, power)| number.checked_mul(1024i64.pow(power)));
    match value.filter(|bytes| *bytes >= -1 && *bytes != 0) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(usage(format!("invalid value {text:?} for flag -{name}"))),
    }
}
