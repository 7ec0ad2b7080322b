//! What a case arranges around the subject, written down as a person would arrange it by hand.
//!
//! Nothing is judged by it: it is what a script needs beside bundles and command lines. Each note says how
//! many operations had been run before.

use std::path::Path;

use plimsoll_sys::process::CloneFlags;
use rustix::net::SocketType;
use serde_json::{Value, json};

use crate::case::Obstacle;
use crate::error::Result;
use crate::runtime::agent::{Agent, bound};
use crate::runtime::holder::{Holder, kind_of};

use super::Stage;

impl Stage {
    /// Writes down that what `words` do was done.
    pub(crate) fn note_command(&mut self, words: &[&str]) {
        self.note_prop("command", &json!(words));
    }

    /// Writes down that from now on the subject is called as if `words` stood before its command line.
    pub(crate) fn note_caller(&mut self, words: &[&str]) {
        self.note_prop("caller", &json!(words));
    }

    /// Writes down that the worker has a namespace of its own, of the kind that `unshare(1)` calls `kind`.
    pub(crate) fn note_own(&mut self, kind: &str) {
        self.note_prop("own", &json!(kind));
    }

    /// Writes down that the subject is left the descriptor `number`, which is open on `path`.
    pub(crate) fn note_open(&mut self, number: i32, path: &Path) {
        self.note_prop("opens", &json!({"number": number, "path": path}));
    }

    /// Writes down that somebody listens at `path`, who is `role`.
    pub(super) fn note_listener(&mut self, role: &str, path: &Path) {
        self.note_prop("listens", &json!({"as": role, "path": path}));
    }

    /// A process that holds new namespaces.
    ///
    /// # Errors
    /// As [`Holder::start`].
    pub(crate) fn hold(&mut self, flags: CloneFlags) -> Result<Holder, Obstacle> {
        let holder = Holder::start(flags)?;
        self.note_prop("holds", &json!({"kind": kind_of(flags), "pid": holder.pid()}));
        Ok(holder)
    }

    /// An agent at `path` by whom every call returns `answer`.
    ///
    /// # Errors
    /// As [`Agent::listen`].
    pub(crate) fn agent(&mut self, path: &Path, answer: i64) -> Result<Agent> {
        let agent = Agent::listen(path, answer)?;
        self.note_prop("listens", &json!({"as": "agent", "path": path, "answer": answer}));
        Ok(agent)
    }

    /// A socket at `path` that takes datagrams and no connections.
    ///
    /// # Errors
    /// As [`bound`].
    pub(crate) fn datagram_socket(&mut self, path: &Path) -> Result<std::os::fd::OwnedFd> {
        let socket = bound(path, SocketType::DGRAM)?;
        self.note_listener("datagram", path);
        Ok(socket)
    }

    fn note_prop(&mut self, kind: &str, value: &Value) {
        let done = self.evidence.at("/operations").and_then(Value::as_array).map_or(0, Vec::len);
        let props = self.evidence.0.entry("props").or_insert_with(|| json!([]));
        if let Some(list) = props.as_array_mut() {
            list.push(json!({"before": done, kind: value}));
        }
    }
}
