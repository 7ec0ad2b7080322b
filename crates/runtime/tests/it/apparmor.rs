//! AppArmor profiles: applied to the first process and to added ones, or refused where they cannot be.

use std::io::Write as _;
use std::process::{Command, ExitStatus, Stdio};

use plimsoll_test_support::{find_program, skipped};
use serde_json::json;

use crate::Sandbox;

fn enabled() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'))
}

/// A profile in the kernel, removed when this is dropped.
struct Profile(String);

impl Profile {
    fn load(name: String) -> Profile {
        let profile = Profile(name);
        assert!(profile.parse("--replace").unwrap().success());
        profile
    }

    fn parse(&self, action: &str) -> std::io::Result<ExitStatus> {
        let mut command = Command::new("apparmor_parser");
        let mut child = command.args([action, "--skip-cache"]).stdin(Stdio::piped()).spawn()?;
        let text = format!("profile {} {{ file, signal, deny /etc/secret r, }}\n", self.0);
        child.stdin.take().map(|mut stdin| stdin.write_all(text.as_bytes())).transpose()?;
        child.wait()
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // A failing test has said why.
        let _ = self.parse("--remove");
    }
}

#[test]
fn a_profile_is_entered() {
    if !enabled() || find_program("apparmor_parser").is_none() {
        return skipped("needs a kernel with AppArmor, and apparmor_parser");
    }
    let script = "cat /proc/self/attr/current; cat /etc/secret 2>&1 | grep -c 'Permission denied'";
    let Some(mut sandbox) = Sandbox::new("apparmor", script) else { return };
    let profile = Profile::load(format!("plimsoll-test-{}", std::process::id()));
    std::fs::write(sandbox.bundle.path().join("rootfs/etc/secret"), "open\n").unwrap();
    sandbox.bundle.config["process"]["apparmorProfile"] = json!(profile.0);
    let want = format!("{} (enforce)\n1\n", profile.0);
    assert_eq!(sandbox.run(), want);

    sandbox.bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    sandbox.must(&["run", "--detach", "ID"]);
    assert_eq!(sandbox.must(&["exec", "ID", "sh", "-c", script]), want);
    sandbox.must(&["delete", "--force", "ID"]);

    sandbox.bundle.config["process"]["apparmorProfile"] = json!("plimsoll-test-absent");
    let said = sandbox.must_fail(&["run", "ID"], 1);
    let want = "unable to start container process: ask for the AppArmor profile plimsoll-test-absent: \
                no such file or directory";
    assert_eq!(said, want);
}

#[test]
fn a_profile_that_cannot_be_had_is_refused() {
    let Some(mut sandbox) = Sandbox::new("noapparmor", "true") else { return };
    sandbox.bundle.config["process"]["apparmorProfile"] = json!("a\nb");
    let said = sandbox.must_fail(&["run", "ID"], 1);
    assert_eq!(said, "config.json: /process/apparmorProfile holds a control character");
    if enabled() {
        return skipped("this host has AppArmor");
    }
    sandbox.bundle.config["process"]["apparmorProfile"] = json!("docker-default");
    let said = sandbox.must_fail(&["run", "ID"], 1);
    assert_eq!(
        said,
        "config.json: /process/apparmorProfile \"docker-default\": AppArmor is not enabled on this host"
    );
    // Empty is as absent: engines write it where they mean none.
    sandbox.bundle.config["process"]["apparmorProfile"] = json!("");
    assert_eq!(sandbox.run(), "");
}
