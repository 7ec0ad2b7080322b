//! Capabilities that a process is not given: it runs with those that it can have, and a warning names the others.

use serde_json::{Value, json};

use crate::Sandbox;

/// A container whose process may have CAP_KILL and what stands in `more`, and shows what it has.
fn asking(name: &str, more: &[&str]) -> Option<Sandbox> {
    let mut sandbox = Sandbox::new(name, "grep CapEff /proc/self/status")?;
    let sets: Vec<_> = ["CAP_KILL"].iter().chain(more).collect();
    sandbox.bundle.config["process"]["capabilities"] =
        json!({"bounding": sets, "effective": sets, "permitted": sets});
    Some(sandbox)
}

const KILL: &str = "CapEff:\t0000000000000020\n";
const LEFT_OUT: &str = "config.json: /process/capabilities: left out, unknown or not to be granted here";

fn warning(names: &str) -> String {
    format!("plimsoll-runtime: warning: {LEFT_OUT}: {names}\n")
}

#[test]
fn an_unknown_capability_is_warned_of() {
    let Some(mut sandbox) = asking("unknowncap", &["CAP_FOO"]) else { return };
    let foo = warning("CAP_FOO (bounding, effective, permitted)");
    let ran = sandbox.call(&["--log", "runtime.log", "--log-format", "json", "run", "ID"]);
    let told = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
    assert_eq!(told, (KILL.to_owned(), foo.clone()));
    let line = std::fs::read_to_string(sandbox.bundle.path().join("runtime.log")).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "warning");
    assert_eq!(line["msg"], format!("{LEFT_OUT}: CAP_FOO (bounding, effective, permitted)"));

    sandbox.bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    let created = sandbox.call(&["create", "ID"]);
    assert_eq!(String::from_utf8(created.stderr).unwrap(), foo);
    sandbox.must(&["start", "ID"]);
    let added = sandbox.call(&["exec", "--cap", "CAP_BAR", "ID", "true"]);
    let names = "CAP_BAR (bounding, effective, permitted), CAP_FOO (bounding, effective, permitted)";
    assert_eq!(String::from_utf8(added.stderr).unwrap(), warning(names));
}

#[test]
fn a_warning_does_not_wait_for_the_end_of_the_container() {
    let Some(mut sandbox) = asking("earlycap", &["CAP_FOO"]) else { return };
    sandbox.bundle.config["process"]["args"] = json!(["sh", "-c", "echo inside >&2"]);
    let ran = sandbox.call(&["run", "ID"]);
    let want = format!("{}inside\n", warning("CAP_FOO (bounding, effective, permitted)"));
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), want);
}

#[test]
fn a_capability_that_cannot_be_granted_is_left_out() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    let bounding = u64::from_str_radix(bounding, 16).unwrap();
    let missing = (0..40u8).find(|number| bounding & 1 << number == 0);
    let Some(missing) = missing else {
        return plimsoll_test_support::skipped("this process has every capability");
    };
    let name = plimsoll_sys::capability::NAMES[usize::from(missing)];
    let Some(mut sandbox) = asking("lacking", &[name]) else { return };
    let ran = sandbox.call(&["run", "ID"]);
    let told = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
    assert_eq!(told, (KILL.to_owned(), warning(&format!("{name} (bounding, effective, permitted)"))));

    // A user namespace of the container's own grants all of them.
    sandbox.bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    sandbox.bundle.config["linux"]["uidMappings"] = map.clone();
    sandbox.bundle.config["linux"]["gidMappings"] = map;
    let ran = sandbox.call(&["run", "ID"]);
    let told = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
    assert_eq!(told, (format!("CapEff:\t{:016x}\n", 0x20 | 1_u64 << missing), String::new()));
}

#[test]
fn what_is_not_inheritable_is_not_ambient() {
    let Some(mut sandbox) = asking("notambient", &[]) else { return };
    sandbox.bundle.config["process"]["capabilities"]["ambient"] = json!(["CAP_KILL"]);
    let ran = sandbox.call(&["run", "ID"]);
    let told = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
    assert_eq!(told, (KILL.to_owned(), warning("CAP_KILL (ambient)")));
}
