//! Why a document was refused, and where.

use std::fmt;

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Not JSON: the text breaks the grammar or is cut short.
    Syntax,
    /// Not UTF-8.
    Utf8,
    /// An object names a member twice.
    Duplicate,
    /// Nested deeper than the limit.
    TooDeep,
    /// More bytes than the limit.
    TooLarge,
    /// A member that the specification requires is absent.
    Missing,
    /// A value of another JSON type, or out of the range of its type.
    Type,
    /// A value of the right type that the specification does not allow.
    Value,
}

/// A refused document: what was wrong, at which JSON pointer, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    pointer: String,
    message: String,
}

impl Error {
    /// An error of `kind` at `pointer` (RFC 6901, empty for the whole document).
    pub fn new(kind: Kind, pointer: impl Into<String>, message: impl Into<String>) -> Error {
        Error { kind, pointer: pointer.into(), message: message.into() }
    }

    /// What is wrong.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where, as a JSON pointer; empty for the whole document.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.pointer, self.message)
        }
    }
}

impl std::error::Error for Error {}
