//! An ordinary user: one mapped id, no cgroup, devices bound from the host.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use plimsoll_test_support::{Bundle, Need, copy_program, have};
use serde_json::json;

use crate::runtime;

/// Nobody in particular.
const USER: u32 = 54321;

#[test]
fn an_ordinary_user_runs_a_container() {
    if !have(&[Need::Root, Need::Program("busybox")]) {
        return;
    }
    let spec = tempfile::tempdir().unwrap();
    std::fs::set_permissions(spec.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    // The program is copied to where that user can reach it.
    let program = spec.path().join("runtime");
    copy_program(runtime(), &program).unwrap();
    let as_user = |mut command: std::process::Command| command.uid(USER).gid(USER).output().unwrap();
    let mut command = std::process::Command::new(&program);
    command.args(["spec", "--rootless", "--bundle"]).arg(spec.path());
    let output = as_user(command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let config = std::fs::read_to_string(spec.path().join("config.json")).unwrap();
    let mut bundle = Bundle::new(
        &config,
        "id -u; cat /proc/self/uid_map; head -c 2 /dev/zero | grep -c .; echo x > /tmp/x; cat /tmp/x; exit 6",
    );
    std::fs::set_permissions(bundle.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    for place in ["rootfs/tmp", "rootfs/dev"] {
        std::fs::set_permissions(bundle.path().join(place), std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    bundle.config["root"]["readonly"] = json!(false);
    let output = as_user(bundle.command(&program, &["run", "rootless"]));
    let (printed, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(6), "{said}");
    let words: Vec<_> = printed.split_whitespace().collect();
    assert_eq!(words, ["0", "0", &USER.to_string(), "1", "1", "x"]);
    assert_eq!(std::fs::read_dir(bundle.state()).unwrap().count(), 0);

    bundle.config["linux"]["resources"] = json!({"memory": {"limit": 1 << 24}});
    let output = as_user(bundle.command(&program, &["run", "rootless"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("plimsoll-runtime: set up the cgroup, which has to be delegated to an ordinary user: create cgroup "), "{said}");

    bundle.config["linux"]["resources"] = json!({});
    bundle.config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    let output = as_user(bundle.command(&program, &["run", "rootless"]));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("newuidmap"), "{said}");
    assert_eq!(std::fs::read_dir(bundle.state()).unwrap().count(), 0);
}
