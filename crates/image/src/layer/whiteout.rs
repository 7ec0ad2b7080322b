//! Names that delete.
//!
//! # References
//! - [layer.md, whiteouts](https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts)

use crate::{Error, Kind, Result};

const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What aufs keeps for itself.
const AUFS: &[u8] = b".wh..wh.";

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// An entry like any other.
    Entry,
    /// What is called so in the layers below is gone.
    Whiteout(&'a [u8]),
    /// Everything that the layers below have in this directory is gone.
    Opaque,
    /// Nothing to anybody but aufs.
    Nothing,
}

/// The meaning of `name`, the last component of a path.
pub(super) fn meaning(name: &[u8]) -> Result<Meaning<'_>> {
    if name == OPAQUE {
        return Ok(Meaning::Opaque);
    }
    if name.starts_with(AUFS) {
        return Ok(Meaning::Nothing);
    }
    match name.strip_prefix(PREFIX) {
        None => Ok(Meaning::Entry),
        Some(b"" | b"." | b"..") => Err(Error::new(
            Kind::Entry,
            format!("the whiteout {:?} names nothing", name.escape_ascii().to_string()),
        )),
        Some(hidden) => Ok(Meaning::Whiteout(hidden)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(meaning(b"file").unwrap(), Meaning::Entry);
        assert_eq!(meaning(b".wh.file").unwrap(), Meaning::Whiteout(b"file"));
        assert_eq!(meaning(b".wh..wh..opq").unwrap(), Meaning::Opaque);
        assert_eq!(meaning(b".wh..wh.plnk").unwrap(), Meaning::Nothing);
        for name in [b".wh.".as_slice(), b".wh..", b".wh..."] {
            assert_eq!(meaning(name).unwrap_err().kind(), Kind::Entry);
        }
    }
}
