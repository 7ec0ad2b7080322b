//! The default configuration against runc's, whose `spec` command people know.

use std::process::Command;

use plimsoll_spec::json::{Object, Value, from_slice, to_vec};
use plimsoll_spec::runtime::{Config, VERSION, defaults};
use plimsoll_test_support::{Need, have, skipped};

/// What the specification is called that runc 1.1 follows, which is Debian's.
const OLDER: &str = "1.0.2-dev";

/// What such a runc has where, in place of ours, and why.
const OF_OLDER: [(&[&str], &str, &str); 2] = [
    (&["ociVersion"], r#""1.0.2-dev""#, "it is the older one"),
    (
        &["process", "capabilities", "ambient"],
        r#"["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"]"#,
        "without inheritable capabilities the kernel grants no ambient ones, so newer ones leave them out",
    ),
];

/// What `runc spec` with `arguments` writes; `None` where there is no runc.
fn runc_spec(arguments: &[&str]) -> Option<Object> {
    if !have(&[Need::Program("runc")]) {
        return None;
    }
    let bundle = tempfile::tempdir().unwrap();
    let done = Command::new("runc").arg("spec").args(arguments).current_dir(&bundle).status().unwrap();
    assert!(done.success(), "runc spec {arguments:?}: {done}");
    let text = std::fs::read(bundle.path().join("config.json")).unwrap();
    let Value::Object(members) = from_slice(&text).unwrap() else { panic!("not an object") };
    Some(members)
}

/// That `config` is what runc wrote, but for what is known of an older one.
fn check(config: &Config, want: &Object) {
    let mut ours = members(config);
    match &want["ociVersion"] {
        Value::String(version) if version == VERSION => {}
        Value::String(version) if version == OLDER => {
            OF_OLDER.iter().for_each(|(place, value, _)| put(&mut ours, place, value));
        }
        version => return skipped(&format!("this runc follows a specification of no list: {version:?}")),
    }
    assert_eq!(&ours, want);
}

/// Sets what stands at `place` below `members`.
fn put(members: &mut Object, place: &[&str], value: &str) {
    match (place, members.get_mut(place[0])) {
        ([_, below @ ..], Some(Value::Object(inner))) if !below.is_empty() => put(inner, below, value),
        ([name], _) => drop(members.insert((*name).to_owned(), from_slice(value.as_bytes()).unwrap())),
        _ => panic!("there is no {place:?}"),
    }
}

fn members(config: &Config) -> Object {
    match from_slice(&to_vec(config)).unwrap() {
        Value::Object(members) => members,
        other => panic!("not an object: {other:?}"),
    }
}

/// On a host with cgroup v2 alone runc adds this namespace; the caller of ours does.
fn with_namespaces_of(want: &Object, mut config: Config) -> Config {
    if to_vec(&Value::Object(want.clone())).windows(17).any(|text| text == br#"{"type":"cgroup"}"#) {
        let cgroup = from_slice(br#"{"type":"cgroup"}"#).unwrap();
        config.linux.as_mut().unwrap().namespaces.push(cgroup);
    }
    config
}

#[test]
fn equals_what_runc_writes() {
    let Some(want) = runc_spec(&[]) else { return };
    check(&with_namespaces_of(&want, defaults::config()), &want);
}

#[test]
fn equals_what_runc_writes_without_privileges() {
    let Some(want) = runc_spec(&["--rootless"]) else { return };
    let config: Config = from_slice(&to_vec(&Value::Object(want.clone()))).unwrap();
    let linux = config.linux.unwrap();
    let (uid, gid) = (linux.uid_mappings[0].host_id, linux.gid_mappings[0].host_id);
    let config = with_namespaces_of(&want, defaults::config());
    check(&defaults::rootless(config, uid, gid), &want);
}

#[test]
fn writes_the_process_that_was_reviewed() {
    let process = r#"{"args":["sh"],"capabilities":{"bounding":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"],"effective":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"],"permitted":["CAP_AUDIT_WRITE","CAP_KILL","CAP_NET_BIND_SERVICE"]},"cwd":"/","env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","TERM=xterm"],"noNewPrivileges":true,"rlimits":[{"hard":1024,"soft":1024,"type":"RLIMIT_NOFILE"}],"terminal":true,"user":{"gid":0,"uid":0}}"#;
    let process: Vec<u8> = process.into();
    assert_eq!(to_vec(&members(&defaults::config())["process"]), process);
}

#[test]
fn docker_grants_fourteen_capabilities() {
    let capabilities = defaults::docker_capabilities();
    assert_eq!(capabilities.bounding.len(), 14);
    assert_eq!(capabilities.bounding, capabilities.effective);
    assert_eq!(capabilities.bounding, capabilities.permitted);
    assert!(capabilities.inheritable.is_empty() && capabilities.ambient.is_empty());
}
