//! `update`: limits of a container that runs, in the forms in which engines give them.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::json;

use crate::{Sandbox, runtime};

/// A running container with 64 MiB of memory, or `None` with a printed reason.
fn running(name: &str) -> Option<Sandbox> {
    let mut sandbox = Sandbox::new(name, "exec sleep 1000")?;
    for controller in ["memory", "cpu", "pids", "cpuset"] {
        if !plimsoll_test_support::have_controller(controller) {
            plimsoll_test_support::skipped(&format!("no {controller} controller"));
            return None;
        }
    }
    sandbox.bundle.config["linux"]["resources"] = json!({"memory": {"limit": 64 << 20, "swap": 64 << 20},
        "devices": [{"allow": false, "access": "rwm"}]});
    sandbox.must(&["run", "--detach", "ID"]);
    Some(sandbox)
}

/// What the file of a controller says: of version 1 or, behind it, of version 2.
fn limit(sandbox: &Sandbox, v1: &str, v2: &str) -> String {
    let (controller, file) = v1.split_once('/').unwrap();
    let old = format!("/sys/fs/cgroup/{controller}/{}/{file}", sandbox.id);
    let new = format!("/sys/fs/cgroup/{}/{v2}", sandbox.id);
    std::fs::read_to_string(old).or_else(|_| std::fs::read_to_string(new)).unwrap().trim().to_owned()
}

fn memory(sandbox: &Sandbox) -> String {
    limit(sandbox, "memory/memory.limit_in_bytes", "memory.max")
}

#[test]
fn flags_change_what_they_name() {
    let Some(sandbox) = running("updateflags") else { return };
    // Down and up again: memory with swap must never be below memory, so the order of writing turns round.
    for bytes in [32 << 20, 96 << 20] {
        let bytes = bytes.to_string();
        sandbox.must(&["update", "--memory", &bytes, "--memory-swap", &bytes, "ID"]);
        assert_eq!(memory(&sandbox), bytes);
    }
    sandbox.must(&["update", "--cpu-period", "50000", "--cpu-quota", "20000", "--pids-limit=12", "ID"]);
    assert!(["20000", "20000 50000"].contains(&limit(&sandbox, "cpu/cpu.cfs_quota_us", "cpu.max").as_str()));
    // A quota alone leaves the period as it is.
    sandbox.must(&["update", "--cpu-quota", "30000", "ID"]);
    assert!(["30000", "30000 50000"].contains(&limit(&sandbox, "cpu/cpu.cfs_quota_us", "cpu.max").as_str()));
    assert!(["50000", "30000 50000"].contains(&limit(&sandbox, "cpu/cpu.cfs_period_us", "cpu.max").as_str()));
    assert_eq!(limit(&sandbox, "pids/pids.max", "pids.max"), "12");
    sandbox.must(&["update", "--cpuset-cpus", "0", "--cpu-share", "512", "ID"]);
    assert_eq!(limit(&sandbox, "cpuset/cpuset.cpus", "cpuset.cpus"), "0");
    assert!(["512", "59"].contains(&limit(&sandbox, "cpu/cpu.shares", "cpu.weight").as_str()));
    sandbox.must(&["update", "--memory", "-1", "--pids-limit", "-1", "ID"]);
    assert!(["max", "9223372036854771712"].contains(&memory(&sandbox).as_str()));
    assert_eq!(limit(&sandbox, "pids/pids.max", "pids.max"), "max");
    for (text, bytes) in [("50M", 50 << 20), ("65536k", 64 << 20), ("1gib", 1 << 30), ("83886080b", 80 << 20)]
    {
        sandbox.must(&["update", "ID", "--memory", text]);
        assert_eq!(memory(&sandbox), bytes.to_string(), "{text}");
    }
    sandbox.must(&["update", "--pids-limit", "0", "ID"]);
    assert_eq!(limit(&sandbox, "pids/pids.max", "pids.max"), "1");
}

#[test]
fn resources_come_from_a_file_or_standard_input() {
    let Some(sandbox) = running("updatefile") else { return };
    // Podman writes every resource of the container again, its device rules too: those stay as they are.
    let text = json!({"memory": {"limit": 32 << 20, "swap": 48 << 20}, "cpu": {"shares": 512, "quota": 0},
        "devices": [{"allow": false, "access": "rwm"}], "pids": {"limit": 20}});
    std::fs::write(sandbox.bundle.path().join("resources.json"), text.to_string()).unwrap();
    sandbox.must(&["update", "--resources=resources.json", "ID"]);
    assert_eq!(memory(&sandbox), (32 << 20).to_string());
    assert_eq!(limit(&sandbox, "pids/pids.max", "pids.max"), "20");
    assert_eq!(sandbox.must(&["exec", "ID", "sh", "-c", "head -c 2 /dev/zero | grep -c ."]), "1\n");

    // Docker's shim hands them over on standard input.
    let mut command = sandbox.bundle.command(runtime(), &["update", "--resources", "-", &sandbox.id]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(br#"{"memory":{"limit":50331648}}"#).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(memory(&sandbox), (48 << 20).to_string());
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let Some(sandbox) = running("updatebad") else { return };
    let row = |args: &[&str], want: &str| {
        assert_eq!(sandbox.must_fail(&[&["update"], args, &["ID"]].concat(), 1), want);
        assert_eq!(memory(&sandbox), (64 << 20).to_string());
    };
    for text in ["lots", "", "0", "-2", "5 M", "9223372036854775807k"] {
        row(&["--memory", text], &format!("invalid value {text:?} for flag -memory"));
    }
    row(&["--resources", "absent.json"], "open absent.json: no such file or directory");
    row(&["--l3-cache-schema", "x"], "flag -l3-cache-schema is not supported yet");
    std::fs::write(sandbox.bundle.path().join("bad.json"), r#"{"memory":{"limit":"1"}}"#).unwrap();
    row(&["-r", "bad.json"], "parse bad.json: /memory/limit: expected an integer, found a string");
    std::fs::write(
        sandbox.bundle.path().join("low.json"),
        r#"{"memory":{"limit":4096,"checkBeforeUpdate":true}}"#,
    )
    .unwrap();
    let said = sandbox.must_fail(&["update", "-r", "low.json", "ID"], 1);
    assert!(said.starts_with("update the cgroup: rejecting memory limit 4096: "), "{said}");
    sandbox.must(&["kill", "ID", "KILL"]);
    sandbox.wait_for("stopped");
    assert_eq!(sandbox.must_fail(&["update", "--pids-limit", "3", "ID"], 1), "container not running");
}
