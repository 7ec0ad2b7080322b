//! The algorithms that content can be hashed with here.

/// A hash algorithm with a registered identifier.
///
/// # References
/// - [descriptor.md, registered algorithms](https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#registered-algorithms)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, which every implementation must have.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// BLAKE3 with its default output of 256 bits.
    Blake3,
}

impl Algorithm {
    /// Every algorithm, the canonical one first.
    pub const ALL: [Algorithm; 4] = [Self::Sha256, Self::Sha384, Self::Sha512, Self::Blake3];

    /// The identifier in front of the colon.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Blake3 => "blake3",
        }
    }

    /// The algorithm called `name`, if it is one of these.
    pub fn parse(name: &str) -> Option<Algorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Length of the hash in bytes; its hexadecimal form has twice as many characters.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}
