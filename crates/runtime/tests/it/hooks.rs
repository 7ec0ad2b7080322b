//! Hooks of all six kinds: order, state, place, failure, timeout.

use std::time::{Duration, Instant};

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

/// A list of one hook that runs `script`.
fn shell(script: &str) -> Value {
    json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}])
}

/// More state than a pipe takes: whoever writes it waits for its reader.
fn annotate(sandbox: &mut Sandbox) {
    sandbox.bundle.config["annotations"] = json!({"org.example": "x".repeat(300_000)});
}

#[test]
fn a_hook_that_does_not_read_is_killed_in_time() {
    let rows = [
        ("createRuntime", "error running createRuntime hook #0: /bin/sleep: timed out after 1 s"),
        (
            "createContainer",
            "unable to start container process: run hooks before the root changes /bin/sleep: timed out",
        ),
        (
            "startContainer",
            "unable to start container process: run startContainer hook /bin/sleep: timed out",
        ),
    ];
    for (name, want) in rows {
        let Some(mut sandbox) = Sandbox::new("hookdeaf", "true") else { return };
        annotate(&mut sandbox);
        sandbox.bundle.config["hooks"] =
            json!({name: [{"path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1}]});
        let start = Instant::now();
        assert_eq!(sandbox.must_fail(&["run", "ID"], 1), want, "{name}");
        // Before it would have ended by itself.
        assert!(start.elapsed() < Duration::from_secs(60), "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn a_hook_that_reads_a_little_at_a_time_is_killed_in_time() {
    let place = tempfile::tempdir().unwrap();
    let through = place.path().join("through");
    let script = format!(
        "i=0; while [ $i -lt 600 ]; do dd bs=512 count=1 of=/dev/null 2>/dev/null; sleep 0.02; i=$((i + 1)); done
        touch {}",
        through.display()
    );
    for name in ["createRuntime", "createContainer"] {
        let Some(mut sandbox) = Sandbox::new("hookdrip", "true") else { return };
        annotate(&mut sandbox);
        let mut hook = shell(&script);
        hook[0]["timeout"] = json!(1);
        sandbox.bundle.config["hooks"] = json!({name: hook});
        let start = Instant::now();
        assert!(sandbox.must_fail(&["run", "ID"], 1).contains(": timed out"), "{name}");
        assert!(!through.exists(), "{name}");
        // The sleep that the shell was waiting for ends by itself.
        while sandbox.host() != sandbox.before {
            assert!(start.elapsed() < Duration::from_secs(30), "{name}: {:?}", sandbox.host());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Without a pid namespace of its own the process would die of writing to nobody.
#[test]
fn a_hook_need_not_read_its_state() {
    let Some(mut sandbox) = Sandbox::new("hooknoread", "echo run") else { return };
    annotate(&mut sandbox);
    sandbox.bundle.config["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .retain(|namespace| namespace["type"] != "pid");
    let mut deaf = shell("exec <&-; sleep 0.2");
    deaf.as_array_mut().unwrap().push(json!({"path": "/bin/true"}));
    sandbox.bundle.config["hooks"] = json!({"prestart": deaf, "createRuntime": deaf, "createContainer": deaf,
        "startContainer": deaf, "poststart": deaf, "poststop": deaf});
    assert_eq!(sandbox.run(), "run\n");
}

#[test]
fn a_large_state_arrives_whole() {
    let Some(mut sandbox) = Sandbox::new("hooklarge", "cat /dev/shm/state") else { return };
    annotate(&mut sandbox);
    let place = sandbox.bundle.path().to_owned();
    let save = |file: &str| shell(&format!("sleep 0.2; cat > {file}"));
    let outside = |name: &str| save(place.join(name).to_str().unwrap());
    sandbox.bundle.config["hooks"] = json!({"createRuntime": outside("createRuntime"),
        "createContainer": outside("createContainer"), "startContainer": save("/dev/shm/state")});
    let inside = sandbox.run();
    let read = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
    for text in [inside, read("createRuntime"), read("createContainer")] {
        let state: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(state["annotations"]["org.example"].as_str().map(str::len), Some(300_000));
    }
}

/// Rust's start-up ignores SIGPIPE and the foreground blocks all signals; programs are to find neither.
#[test]
fn hooks_and_the_program_find_signals_as_they_are_by_default() {
    const LOOK: &str = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let Some(mut sandbox) = Sandbox::new("hooksignals", &format!("cat /dev/shm/signals; {LOOK}")) else {
        return;
    };
    let place = sandbox.bundle.path().to_owned();
    let save = |file: &str| shell(&format!("{LOOK} > {file}"));
    let outside = |name: &str| save(place.join(name).to_str().unwrap());
    sandbox.bundle.config["hooks"] = json!({"createRuntime": outside("createRuntime"),
        "createContainer": outside("createContainer"), "startContainer": save("/dev/shm/signals")});
    let inside = sandbox.run();
    let (hook, program) = inside.split_at(inside.len() / 2);
    let read = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
    for text in [hook, program, &read("createRuntime"), &read("createContainer")] {
        let mask = |name| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        // What the caller ignores stays ignored, but no caller of a test ignores this.
        let sigpipe = 1 << (rustix::process::Signal::PIPE.as_raw() - 1);
        assert_eq!((mask("SigBlk:"), mask("SigIgn:") & sigpipe), (0, 0), "{text}");
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
