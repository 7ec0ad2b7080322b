//! Handing descriptors to who listens on a unix socket.

use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::error::{Context as _, Result};
use crate::process::parent::Child;
use crate::process::protocol;

/// Sends `fd` with `payload`, which tells its receiver nothing that it needs.
pub(super) fn send(path: &str, payload: &str, fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    protocol::send_fd(socket.as_fd(), payload.as_bytes(), fd)
}

/// Sends a descriptor of the process `child` to the unix socket `path`; nothing without that.
pub(super) fn send_process(child: &Child, path: Option<&str>, payload: &str) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    send(path, payload, child.pidfd.as_fd()).context(|| format!("send the process to {path}"))
}
