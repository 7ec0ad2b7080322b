//! Cgroup v2 with its controllers, as hosts have it today: what is asked for stands in the kernel's files, for root
//! and for an ordinary user to whom a cgroup is delegated.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use plimsoll_test_support::{Bundle, Host, Need, copy_program, have};
use serde_json::{Value, json};

use crate::{Sandbox, runtime};

const ROOT: &str = "/sys/fs/cgroup";
/// Nobody in particular.
const USER: u32 = 54321;

/// Creates a container with `resources` and compares files of its cgroup with what they have to hold.
fn holds(name: &str, controller: &'static str, resources: Value, files: &[(&str, &str)]) {
    if !have(&[Need::Cgroup2(controller)]) {
        return;
    }
    let Some(mut sandbox) = Sandbox::new(name, "true") else { return };
    sandbox.bundle.config["linux"]["resources"] = resources;
    sandbox.must(&["create", "ID"]);
    for (file, want) in files {
        let path = Path::new(ROOT).join(&sandbox.id).join(file);
        let found = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(found.trim_end(), *want, "{file}");
    }
}

#[test]
fn memory_is_as_asked_for() {
    let resources = json!({"memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}, "unified": {"memory.high": "50331648"}});
    let files = [
        ("memory.max", "67108864"),
        ("memory.swap.max", "33554432"),
        ("memory.low", "33554432"),
        ("memory.high", "50331648"),
    ];
    holds("memory2", "memory", resources, &files);
}

#[test]
fn no_swap_and_no_limit_are_asked_for() {
    holds(
        "noswap",
        "memory",
        json!({"memory": {"limit": 64 << 20, "swap": 64 << 20}}),
        &[("memory.swap.max", "0")],
    );
    let files = [("memory.max", "max"), ("memory.swap.max", "max")];
    holds("unlimited", "memory", json!({"memory": {"limit": -1, "swap": -1}}), &files);
}

#[test]
fn processors_are_shared_as_asked_for() {
    let resources = json!({"cpu": {"shares": 2048, "quota": 50000, "period": 200_000, "burst": 10000}});
    let files = [("cpu.weight", "174"), ("cpu.max", "50000 200000"), ("cpu.max.burst", "10000")];
    holds("cpu2", "cpu", resources, &files);
    holds("cpuidle", "cpu", json!({"cpu": {"idle": 1}}), &[("cpu.idle", "1")]);
    holds("cpuquota", "cpu", json!({"cpu": {"quota": -1}}), &[("cpu.max", "max 100000")]);
}

#[test]
fn processors_and_nodes_are_chosen() {
    let files = [("cpuset.cpus", "0"), ("cpuset.mems", "0"), ("cpuset.cpus.effective", "0")];
    holds("cpuset2", "cpuset", json!({"cpu": {"cpus": "0", "mems": "0"}}), &files);
}

#[test]
fn processes_are_counted() {
    holds("pids2", "pids", json!({"pids": {"limit": 50}}), &[("pids.max", "50")]);
    holds("pidsmax", "pids", json!({"pids": {"limit": -1}}), &[("pids.max", "max")]);
}

#[test]
fn transfers_are_throttled() {
    if !have(&[Need::Cgroup2("io")]) {
        return;
    }
    let Some((major, minor)) = disk() else { return plimsoll_test_support::skipped("no disk is there") };
    if !Path::new(ROOT).join("init.scope/io.max").exists() {
        return plimsoll_test_support::skipped("this kernel has no io.max");
    }
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let block = json!({"throttleReadBpsDevice": rate(1 << 20), "throttleWriteBpsDevice": rate(2 << 20),
        "throttleReadIOPSDevice": rate(100), "throttleWriteIOPSDevice": rate(200)});
    let want = format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=100 wiops=200");
    holds("iomax", "io", json!({"blockIO": block}), &[("io.max", &want)]);
}

/// The numbers of the first disk.
fn disk() -> Option<(u64, u64)> {
    let mut disks: Vec<PathBuf> =
        std::fs::read_dir("/sys/block").ok()?.flatten().map(|entry| entry.path()).collect();
    disks.retain(|path| path.join("device").exists());
    disks.sort();
    let numbers = std::fs::read_to_string(disks.first()?.join("dev")).ok()?;
    let (major, minor) = numbers.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn a_weight_of_transfers_is_set_or_refused_by_name() {
    if !have(&[Need::Cgroup2("io")]) {
        return;
    }
    let Some(mut sandbox) = Sandbox::new("ioweight", "true") else { return };
    sandbox.bundle.config["linux"]["resources"] = json!({"blockIO": {"weight": 500}});
    let cgroup = |file: &str| Path::new(ROOT).join(&sandbox.id).join(file);
    let output = sandbox.call(&["create", "ID"]);
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.success() {
        let weights: Vec<_> = ["io.weight", "io.bfq.weight"]
            .into_iter()
            .filter_map(|file| std::fs::read_to_string(cgroup(file)).ok())
            .filter_map(|text| text.lines().next().map(str::to_owned))
            .collect();
        // 10 to 1000 becomes 1 to 10000, but for BFQ, which counts to 1000.
        assert!(
            weights.iter().any(|weight| weight == "default 4950" || weight == "default 500"),
            "{weights:?}"
        );
    } else {
        assert_eq!(
            said,
            "plimsoll-runtime: set up the cgroup: linux.resources.blockIO.weight: this kernel has neither io.weight nor io.bfq.weight\n"
        );
    }
}

#[test]
fn what_the_kernel_refuses_names_the_file() {
    if !have(&[Need::Cgroup2("memory")]) {
        return;
    }
    let Some(mut sandbox) = Sandbox::new("badunified", "true") else { return };
    sandbox.bundle.config["linux"]["resources"] = json!({"unified": {"memory.high": "much"}});
    let said = sandbox.must_fail(&["create", "ID"], 1);
    let want =
        format!("set up the cgroup: write \"much\" to {ROOT}/{}/memory.high: invalid argument", sandbox.id);
    assert_eq!(said, want);
    sandbox.bundle.config["linux"]["resources"] = json!({"unified": {"nothing.max": "1"}});
    let said = sandbox.must_fail(&["create", "ID"], 1);
    assert_eq!(
        said,
        "set up the cgroup: linux.resources: nothing.max needs the controller nothing, which /sys/fs/cgroup does not have"
    );
}

#[test]
fn a_cgroup_below_others_gets_its_controllers() {
    if !have(&[Need::Cgroup2("memory"), Need::Cgroup2("pids")]) {
        return;
    }
    let Some(mut sandbox) = Sandbox::new("deep", "true") else { return };
    let top = Path::new(ROOT).join(format!("plimsoll-top-{}", std::process::id()));
    let path = format!("/{}/middle/{}", top.file_name().unwrap().to_str().unwrap(), sandbox.id);
    sandbox.bundle.config["linux"]["cgroupsPath"] = json!(path);
    sandbox.bundle.config["linux"]["resources"] =
        json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 9}});
    sandbox.must(&["create", "ID"]);
    let middle = top.join("middle");
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(middle.join(&sandbox.id).join("memory.max")), "67108864\n");
    assert_eq!(read(middle.join(&sandbox.id).join("pids.max")), "9\n");
    assert_eq!(read(middle.join("cgroup.subtree_control")), "memory pids\n");
    sandbox.must(&["delete", "--force", "ID"]);
    assert!(!middle.join(&sandbox.id).exists());
    // What lies between was made on the way; an engine owns it.
    for path in [&middle, &top] {
        std::fs::remove_dir(path).unwrap();
    }
}

#[test]
fn what_the_host_may_raise_is_raised() {
    if !have(&[Need::Capability(24, "CAP_SYS_RESOURCE")]) {
        return;
    }
    let script = "cat /proc/self/oom_score_adj; grep 'Max processes' /proc/self/limits";
    let Some(mut sandbox) = Sandbox::new("raise", script) else { return };
    let process = &mut sandbox.bundle.config["process"];
    process["oomScoreAdj"] = json!(-500);
    process["rlimits"] = json!([{"type": "RLIMIT_NPROC", "soft": 4_000_000, "hard": 5_000_000}]);
    let printed = sandbox.run();
    let words: Vec<_> = printed.split_whitespace().collect();
    assert_eq!(words, ["-500", "Max", "processes", "4000000", "5000000", "processes"]);
}

/// The owner on the host of a container's cgroup, whose user namespace begins at [`USER`] and which sees its cgroups
/// with `option`; then of the file that takes processes in, and of one that is not for containers.
fn owners(name: &str, option: &str) -> Option<[u32; 3]> {
    use std::os::unix::fs::MetadataExt as _;
    if !have(&[Need::Cgroup2("memory")]) {
        return None;
    }
    let mut sandbox = Sandbox::new(name, "true")?;
    let linux = &mut sandbox.bundle.config["linux"];
    let map = json!([{"containerID": 0, "hostID": USER, "size": 1000}]);
    linux["uidMappings"] = map.clone();
    linux["gidMappings"] = map;
    let namespaces = linux["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "cgroup");
    namespaces.extend([json!({"type": "user"}), json!({"type": "cgroup"})]);
    let mounts = sandbox.bundle.config["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
    mounts.push(
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [option]}),
    );
    sandbox.must(&["create", "ID"]);
    let cgroup = Path::new(ROOT).join(&sandbox.id);
    let files = ["", "cgroup.procs", "cgroup.freeze"];
    Some(files.map(|file| std::fs::metadata(cgroup.join(file)).unwrap().uid()))
}

#[test]
fn a_container_that_may_write_its_cgroup_owns_it() {
    let Some(writable) = owners("owned", "rw") else { return };
    assert_eq!(writable, [USER, USER, 0]);
    assert_eq!(owners("notowned", "ro"), Some([0; 3]));
}

/// A cgroup that belongs to [`USER`], with the controllers `memory` and `pids` to hand on.
struct Delegated(PathBuf);

impl Delegated {
    fn new(name: &str) -> Delegated {
        let place = Path::new(ROOT).join(format!("plimsoll-{name}-{}", std::process::id()));
        std::fs::write(Path::new(ROOT).join("cgroup.subtree_control"), "+memory +pids").unwrap();
        std::fs::create_dir(&place).unwrap();
        let delegated = Delegated(place);
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            std::os::unix::fs::chown(delegated.0.join(file), Some(USER), Some(USER)).unwrap();
        }
        delegated
    }

    /// `command` as the user, from a cgroup of its own below this one.
    fn output(&self, mut command: std::process::Command) -> Output {
        let own = self.0.join("own");
        if !own.exists() {
            std::fs::create_dir(&own).unwrap();
            for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                std::os::unix::fs::chown(own.join(file), Some(USER), Some(USER)).unwrap();
            }
        }
        let words: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_str().unwrap().to_owned())
            .collect();
        let mut inner = std::process::Command::new("setpriv");
        inner
            .args(["--reuid", &USER.to_string(), "--regid", &USER.to_string(), "--clear-groups"])
            .args(&words);
        let dir = command.get_current_dir().unwrap().to_owned();
        command = std::process::Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(own.join("cgroup.procs"));
        command.arg(inner.get_program()).args(inner.get_args()).current_dir(dir);
        plimsoll_test_support::output(&mut command)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        // A test that fails may leave a container, which goes with its cgroup.
        let _ = std::fs::write(self.0.join("cgroup.kill"), "1");
        let mut all = vec![self.0.clone()];
        let mut next = 0;
        while let Some(dir) = all.get(next).cloned() {
            let below = std::fs::read_dir(&dir).into_iter().flatten().flatten();
            all.extend(below.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
            next += 1;
        }
        for dir in all.iter().rev() {
            while std::fs::remove_dir(dir).is_err_and(|e| e.kind() == std::io::ErrorKind::ResourceBusy)
                && std::thread::panicking()
            {
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn a_delegated_cgroup_holds_an_ordinary_users_container() {
    let needs = [Need::Root, Need::Program("busybox"), Need::Program("setpriv")];
    if !have(&needs) || !have(&[Need::Cgroup2("memory"), Need::Cgroup2("pids")]) {
        return;
    }
    let delegated = Delegated::new("delegated");
    let place = tempfile::tempdir().unwrap();
    let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    open(place.path());
    let program = place.path().join("runtime");
    copy_program(runtime(), &program).unwrap();
    let mut spec = std::process::Command::new(&program);
    spec.args(["spec", "--rootless", "--bundle"]).arg(place.path()).current_dir("/");
    let made = delegated.output(spec);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let config = std::fs::read_to_string(place.path().join("config.json")).unwrap();
    let mut bundle = Bundle::new(&config, "cat /proc/self/cgroup; exec sleep 1000");
    for folder in [bundle.path().to_owned(), bundle.path().join("rootfs/dev")] {
        open(&folder);
    }
    bundle.config["linux"]["resources"] = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}});
    let before = Host::look(bundle.path(), "plimsoll-delegated");
    let created = delegated.output(bundle.command(&program, &["create", "box"]));
    assert_eq!(String::from_utf8_lossy(&created.stderr), "");
    assert!(created.status.success());
    // Beside the caller's own cgroup, not below it: that one has processes and may not hand controllers on.
    let cgroup = delegated.0.join("box");
    let read = |file: &str| std::fs::read_to_string(cgroup.join(file)).unwrap();
    assert_eq!(read("memory.max"), "67108864\n");
    assert_eq!(read("pids.max"), "20\n");
    assert_eq!(read("cgroup.procs").lines().count(), 1);
    let deleted = delegated.output(bundle.command(&program, &["delete", "--force", "box"]));
    assert_eq!(String::from_utf8_lossy(&deleted.stderr), "");
    assert!(!cgroup.exists());
    assert_eq!(Host::look(bundle.path(), "plimsoll-delegated"), before);

    // The rest of the tree is not theirs.
    bundle.config["linux"]["cgroupsPath"] = json!("/plimsoll-not-yours");
    let refused = delegated.output(bundle.command(&program, &["create", "box"]));
    let said = String::from_utf8(refused.stderr).unwrap();
    let want = "plimsoll-runtime: set up the cgroup, which has to be delegated to an ordinary user: create cgroup /sys/fs/cgroup/plimsoll-not-yours: permission denied\n";
    assert_eq!((refused.status.code(), said.as_str()), (Some(1), want));
}
