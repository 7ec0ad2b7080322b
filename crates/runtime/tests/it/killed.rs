//! Commands killed at any of their system calls, runtime or child: what is left, `delete --force` removes.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use plimsoll_test_support::{Need, have};
use rustix::process::{Pid, Signal};

use crate::{Sandbox, runtime};

/// Every so many system calls one run is killed; coprime to the lengths of the loops in them.
const STEP: usize = 5;

/// The runtime's `args` under strace with `options`, its standard streams closed; `ID` is the container's id.
fn traced(sandbox: &Sandbox, options: &[&str], args: &[&str]) -> Child {
    let args: Vec<_> = args.iter().map(|arg| if *arg == "ID" { sandbox.id.as_str() } else { arg }).collect();
    let plain = sandbox.bundle.command(runtime(), &args);
    let mut traced = Command::new("strace");
    traced.args(options).arg(plain.get_program()).args(plain.get_args());
    traced
        .current_dir(sandbox.bundle.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    traced.spawn().unwrap()
}

/// Waits until strace ends or the container is created, with which strace stays; then removes everything.
fn finish(sandbox: &Sandbox, mut running: Child) -> ExitStatus {
    let ended = loop {
        if let Some(status) = running.try_wait().unwrap() {
            break Some(status);
        }
        let state = sandbox.call(&["state", "ID"]);
        if String::from_utf8_lossy(&state.stdout).contains("\"created\"") {
            break None;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    sandbox.must(&["delete", "--force", "ID"]);
    ended.unwrap_or_else(|| running.wait().unwrap())
}

/// The system calls of a whole command, each with how often its process had made it: what strace can aim at.
/// `run` is given strace's options and waits until the command is over.
fn calls(run: impl FnOnce(&[&str])) -> Vec<(String, usize)> {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("trace");
    run(&["-ff", "-qq", "-o", log.to_str().unwrap()]);
    let mut calls = Vec::new();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for line in std::fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let Some((name, _)) = line.split_once('(') else { continue };
            // Where the process waits for its start, it is created.
            if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
                && !name.starts_with("exit")
            {
                let count = seen.entry(name.to_owned()).or_default();
                *count += 1;
                calls.push((name.to_owned(), *count));
            }
        }
    }
    calls
}

/// strace's options to kill the runtime or its child, whichever is first to make call `name` so often.
fn inject(name: &str, count: usize) -> [String; 6] {
    let inject = format!("inject={name}:signal=KILL:when={count}");
    ["-f", "-qq", "-o", "/dev/null", "-e", &inject].map(str::to_owned)
}

/// Nothing is left of the container, wherever the command was killed.
fn nothing_is_left(sandbox: &Sandbox, at: &str) {
    let state = std::fs::read_dir(sandbox.bundle.state()).map_or(0, Iterator::count);
    assert_eq!(state, 0, "{at}: state is left");
    assert_eq!(sandbox.host(), sandbox.before, "{at}: the host has changed");
}

#[test]
fn a_create_that_is_killed_anywhere_is_cleaned_up() {
    if !have(&[Need::Program("strace")]) {
        return;
    }
    let Some(sandbox) = Sandbox::new("anywhere", "true") else { return };
    let create = |options: &[&str]| finish(&sandbox, traced(&sandbox, options, &["create", "ID"]));
    let (mut runs, mut killed) = (0, 0);
    // How strace ends there is the container's end, not the command's.
    let calls = calls(|options| {
        let _ = create(options);
    });
    for (name, count) in calls.into_iter().step_by(STEP) {
        let status = create(&inject(&name, count).each_ref().map(String::as_str));
        nothing_is_left(&sandbox, &format!("{name} {count}"));
        runs += 1;
        killed += usize::from(status.signal().is_some() || !status.success());
    }
    // The last calls of both come after the container is created.
    assert!(runs > 60 && killed * 4 > runs * 3, "{killed} of {runs} runs were killed: this shows little");
}

#[test]
fn a_create_that_is_killed_over_the_cgroup_of_another_leaves_that_alone() {
    if !have(&[Need::Program("strace")]) {
        return;
    }
    let path = serde_json::json!(format!("/plimsoll-occupied-{}", std::process::id()));
    let Some(mut owner) = Sandbox::new("occupied", "exec sleep 1000") else { return };
    owner.bundle.config["linux"]["cgroupsPath"] = path.clone();
    owner.must(&["create", "ID"]);
    let Some(mut sandbox) = Sandbox::new("killed-refused", "true") else { return };
    sandbox.bundle.config["linux"]["cgroupsPath"] = path;
    let create = |options: &[&str]| traced(&sandbox, options, &["create", "ID"]).wait().unwrap();
    let calls = calls(|options| assert_eq!(create(options).code(), Some(1)));
    let (mut runs, mut killed) = (0, 0);
    for (name, count) in calls.into_iter().step_by(3) {
        let status = create(&inject(&name, count).each_ref().map(String::as_str));
        sandbox.must(&["delete", "--force", "ID"]);
        let at = format!("{name} {count}");
        nothing_is_left(&sandbox, &at);
        assert_eq!(owner.status(), "created", "{at}");
        runs += 1;
        killed += usize::from(status.signal().is_some());
    }
    assert!(runs > 10 && killed * 4 > runs * 3, "{killed} of {runs} runs were killed: this shows little");
}

#[test]
fn of_two_that_make_one_cgroup_at_once_the_later_is_refused() {
    if !have(&[Need::Program("strace")]) {
        return;
    }
    let name = format!("plimsoll-at-once-{}", std::process::id());
    let Some(mut late) = Sandbox::new("late", "true") else { return };
    let Some(mut early) = Sandbox::new("early", "exec sleep 1000") else { return };
    for sandbox in [&mut late, &mut early] {
        sandbox.bundle.config["linux"]["cgroupsPath"] = serde_json::json!(format!("/{name}"));
    }
    // It has made its cgroup, and stays before it puts its process there.
    let options = ["-qq", "-o", "/dev/null", "-e", "trace=clone3", "-e", "inject=clone3:delay_enter=1000000"];
    let mut running = traced(&late, &options, &["create", "ID"]);
    while !cgroups_called(&name).any(|path| path.exists()) {
        assert!(running.try_wait().unwrap().is_none(), "there is no cgroup");
        std::thread::yield_now();
    }
    early.must(&["create", "ID"]);
    assert_eq!(running.wait().unwrap().code(), Some(1));
    late.must(&["delete", "--force", "ID"]);
    assert_eq!(early.status(), "created");
    early.must(&["start", "ID"]);
    assert_eq!(early.status(), "running");
}

/// Where the cgroup `name` may be: in the one hierarchy, or in that of pids.
fn cgroups_called(name: &str) -> impl Iterator<Item = std::path::PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/pids"].into_iter().map(move |root| Path::new(root).join(name))
}

/// The processes that strace has written of into `dir`, in the order of their ids.
fn logged(dir: &Path) -> Vec<i32> {
    let names =
        std::fs::read_dir(dir).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let mut pids: Vec<i32> = names.filter_map(|name| name.strip_prefix("trace.")?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

#[test]
fn a_child_that_comes_too_late_to_be_killed_with_the_runtime_makes_nothing() {
    if !have(&[Need::Program("strace")]) {
        return;
    }
    let Some(sandbox) = Sandbox::new("too-late", "true") else { return };
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("trace");
    // The child stays before it asks to be killed, until well after the runtime is.
    let options = ["-ff", "-qq", "-o", log.to_str().unwrap(), "-e", "inject=prctl:delay_enter=500000"];
    let mut running = traced(&sandbox, &options, &["create", "ID"]);
    let (runtime, child) = loop {
        match logged(dir.path())[..] {
            [runtime, child] => break (runtime, child),
            _ if running.try_wait().unwrap().is_some() => panic!("there is no child"),
            _ => std::thread::yield_now(),
        }
    };
    rustix::process::kill_process(Pid::from_raw(runtime).unwrap(), Signal::KILL).unwrap();
    running.wait().unwrap();
    let said = std::fs::read_to_string(log.with_extension(child.to_string())).unwrap();
    assert!(said.contains("prctl(PR_SET_PDEATHSIG, SIGKILL)") && said.contains("(DELAYED)"), "{said}");
    assert!(said.contains("\nexit_group(1)") && !said.contains("mount_setattr("), "{said}");
    sandbox.must(&["delete", "--force", "ID"]);
    nothing_is_left(&sandbox, "the child came too late");
}

/// Kills the runtime's `args` at every `step`-th of their calls, each time with a container of its own that
/// `prepare` has made; `check` is told how the command ended before everything is removed.
fn kill_everywhere(
    sandbox: &Sandbox,
    args: &[&str],
    step: usize,
    prepare: impl Fn(),
    check: impl Fn(&str, ExitStatus),
) {
    let run = |options: &[&str]| {
        prepare();
        traced(sandbox, options, args).wait().unwrap()
    };
    let calls = calls(|options| assert!(run(options).success(), "{args:?}"));
    sandbox.must(&["delete", "--force", "ID"]);
    let (mut runs, mut killed) = (0, 0);
    for (name, count) in calls.into_iter().step_by(step) {
        let status = run(&inject(&name, count).each_ref().map(String::as_str));
        let at = format!("{args:?} at {name} {count}");
        check(&at, status);
        sandbox.must(&["delete", "--force", "ID"]);
        nothing_is_left(sandbox, &at);
        runs += 1;
        killed += usize::from(status.signal().is_some() || !status.success());
    }
    assert!(runs > 25 && killed * 4 > runs * 3, "{args:?}: {killed} of {runs} runs were killed");
}

fn ready(name: &str) -> Option<Sandbox> {
    if !have(&[Need::Program("strace")]) {
        return None;
    }
    Sandbox::new(name, "exec sleep 1000")
}

#[test]
fn an_exec_that_is_killed_anywhere_leaves_the_container_alone() {
    let Some(sandbox) = ready("killed-exec") else { return };
    let prepare = || drop(sandbox.must(&["run", "--detach", "ID"]));
    kill_everywhere(&sandbox, &["exec", "ID", "true"], 9, prepare, |at, _| {
        assert_eq!(sandbox.status(), "running", "{at}");
        assert_eq!(sandbox.must(&["exec", "ID", "echo", "alive"]), "alive\n", "{at}");
        let left: Vec<i32> = serde_json::from_str(&sandbox.must(&["ps", "--format", "json", "ID"])).unwrap();
        assert_eq!(left.len(), 1, "{at}: a process is left in the container");
    });
}

#[test]
fn a_start_that_is_killed_anywhere_is_done_or_not() {
    let Some(sandbox) = ready("killed-start") else { return };
    let prepare = || drop(sandbox.must(&["create", "ID"]));
    kill_everywhere(&sandbox, &["start", "ID"], 1, prepare, |at, _| match sandbox.status().as_str() {
        "created" => drop(sandbox.must(&["start", "ID"])),
        status => assert_eq!(status, "running", "{at}"),
    });
}

#[test]
fn a_delete_that_is_killed_anywhere_can_be_done_again() {
    let Some(sandbox) = ready("killed-delete") else { return };
    let prepare = || drop(sandbox.must(&["create", "ID"]));
    kill_everywhere(&sandbox, &["delete", "--force", "ID"], 2, prepare, |at, _| {
        let listed = sandbox.must(&["list", "-q"]);
        assert!(listed.is_empty() || listed.trim() == sandbox.id, "{at}: {listed}");
    });
}
