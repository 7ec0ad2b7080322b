//! What can go wrong in the runtime, and whose fault it was.

use std::fmt;

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Kind {
    /// The command line or the bundle asks for something wrong.
    Input,
    /// The configuration asks for something that is not there yet.
    Unsupported,
    /// The container is not in the state that the operation needs.
    State,
    /// The kernel or the host refused.
    Environment,
    /// A hook failed.
    Hook,
    /// The container's process could not be executed.
    Exec,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failure: its kind, what was being done to what, and the cause.
#[derive(Debug)]
pub(crate) struct Error {
    kind: Kind,
    context: String,
    source: Option<Source>,
}

/// The result of everything that can fail here.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure of `kind`, described by `context`.
    pub(crate) fn new(kind: Kind, context: impl Into<String>) -> Error {
        Error { kind, context: context.into(), source: None }
    }

    /// A failure of `kind` with its cause.
    pub(crate) fn because(kind: Kind, context: impl Into<String>, source: impl Into<Source>) -> Error {
        Error { kind, context: context.into(), source: Some(source.into()) }
    }

    /// Whose fault it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The failure and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            let errno = error.downcast_ref::<rustix::io::Errno>();
            line.push_str(&errno.map_or_else(|| error.to_string(), |errno| errno_text(*errno)));
            cause = error.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The text of an errno as the C library words it, with a lower-case start, as runc prints it.
pub(crate) fn errno_text(errno: rustix::io::Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Turns a kernel's refusal into an [`Error`] that says what was attempted.
pub(crate) trait Context<T> {
    fn context(self, context: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn context(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::because(Kind::Environment, context(), errno_text(errno)))
    }
}
