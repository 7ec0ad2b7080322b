//! The error of this crate: a kind to match on, the operation and its object, and the cause.

use std::error::Error as StdError;
use std::fmt;

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The kernel refused an operation.
    Kernel,
    /// The configuration asks for something malformed.
    Invalid,
    /// Valid, but this host or this build cannot do it.
    Unsupported,
    /// The cgroup is in use or frozen.
    Busy,
}

/// A failure of this crate.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    context: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: Kind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    pub(crate) fn kernel(context: impl Into<String>, errno: rustix::io::Errno) -> Self {
        Self { kind: Kind::Kernel, context: context.into(), source: Some(Box::new(errno)) }
    }

    /// What the kernel said, where it was the kernel.
    pub(crate) fn errno(&self) -> Option<rustix::io::Errno> {
        self.source.as_deref().and_then(|source| source.downcast_ref().copied())
    }

    /// What a caller can match on.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
