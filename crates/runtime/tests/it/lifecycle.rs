//! create, start, state, kill, delete, list: the states and the words at each.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::{Sandbox, runtime};

#[test]
fn a_container_goes_through_its_states() {
    let Some(sandbox) = Sandbox::new("states", "exec sleep 1000") else { return };
    let absent = format!("container {:?} does not exist", sandbox.id);
    assert_eq!(sandbox.must_fail(&["state", "ID"], 1), absent);

    sandbox.must(&["create", "--pid-file", "pid", "ID"]);
    let pid = std::fs::read_to_string(sandbox.bundle.path().join("pid")).unwrap();
    assert!(pid.bytes().all(|byte| byte.is_ascii_digit()), "{pid:?}");
    let state: Value = serde_json::from_str(&sandbox.must(&["state", "ID"])).unwrap();
    assert_eq!(state["status"], "created");
    assert_eq!(state["pid"].to_string(), pid);
    assert_eq!(state["ociVersion"], "1.3.0");
    assert_eq!(state["bundle"], sandbox.bundle.path().to_str().unwrap());
    assert_eq!(state["rootfs"], sandbox.bundle.path().join("rootfs").to_str().unwrap());
    assert_eq!(state["owner"], "root");

    sandbox.must(&["start", "ID"]);
    assert_eq!(sandbox.status(), "running");
    assert_eq!(sandbox.must_fail(&["start", "ID"], 1), "cannot start an already running container");
    let refusal = format!("cannot delete container {} that is not stopped: running", sandbox.id);
    assert_eq!(sandbox.must_fail(&["delete", "ID"], 1), refusal);

    sandbox.must(&["kill", "ID", "KILL"]);
    sandbox.wait_for("stopped");
    assert_eq!(sandbox.must_fail(&["kill", "ID"], 1), "container not running");
    sandbox.must(&["kill", "--all", "ID", "9"]);
    assert_eq!(sandbox.must_fail(&["start", "ID"], 1), "cannot start a container that has stopped");
    sandbox.must(&["delete", "ID"]);
    assert_eq!(sandbox.must_fail(&["delete", "ID"], 1), absent);
    sandbox.must(&["delete", "--force", "ID"]);
}

#[test]
fn a_created_container_is_deleted_without_force() {
    let Some(sandbox) = Sandbox::new("created", "true") else { return };
    sandbox.must(&["create", "ID"]);
    sandbox.must(&["delete", "ID"]);
}

#[test]
fn an_id_is_used_once() {
    let Some(sandbox) = Sandbox::new("once", "exec sleep 1000") else { return };
    sandbox.must(&["create", "ID"]);
    let refusal = format!("container with given ID already exists: {}", sandbox.id);
    assert_eq!(sandbox.must_fail(&["create", "ID"], 1), refusal);
    assert_eq!(sandbox.status(), "created");
    for bad in ["", "..", "a/b", "a b"] {
        assert_eq!(sandbox.must_fail(&["create", bad], 1), format!("invalid container ID format: {bad:?}"));
    }
}

#[test]
fn the_exit_code_is_the_programs() {
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("exit 255", 255)] {
        let Some(sandbox) = Sandbox::new("exit", script) else { return };
        assert_eq!(sandbox.call(&["run", "ID"]).status.code(), Some(code));
    }
    // The first process of a pid namespace takes no signal from inside that it does not handle.
    let Some(sandbox) = Sandbox::new("exit", "echo up; sleep 1000 & exec sleep 1000") else { return };
    let mut command = sandbox.bundle.command(runtime(), &["run", &sandbox.id]);
    let mut running = command.stdout(Stdio::piped()).spawn().unwrap();
    // Before its program runs, a kill is a failure to start it.
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    sandbox.must(&["kill", "ID", "SIGKILL"]);
    assert_eq!(running.wait().unwrap().code(), Some(128 + 9));
}

#[test]
fn signals_are_forwarded() {
    let script = "trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.05; done";
    let Some(sandbox) = Sandbox::new("forward", script) else { return };
    let mut command = sandbox.bundle.command(runtime(), &["run", &sandbox.id]);
    let mut running = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(running.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    line.clear();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "got\n");
    assert_eq!(running.wait().unwrap().code(), Some(5));
}

#[test]
fn containers_are_listed() {
    let Some(sandbox) = Sandbox::new("list", "true") else { return };
    assert_eq!(sandbox.must(&["list", "--format", "json"]), "[]\n");
    sandbox.must(&["create", "ID"]);
    assert_eq!(sandbox.must(&["list", "-q"]), format!("{}\n", sandbox.id));
    let list: Value = serde_json::from_str(&sandbox.must(&["list", "-f=json"])).unwrap();
    assert_eq!((&list[0]["id"], &list[0]["status"]), (&json!(sandbox.id), &json!("created")));
    let table = sandbox.must(&["list"]);
    let header: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
}

#[test]
fn a_paused_container_runs_no_further() {
    let Some(sandbox) = Sandbox::new("pause", "exec sleep 1000") else { return };
    sandbox.must(&["run", "--detach", "ID"]);
    sandbox.must(&["pause", "ID"]);
    assert_eq!(sandbox.status(), "paused");
    let refusal = "cannot exec in a paused container (use --ignore-paused to override)";
    assert_eq!(sandbox.must_fail(&["exec", "ID", "true"], 255), refusal);
    sandbox.must(&["resume", "ID"]);
    assert_eq!(sandbox.status(), "running");
    assert_eq!(sandbox.must_fail(&["resume", "ID"], 1), "container not paused: running");
    sandbox.must(&["pause", "ID"]);
    sandbox.must(&["delete", "--force", "ID"]);
}

#[test]
fn a_killed_create_leaves_what_delete_removes() {
    let Some(mut sandbox) = Sandbox::new("killed", "true") else { return };
    // The hook stands for any moment between the clone and the end of create.
    let script = "kill -9 $PPID";
    sandbox.bundle.config["hooks"] =
        json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    let output = sandbox.call(&["create", "ID"]);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9));
    sandbox.wait_for("stopped");
    sandbox.must(&["delete", "--force", "ID"]);
    // Without its record a container does not exist, but force removes the directory.
    std::fs::create_dir_all(sandbox.bundle.state().join(&sandbox.id)).unwrap();
    assert_eq!(sandbox.must_fail(&["delete", "ID"], 1), format!("container {:?} does not exist", sandbox.id));
    sandbox.must(&["delete", "--force", "ID"]);
}

#[test]
fn a_start_after_the_process_was_killed_says_so() {
    let Some(sandbox) = Sandbox::new("dead", "true") else { return };
    sandbox.must(&["create", "ID"]);
    sandbox.must(&["kill", "ID", "9"]);
    sandbox.wait_for("stopped");
    assert_eq!(sandbox.must_fail(&["start", "ID"], 1), "cannot start a container that has stopped");
}

#[test]
fn a_container_in_the_foreground_dies_with_its_runtime() {
    let Some(sandbox) = Sandbox::new("orphan", "exec sleep 1000") else { return };
    let mut running = sandbox.bundle.command(runtime(), &["run", &sandbox.id]).spawn().unwrap();
    while !sandbox.call(&["state", "ID"]).status.success() || sandbox.status() != "running" {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    sandbox.wait_for("stopped");
    sandbox.must(&["delete", "ID"]);
}
