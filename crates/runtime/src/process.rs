//! From [`Plan`](crate::plan::Plan) to a process: the child's steps, and what the two sides say to each other.

pub(crate) mod child;
pub(crate) mod exec;
pub(crate) mod fault;
pub(crate) mod foreground;
pub(crate) mod hooks;
pub(crate) mod idmap;
pub(crate) mod init;
pub(crate) mod parent;
pub(crate) mod protocol;
