//! `create` killed at any of its system calls, runtime or child: what is left, `delete --force` removes.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use plimsoll_test_support::{Need, have};

use crate::{Sandbox, runtime};

/// Every so many system calls one run is killed; coprime to the lengths of the loops in them.
const STEP: usize = 5;

/// `create` under strace with `options`, its standard streams closed.
fn traced(sandbox: &Sandbox, options: &[&str]) -> Child {
    let plain = sandbox.bundle.command(runtime(), &["create", &sandbox.id]);
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

/// The system calls of a whole `create`, each with how often its process had made it: what strace can aim at.
fn calls(sandbox: &Sandbox) -> Vec<(String, usize)> {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("trace");
    finish(sandbox, traced(sandbox, &["-ff", "-qq", "-o", log.to_str().unwrap()]));
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

#[test]
fn a_create_that_is_killed_anywhere_is_cleaned_up() {
    if !have(&[Need::Program("strace")]) {
        return;
    }
    let Some(sandbox) = Sandbox::new("anywhere", "true") else { return };
    let (mut runs, mut killed) = (0, 0);
    for (name, count) in calls(&sandbox).into_iter().step_by(STEP) {
        // This hits the runtime or its child, whichever gets there first.
        let inject = format!("inject={name}:signal=KILL:when={count}");
        let status = finish(&sandbox, traced(&sandbox, &["-f", "-qq", "-o", "/dev/null", "-e", &inject]));
        let state = std::fs::read_dir(sandbox.bundle.state()).map_or(0, Iterator::count);
        assert_eq!(state, 0, "{name} {count}: state is left");
        assert_eq!(sandbox.host(), sandbox.before, "{name} {count}: the host has changed");
        runs += 1;
        killed += usize::from(status.signal().is_some() || !status.success());
    }
    // The last calls of both come after the container is created.
    assert!(runs > 60 && killed * 4 > runs * 3, "{killed} of {runs} runs were killed: this shows little");
}
