//! The agent at the other end of a console socket: it takes the one descriptor that a runtime sends there
//! and plays the person at the terminal.
//!
//! No specification describes the socket; it is what engines and runtimes have agreed on: the runtime
//! connects to a stream socket and sends the master of the container's terminal with `SCM_RIGHTS`.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags,
    SocketType, accept_with, bind, listen, recvmsg, socket_with,
};
use rustix::termios::{Winsize, isatty, tcgetwinsize, tcsetwinsize};
use serde_json::{Value, json};

use crate::case::Obstacle;
use crate::error::{Context as _, Result};
use crate::probe::frames;
use crate::runtime::ran::Ran;

use super::{Container, Stage, brief};

/// Most bytes of a terminal's output that are read.
const OUTPUT_LIMIT: usize = 1 << 20;
/// Descriptors of one message that are counted; one is right.
const DESCRIPTORS: usize = 8;

/// A socket at which the terminal of one container is awaited. It can be used once.
#[derive(Debug)]
pub struct ConsoleSocket {
    path: PathBuf,
    listener: OwnedFd,
}

impl ConsoleSocket {
    /// Listens at `path`, which must not be there yet.
    ///
    /// # Errors
    /// [`Kind::Environment`](crate::Kind::Environment) where the socket cannot be made.
    pub fn listen(path: PathBuf) -> Result<ConsoleSocket> {
        let context = || format!("listen at {}", path.display());
        let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .context(context)?;
        bind(&listener, &SocketAddrUnix::new(&path).context(context)?).context(context)?;
        listen(&listener, 4).context(context)?;
        Ok(ConsoleSocket { path, listener })
    }

    /// The terminal that was sent, if one comes within `patience`. A runtime that has finished `create` has
    /// sent it already.
    ///
    /// # Errors
    /// [`Kind::Environment`](crate::Kind::Environment) where the socket fails.
    pub fn receive(&self, patience: Duration) -> Result<Option<Terminal>> {
        let context = || format!("receive at {}", self.path.display());
        let end = Instant::now() + patience;
        if !ready(&self.listener, end).context(context)? {
            return Ok(None);
        }
        let connection = accept_with(&self.listener, SocketFlags::CLOEXEC).context(context)?;
        if !ready(&connection, end).context(context)? {
            return Ok(None);
        }
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = &mut [IoSliceMut::new(&mut bytes)];
        match recvmsg(&connection, message, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::CONNRESET) => return Ok(None),
            received => received.context(context)?,
        };
        let mut received = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                received.extend(descriptors);
            }
        }
        let sent = received.len();
        Ok(received.into_iter().next().map(|master| Terminal { master, sent, output: Vec::new() }))
    }
}

/// What came through a console socket.
#[derive(Debug)]
pub struct Terminal {
    /// The master, if the subject does as others do.
    pub master: OwnedFd,
    /// How many descriptors came with it, itself included.
    pub sent: usize,
    output: Vec<u8>,
}

impl Terminal {
    /// What the container has printed to its terminal, as far as it was read.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Reads until nothing in the container holds the terminal any more, until the probe has reported
    /// `count` times, or until `patience` is over; whatever runs there can only go on while somebody reads.
    pub fn read_frames(&mut self, count: usize, patience: Duration) -> Vec<Value> {
        let end = Instant::now() + patience;
        loop {
            let found = frames(&self.output());
            if found.len() >= count || self.output.len() >= OUTPUT_LIMIT || !self.read_some(end) {
                return found;
            }
        }
    }

    /// Reads what there is; whether more may come before `end`.
    fn read_some(&mut self, end: Instant) -> bool {
        let mut bytes = [0; 4096];
        // A terminal without a slave gives EIO: that is its end.
        match ready(&self.master, end).map(|ready| ready.then(|| rustix::io::read(&self.master, &mut bytes)))
        {
            Ok(Some(Ok(length @ 1..))) => {
                self.output.extend_from_slice(bytes.get(..length).unwrap_or_default());
                true
            }
            _ => false,
        }
    }

    /// Types `text`.
    ///
    /// # Errors
    /// [`Kind::Environment`](crate::Kind::Environment) where the terminal does not take it.
    pub fn write(&self, text: &str) -> Result<()> {
        rustix::io::write(&self.master, text.as_bytes()).map(drop).context(|| "write to the terminal")
    }

    /// Gives the terminal a size.
    ///
    /// # Errors
    /// [`Kind::Environment`](crate::Kind::Environment) where it is no terminal.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).context(|| "resize the terminal")
    }

    /// As evidence: how many descriptors came, whether the first is a terminal, its number among the
    /// terminals of its instance, and its size.
    pub fn to_json(&self) -> Value {
        let size = tcgetwinsize(&self.master).ok();
        let name = rustix::pty::ptsname(&self.master, Vec::new()).ok();
        json!({
            "descriptors": self.sent,
            "isTerminal": isatty(&self.master),
            "name": name.map(|name| name.to_string_lossy().into_owned()),
            "rows": size.map(|size| size.ws_row),
            "columns": size.map(|size| size.ws_col),
        })
    }
}

/// Waits until `watched` can be read, or has ended; `false` once it is `end`.
fn ready(watched: &OwnedFd, end: Instant) -> rustix::io::Result<bool> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(watched, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            other => return other.map(|count| count > 0),
        }
    }
}

impl Stage {
    /// `create` of a container with a terminal, and the terminal if the subject sends one.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn create_with_terminal(
        &mut self,
        container: &mut Container,
    ) -> Result<(Ran, Option<Terminal>), Obstacle> {
        self.count += 1;
        let socket = ConsoleSocket::listen(self.place.join(format!("console-{}", self.count)))?;
        self.note_listener("terminal", &socket.path);
        let path = socket.path.to_string_lossy().into_owned();
        let created = self.create_by("create-console", &[("console", &path)], container)?;
        // Who has failed need not have sent anything; who has not, has sent it.
        let terminal = socket.receive(Duration::ZERO)?;
        Ok((created, terminal))
    }

    /// As [`Stage::observe`], for a configuration with a terminal; `terminal` is what was received, without
    /// its output, or `null`.
    ///
    /// # Errors
    /// As [`Stage::call`].
    pub fn observe_terminal(&mut self, name: &str, config: &Value) -> Result<(), Obstacle> {
        let mut container = self.bundle(config)?;
        let before = self.host();
        let mut seen = json!({"id": container.id});
        let (created, mut terminal) = self.create_with_terminal(&mut container)?;
        seen["create"] = brief(&created);
        seen["terminal"] = terminal.as_ref().map(Terminal::to_json).into();
        if created.ok() {
            let started = self.start(&container)?;
            seen["start"] = brief(&started);
            let patience = self.patience();
            let read = terminal.as_mut().map(|terminal| terminal.read_frames(usize::MAX, patience));
            if started.ok() {
                seen["exit"] = self.wait(&container);
            }
            seen["state"] = self.state_of(&container)?;
            let frames = read.unwrap_or_else(|| container.frames());
            seen["report"] = frames.first().cloned().unwrap_or_default();
            seen["frames"] = frames.into();
            seen["delete"] = brief(&self.delete(&container)?);
        }
        seen["left"] = before.diff(&self.host()).into();
        self.evidence.record(name, seen);
        self.clean(&container)
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, connect, sendmsg};
    use rustix::pty::{OpenptFlags, grantpt, openpt, unlockpt};

    use super::*;

    #[test]
    fn the_terminal_that_is_sent_is_received_and_read_to_its_end() {
        let place = tempfile::tempdir().unwrap();
        let socket = ConsoleSocket::listen(place.path().join("console")).unwrap();
        assert!(socket.receive(Duration::ZERO).unwrap().is_none());
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let slave = std::fs::OpenOptions::new().write(true).open(slave.to_str().unwrap()).unwrap();
        send(&socket, &master);
        drop(master);
        let mut terminal = socket.receive(Duration::ZERO).unwrap().unwrap();
        assert_eq!(terminal.sent, 1);
        terminal.resize(7, 9).unwrap();
        assert_eq!((&terminal.to_json()["rows"], &terminal.to_json()["columns"]), (&json!(7), &json!(9)));
        rustix::io::write(&slave, b"\x1e{\"a\":1}\nrest").unwrap();
        assert_eq!(terminal.read_frames(1, Duration::from_secs(5)), [json!({"a": 1})]);
        drop(slave);
        assert_eq!(terminal.read_frames(9, Duration::from_secs(5)), [json!({"a": 1})]);
        assert_eq!(terminal.output(), "\x1e{\"a\":1}\r\nrest");
    }

    /// What a runtime does at the other end.
    fn send(socket: &ConsoleSocket, master: &OwnedFd) {
        let peer = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        connect(&peer, &SocketAddrUnix::new(&socket.path).unwrap()).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [std::os::fd::AsFd::as_fd(master)];
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&peer, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
    }
}
