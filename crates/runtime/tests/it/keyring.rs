//! Session keyrings: a container has its own, unless it is to have that of the caller.

use std::ffi::CString;
use std::time::{Duration, Instant};

use plimsoll_sys::keyring;
use plimsoll_test_support::skipped;
use serde_json::json;

use crate::Sandbox;

/// What only who possesses a key may do with it: so it is seen in `/proc/keys` by nobody else.
const POSSESSOR_ALONE: u32 = 0x3f00_0000;

/// A container that shows the keys that it sees, and the name of the session keyring that this thread has now.
fn sandbox(name: &str) -> Option<(Sandbox, String)> {
    if !std::path::Path::new("/proc/keys").exists() {
        skipped("this kernel keeps no keys");
        return None;
    }
    let mut sandbox = Sandbox::new(name, "cat /proc/keys")?;
    let masked = sandbox.bundle.config["linux"]["maskedPaths"].as_array_mut().unwrap();
    masked.retain(|path| path != "/proc/keys");
    let caller = format!("caller-of-{}", sandbox.id);
    let serial = keyring::join_session(&CString::new(caller.as_str()).unwrap()).unwrap();
    keyring::set_permissions(serial, POSSESSOR_ALONE).unwrap();
    Some((sandbox, caller))
}

/// How many of the container's own keyrings `keys` lists, and whether the caller's is in it.
fn count(keys: &str, sandbox: &Sandbox, caller: &str) -> (usize, bool) {
    let own = format!("_ses.{}: ", sandbox.id);
    (keys.matches(&own).count(), keys.contains(&format!("{caller}: ")))
}

/// Waits until the kernel has collected the keyring of the container that is gone.
fn forgotten(sandbox: &Sandbox, caller: &str) {
    let start = Instant::now();
    while count(&std::fs::read_to_string("/proc/keys").unwrap(), sandbox, caller).0 > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "the keyring stays");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_container_has_a_session_keyring_of_its_own() {
    let Some((mut sandbox, caller)) = sandbox("keyring") else { return };
    assert_eq!(count(&sandbox.run(), &sandbox, &caller), (1, false));
    forgotten(&sandbox, &caller);
    sandbox.bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    sandbox.must(&["run", "--detach", "ID"]);
    // One and not two: it is the same that was found.
    let added = sandbox.must(&["exec", "ID", "cat", "/proc/keys"]);
    assert_eq!(count(&added, &sandbox, &caller), (1, false));
}

#[test]
fn a_container_keeps_the_callers_session_keyring_when_asked() {
    let Some((mut sandbox, caller)) = sandbox("nokeyring") else { return };
    let keys = sandbox.must(&["run", "--no-new-keyring", "ID"]);
    assert_eq!(count(&keys, &sandbox, &caller), (0, true));
    sandbox.bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    sandbox.must(&["create", "--no-new-keyring", "ID"]);
    sandbox.must(&["start", "ID"]);
    let added = sandbox.must(&["exec", "ID", "cat", "/proc/keys"]);
    assert_eq!(count(&added, &sandbox, &caller), (0, true));
}

#[test]
fn processes_of_another_user_find_the_keyring_too() {
    let Some((mut sandbox, caller)) = sandbox("userkeyring") else { return };
    let map = json!([{"containerID": 0, "hostID": 0, "size": 2000}]);
    sandbox.bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    sandbox.bundle.config["linux"]["uidMappings"] = map.clone();
    sandbox.bundle.config["linux"]["gidMappings"] = map;
    sandbox.bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    // The keyring belongs to the root of the container, and is seen by who possesses it.
    assert_eq!(count(&sandbox.run(), &sandbox, &caller), (1, false));
    forgotten(&sandbox, &caller);
    sandbox.bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    sandbox.must(&["run", "--detach", "ID"]);
    for user in ["0", "1000"] {
        let added = sandbox.must(&["exec", "--user", user, "ID", "cat", "/proc/keys"]);
        assert_eq!(count(&added, &sandbox, &caller), (1, false), "{user}");
    }
}
