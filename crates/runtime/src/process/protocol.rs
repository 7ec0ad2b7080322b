//! The messages between the runtime and the process it is making, over a seqpacket socket.
//!
//! Each is eight bytes of one layout, so the child needs no buffer and the parent no parser.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// What one side tells the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// Parent: go on. Mappings are written, cgroups joined, the process of the second fork is known, hooks have
    /// run, or the start is due.
    Go,
    /// Child: a second fork was needed; this is the pid of the process that goes on.
    Forked(i32),
    /// Child: mounts are made; hooks of the runtime's namespaces may run.
    Mounted,
    /// Child: the terminal's master comes with this message.
    Master,
    /// Child: all is set up; the program is executed when the gate opens.
    Ready,
    /// Child: a step failed and nothing more will come.
    Failed { step: u8, index: u16, errno: i32 },
}

impl Message {
    fn encode(self) -> [u8; 8] {
        let (tag, step, index, value) = match self {
            Message::Go => (1, 0, 0, 0),
            Message::Forked(pid) => (2, 0, 0, pid),
            Message::Mounted => (3, 0, 0, 0),
            Message::Master => (4, 0, 0, 0),
            Message::Ready => (5, 0, 0, 0),
            Message::Failed { step, index, errno } => (6, step, index, errno),
        };
        let ([i0, i1], [v0, v1, v2, v3]) = (index.to_ne_bytes(), value.to_ne_bytes());
        [tag, step, i0, i1, v0, v1, v2, v3]
    }

    fn decode([tag, step, i0, i1, v0, v1, v2, v3]: [u8; 8]) -> Option<Message> {
        let value = i32::from_ne_bytes([v0, v1, v2, v3]);
        match tag {
            1 => Some(Message::Go),
            2 => Some(Message::Forked(value)),
            3 => Some(Message::Mounted),
            4 => Some(Message::Master),
            5 => Some(Message::Ready),
            6 => Some(Message::Failed { step, index: u16::from_ne_bytes([i0, i1]), errno: value }),
            _ => None,
        }
    }
}

/// Two connected ends.
pub(crate) fn channel() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends `message`.
pub(crate) fn send(socket: BorrowedFd<'_>, message: Message) -> Result<()> {
    rustix::net::send(socket, &message.encode(), SendFlags::NOSIGNAL).map(drop)
}

/// Sends `payload` together with a descriptor.
pub(crate) fn send_fd(socket: BorrowedFd<'_>, payload: &[u8], fd: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::NOBUFS);
    }
    sendmsg(socket, &[IoSlice::new(payload)], &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Sends the terminal's master.
pub(crate) fn send_master(socket: BorrowedFd<'_>, master: BorrowedFd<'_>) -> Result<()> {
    send_fd(socket, &Message::Master.encode(), master)
}

/// The next message and the descriptor that may come with it; `None` when the other side is gone.
pub(crate) fn receive(socket: &OwnedFd) -> Result<Option<(Message, Option<OwnedFd>)>> {
    let mut bytes = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut bytes)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(Errno::INTR) => continue,
            Err(Errno::CONNRESET) => return Ok(None),
            other => break other?,
        }
    };
    let mut fd = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            fd = fds.last();
        }
    }
    match received.bytes {
        0 => Ok(None),
        8 => Message::decode(bytes).map(|message| Some((message, fd))).ok_or(Errno::PROTO),
        _ => Err(Errno::PROTO),
    }
}

/// Waits in the child for the parent's word; its silence is `EPIPE`.
pub(crate) fn wait_go(socket: BorrowedFd<'_>) -> Result<()> {
    let mut byte = [0u8; 8];
    loop {
        match rustix::io::read(socket, &mut byte) {
            Ok(0) => return Err(Errno::PIPE),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e),
        }
    }
}

/// Makes sure in the child that the parent is there; its absence is `EPIPE`.
pub(crate) fn is_heard(socket: BorrowedFd<'_>) -> Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut watched = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    loop {
        match poll(&mut watched, Some(&now)) {
            Ok(0) => return Ok(()),
            Ok(_) => return Err(Errno::PIPE),
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone_does_not_hear() {
        let (left, right) = channel().unwrap();
        assert_eq!(is_heard(right.as_fd()), Ok(()));
        drop(left);
        assert_eq!(is_heard(right.as_fd()), Err(Errno::PIPE));
    }

    #[test]
    fn every_message_survives_the_socket() {
        let (left, right) = channel().unwrap();
        for message in [
            Message::Go,
            Message::Forked(i32::MAX),
            Message::Mounted,
            Message::Ready,
            Message::Failed { step: 255, index: 65535, errno: -1 },
        ] {
            send(left.as_fd(), message).unwrap();
            let (received, fd) = receive(&right).unwrap().unwrap();
            assert_eq!((received, fd.is_none()), (message, true));
        }
        send_master(left.as_fd(), left.as_fd()).unwrap();
        let (received, fd) = receive(&right).unwrap().unwrap();
        assert_eq!((received, fd.is_some()), (Message::Master, true));
        drop(fd);
        drop(left);
        assert!(receive(&right).unwrap().is_none());
    }
}
