//! Terminals and descriptors of processes: handed over through sockets.

use std::io::{IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::json;

use crate::Sandbox;

/// Accepts one connection and takes the one descriptor that comes with it.
fn receive(listener: &UnixListener) -> OwnedFd {
    let (stream, _) = listener.accept().unwrap();
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(&stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    assert!(received.bytes > 0);
    let mut fds: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            fds.extend(some);
        }
    }
    assert_eq!(fds.len(), 1);
    fds.remove(0)
}

#[test]
fn a_terminal_is_handed_over() {
    let script =
        "read line; tty; stty size; echo $line; test -c /dev/console && echo console; ls -l /dev/pts/0";
    let Some(mut sandbox) = Sandbox::new("console", script) else { return };
    sandbox.bundle.config["process"]["terminal"] = json!(true);
    sandbox.bundle.config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    let socket = sandbox.bundle.path().join("console.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    sandbox.must(&["create", "--console-socket", socket.to_str().unwrap(), "ID"]);
    let mut master = std::fs::File::from(receive(&listener));
    sandbox.must(&["start", "ID"]);
    master.write_all(b"hello\n").unwrap();
    let mut printed = Vec::new();
    // EIO is how the master of a terminal without users ends.
    let _ = master.read_to_end(&mut printed);
    let printed = String::from_utf8(printed).unwrap().replace('\r', "");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[..5], ["hello", "/dev/pts/0", "33 77", "hello", "console"], "{printed}");
    assert!(lines[5].starts_with("crw--w----"), "{printed}");
    sandbox.wait_for("stopped");
}

#[test]
fn a_terminal_and_its_socket_belong_together() {
    let Some(mut sandbox) = Sandbox::new("mismatch", "true") else { return };
    let said = sandbox.must_fail(&["create", "--console-socket", "x", "ID"], 1);
    assert_eq!(said, "cannot use console socket if runtime will not detach or allocate tty");
    sandbox.bundle.config["process"]["terminal"] = json!(true);
    let said = sandbox.must_fail(&["create", "ID"], 1);
    assert_eq!(said, "cannot allocate tty if runtime will detach without setting console socket");
    let said = sandbox.must_fail(&["create", "--console-socket", "/nonexistent/s", "ID"], 1);
    assert_eq!(said, "send the terminal to /nonexistent/s: no such file or directory");
}

/// The process that `descriptor` refers to, as the kernel tells whoever holds it.
fn pid_of(descriptor: &OwnedFd) -> String {
    use std::os::fd::AsRawFd as _;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).unwrap();
    info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim().to_owned()
}

#[test]
fn a_descriptor_of_the_process_is_handed_over() {
    let Some(sandbox) = Sandbox::new("pidfd", "exec sleep 1000") else { return };
    let socket = sandbox.bundle.path().join("pidfd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let socket = socket.to_str().unwrap();
    let rows: [(&str, &[&str]); 3] =
        [("create", &["ID"]), ("exec", &["-d", "ID", "sleep", "1000"]), ("run", &["-d", "ID"])];
    for (command, rest) in rows {
        if command == "run" {
            sandbox.must(&["delete", "--force", "ID"]);
        }
        sandbox.must(&[&[command, "--pid-file", "pid", "--pidfd-socket", socket], rest].concat());
        let pid = std::fs::read_to_string(sandbox.bundle.path().join("pid")).unwrap();
        assert_eq!(pid_of(&receive(&listener)), pid, "{command}");
    }
    sandbox.must(&["delete", "--force", "ID"]);
    let said = sandbox.must_fail(&["create", "--pidfd-socket", "/nonexistent/s", "ID"], 1);
    assert_eq!(said, "send the process to /nonexistent/s: no such file or directory");
}
