//! The runtime's program against the kernel: every test makes real containers and compares the host
//! before and after.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod apparmor;
mod capabilities;
mod cgroup2;
mod exec;
mod faults;
mod hooks;
mod isolation;
mod keyring;
mod killed;
mod lifecycle;
mod opened;
mod resources;
mod rootless;
mod seccomp;
mod terminal;
mod tmpfs;
mod update;

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use plimsoll_test_support::{Bundle, Host, Need, have};

/// The program under test.
fn runtime() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_plimsoll-runtime"))
}

/// A bundle of one test with an id of its own; checks in the end that the host is as it was.
struct Sandbox {
    bundle: Bundle,
    id: String,
    before: Host,
}

impl Sandbox {
    /// A container that would run `script`, or `None` with a printed reason where the machine lacks something.
    fn new(name: &str, script: &str) -> Option<Sandbox> {
        if !have(&[Need::Root, Need::Program("busybox")]) {
            return None;
        }
        let bundle = Bundle::new(&default_config(), script);
        let id = format!("plimsoll-{name}-{}", std::process::id());
        let before = Host::look(bundle.path(), &id);
        Some(Sandbox { bundle, id, before })
    }

    /// Runs the runtime's command `args`, in which `ID` stands for the container's id.
    fn call(&self, args: &[&str]) -> Output {
        let args: Vec<_> = args.iter().map(|arg| if *arg == "ID" { self.id.as_str() } else { arg }).collect();
        self.bundle.output(runtime(), &args)
    }

    /// Runs a command that must succeed; what it printed.
    fn must(&self, args: &[&str]) -> String {
        let output = self.call(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with `code`; the line it printed, without the program's name.
    fn must_fail(&self, args: &[&str], code: i32) -> String {
        let output = self.call(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        said.trim_end().strip_prefix("plimsoll-runtime: ").unwrap().to_owned()
    }

    /// `run` with exit code 0; what the container printed.
    fn run(&self) -> String {
        self.must(&["run", "ID"])
    }

    /// The host as it is now.
    fn host(&self) -> Host {
        Host::look(self.bundle.path(), &self.id)
    }

    fn status(&self) -> String {
        let state: serde_json::Value = serde_json::from_str(&self.must(&["state", "ID"])).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }

    /// Waits until the container has `status`; what takes longer than half a minute never comes.
    fn wait_for(&self, status: &str) {
        let start = Instant::now();
        while self.status() != status {
            assert!(start.elapsed() < Duration::from_secs(30), "still {}", self.status());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        self.call(&["delete", "--force", "ID"]);
        let left: Vec<_> =
            std::fs::read_dir(self.bundle.state()).map(|dir| dir.flatten().collect()).unwrap_or_default();
        let after = Host::look(self.bundle.path(), &self.id);
        if !failed {
            assert!(left.is_empty(), "state is left: {left:?}");
            assert_eq!(self.before, after, "the host has changed");
        }
    }
}

/// What `spec` writes.
fn default_config() -> String {
    let dir = tempfile::tempdir().unwrap();
    let made =
        std::process::Command::new(runtime()).args(["spec", "--bundle"]).arg(dir.path()).status().unwrap();
    assert!(made.success());
    std::fs::read_to_string(dir.path().join("config.json")).unwrap()
}
