//! The error of this crate: a kind to match on, words for people, and the cause.
//! It refuses to repeat the cause in its own text; a printer walks `source`.

use std::error::Error as StdError;
use std::fmt;

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The host refused an operation: disk, permission, resource.
    Io,
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
