//! The default configuration against runc's, whose `spec` command people know.

use std::path::PathBuf;
use std::process::Command;

use plimsoll_spec::json::{Object, Value, from_slice, to_vec};
use plimsoll_spec::runtime::{Config, VERSION, defaults};

/// `runc` in the folder that `PLIMSOLL_PEERS` names, or on `PATH`.
fn runc() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders = std::env::var_os("PLIMSOLL_PEERS").map(PathBuf::from).into_iter();
    folders.chain(std::env::split_paths(&path)).map(|folder| folder.join("runc")).find(|file| file.is_file())
}

/// What `runc spec` with `arguments` writes, or why it cannot be compared.
fn runc_spec(arguments: &[&str]) -> Result<Object, String> {
    let runc = runc().ok_or("no runc in PLIMSOLL_PEERS or PATH")?;
    let bundle = tempfile::tempdir().unwrap();
    let done = Command::new(&runc).arg("spec").args(arguments).current_dir(&bundle).status().unwrap();
    assert!(done.success(), "{} spec {arguments:?}: {done}", runc.display());
    let text = std::fs::read(bundle.path().join("config.json")).unwrap();
    let Value::Object(members) = from_slice(&text).unwrap() else { panic!("not an object") };
    match members.get("ociVersion") {
        Some(Value::String(version)) if version == VERSION => Ok(members),
        version => Err(format!("this runc follows another specification: {version:?}")),
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
    match runc_spec(&[]) {
        Ok(want) => assert_eq!(members(&with_namespaces_of(&want, defaults::config())), want),
        Err(reason) => println!("skipped: {reason}"),
    }
}

#[test]
fn equals_what_runc_writes_without_privileges() {
    match runc_spec(&["--rootless"]) {
        Ok(want) => {
            let config: Config = from_slice(&to_vec(&Value::Object(want.clone()))).unwrap();
            let linux = config.linux.unwrap();
            let (uid, gid) = (linux.uid_mappings[0].host_id, linux.gid_mappings[0].host_id);
            let config = with_namespaces_of(&want, defaults::config());
            assert_eq!(members(&defaults::rootless(config, uid, gid)), want);
        }
        Err(reason) => println!("skipped: {reason}"),
    }
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
