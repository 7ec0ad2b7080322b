//! The error of this crate: a kind to match on, words for people, and the cause.
//! It refuses to repeat the cause in its own text; a printer walks `source`.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use plimsoll_digest::{Digest, Mismatch};
use rustix::io::Errno;

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The host refused an operation: disk, permission, resource.
    Io,
    /// The disk or a quota is full.
    NoSpace,
    /// Bytes do not have the digest that names them.
    Digest,
    /// Bytes do not have the length their descriptor gives.
    Size,
    /// A media type is unknown here, or does not fit the bytes.
    MediaType,
    /// A compressed stream is damaged or cut short.
    Compression,
    /// A tar archive is malformed or ambiguous.
    Archive,
    /// An entry of a layer cannot be applied to the tree.
    Entry,
    /// A limit on hostile input was exceeded.
    Limit,
    /// A document is not what the specification allows.
    Invalid,
    /// Something asked for is not there.
    NotFound,
    /// Something is already there.
    Exists,
    /// Valid, but outside what this build supports.
    Unsupported,
}

/// A failure of this crate.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    context: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a deeper cause. `context` names the operation and its object, lower case.
    pub fn new(kind: Kind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// A failure of the host while doing `context`, of the kind that `cause` tells.
    pub(crate) fn io(context: impl Into<String>, cause: impl Into<io::Error>) -> Self {
        let cause = cause.into();
        let kind = match cause.kind() {
            io::ErrorKind::NotFound => Kind::NotFound,
            io::ErrorKind::AlreadyExists => Kind::Exists,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::NoSpace,
            _ => Kind::Io,
        };
        Self::new(kind, context).because(cause)
    }

    /// Content that is not what `want` and its size say.
    pub(crate) fn mismatch(want: &Digest, cause: Mismatch) -> Self {
        let kind = match cause {
            Mismatch::TooLong { .. } | Mismatch::TooShort { .. } => Kind::Size,
            Mismatch::Unsupported { .. } => Kind::Unsupported,
            _ => Kind::Digest,
        };
        Self::new(kind, format!("verify {want}")).because(cause)
    }

    /// Whether the host answered with `errno`.
    pub(crate) fn is_errno(&self, errno: Errno) -> bool {
        let cause = self.source.as_ref().and_then(|source| source.downcast_ref::<io::Error>());
        cause.is_some_and(|cause| cause.raw_os_error() == Some(errno.raw_os_error()))
    }

    /// The same error with the cause beneath it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
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
