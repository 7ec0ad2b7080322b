//! Processes added to a running container.

use serde_json::json;

use crate::Sandbox;

fn running(name: &str) -> Option<Sandbox> {
    let sandbox = Sandbox::new(name, "exec sleep 1000")?;
    sandbox.must(&["run", "--detach", "--pid-file", "pid", "ID"]);
    Some(sandbox)
}

#[test]
fn a_process_is_in_the_containers_namespaces_and_cgroup() {
    let Some(sandbox) = running("exec") else { return };
    let pid = std::fs::read_to_string(sandbox.bundle.path().join("pid")).unwrap();
    let script = "for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup /proc/1/cgroup";
    let printed = sandbox.must(&["exec", "ID", "sh", "-c", script]);
    let mut lines = printed.lines();
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "uts"] {
        let want = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(lines.next(), want.to_str());
    }
    let cgroups: Vec<_> = lines.collect();
    let (own, first) = cgroups.split_at(cgroups.len() / 2);
    assert_eq!(own, first);
    let outside = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(outside.contains(&sandbox.id), "{outside}");
}

#[test]
fn flags_change_the_process() {
    let Some(sandbox) = running("execflags") else { return };
    let args = [
        "exec",
        "-u",
        "1000:1001",
        "-g",
        "7",
        "-e",
        "A=b",
        "--cwd",
        "/tmp",
        "ID",
        "sh",
        "-c",
        "id; pwd; echo $A; exit 9",
    ];
    let output = sandbox.call(&args);
    assert_eq!(output.status.code(), Some(9));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "uid=1000 gid=1001 groups=7\n/tmp\nb\n");
}

#[test]
fn a_whole_process_comes_from_a_file() {
    let Some(sandbox) = running("execfile") else { return };
    let process = json!({"cwd": "/", "args": ["sh", "-c", "echo $X; grep CapEff /proc/self/status"], "env": ["X=y", "PATH=/bin"],
        "capabilities": {"effective": ["CAP_KILL"], "permitted": ["CAP_KILL"], "bounding": ["CAP_KILL"]}});
    std::fs::write(sandbox.bundle.path().join("process.json"), process.to_string()).unwrap();
    assert_eq!(sandbox.must(&["exec", "--process", "process.json", "ID"]), "y\nCapEff:\t0000000000000020\n");
}

#[test]
fn a_detached_process_is_named_by_its_pid_file() {
    let Some(sandbox) = running("execdetached") else { return };
    sandbox.must(&["exec", "-d", "--pid-file", "second", "ID", "sleep", "1000"]);
    let second = std::fs::read_to_string(sandbox.bundle.path().join("second")).unwrap();
    let pids: Vec<u32> = serde_json::from_str(&sandbox.must(&["ps", "--format", "json", "ID"])).unwrap();
    let first = std::fs::read_to_string(sandbox.bundle.path().join("pid")).unwrap();
    let mut want: Vec<u32> = vec![first.parse().unwrap(), second.parse().unwrap()];
    want.sort_unstable();
    assert_eq!(pids, want);
}

#[test]
fn what_cannot_be_executed_is_told_and_leaves_no_pid_file() {
    let Some(sandbox) = running("execnope") else { return };
    let said = sandbox.must_fail(&["exec", "--pid-file", "second", "ID", "nope"], 255);
    assert_eq!(said, "unable to start container process: exec: \"nope\": executable file not found in $PATH");
    assert!(!sandbox.bundle.path().join("second").exists());
    assert_eq!(sandbox.must_fail(&["exec", "ID"], 255), "process args cannot be empty");
    let said = sandbox.must_fail(&["exec", "--cwd", "/nope", "ID", "true"], 255);
    assert_eq!(
        said,
        "unable to start container process: enter the working directory /nope: no such file or directory"
    );
    sandbox.must(&["kill", "ID", "KILL"]);
    sandbox.wait_for("stopped");
    assert_eq!(sandbox.must_fail(&["exec", "ID", "true"], 255), "cannot exec in a stopped container");
}

#[test]
fn the_execution_domain_is_that_of_the_container() {
    let Some(mut sandbox) = Sandbox::new("personality", "busybox uname -m") else { return };
    let small = if cfg!(target_arch = "x86_64") { "i686\n" } else { "armv8l\n" };
    assert_eq!(sandbox.run().trim(), std::env::consts::ARCH);
    sandbox.bundle.config["linux"]["personality"] = json!({"domain": "LINUX32"});
    assert_eq!(sandbox.run(), small);
    sandbox.bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    sandbox.must(&["run", "--detach", "ID"]);
    assert_eq!(sandbox.must(&["exec", "ID", "busybox", "uname", "-m"]), small);
}

#[test]
fn a_label_that_cannot_be_applied_is_refused() {
    let Some(sandbox) = running("execlabel") else { return };
    let process = json!({"cwd": "/", "args": ["true"], "selinuxLabel": "x"});
    std::fs::write(sandbox.bundle.path().join("process.json"), process.to_string()).unwrap();
    let said = sandbox.must_fail(&["exec", "--process", "process.json", "ID"], 255);
    assert_eq!(said, "process.json: /selinuxLabel is not supported yet");
    // Empty is as absent: podman always writes the fields.
    let process = json!({"cwd": "/", "args": ["true"], "apparmorProfile": "", "selinuxLabel": ""});
    std::fs::write(sandbox.bundle.path().join("process.json"), process.to_string()).unwrap();
    sandbox.must(&["exec", "--process", "process.json", "ID"]);
}

#[test]
fn labels_are_chosen_by_flags() {
    let Some(sandbox) = running("execflaglabel") else { return };
    let said = sandbox.must_fail(&["exec", "--process-label", "x", "ID", "true"], 255);
    assert_eq!(said, "--process-label is not supported yet");
    sandbox.must(&["exec", "--process-label", "", "--apparmor", "", "ID", "true"]);
    // Where AppArmor is there, the profile is what is missing.
    let said = sandbox.must_fail(&["exec", "--apparmor", "plimsoll-test-absent", "ID", "true"], 255);
    assert!(said.contains("plimsoll-test-absent"), "{said}");
}

#[test]
fn a_process_is_put_into_a_cgroup_below_the_containers() {
    let Some(sandbox) = running("execcgroup") else { return };
    let pid = std::fs::read_to_string(sandbox.bundle.path().join("pid")).unwrap();
    let lines = |text: &str| -> Vec<(String, String)> {
        let parts = text.lines().map(|line| line.split_once(':').unwrap().1.split_once(':').unwrap());
        parts.map(|(controllers, path)| (controllers.to_owned(), path.to_owned())).collect()
    };
    let own = lines(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap());
    let own: Vec<_> = own.into_iter().filter(|(_, path)| path.contains(&sandbox.id)).collect();
    let directory = |controllers: &str, path: &str| {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let one = mounts.lines().find_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let (kind, options) = (right.split(' ').next()?, right.rsplit(' ').next()?);
            let wanted = match controllers {
                "" => kind == "cgroup2",
                names => {
                    kind == "cgroup" && names.split(',').all(|name| options.split(',').any(|o| o == name))
                }
            };
            wanted.then(|| left.split(' ').nth(4).map(str::to_owned)).flatten()
        });
        std::path::Path::new(&one.unwrap()).join(path.trim_start_matches('/'))
    };
    for (controllers, path) in &own {
        let above = directory(controllers, path);
        std::fs::create_dir(above.join("below")).unwrap();
        // Version 1 takes no process into a set of no processors.
        let below = above.join("below");
        for name in ["cpuset.cpus", "cpuset.mems"].iter().filter(|name| below.join(name).exists()) {
            let set = std::fs::read(above.join(name)).unwrap();
            std::fs::write(below.join(name), set).unwrap();
        }
    }
    let of_added = |args: &[&str]| {
        let _ = std::fs::remove_file(sandbox.bundle.path().join("second"));
        let args: Vec<_> = ["exec", "-d", "--pid-file", "second"].iter().chain(args).copied().collect();
        sandbox.must(&[&args, ["ID", "sleep", "1000"].as_slice()].concat());
        let pid = std::fs::read_to_string(sandbox.bundle.path().join("second")).unwrap();
        lines(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap())
    };
    let all = of_added(&["--cgroup", "/below"]);
    for (controllers, path) in &own {
        assert!(all.contains(&(controllers.clone(), format!("{path}/below"))), "{all:?}");
    }
    if let Some((chosen, _)) = own.iter().find(|(controllers, _)| !controllers.is_empty()) {
        let one = of_added(&["--cgroup", &format!("{chosen}:below")]);
        for (controllers, path) in &own {
            let want = if controllers == chosen { format!("{path}/below") } else { path.clone() };
            assert!(one.contains(&(controllers.clone(), want)), "{one:?}");
        }
    }
    let said = sandbox.must_fail(&["exec", "--cgroup", "absent", "ID", "true"], 255);
    assert!(said.ends_with("/absent does not exist"), "{said}");
    let said = sandbox.must_fail(&["exec", "--cgroup", "../x", "ID", "true"], 255);
    assert_eq!(said, "invalid value \"../x\" for flag -cgroup");
    let said = sandbox.must_fail(&["exec", "--cgroup", "nope:below", "ID", "true"], 255);
    assert_eq!(said, "the container has no cgroup of controller \"nope\"");
}
