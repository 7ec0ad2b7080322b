//! The state that `state` prints and hooks read.
//!
//! # References
//! - [runtime.md, state](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/runtime.md#state)

use std::collections::BTreeMap;

use crate::json::{wire_enum, wire_object};

wire_enum! {
    /// Where a container stands in its lifecycle.
    pub enum Status {
        /// `create` is under way.
        Creating = "creating",
        /// `create` is done, the process not yet executed.
        Created = "created",
        /// The process was executed and has not exited.
        Running = "running",
        /// The process has exited.
        Stopped = "stopped",
        /// Every process is frozen; not in the specification, but what runc says.
        Paused = "paused",
    }
}

wire_object! {
    /// What `state` prints and hooks read.
    pub struct State {
        /// The version of the specification that the state follows.
        pub oci_version: String = "ociVersion" required,
        /// The container's id, unique on the host.
        pub id: String = "id" required,
        /// Where it stands.
        pub status: Status = "status" required,
        /// The process, as the reader of the state sees it.
        pub pid: Option<i32> = "pid",
        /// Absolute path of the bundle.
        pub bundle: String = "bundle" required,
        /// The bundle's annotations.
        pub annotations: BTreeMap<String, String> = "annotations",
    }
}
