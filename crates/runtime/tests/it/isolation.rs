//! Namespaces, mounts, devices, masked paths, credentials: what the process finds around it.

use plimsoll_test_support::{Need, have};
use serde_json::json;

use crate::{Sandbox, runtime};

fn inode(path: &str) -> String {
    std::fs::read_link(path).unwrap().display().to_string()
}

#[test]
fn every_namespace_asked_for_is_new() {
    if !have(&[Need::Namespace("time")]) {
        return;
    }
    let script = "for n in mnt pid net ipc uts cgroup user time; do readlink /proc/self/ns/$n; done";
    let Some(mut sandbox) = Sandbox::new("namespaces", script) else { return };
    sandbox.bundle.config["linux"]["namespaces"] =
        ["mount", "pid", "network", "ipc", "uts", "cgroup", "user", "time"]
            .iter()
            .map(|kind| json!({"type": kind}))
            .collect();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    sandbox.bundle.config["linux"]["uidMappings"] = map.clone();
    sandbox.bundle.config["linux"]["gidMappings"] = map;
    let inside = sandbox.run();
    assert_eq!(inside.lines().count(), 8, "{inside}");
    for line in inside.lines() {
        let (kind, _) = line.split_once(':').unwrap();
        assert_ne!(line, inode(&format!("/proc/self/ns/{kind}")));
    }
}

#[test]
fn namespaces_are_joined_by_path() {
    let script = "for n in net ipc uts; do readlink /proc/self/ns/$n; done";
    let Some(mut sandbox) = Sandbox::new("join", script) else { return };
    for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        let list = sandbox.bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
        let one = list.iter_mut().find(|namespace| namespace["type"] == kind).unwrap();
        one["path"] = json!(format!("/proc/self/ns/{file}"));
    }
    let want: Vec<_> =
        ["net", "ipc", "uts"].iter().map(|kind| inode(&format!("/proc/self/ns/{kind}"))).collect();
    sandbox.bundle.config.as_object_mut().unwrap().remove("hostname");
    assert_eq!(sandbox.run().lines().collect::<Vec<_>>(), want);

    let list = sandbox.bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
    list.iter_mut().find(|namespace| namespace["type"] == "ipc").unwrap()["path"] =
        json!("/proc/self/ns/uts");
    let said = sandbox.must_fail(&["run", "ID"], 1);
    assert!(said.ends_with("/path is not a namespace of the type given: /proc/self/ns/uts"), "{said}");
}

#[test]
fn a_pid_namespace_is_joined_by_a_second_fork() {
    let Some(first) = Sandbox::new("pidhost", "exec sleep 1000") else { return };
    first.must(&["run", "-d", "--pid-file", "pid", "ID"]);
    let pid = std::fs::read_to_string(first.bundle.path().join("pid")).unwrap();
    let Some(mut second) = Sandbox::new("pidguest", "readlink /proc/self/ns/pid; ps -o comm | grep -c sleep")
    else {
        return;
    };
    let list = second.bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
    let one = list.iter_mut().find(|namespace| namespace["type"] == "pid").unwrap();
    one["path"] = json!(format!("/proc/{pid}/ns/pid"));
    let printed = second.run();
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[0], inode(&format!("/proc/{pid}/ns/pid")));
    assert_eq!(lines[1], "1", "the sleeper of the first container");
}

#[test]
fn a_time_namespace_is_joined() {
    let Some(sandbox) = Sandbox::new("jointime", "readlink /proc/self/ns/time; echo $$") else { return };
    let mut sandbox = sandbox;
    let own = std::fs::read_link("/proc/self/ns/time").unwrap().to_string_lossy().into_owned();
    let namespaces = sandbox.bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.push(json!({"type": "time", "path": "/proc/self/ns/time"}));
    assert_eq!(sandbox.run(), format!("{own}\n1\n"));
}

#[test]
fn time_is_shifted() {
    if !have(&[Need::Namespace("time")]) {
        return;
    }
    let Some(mut sandbox) = Sandbox::new("time", "cat /proc/uptime; echo $$") else { return };
    sandbox.bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "time"}));
    sandbox.bundle.config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 100_000_000, "nanosecs": 0}});
    let printed = sandbox.run();
    let uptime: f64 = printed.split(' ').next().unwrap().parse().unwrap();
    assert!(uptime > 1e8, "{printed}");
    assert_eq!(printed.lines().nth(1), Some("1"));
}

#[test]
fn ids_are_mapped() {
    let Some(mut sandbox) = Sandbox::new("userns", "id -u; cat /proc/self/uid_map; touch /tmp/x") else {
        return;
    };
    sandbox.bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    sandbox.bundle.config["linux"]["uidMappings"] = map.clone();
    sandbox.bundle.config["linux"]["gidMappings"] = map;
    sandbox.bundle.config["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"destination": "/tmp", "type": "tmpfs", "source": "t"}));
    let printed = sandbox.run();
    let words: Vec<_> = printed.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536"]);
}

#[test]
fn devices_are_there_and_no_others() {
    let script = "cd /dev; stat -c '%n %F %a %t,%T %u:%g' full null random tty urandom zero; ls; for i in ptmx fd stdin; do readlink $i; done";
    let Some(mut sandbox) = Sandbox::new("devices", script) else { return };
    sandbox.bundle.config["linux"]["devices"] = json!([{"path": "/dev/own", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 5, "gid": 6}]);
    let printed = sandbox.run();
    let want = "full character special file 666 1,7 0:0\n\
        null character special file 666 1,3 0:0\n\
        random character special file 666 1,8 0:0\n\
        tty character special file 666 5,0 0:0\n\
        urandom character special file 666 1,9 0:0\n\
        zero character special file 666 1,5 0:0\n\
        core\nfd\nfull\nmqueue\nnull\nown\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n\
        pts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n";
    let printed = if std::path::Path::new("/proc/kcore").exists() {
        printed
    } else {
        printed.replace("full\nmq", "core\nfull\nmq")
    };
    assert_eq!(printed.replace("core\n", ""), want.replace("core\n", ""));
}

#[test]
fn paths_are_masked_and_read_only() {
    let script = "ls /secret | grep -c . ; cat /hidden; touch /locked/x 2>/dev/null || echo locked; touch /open/x && echo open; \
        cat /proc/keys; echo x > /proc/sys/kernel/hostname || echo sys";
    let Some(mut sandbox) = Sandbox::new("hidden", script) else { return };
    let rootfs = sandbox.bundle.path().join("rootfs");
    for name in ["secret", "locked", "open"] {
        std::fs::create_dir(rootfs.join(name)).unwrap();
    }
    std::fs::write(rootfs.join("secret/file"), "x").unwrap();
    std::fs::write(rootfs.join("hidden"), "secret").unwrap();
    sandbox.bundle.config["root"]["readonly"] = json!(false);
    for (list, path) in [
        ("maskedPaths", "/secret"),
        ("maskedPaths", "/hidden"),
        ("maskedPaths", "/absent"),
        ("readonlyPaths", "/locked"),
    ] {
        sandbox.bundle.config["linux"][list].as_array_mut().unwrap().push(json!(path));
    }
    assert_eq!(sandbox.run(), "0\nlocked\nopen\nsys\n");
}

#[test]
fn the_root_is_read_only_when_asked() {
    let Some(sandbox) = Sandbox::new("readonly", "touch /x 2>/dev/null || echo refused") else { return };
    assert_eq!(sandbox.run(), "refused\n");
}

#[test]
fn mounts_have_their_options() {
    let script = "grep -E ' /(data|fast|file) ' /proc/self/mountinfo | while read a b c root at options rest; do echo $at $options; done; cat /file";
    let Some(mut sandbox) = Sandbox::new("mounts", script) else { return };
    std::fs::create_dir(sandbox.bundle.path().join("source")).unwrap();
    std::fs::write(sandbox.bundle.path().join("plain"), "content\n").unwrap();
    sandbox.bundle.config["root"]["readonly"] = json!(false);
    sandbox.bundle.config["mounts"].as_array_mut().unwrap().extend([
        json!({"destination": "/data", "source": "source", "options": ["bind", "ro", "nosuid", "nodev"]}),
        json!({"destination": "/fast", "type": "tmpfs", "source": "t", "options": ["noexec", "noatime", "size=4k"]}),
        json!({"destination": "/file", "type": "bind", "source": "plain", "options": ["rbind", "rprivate"]}),
    ]);
    let printed = sandbox.run();
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[0], "/data ro,nosuid,nodev,relatime");
    assert_eq!(lines[1], "/fast rw,noexec,noatime");
    assert!(lines[2].starts_with("/file rw,"), "{printed}");
    assert_eq!(lines[3], "content");
}

#[test]
fn credentials_are_what_was_asked_for() {
    let script = "id; umask; grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Groups)' /proc/self/status; cat /proc/self/oom_score_adj; \
        ulimit -n; echo $HOME; pwd";
    let Some(mut sandbox) = Sandbox::new("credentials", script) else { return };
    std::fs::write(sandbox.bundle.path().join("rootfs/etc/passwd"), "me:x:1000:1001::/home/me:/bin/sh\n")
        .unwrap();
    let process = &mut sandbox.bundle.config["process"];
    process["user"] = json!({"uid": 1000, "gid": 1001, "umask": 0o27, "additionalGids": [5, 6]});
    process["cwd"] = json!("/tmp");
    process["oomScoreAdj"] = json!(100);
    process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    process["capabilities"] = json!({
        "bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
        "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"],
    });
    let want = "uid=1000(me) gid=1001 groups=5,6\n0027\n\
        Groups:\t5 6 \nCapInh:\t0000000000000020\nCapPrm:\t0000000000000020\nCapEff:\t0000000000000020\n\
        CapBnd:\t0000000000000021\nCapAmb:\t0000000000000020\nNoNewPrivs:\t1\n100\n100\n/home/me\n/tmp\n";
    assert_eq!(sandbox.run(), want);
}

#[test]
fn kernel_parameters_are_set_in_their_namespace() {
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax";
    let Some(mut sandbox) = Sandbox::new("sysctl", script) else { return };
    sandbox.bundle.config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel/msgmax": "4242"});
    assert_eq!(sandbox.run(), "1\n4242\n");
    sandbox.bundle.config["linux"]["sysctl"] = json!({"kernel.pid_max": "1"});
    let said = sandbox.must_fail(&["run", "ID"], 1);
    assert_eq!(
        said,
        "config.json: /linux/sysctl/kernel.pid_max is not in a separate kernel namespace: \"kernel.pid_max\""
    );
}

/// A namespace that is joined by path confines nothing where it is the runtime's own.
#[test]
fn kernel_parameters_of_the_host_are_not_set() {
    let rows = [
        ("network", "net", "net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("ipc", "ipc", "kernel.msgmax", "kernel/msgmax"),
        ("uts", "uts", "kernel.domainname", "kernel/domainname"),
    ];
    for (kind, file, name, path) in rows {
        let Some(mut sandbox) = Sandbox::new("hostsysctl", "true") else { return };
        sandbox.bundle.config.as_object_mut().unwrap().remove("hostname");
        let list = sandbox.bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
        let one = list.iter_mut().find(|namespace| namespace["type"] == kind).unwrap();
        one["path"] = json!(format!("/proc/self/ns/{file}"));
        // What is there already, so that a runtime that fails this test does no harm.
        let value = std::fs::read_to_string(format!("/proc/sys/{path}")).unwrap();
        sandbox.bundle.config["linux"]["sysctl"] = json!({name: value.trim_end()});
        let want = format!(
            "config.json: /linux/sysctl/{name} is not allowed: \
             the {file} namespace that is joined is the host's own"
        );
        assert_eq!(sandbox.must_fail(&["run", "ID"], 1), want);
    }
}

#[test]
fn no_descriptor_and_no_host_mount_leaks() {
    let script = "ls /proc/self/fd | grep -c .; cut -d' ' -f5 /proc/self/mountinfo | grep -v -E '^/(proc|dev|sys)' | grep -c .";
    let Some(sandbox) = Sandbox::new("leaks", script) else { return };
    let printed = sandbox.run();
    let numbers: Vec<u32> = printed.lines().map(|line| line.parse().unwrap()).collect();
    // Standard streams and the directory that ls itself reads; of the mounts outside /proc, /dev and /sys the root alone.
    assert_eq!(numbers, [4, 1], "{printed}");
}

#[test]
fn the_runtimes_own_file_cannot_be_written_from_inside() {
    // Until its start the process is the runtime, which a program like /proc/self/exe would make it again.
    let Some(sandbox) = Sandbox::new("self", "exec sleep 1000") else { return };
    sandbox.must(&["create", "--pid-file", "pid", "ID"]);
    let pid = std::fs::read_to_string(sandbox.bundle.path().join("pid")).unwrap();
    let mount = rustix::fs::statvfs(format!("/proc/{pid}/exe")).unwrap();
    assert!(mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    let own = rustix::fs::statvfs(runtime()).unwrap();
    assert!(!own.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY), "the test shows nothing here");
}

/// A time namespace takes only children in, so a second process goes on: it must be known before it says anything.
#[test]
fn the_process_that_goes_on_is_the_one_that_is_recorded() {
    if !have(&[Need::Namespace("time"), Need::Program("strace")]) {
        return;
    }
    let Some(mut sandbox) = Sandbox::new("goeson", "true") else { return };
    let namespaces = sandbox.bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.push(json!({"type": "time"}));
    let create = sandbox.bundle.command(runtime(), &["create", &sandbox.id]);
    // Whoever forks is kept from going on for so long that the new process is ready first.
    let mut slow = std::process::Command::new("strace");
    slow.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3"]);
    slow.args(["-e", "inject=clone3:delay_exit=300000"]);
    slow.arg(create.get_program()).args(create.get_args()).current_dir(sandbox.bundle.path());
    let made = plimsoll_test_support::output(&mut slow);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let state: serde_json::Value = serde_json::from_str(&sandbox.must(&["state", "ID"])).unwrap();
    assert_eq!(state["status"], "created");
    assert_ne!(inode(&format!("/proc/{}/ns/pid", state["pid"])), inode("/proc/self/ns/pid"));
}
