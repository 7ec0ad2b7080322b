//! Checking content against what names it. The size is looked at before the digest, so content that is
//! too long is refused at the first byte too many and never hashed further.

use std::fmt;

use crate::{Digest, Digester};

/// Checks one stream of content.
#[derive(Debug)]
pub struct Verifier {
    want: Digest,
    size: Option<u64>,
    seen: u64,
    digester: Option<Digester>,
}

impl Verifier {
    /// Expects content of digest `want` and, where known, of `size` bytes.
    pub fn new(want: &Digest, size: Option<u64>) -> Verifier {
        Verifier { want: want.clone(), size, seen: 0, digester: want.algorithm().map(Digester::new) }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`Mismatch::Unsupported`] where the algorithm is unknown here, [`Mismatch::TooLong`] as soon as there
    /// is a byte too many.
    pub fn update(&mut self, content: &[u8]) -> Result<(), Mismatch> {
        let Some(digester) = &mut self.digester else {
            return Err(Mismatch::Unsupported { want: self.want.clone() });
        };
        self.seen = self.seen.saturating_add(content.len() as u64);
        match self.size {
            Some(want) if self.seen > want => Err(Mismatch::TooLong { want }),
            _ => {
                digester.update(content);
                Ok(())
            }
        }
    }

    /// The verdict once all content was given.
    ///
    /// # Errors
    /// The [`Mismatch`] that was found; size before digest.
    pub fn finish(self) -> Result<(), Mismatch> {
        let Some(digester) = self.digester else {
            return Err(Mismatch::Unsupported { want: self.want });
        };
        match self.size {
            Some(want) if self.seen > want => return Err(Mismatch::TooLong { want }),
            Some(want) if self.seen < want => return Err(Mismatch::TooShort { want, got: self.seen }),
            _ => {}
        }
        let got = digester.finish();
        if got == self.want { Ok(()) } else { Err(Mismatch::Digest { want: self.want, got }) }
    }
}

/// How content differs from what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// There are more bytes than the descriptor gives; how many more was not looked at.
    TooLong {
        /// Expected length in bytes.
        want: u64,
    },
    /// There are fewer bytes than the descriptor gives.
    TooShort {
        /// Expected length in bytes.
        want: u64,
        /// Bytes that were there.
        got: u64,
    },
    /// The bytes have another digest.
    Digest {
        /// Expected digest.
        want: Digest,
        /// Digest of the bytes.
        got: Digest,
    },
    /// The digest's algorithm is unknown here, so nothing can be verified.
    Unsupported {
        /// Expected digest.
        want: Digest,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { want } => write!(f, "size mismatch: got more than {want} bytes, want {want}"),
            Self::TooShort { want, got } => write!(f, "size mismatch: got {got} bytes, want {want}"),
            Self::Digest { want, got } => write!(f, "digest mismatch: got {got}, want {want}"),
            Self::Unsupported { want } => write!(f, "cannot verify {want}: unsupported digest algorithm"),
        }
    }
}

impl std::error::Error for Mismatch {}
