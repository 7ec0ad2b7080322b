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

/// The meaning of `path`, which its last name has. Nothing can be in what deletes.
pub(super) fn meaning(path: &[u8]) -> Result<Meaning<'_>> {
    let mut names = path.split(|byte| *byte == b'/').map(of_name);
    let mut last = names.next().unwrap_or(Ok(Meaning::Entry))?;
    for name in names {
        last = match (last, name?) {
            (Meaning::Entry, name) => name,
            // aufs has directories of its own.
            (Meaning::Nothing, _) => Meaning::Nothing,
            _ => {
                let context = format!("{:?} leads through a whiteout", path.escape_ascii().to_string());
                return Err(Error::new(Kind::Entry, context));
            }
        };
    }
    Ok(last)
}

fn of_name(name: &[u8]) -> Result<Meaning<'_>> {
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
        assert_eq!(meaning(b"a/b/.wh.file").unwrap(), Meaning::Whiteout(b"file"));
        assert_eq!(meaning(b"a/.wh..wh..opq").unwrap(), Meaning::Opaque);
        assert_eq!(meaning(b".wh..wh.plnk/12.34").unwrap(), Meaning::Nothing);
        for path in [b".wh.".as_slice(), b".wh..", b".wh...", b".wh.a/b", b"a/.wh.b/.wh.c", b".wh..wh..opq/a"]
        {
            assert_eq!(meaning(path).unwrap_err().kind(), Kind::Entry);
        }
    }
}
