//! A script that runs a case again arranges what the case had arranged: every operation ends as it did there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use plimsoll_test_support::{Need, have, skipped};
use tempfile::TempDir;

/// A case of each kind, with what its script has to do for it.
const CASES: [(&str, &str); 17] = [
    ("capabilities/ungrantable", " setpriv --bounding-set -sys_time --inh-caps -sys_time "),
    ("cgroups/delegated", "chown 100000:100000 .."),
    ("cgroups/delegated-without-a-list", "mount -t tmpfs none /sys/kernel/cgroup"),
    ("descriptors/passed", "<>\"$here\"/passed"),
    ("devices/attributes", "umask 0077"),
    ("mounts-recursive/rrw", "mount -o remount,bind,ro "),
    ("names/shared", "unshare --mount --uts"),
    ("namespaces/join-network", "hold net; held_"),
    ("namespaces/join-time", "hold time; held_"),
    ("namespaces/network", "ip link add plimsoll0 type veth"),
    ("network/kept", "ip link set plimsoll0 alias 'a plimsoll mark'"),
    ("network/template", "nsenter --net=/proc/\"$held_"),
    ("process/oom-score-unset", " choom --adjust 17 -- "),
    ("process/terminal", "listen terminal "),
    ("propagation/root-shared", "mount --bind "),
    ("seccomp/listener-datagram", "listen datagram "),
    ("user/inherited", " setpriv --groups 4242 "),
];

/// Ends what a script leaves, where it says that it leaves it.
const LEFT: &str = "echo \"What is left lies in $here\" >&2\n";
const REMOVE: &str =
    "for id in $(ls \"$here\"/state); do \"$RUNTIME\" --root \"$here\"/state delete --force \"$id\"; done\n";

struct Desk {
    dir: TempDir,
    runtime: PathBuf,
}

impl Desk {
    fn plimsoll(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.arg("conformance").args(arguments).current_dir(self.dir.path()).output().unwrap()
    }

    /// Judges the cases; whether that could be done.
    fn judge(&self) -> bool {
        let runtime = self.runtime.to_string_lossy();
        let only = CASES.iter().flat_map(|(case, _)| ["--only", case]);
        let arguments = ["run", &runtime, "--only-cgroup2", "-o", "results.json"];
        let output = self.plimsoll(&arguments.into_iter().chain(only).collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr);
        let without = said.contains("built without a probe");
        assert!(without || self.dir.path().join("results.json").is_file(), "{said}");
        !without
    }

    fn script(&self, case: &str) -> String {
        let output = self.plimsoll(&["reproduce", "results.json", case]);
        assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Executes it, with everything that it starts in a namespace of processes that ends with it.
    fn execute(&self, script: &str) -> Output {
        let file = self.dir.path().join("script");
        assert!(script.contains(LEFT), "{script}");
        std::fs::write(&file, script.replace(LEFT, REMOVE)).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "timeout", "60", "sh"]).arg(&file);
        command.env("RUNTIME", &self.runtime).env("PROBE", self.dir.path().join("probe"));
        let output = command.env("TMPDIR", self.dir.path()).output().unwrap();
        remove_cgroups(script);
        output
    }
}

/// Removes the cgroups of a script, which one that fails has left.
fn remove_cgroups(script: &str) {
    let paths = script.split("\"cgroupsPath\": \"/").skip(1).filter_map(|rest| rest.split('"').next());
    for path in paths {
        for hierarchy in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            let _ = std::fs::remove_dir(Path::new(hierarchy).join(path));
        }
    }
}

fn own_runtime() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_plimsoll")).with_file_name("plimsoll-runtime")
}

#[test]
fn a_script_arranges_what_the_case_had() {
    let tools = ["ip", "setpriv", "choom", "unshare", "nsenter"].map(Need::Program);
    if !have(&[&[Need::Root], &tools[..]].concat()) {
        return;
    }
    let dir = tempfile::Builder::new().prefix("plimsoll-cli-").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let desk = Desk { dir, runtime: own_runtime() };
    if !desk.runtime.is_file() {
        return skipped("plimsoll-runtime is not built beside plimsoll");
    }
    if !desk.judge() {
        return skipped("plimsoll was built without a probe");
    }
    desk.plimsoll(&["probe", "probe"]);
    for (case, line) in CASES {
        let script = desk.script(case);
        assert!(script.contains(line), "{case}: {script}");
        let output = desk.execute(&script);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{case}: {said}\n{script}");
    }
}
