//! Hooks of all six kinds: order, state, place, failure, timeout.

use serde_json::{Value, json};

use crate::Sandbox;

#[test]
fn every_hook_runs_once_with_its_state() {
    let Some(mut sandbox) = Sandbox::new("hooks", "cat /dev/shm/startContainer") else { return };
    let log = sandbox.bundle.path().join("log");
    let note = |name: &str, file: &str| {
        let script = format!("echo {name} >> {}; cat > {file}", log.display());
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}])
    };
    let outside = |name: &str| note(name, sandbox.bundle.path().join(name).to_str().unwrap());
    let start = json!([{"path": "/bin/sh", "args": ["sh", "-c", "cat > /dev/shm/startContainer"]}]);
    sandbox.bundle.config["hooks"] = json!({
        "prestart": outside("prestart"), "createRuntime": outside("createRuntime"),
        "createContainer": outside("createContainer"), "startContainer": start,
        "poststart": outside("poststart"), "poststop": outside("poststop"),
    });
    sandbox.bundle.config["annotations"] = json!({"org.example": "\"pid\":2147483647"});
    let inside: Value = serde_json::from_str(&sandbox.run()).unwrap();
    assert_eq!((&inside["pid"], &inside["id"]), (&json!(1), &json!(sandbox.id)));
    assert_eq!(inside["annotations"]["org.example"], "\"pid\":2147483647");
    let order = std::fs::read_to_string(&log).unwrap();
    assert_eq!(order, "prestart\ncreateRuntime\ncreateContainer\npoststart\npoststop\n");
    for (name, status) in [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ] {
        let text = std::fs::read_to_string(sandbox.bundle.path().join(name)).unwrap();
        let state: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(state["status"], status, "{name}");
        assert_eq!(state["bundle"], sandbox.bundle.path().to_str().unwrap(), "{name}");
    }
}

#[test]
fn a_failing_hook_undoes_the_container() {
    let rows = [
        ("prestart", "error running prestart hook #0: /bin/false: exit status: 1"),
        ("createRuntime", "error running createRuntime hook #0: /bin/false: exit status: 1"),
        (
            "createContainer",
            "unable to start container process: run hooks before the root changes /bin/false: exited with a failure",
        ),
        (
            "startContainer",
            "unable to start container process: run startContainer hook /bin/false: exited with a failure",
        ),
        ("poststart", "error running poststart hook #0: /bin/false: exit status: 1"),
    ];
    for (name, want) in rows {
        let Some(mut sandbox) = Sandbox::new("hookfails", "exec sleep 1000") else { return };
        sandbox.bundle.config["hooks"] = json!({name: [{"path": "/bin/false"}]});
        assert_eq!(sandbox.must_fail(&["run", "ID"], 1), want, "{name}");
    }
}

#[test]
fn a_slow_hook_is_killed() {
    let rows = [
        ("createRuntime", "error running createRuntime hook #0: /bin/sleep: timed out after 1 s"),
        (
            "createContainer",
            "unable to start container process: run hooks before the root changes /bin/sleep: timed out",
        ),
    ];
    for (name, want) in rows {
        let Some(mut sandbox) = Sandbox::new("hookslow", "true") else { return };
        sandbox.bundle.config["hooks"] =
            json!({name: [{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]});
        assert_eq!(sandbox.must_fail(&["run", "ID"], 1), want, "{name}");
    }
}

#[test]
fn a_failing_poststop_hook_is_warned_of() {
    let Some(mut sandbox) = Sandbox::new("poststop", "true") else { return };
    let log = sandbox.bundle.path().join("log");
    let second = format!("echo second >> {}", log.display());
    sandbox.bundle.config["hooks"] = json!({"poststop": [
        {"path": "/bin/false"},
        {"path": "/bin/sh", "args": ["sh", "-c", second]},
    ]});
    sandbox.must(&["create", "ID"]);
    let deleted = sandbox.call(&["--log", "runtime.log", "--log-format", "json", "delete", "ID"]);
    let said = String::from_utf8(deleted.stderr).unwrap();
    assert_eq!(
        (deleted.status.code(), said.as_str()),
        (Some(0), "plimsoll-runtime: warning: error running poststop hook #0: /bin/false: exit status: 1\n")
    );
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "second\n");
    let line = std::fs::read_to_string(sandbox.bundle.path().join("runtime.log")).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "warning");
}

#[test]
fn a_poststart_hook_finds_the_program_executed_and_ends_it_by_failing() {
    let Some(mut sandbox) = Sandbox::new("poststart", "exec sleep 1000") else { return };
    let seen = sandbox.bundle.path().join("seen");
    let script = format!("pid=$(cat pid); readlink /proc/$pid/exe > {}; exit 1", seen.display());
    let place = sandbox.bundle.path().display();
    sandbox.bundle.config["hooks"] = json!({"poststart": [{"path": "/bin/sh", "args": ["sh", "-c", format!("cd {place}; {script}")], "env": ["PATH=/bin:/usr/bin"]}]});
    sandbox.must(&["create", "--pid-file", "pid", "ID"]);
    let said = sandbox.must_fail(&["start", "ID"], 1);
    assert_eq!(said, "error running poststart hook #0: /bin/sh: exit status: 1");
    let program = std::fs::read_to_string(seen).unwrap();
    assert!(program.trim_end().ends_with("/bin/busybox"), "{program:?}");
    // Stopped, destroyed, and nothing more to delete.
    assert!(sandbox.must_fail(&["state", "ID"], 1).ends_with("does not exist"));
}
