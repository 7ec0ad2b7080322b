//! A bundle in a folder of its own: Debian's static busybox under the names of its applets.

use std::io::{Read as _, Seek as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{copy_program, find_program};

const APPLETS: [&str; 28] = [
    "sh", "true", "false", "cat", "echo", "env", "id", "ls", "mount", "sleep", "hostname", "stat", "touch",
    "mkdir", "grep", "readlink", "dd", "head", "pwd", "tty", "stty", "kill", "ps", "ip", "date", "chmod",
    "rm", "cut",
];

/// A bundle and the state directory of the containers made from it.
#[derive(Debug)]
pub struct Bundle {
    dir: TempDir,
    /// What is written to `config.json` before each command.
    pub config: Value,
}

impl Bundle {
    /// A bundle whose process runs `script` by `sh`; `config` is the configuration to start from, in JSON.
    ///
    /// # Panics
    /// Where the folder cannot be made: a test cannot go on.
    pub fn new(config: &str, script: &str) -> Bundle {
        let dir = tempfile::Builder::new().prefix("plimsoll-test-").tempdir().expect("make a folder");
        let bin = dir.path().join("rootfs/bin");
        std::fs::create_dir_all(&bin).expect("make the root file system");
        for name in ["proc", "dev", "sys", "etc", "tmp"] {
            std::fs::create_dir(dir.path().join("rootfs").join(name)).expect("make the root file system");
        }
        let busybox = find_program("busybox").expect("busybox is on PATH");
        copy_program(&busybox, &bin.join("busybox")).expect("copy busybox");
        for applet in APPLETS {
            symlink("busybox", bin.join(applet)).expect("link an applet");
        }
        let mut config: Value = serde_json::from_str(config).expect("parse the configuration");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", script]);
        Bundle { dir, config }
    }

    /// The bundle's folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the state of its containers is kept.
    pub fn state(&self) -> std::path::PathBuf {
        self.dir.path().join("state")
    }

    /// `runtime --root STATE ARGS...` in the bundle, whose configuration is written first.
    ///
    /// # Panics
    /// Where the configuration cannot be written.
    pub fn command(&self, runtime: &Path, args: &[&str]) -> Command {
        std::fs::write(self.path().join("config.json"), self.config.to_string()).expect("write config.json");
        let mut command = Command::new(runtime);
        command.current_dir(self.path()).arg("--root").arg(self.state()).args(args);
        command
    }

    /// Runs [`Bundle::command`] to its end, as [`output`] does.
    ///
    /// # Panics
    /// Where the runtime cannot be executed.
    pub fn output(&self, runtime: &Path, args: &[&str]) -> Output {
        output(&mut self.command(runtime, args))
    }
}

/// Runs `command` to its end. Its output goes to files: a pipe would be held open by a container that lives on.
///
/// # Panics
/// Where it cannot be executed.
pub fn output(command: &mut Command) -> Output {
    let mut streams = [tempfile::tempfile(), tempfile::tempfile()].map(|file| file.expect("make a file"));
    let [stdout, stderr] = [&streams[0], &streams[1]].map(|file| file.try_clone().expect("duplicate a file"));
    let status =
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).status().expect("execute the runtime");
    let [stdout, stderr] = streams.each_mut().map(|file| {
        let mut text = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut text)).expect("read a file");
        text
    });
    Output { status, stdout, stderr }
}
