//! `create` killed at any of its system calls, runtime or child: what is left, `delete --force` removes.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use plimsoll_test_support::{Need, have};

use crate::{Sandbox, runtime};

/// Every so many system calls one run is killed; coprime to the lengths of the loops in them.
const STEP: u32 = 7;

#[test]
fn a_create_that_is_killed_anywhere_is_cleaned_up() {
    if !have(&[Need::Program("strace")]) {
        return;
    }
    let Some(sandbox) = Sandbox::new("anywhere", "true") else { return };
    let mut killed = 0;
    for at in (1..).step_by(STEP as usize) {
        // strace counts for each process, so this hits the runtime or the child, whichever gets there first.
        let inject = format!("inject=all:signal=KILL:when={at}");
        let plain = sandbox.bundle.command(runtime(), &["create", &sandbox.id]);
        let mut traced = Command::new("strace");
        traced
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &inject])
            .arg(plain.get_program())
            .args(plain.get_args());
        traced
            .current_dir(sandbox.bundle.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut running = traced.spawn().unwrap();
        // strace stays with a container that was created; then the injections are at their end.
        let done = loop {
            if let Some(status) = running.try_wait().unwrap() {
                break Some(status);
            }
            let created = sandbox.call(&["state", "ID"]);
            if created.status.success() && String::from_utf8_lossy(&created.stdout).contains("\"created\"") {
                break None;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        };
        sandbox.must(&["delete", "--force", "ID"]);
        let status = done.map_or_else(|| running.wait().unwrap(), |status| status);
        let state = std::fs::read_dir(sandbox.bundle.state()).map_or(0, Iterator::count);
        assert_eq!(state, 0, "call {at}: state is left");
        assert_eq!(sandbox.host(), sandbox.before, "call {at}: the host has changed");
        if status.signal().is_some() || !status.success() {
            killed += 1;
        } else if at > 600 {
            break;
        }
    }
    assert!(killed > 20, "only {killed} runs were killed: this shows nothing");
}
