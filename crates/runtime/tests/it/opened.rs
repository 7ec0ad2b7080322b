//! What stands in a container where the runtime looks for a file or a terminal: nothing but that is ever opened.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, inotify, makedev};
use serde_json::json;

use crate::Sandbox;

/// A node that wakes nobody: the null device, and a pipe.
const NODES: [(&str, FileType); 2] = [("device", FileType::CharacterDevice), ("fifo", FileType::Fifo)];

fn make(path: &Path, kind: FileType) {
    let number = if kind == FileType::CharacterDevice { makedev(1, 3) } else { 0 };
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o644), number).unwrap();
}

/// Notes every time that the file at a path is opened, by whomever and whichever way that leads to it.
struct Opens(OwnedFd);

impl Opens {
    fn of(path: &Path) -> Opens {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let watch = inotify::init(flags).unwrap();
        inotify::add_watch(&watch, path, inotify::WatchFlags::OPEN).unwrap();
        Opens(watch)
    }

    fn any(&self) -> bool {
        rustix::io::read(&self.0, &mut [0u8; 4096]).is_ok()
    }
}

#[test]
fn passwd_that_is_no_file_is_not_opened() {
    for (name, kind) in NODES {
        let Some(mut sandbox) = Sandbox::new(name, "echo $HOME") else { return };
        let passwd = sandbox.bundle.path().join("rootfs/etc/passwd");
        make(&passwd, kind);
        let opens = Opens::of(&passwd);
        assert_eq!(sandbox.run(), "/\n", "{name}");
        assert!(!opens.any(), "run has opened a {name}");

        sandbox.bundle.config["process"]["args"] = json!(["sleep", "1000"]);
        sandbox.must(&["run", "--detach", "ID"]);
        assert_eq!(sandbox.must(&["exec", "ID", "sh", "-c", "echo $HOME"]), "/\n", "{name}");
        assert!(!opens.any(), "exec has opened a {name}");
    }
}

#[test]
fn passwd_is_found_through_links_inside_the_root() {
    let Some(sandbox) = Sandbox::new("linked", "echo $HOME") else { return };
    let etc = sandbox.bundle.path().join("rootfs/etc");
    std::os::unix::fs::symlink("/etc/other", etc.join("passwd")).unwrap();
    std::fs::write(etc.join("other"), "root:x:0:0::/inside:/bin/sh\n").unwrap();
    let opens = Opens::of(&etc.join("other"));
    assert_eq!(sandbox.run(), "/inside\n");
    assert!(opens.any(), "the watch shows nothing here");
}

#[test]
fn a_multiplexer_that_is_none_is_not_opened() {
    for (name, kind) in NODES {
        let Some(mut sandbox) = Sandbox::new(name, "true") else { return };
        let fake = sandbox.bundle.path().join("fake");
        std::fs::create_dir(&fake).unwrap();
        make(&fake.join("ptmx"), kind);
        let mounts = sandbox.bundle.config["mounts"].as_array_mut().unwrap();
        let devpts = mounts.iter_mut().find(|mount| mount["destination"] == "/dev/pts").unwrap();
        *devpts = json!({"destination": "/dev/pts", "source": fake, "options": ["bind"]});
        sandbox.bundle.config["process"]["terminal"] = json!(true);
        let opens = Opens::of(&fake.join("ptmx"));
        let said = sandbox.must_fail(&["create", "--console-socket", "/nonexistent/s", "ID"], 1);
        assert_eq!(said, "unable to start container process: allocate the terminal: no such device");
        assert!(!opens.any(), "create has opened a {name}");
    }
}
