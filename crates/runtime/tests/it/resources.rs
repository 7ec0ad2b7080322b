//! Limits of the cgroup, as the process meets them.

use serde_json::json;

use crate::Sandbox;

#[test]
fn memory_is_limited() {
    // The shell itself stays far below the limit; dd asks for more than it with one buffer.
    let script = "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; echo $?";
    let Some(mut sandbox) = Sandbox::new("memory", script) else { return };
    sandbox.bundle.config["linux"]["resources"]["memory"] = json!({"limit": 16 << 20, "swap": 16 << 20});
    if !plimsoll_test_support::have_controller("memory") {
        return plimsoll_test_support::skipped("no memory controller");
    }
    assert_eq!(sandbox.run(), "137\n");
}

#[test]
fn processes_are_limited() {
    let script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 2>/dev/null & done; echo unlimited";
    let Some(mut sandbox) = Sandbox::new("pids", script) else { return };
    if !plimsoll_test_support::have_controller("pids") {
        return plimsoll_test_support::skipped("no pids controller");
    }
    sandbox.bundle.config["linux"]["resources"]["pids"] = json!({"limit": 4});
    let output = sandbox.call(&["run", "ID"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("can't fork"), "{said}");
}

#[test]
fn devices_are_refused_by_the_cgroup() {
    let script = "dd if=/dev/own of=/dev/null count=1 2>&1 | grep -c 'Operation not permitted'; head -c 3 /dev/zero | grep -c .";
    let Some(mut sandbox) = Sandbox::new("devicerules", script) else { return };
    sandbox.bundle.config["linux"]["devices"] =
        json!([{"path": "/dev/own", "type": "c", "major": 10, "minor": 200}]);
    sandbox.bundle.config["linux"]["resources"] = json!({"devices": [
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "r"},
        {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
        {"allow": true, "type": "c", "access": "m"},
    ]});
    assert_eq!(sandbox.run(), "1\n1\n");
}

#[test]
fn a_cgroup_in_use_is_refused() {
    let Some(mut first) = Sandbox::new("cgroupfirst", "exec sleep 1000") else { return };
    let path = format!("/plimsoll-shared-{}", std::process::id());
    first.bundle.config["linux"]["cgroupsPath"] = json!(path);
    first.must(&["create", "ID"]);
    let Some(mut second) = Sandbox::new("cgroupsecond", "true") else { return };
    second.bundle.config["linux"]["cgroupsPath"] = json!(path);
    let said = second.must_fail(&["create", "ID"], 1);
    assert!(said.starts_with("set up the cgroup: container's cgroup is not empty: "), "{said}");
    assert_eq!(first.status(), "created");
}

#[test]
fn limits_that_cannot_be_are_named() {
    let Some(mut sandbox) = Sandbox::new("badlimit", "true") else { return };
    sandbox.bundle.config["linux"]["cgroupsPath"] = json!("/../escape");
    let said = sandbox.must_fail(&["run", "ID"], 1);
    assert_eq!(
        said,
        "set up the cgroup: linux.cgroupsPath \"/../escape\": must name a cgroup below the root"
    );
}

/// What such a path leads to was not made for the container, so nothing of it may be cleaned up.
#[test]
fn a_refused_cgroup_path_takes_no_directory_along() {
    let Some(mut sandbox) = Sandbox::new("climb", "true") else { return };
    let kept = sandbox.bundle.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let climbing = format!("/../../../../..{}", kept.display());
    sandbox.bundle.config["linux"]["cgroupsPath"] = json!(climbing);
    let said = sandbox.must_fail(&["create", "ID"], 1);
    let why = format!("set up the cgroup: linux.cgroupsPath {climbing:?}: must name a cgroup below the root");
    assert_eq!(said, why);
    assert!(kept.is_dir(), "{} is gone", kept.display());
}
