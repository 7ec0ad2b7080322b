//! Bad input: a clear error under exit code 1, and nothing left; the sandbox checks the latter.

use serde_json::{Value, json};

use crate::Sandbox;

/// Applies `change` to a good configuration and wants `run` to say `want`.
fn refused(name: &str, change: impl FnOnce(&mut Value), want: &str) {
    let Some(mut sandbox) = Sandbox::new(name, "true") else { return };
    change(&mut sandbox.bundle.config);
    let want = want.replace("BUNDLE", sandbox.bundle.path().to_str().unwrap());
    assert_eq!(sandbox.must_fail(&["run", "ID"], 1), want);
    assert_eq!(sandbox.must_fail(&["create", "ID"], 1), want);
}

const START: &str = "unable to start container process: ";

#[test]
fn programs_that_cannot_be_executed() {
    let args = |args: Value| move |config: &mut Value| config["process"]["args"] = args;
    refused(
        "noprogram",
        args(json!(["nope"])),
        &format!("{START}exec: \"nope\": executable file not found in $PATH"),
    );
    let want = format!("{START}exec: \"/bin/nope\": stat /bin/nope: no such file or directory");
    refused("nofile", args(json!(["/bin/nope"])), &want);
    refused("directory", args(json!(["/bin"])), &format!("{START}exec: \"/bin\": is a directory"));
    refused(
        "noexec",
        args(json!(["/etc/plain"])),
        &format!("{START}exec: \"/etc/plain\": stat /etc/plain: no such file or directory"),
    );
    refused("noargs", args(json!([])), "config.json: /process/args needs at least one entry");
}

#[test]
fn a_file_without_the_execute_bit() {
    let Some(mut sandbox) = Sandbox::new("noexec", "true") else { return };
    std::fs::write(sandbox.bundle.path().join("rootfs/etc/plain"), "").unwrap();
    sandbox.bundle.config["process"]["args"] = json!(["/etc/plain"]);
    assert_eq!(
        sandbox.must_fail(&["run", "ID"], 1),
        format!("{START}exec: \"/etc/plain\": permission denied")
    );
}

#[test]
fn fields_that_are_wrong() {
    refused(
        "version",
        |c| c["ociVersion"] = json!("2.0.0"),
        "config.json: /ociVersion is not supported: \"2.0.0\", need 1.x",
    );
    refused(
        "noroot",
        |c| drop(c.as_object_mut().unwrap().remove("root")),
        "config.json: /root is required on Linux",
    );
    refused(
        "cwd",
        |c| c["process"]["cwd"] = json!("tmp"),
        "config.json: /process/cwd is not an absolute path: \"tmp\"",
    );
    refused(
        "type",
        |c| c["process"]["args"] = json!("sh"),
        "parse BUNDLE/config.json: /process/args: expected an array, found a string",
    );
    refused(
        "rlimit",
        |c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_X", "soft": 1, "hard": 1}]),
        "config.json: /process/rlimits/0/type is unknown: \"RLIMIT_X\"",
    );
    // The first of the list once more in front: the second is the repetition, wherever this host has how many.
    refused(
        "repeated",
        |c| c["linux"]["namespaces"].as_array_mut().unwrap().insert(0, json!({"type": "pid"})),
        "config.json: /linux/namespaces/1/type repeats the namespace type \"pid\"",
    );
    refused(
        "oom",
        |c| c["process"]["oomScoreAdj"] = json!(1001),
        "config.json: /process/oomScoreAdj is outside -1000 to 1000: 1001",
    );
    refused(
        "hook",
        |c| c["hooks"] = json!({"poststop": [{"path": "relative"}]}),
        "config.json: /hooks/poststop/0/path is not an absolute path",
    );
}

#[test]
fn values_that_mean_nothing_here() {
    refused(
        "nspath",
        |c| c["linux"]["namespaces"][0] = json!({"type": "network", "path": "proc/self/ns/net"}),
        "config.json: /linux/namespaces/0/path is not an absolute path: \"proc/self/ns/net\"",
    );
    refused(
        "errno",
        |c| c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}),
        "config.json: /linux/seccomp/defaultAction takes no errno, and one is given",
    );
}

/// The kernel takes the highest number for "leave it as it is".
#[test]
fn the_id_that_is_none() {
    type Change = fn(&mut Value);
    const NONE: u32 = u32::MAX;
    let rows: [(&str, Change); 5] = [
        ("/process/user/uid", |c| c["process"]["user"]["uid"] = json!(NONE)),
        ("/process/user/gid", |c| c["process"]["user"]["gid"] = json!(NONE)),
        ("/process/user/additionalGids/1", |c| c["process"]["user"]["additionalGids"] = json!([7, NONE])),
        ("/linux/devices/0/uid", |c| {
            c["linux"]["devices"] = json!([{"path": "/dev/x", "type": "p", "uid": NONE}]);
        }),
        ("/linux/devices/0/gid", |c| {
            c["linux"]["devices"] = json!([{"path": "/dev/x", "type": "p", "gid": NONE}]);
        }),
    ];
    for (at, (pointer, change)) in rows.into_iter().enumerate() {
        refused(&format!("noid{at}"), change, &format!("config.json: {pointer} is no id: 4294967295"));
    }
}

#[test]
fn fields_that_are_not_there_yet() {
    type Change = fn(&mut Value);
    let rows: [(&str, Change, &str); 3] = [
        ("selinux", |c| c["linux"]["mountLabel"] = json!("x"), "/linux/mountLabel"),
        ("scheduler", |c| c["process"]["scheduler"] = json!({"policy": "SCHED_BATCH"}), "/process/scheduler"),
        ("rdt", |c| c["linux"]["intelRdt"] = json!({"closID": "x"}), "/linux/intelRdt"),
    ];
    for (name, change, pointer) in rows {
        refused(name, change, &format!("config.json: {pointer} is not supported yet"));
    }
}

#[test]
fn mounts_that_cannot_be() {
    let mount = |mount: Value| move |config: &mut Value| config["mounts"].as_array_mut().unwrap().push(mount);
    refused(
        "nofs",
        mount(json!({"destination": "/tmp", "type": "nofs", "source": "x"})),
        &format!("{START}mount \"x\" to \"/tmp\": no such device"),
    );
    refused(
        "nosource",
        mount(json!({"destination": "/tmp", "source": "/nonexistent", "options": ["bind"]})),
        &format!("{START}mount \"/nonexistent\" to \"/tmp\": no such file or directory"),
    );
    refused(
        "inproc",
        mount(json!({"destination": "/proc/self", "type": "tmpfs", "source": "x"})),
        "config.json: /mounts/7/destination \"proc/self\" is inside /proc",
    );
    refused(
        "copyup",
        mount(
            json!({"destination": "/tmp", "type": "proc", "source": "x", "options": ["nodev", "tmpcopyup"]}),
        ),
        "config.json: /mounts/7/options/1 \"tmpcopyup\" needs a mount of type tmpfs",
    );
    refused(
        "domain",
        |c| c["linux"]["personality"] = json!({"domain": "BSD"}),
        "config.json: /linux/personality/domain is neither LINUX nor LINUX32: \"BSD\"",
    );
    refused(
        "domainflags",
        |c| c["linux"]["personality"] = json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}),
        "config.json: /linux/personality/flags are not defined by the specification",
    );
    refused(
        "root",
        |c| c["root"]["path"] = json!("absent"),
        &format!("{START}make the root file system a mount BUNDLE/absent: no such file or directory"),
    );
}

#[test]
fn a_link_in_the_image_leads_nowhere_outside() {
    let Some(mut sandbox) = Sandbox::new("link", "true") else { return };
    let outside = tempfile::tempdir().unwrap();
    let rootfs = sandbox.bundle.path().join("rootfs");
    std::os::unix::fs::symlink(outside.path(), rootfs.join("escape")).unwrap();
    sandbox.bundle.config["root"]["readonly"] = json!(false);
    sandbox.bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"destination": "/escape/made", "type": "tmpfs", "source": "x"}));
    // The link's target is taken from the container's root, where it does not exist.
    assert!(sandbox.must_fail(&["run", "ID"], 1).ends_with("no such file or directory"));
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn proc_must_not_be_a_link() {
    let Some(sandbox) = Sandbox::new("proclink", "true") else { return };
    let rootfs = sandbox.bundle.path().join("rootfs");
    std::fs::remove_dir(rootfs.join("proc")).unwrap();
    std::os::unix::fs::symlink("/tmp", rootfs.join("proc")).unwrap();
    let said = sandbox.must_fail(&["run", "ID"], 1);
    assert_eq!(said, format!("{START}mount \"proc\" to \"/proc\": too many levels of symbolic links"));
}

#[test]
fn a_link_does_not_lead_a_mount_to_proc() {
    let Some(mut sandbox) = Sandbox::new("tolinkproc", "true") else { return };
    let rootfs = sandbox.bundle.path().join("rootfs");
    std::os::unix::fs::symlink("/proc", rootfs.join("link")).unwrap();
    let default = sandbox.bundle.config["mounts"].clone();
    let rows = [
        (json!({"destination": "/link", "type": "bind", "source": "rootfs"}), "rootfs", "/link"),
        (
            json!({"destination": "/link/stat", "type": "bind", "source": "config.json"}),
            "config.json",
            "/link/stat",
        ),
        (json!({"destination": "/link/fs", "type": "tmpfs", "source": "x"}), "x", "/link/fs"),
    ];
    for (mount, source, destination) in rows {
        sandbox.bundle.config["mounts"] = default.clone();
        sandbox.bundle.config["mounts"].as_array_mut().unwrap().push(mount);
        let said = sandbox.must_fail(&["run", "ID"], 1);
        let why = "too many levels of symbolic links";
        assert_eq!(said, format!("{START}mount {source:?} to {destination:?}: {why}"));
    }
}

#[test]
fn the_command_line_is_checked() {
    let Some(sandbox) = Sandbox::new("usage", "true") else { return };
    for (args, want) in [
        (["create", "--nope"].as_slice(), "flag provided but not defined: -nope"),
        (&["create", "--bundle"], "flag needs an argument: -bundle"),
        (&["create"], "container ID is missing"),
        (&["create", "a", "b"], "unexpected argument \"b\""),
        (&["kill", "a", "FROB"], "unknown signal \"FROB\""),
        (&["frob"], "unknown command \"frob\"; see --help"),
        (&["create", "--bundle", "/nonexistent", "x"], "open bundle /nonexistent: no such file or directory"),
    ] {
        assert_eq!(sandbox.must_fail(args, 1), want);
    }
}

#[test]
fn a_failure_is_one_json_object_in_the_log() {
    let Some(sandbox) = Sandbox::new("log", "true") else { return };
    let log = sandbox.bundle.path().join("log.json");
    let args = ["--log", log.to_str().unwrap(), "--log-format", "json", "state", "absent"];
    assert_eq!(sandbox.bundle.output(crate::runtime(), &args).status.code(), Some(1));
    let line: Value = serde_json::from_slice(&std::fs::read(log).unwrap()).unwrap();
    assert_eq!(
        (&line["level"], &line["msg"]),
        (&json!("error"), &json!("container \"absent\" does not exist"))
    );
}

#[test]
fn a_full_disk() {
    let rows = [
        // Not even the container's directory, then its record, its start fifo, its record with the pid.
        ("size=1m,nr_inodes=1", "", "make ", "state/"),
        ("size=1m,nr_inodes=2", "", "write the state of ", ""),
        ("size=1m,nr_inodes=3", "", "make the start fifo", ""),
        ("size=1m,nr_inodes=4", "", "write the state of ", ""),
        ("size=1m", "cat /dev/zero > state/zeros 2>/dev/null || true;", "write the state of ", ""),
    ];
    for (options, before, want, object) in rows {
        let Some(sandbox) = Sandbox::new("full", "true") else { return };
        let create = ["create", sandbox.id.as_str()];
        let command = sandbox.bundle.command(crate::runtime(), &create);
        let args: Vec<_> = command.get_args().map(|arg| arg.to_str().unwrap()).collect();
        // A file system of its own, in a mount namespace that goes with the shell.
        let script = format!(
            "mkdir -p state && mount -t tmpfs -o {options} none state && {{ {before} true; }} && \
             {} {} >out 2>err </dev/null; echo $?; find state -mindepth 1 -not -name zeros",
            command.get_program().display(),
            args.join(" ")
        );
        let output = std::process::Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .current_dir(sandbox.bundle.path())
            .output()
            .unwrap();
        let said = std::fs::read_to_string(sandbox.bundle.path().join("err")).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n", "{options}: {said}");
        assert!(said.starts_with(&format!("plimsoll-runtime: {want}")), "{options}: {said}");
        assert!(said.contains(object) && said.ends_with(": no space left on device\n"), "{options}: {said}");
        assert_eq!(sandbox.host(), sandbox.before, "{options}: the host has changed");
    }
}

#[test]
fn failures_are_left_to_the_log_only_where_there_is_one() {
    let Some(sandbox) = Sandbox::new("log-only", "true") else { return };
    let log = sandbox.bundle.path().join("log");
    let rows: [(&[&str], &str); 2] = [
        (&["--log-format", "json", "--log", log.to_str().unwrap(), "state", "absent"], ""),
        (&["state", "absent"], "plimsoll-runtime: container \"absent\" does not exist\n"),
    ];
    for (args, want) in rows {
        let mut command = sandbox.bundle.command(crate::runtime(), args);
        let output = command.env("PLIMSOLL_LOG_ONLY", "1").output().unwrap();
        assert_eq!(
            (String::from_utf8(output.stderr).unwrap().as_str(), output.status.code()),
            (want, Some(1))
        );
    }
    let logged: Value = serde_json::from_slice(&std::fs::read(log).unwrap()).unwrap();
    assert_eq!(logged["msg"], "container \"absent\" does not exist");
}
