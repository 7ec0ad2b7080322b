//! The agent that `linux.seccomp.listenerPath` names: it takes container process states with their
//! descriptors, and answers the system calls that wait at them.
//!
//! It judges nothing: what came over each connection, in which pieces, is evidence. It reads in small pieces,
//! so that descriptors show with which part of the text they came.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::thread::JoinHandle;

use plimsoll_sys::seccomp::{answer_notification, receive_notification};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags,
    SocketType, accept_with, bind, listen, recvmsg, socket_with,
};
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::{Value, json};

use crate::error::{Context as _, Error, Kind, Result};

/// How much is read at once.
const PIECE: usize = 16;
/// Most bytes of one connection.
const TEXT_LIMIT: usize = 1 << 20;
/// Most connections; a container needs one.
const CONNECTIONS: usize = 64;

/// A listening agent, until it is finished or dropped.
#[derive(Debug)]
pub(crate) struct Agent {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<Vec<Value>>>,
}

/// A socket of `kind` that is bound to `path`, which must not be there yet, and listens where it can.
pub(crate) fn bound(path: &Path, kind: SocketType) -> Result<OwnedFd> {
    let context = || format!("listen at {}", path.display());
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, kind, flags, None).context(context)?;
    bind(&socket, &SocketAddrUnix::new(path).context(context)?).context(context)?;
    if kind != SocketType::DGRAM {
        listen(&socket, 16).context(context)?;
    }
    Ok(socket)
}

impl Agent {
    /// Listens at `path`; every call that waits for an answer returns `answer`.
    pub(crate) fn listen(path: &Path, answer: i64) -> Result<Agent> {
        let listener = bound(path, SocketType::STREAM)?;
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe")?;
        let thread = std::thread::spawn(move || serve(&listener, &stopped, answer));
        Ok(Agent { stop: Some(stop), thread: Some(thread) })
    }

    /// Ends it; what came over each connection, in the order of their arrival.
    pub(crate) fn finish(mut self) -> Result<Vec<Value>> {
        drop(self.stop.take());
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(connections)) => Ok(connections),
            _ => Err(Error::new(Kind::Environment, "the seccomp agent ended early")),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A case that has failed has said why.
            let _ = thread.join();
        }
    }
}

/// One connection and what it has brought.
#[derive(Default)]
struct Connection {
    /// `None` once the other side has closed it.
    socket: Option<OwnedFd>,
    text: Vec<u8>,
    descriptors: Vec<Received>,
    answered: u64,
}

struct Received {
    descriptor: OwnedFd,
    /// Where in the text it came.
    at: usize,
    /// Whether calls may still wait at it.
    live: bool,
}

/// What a poll has found.
#[derive(Clone, Copy)]
enum Source {
    Stop,
    Listener,
    Connection(usize),
    Descriptor(usize, usize),
    /// Nobody is left whose calls could wait at it.
    Ended(usize, usize),
}

impl Source {
    /// What `events` say of it. Before Linux 6.11, who asks a descriptor of the ended for a call waits for ever.
    fn with(self, events: PollFlags) -> Source {
        match self {
            Source::Descriptor(at, number) if !events.contains(PollFlags::IN) => Source::Ended(at, number),
            other => other,
        }
    }
}

fn serve(listener: &OwnedFd, stopped: &OwnedFd, answer: i64) -> Vec<Value> {
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        for source in ready(listener, stopped, &connections) {
            match source {
                Source::Stop => {
                    // What has been sent by now was sent in time.
                    while accept(listener, &mut connections) {}
                    for connection in &mut connections {
                        while connection.read() {}
                    }
                    return connections.iter().map(Connection::to_json).collect();
                }
                Source::Listener => {
                    accept(listener, &mut connections);
                }
                Source::Connection(at) => {
                    if let Some(connection) = connections.get_mut(at) {
                        connection.read();
                    }
                }
                Source::Descriptor(at, number) => {
                    if let Some(connection) = connections.get_mut(at) {
                        connection.answer(number, answer);
                    }
                }
                Source::Ended(at, number) => {
                    if let Some(connection) = connections.get_mut(at) {
                        connection.end(number);
                    }
                }
            }
        }
    }
}

/// Takes one connection; whether there was one.
fn accept(listener: &OwnedFd, connections: &mut Vec<Connection>) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    match accept_with(listener, flags) {
        Ok(socket) if connections.len() < CONNECTIONS => {
            connections.push(Connection { socket: Some(socket), ..Connection::default() });
            true
        }
        _ => false,
    }
}

/// Waits until something happens.
fn ready(listener: &OwnedFd, stopped: &OwnedFd, connections: &[Connection]) -> Vec<Source> {
    let mut sources = vec![(Source::Stop, stopped.as_fd()), (Source::Listener, listener.as_fd())];
    for (at, connection) in connections.iter().enumerate() {
        let socket = connection.socket.iter().map(|socket| (Source::Connection(at), socket.as_fd()));
        let live = connection.descriptors.iter().enumerate().filter(|(_, received)| received.live);
        let live =
            live.map(|(number, received)| (Source::Descriptor(at, number), received.descriptor.as_fd()));
        sources.extend(socket.chain(live));
    }
    let mut watched: Vec<PollFd<'_>> =
        sources.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    match poll(&mut watched, None) {
        Err(Errno::INTR) => Vec::new(),
        // Nothing can be served any more.
        Err(_) => vec![Source::Stop],
        Ok(_) => {
            let happened = sources.iter().zip(&watched).filter(|(_, watched)| !watched.revents().is_empty());
            happened.map(|((source, _), watched)| source.with(watched.revents())).collect()
        }
    }
}

impl Connection {
    /// Takes one piece; whether there was one.
    fn read(&mut self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let mut bytes = [0; PIECE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let message = &mut [IoSliceMut::new(&mut bytes)];
        let at = self.text.len();
        match recvmsg(socket, message, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::AGAIN | Errno::INTR) => false,
            Ok(received) if received.bytes > 0 && at < TEXT_LIMIT => {
                for message in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                        let received = descriptors.map(|descriptor| Received { descriptor, at, live: true });
                        self.descriptors.extend(received);
                    }
                }
                self.text.extend_from_slice(bytes.get(..received.bytes).unwrap_or_default());
                true
            }
            _ => {
                self.socket = None;
                false
            }
        }
    }

    /// Answers one call that waits at a descriptor.
    fn answer(&mut self, number: usize, value: i64) {
        let Some(received) = self.descriptors.get_mut(number) else { return };
        match receive_notification(received.descriptor.as_fd()) {
            Ok(call) => {
                // The caller may have been ended meanwhile.
                let done = answer_notification(received.descriptor.as_fd(), call.id, value);
                self.answered += u64::from(done.is_ok());
            }
            Err(Errno::INTR) => {}
            // Nobody is left whose calls could wait, or it is no such descriptor.
            Err(_) => received.live = false,
        }
    }

    fn end(&mut self, number: usize) {
        if let Some(received) = self.descriptors.get_mut(number) {
            received.live = false;
        }
    }

    fn to_json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.text);
        let documents: Vec<_> = serde_json::Deserializer::from_str(&text).into_iter::<Value>().collect();
        let link = |received: &Received| {
            let path = format!("/proc/self/fd/{}", received.descriptor.as_raw_fd());
            std::fs::read_link(path).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
        };
        json!({
            "text": text,
            "documents": documents.len(),
            "malformed": documents.iter().any(std::result::Result::is_err),
            "state": documents.into_iter().next().and_then(std::result::Result::ok),
            "descriptors": self.descriptors.iter().map(link).collect::<Vec<_>>(),
            "at": self.descriptors.iter().map(|received| received.at).collect::<Vec<_>>(),
            "closed": self.socket.is_none(),
            "answered": self.answered,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Write as _};
    use std::os::unix::net::UnixStream;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    #[test]
    fn what_comes_over_a_connection_is_written_down() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("agent");
        let agent = Agent::listen(&path, 7).unwrap();
        let mut first = UnixStream::connect(&path).unwrap();
        first.write_all(b"{\"a\": \"0123456789\"}").unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let null = std::fs::File::open("/dev/null").unwrap();
        let descriptors = [null.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&first, &[IoSlice::new(b" {}")], &mut control, SendFlags::empty()).unwrap();
        drop(first);
        let second = UnixStream::connect(&path).unwrap();
        let seen = agent.finish().unwrap();
        drop(second);
        assert_eq!(seen[0]["state"], json!({"a": "0123456789"}));
        assert_eq!((&seen[0]["documents"], &seen[0]["malformed"]), (&json!(2), &json!(false)));
        assert_eq!(seen[0]["descriptors"], json!(["/dev/null"]));
        assert_ne!(seen[0]["at"], json!([0]));
        assert_eq!((&seen[0]["closed"], &seen[1]["closed"]), (&json!(true), &json!(false)));
    }
}
