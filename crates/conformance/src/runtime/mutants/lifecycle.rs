//! Mutants whose operations do too much, too little, or at another time.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Mutant;
use super::call::Call;
use super::edit::{keep, put, replace};
use crate::error::{Context as _, Result};

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all: Vec<Mutant> =
        CALLS.map(|(name, breaks, rows, act)| Mutant::call(name, breaks, rows, act)).into();
    all.extend(CONFIGS.map(|(name, breaks, rows, edit)| Mutant::config(name, breaks, rows, edit)));
    all.extend(["create", "start", "kill", "delete"].map(never_fails));
    all.extend(LEFTOVERS.map(left_by_delete));
    all.extend(LEFTOVERS.map(left_by_a_refusal));
    all
}

type CallEntry = (&'static str, &'static str, &'static [&'static str], fn(&Call) -> Result<i32>);

const CALLS: [CallEntry; 14] = [
    (
        "state-of-nothing",
        "state has an answer for what is not there",
        &["RUN-QUERY-01", "RUN-QUERY-02"],
        |call| match (call.operation(), call.state()) {
            ("state", None) => call.other(&["--version"]).pass(),
            _ => call.pass(),
        },
    ),
    ("kill-unknown", "there is no kill", &["RUN-OPS-01", "RUN-SCOPE-01"], |call| match call.operation() {
        "kill" => Ok(1),
        _ => call.pass(),
    }),
    ("kill-does-nothing", "kill sends nothing", &["RUN-KILL-04", "RUN-KILL-05"], |call| {
        match call.operation() {
            "kill" => Ok(0),
            _ => call.pass(),
        }
    }),
    ("kill-always-sends-term", "kill sends SIGTERM whatever it is told", &["RUN-KILL-04"], |call| {
        match (call.operation(), call.id()) {
            ("kill", Some(id)) => call.other(&["kill", id, "TERM"]).pass(),
            _ => call.pass(),
        }
    }),
    ("kill-removes-stopped", "kill of a stopped container deletes it", &["RUN-KILL-02"], |call| {
        let code = call.pass()?;
        if let ("kill", Some(id), true) = (call.operation(), call.id(), is(call, "stopped")) {
            call.other(&["delete", id]).quietly()?;
        }
        Ok(code)
    }),
    ("delete-forces", "delete ends what has not stopped", &["RUN-DELETE-02", "RUN-DELETE-03"], |call| {
        match call.operation() {
            "delete" => call.with(&["--force"]).pass(),
            _ => call.pass(),
        }
    }),
    ("delete-ends-running", "delete fails for what runs, but ends it", &["RUN-DELETE-02"], |call| {
        if let ("delete", Some(id), true) = (call.operation(), call.id(), is(call, "running")) {
            end(call, id)?;
            return Ok(1);
        }
        call.pass()
    }),
    (
        "delete-takes-the-root",
        "delete removes what was in the root file system",
        &["RUN-DELETE-05"],
        |call| {
            let state = call.state().unwrap_or_default();
            let code = call.pass()?;
            let bundle = state.get("bundle").and_then(Value::as_str).unwrap_or_default();
            if call.operation() == "delete" && code == 0 && !bundle.is_empty() {
                // What is no empty directory stays.
                let _ = std::fs::remove_dir(PathBuf::from(bundle).join("rootfs/proc"));
            }
            Ok(code)
        },
    ),
    (
        "delete-keeps-the-id",
        "the id of a deleted container cannot be used again",
        &["RUN-DELETE-06"],
        |call| {
            let code = call.pass()?;
            if let ("delete", Some(id), Some(root), 0) = (call.operation(), call.id(), call.root(), code) {
                std::fs::create_dir(root.join(id)).context(|| "keep an id")?;
            }
            Ok(code)
        },
    ),
    ("create-starts", "create runs the program", &["RUN-CREATE-07", "RUN-LIFE-03"], |call| {
        match (call.operation(), call.id()) {
            ("create", Some(id)) => match call.pass()? {
                0 => call.other(&["start", id]).quietly(),
                code => Ok(code),
            },
            ("start", Some(_)) if !is(call, "created") && call.state().is_some() => Ok(0),
            _ => call.pass(),
        }
    }),
    ("start-ends-running", "start of a running container ends it", &["RUN-START-02"], |call| {
        let code = call.pass()?;
        if let ("start", Some(id), true) = (call.operation(), call.id(), code != 0) {
            end(call, id)?;
        }
        Ok(code)
    }),
    (
        "start-reads-the-configuration",
        "start fails where the configuration is gone, and follows what has changed",
        &["RUN-LIFE-04", "RUN-CREATE-11"],
        start_reads,
    ),
    (
        "create-ends-its-namesake",
        "create with an id that is in use replaces the container",
        &["RUN-CREATE-03", "RUN-STATE-03"],
        |call| {
            if let ("create", Some(id)) = (call.operation(), call.id()) {
                call.other(&["delete", "--force", id]).quietly()?;
            }
            call.pass()
        },
    ),
    (
        "create-leaves-its-place",
        "an id that climbs makes a directory elsewhere",
        &["RUN-CREATE-04"],
        |call| {
            if let ("create", Some(root), Some("../escape")) = (call.operation(), call.root(), call.id()) {
                // It may be there from an earlier call.
                let _ = std::fs::create_dir_all(root.join("../escape"));
            }
            call.pass()
        },
    ),
];

/// Whether the container has `status`.
fn is(call: &Call, status: &str) -> bool {
    call.state().is_some_and(|state| state.get("status") == Some(&json!(status)))
}

/// Ends the container's process, and returns when it has ended.
fn end(call: &Call, id: &str) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let state = call.state().unwrap_or_default();
    let pid = state.get("pid").and_then(Value::as_i64).and_then(|pid| i32::try_from(pid).ok());
    let pidfd = pid.and_then(Pid::from_raw).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    call.other(&["kill", id, "KILL"]).quietly()?;
    if let Some(pidfd) = pidfd {
        let patience = Timespec { tv_sec: 3, tv_nsec: 0 };
        let watched = &mut [PollFd::new(&pidfd, PollFlags::IN)];
        poll(watched, Some(&patience)).context(|| "wait for a container's end")?;
    }
    Ok(())
}

/// Remembers the configuration at `create`. At `start` one that is gone is an error, and one that has
/// changed makes the container anew.
fn start_reads(call: &Call) -> Result<i32> {
    const NOTE: &str = "config.json.created";
    if call.operation() == "create" {
        // A bundle without one is for the runtime to refuse.
        let _ = std::fs::copy(call.bundle().join("config.json"), call.bundle().join(NOTE));
        return call.pass();
    }
    let state = call.state().unwrap_or_default();
    let (Some(id), Some(bundle)) = (call.id(), state.get("bundle").and_then(Value::as_str)) else {
        return call.pass();
    };
    let folder = PathBuf::from(bundle);
    match (call.operation(), std::fs::read(folder.join("config.json"))) {
        ("start", Err(_)) => Ok(1),
        ("start", Ok(text)) if std::fs::read(folder.join(NOTE)).is_ok_and(|note| note != text) => {
            call.other(&["delete", "--force", id]).quietly()?;
            call.other(&["create", "--bundle", bundle, id]).quietly()?;
            call.pass()
        }
        _ => call.pass(),
    }
}

/// `operation` says that it succeeds, whatever it does.
fn never_fails(operation: &'static str) -> Mutant {
    let rows: &[&str] = match operation {
        "create" => &[
            "RUN-CREATE-01",
            "RUN-CREATE-02",
            "RUN-CREATE-03",
            "RUN-CREATE-04",
            "RUN-CREATE-09",
            "RUN-LIFE-02",
        ],
        "start" => &["RUN-START-01", "RUN-START-03"],
        "kill" => &["RUN-KILL-01", "RUN-KILL-03"],
        _ => &["RUN-DELETE-01", "RUN-DELETE-03"],
    };
    Mutant::call(
        format!("{operation}-never-fails"),
        format!("{operation} exits with 0 when it fails"),
        rows,
        move |call| match call.pass()? {
            _ if call.operation() == operation => Ok(0),
            code => Ok(code),
        },
    )
}

/// What may be left behind.
type Leftover = (&'static str, fn(&Call) -> Result<()>);

const LEFTOVERS: [Leftover; 3] = [
    ("cgroup", |call| {
        let id = call.id().unwrap_or_default();
        let mount = PathBuf::from("/sys/fs/cgroup");
        let pids = mount.join("pids");
        let folder = if pids.is_dir() { pids } else { mount }.join(format!("{id}-left"));
        // There from an earlier call of the same container.
        let _ = std::fs::create_dir(folder);
        Ok(())
    }),
    ("file", |call| {
        let (Some(root), Some(id)) = (call.root(), call.id()) else { return Ok(()) };
        std::fs::create_dir_all(root).context(|| "leave a file")?;
        std::fs::write(root.join(format!("{id}.left")), "").context(|| "leave a file")
    }),
    ("process", |_| {
        use std::process::{Command, Stdio};
        let mut command = Command::new("sleep");
        command.arg("60").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(drop).context(|| "leave a process")
    }),
];

fn left_by_delete((what, leave): Leftover) -> Mutant {
    Mutant::call(
        format!("delete-leaves-a-{what}"),
        format!("a {what} is left when a container is deleted"),
        &["RUN-DELETE-04", "RUN-LIFE-17"],
        move |call| {
            let code = call.pass()?;
            if call.operation() == "delete" && code == 0 {
                leave(call)?;
            }
            Ok(code)
        },
    )
}

fn left_by_a_refusal((what, leave): Leftover) -> Mutant {
    Mutant::call(
        format!("refusal-leaves-a-{what}"),
        format!("a {what} is left when create refuses"),
        &["RUN-ERR-01"],
        move |call| {
            let code = call.pass()?;
            if call.operation() == "create" && code != 0 {
                leave(call)?;
            }
            Ok(code)
        },
    )
}

type ConfigEntry = (&'static str, &'static str, &'static [&'static str], fn(&mut Value));

const CONFIGS: [ConfigEntry; 8] = [
    (
        "no-network-namespace",
        "a namespace that is asked for is not made",
        &["RUN-LIFE-01", "RUN-LIFE-03", "RUN-CREATE-06"],
        |config| keep(config, "/linux/namespaces", |one| one.get("type") != Some(&json!("network"))),
    ),
    (
        "no-shared-memory",
        "a mount that is asked for is not made",
        &["RUN-LIFE-01", "RUN-CREATE-06"],
        |config| keep(config, "/mounts", |mount| mount.get("destination") != Some(&json!("/dev/shm"))),
    ),
    (
        "no-cgroup-of-its-own",
        "containers come into a cgroup that nobody has named",
        &["RUN-LIFE-01", "RUN-CREATE-06", "LNX-CGP-02"],
        |config| put(config, "/linux/cgroupsPath", "/plimsoll-mutant"),
    ),
    (
        "another-program",
        "the program is called by another name",
        &["RUN-LIFE-13", "RUN-START-04"],
        |config| {
            let name =
                config.pointer("/process/args/0").and_then(Value::as_str).map(|name| format!("/.{name}"));
            if let Some(name) = name {
                replace(config, "/process/args/0", name);
            }
        },
    ),
    (
        "a-process-of-its-own",
        "a configuration without a process gets one",
        &["RUN-START-05", "CFG-PROC-01"],
        |config| {
            if config.get("process").is_none() {
                put(
                    config,
                    "/process",
                    json!({"args": ["/probe", "do", "exit:0"], "cwd": "/", "user": {"uid": 0, "gid": 0}}),
                );
            }
        },
    ),
    (
        "mounts-that-fail-are-left-out",
        "a mount that cannot be made is passed over",
        &["RUN-LIFE-02", "RUN-CREATE-09"],
        |config| {
            let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
            keep(config, "/mounts", |mount| {
                let kind = mount.get("type").and_then(Value::as_str).unwrap_or("bind");
                kind == "bind" || known.split_whitespace().any(|one| one == kind)
            });
        },
    ),
    (
        "sysctls-that-fail-are-left-out",
        "a kernel parameter that is not there is passed over",
        &["RUN-LIFE-02", "RUN-CREATE-09"],
        |config| {
            if let Some(members) = config.pointer_mut("/linux/sysctl").and_then(Value::as_object_mut) {
                members
                    .retain(|key, _| std::path::Path::new("/proc/sys").join(key.replace('.', "/")).exists());
            }
        },
    ),
    (
        "a-failing-poststop-hook-ends-the-hooks",
        "after the first poststop hook no other is run",
        &["RUN-LIFE-19", "RUN-WARN-01"],
        |config| {
            if let Some(hooks) = config.pointer_mut("/hooks/poststop").and_then(Value::as_array_mut) {
                hooks.truncate(1);
            }
        },
    ),
];
