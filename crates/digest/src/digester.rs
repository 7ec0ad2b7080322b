//! Hashing: one algorithm, several in one pass, and a state that survives a restart.

use std::fmt;

use sha2::Digest as _;
use sha2::digest::common::hazmat::SerializableState;

use crate::{Algorithm, Digest};

/// A hash in the making.
#[derive(Clone)]
pub struct Digester(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    Blake3(Box<blake3::Hasher>),
}

impl Digester {
    /// Starts a hash of nothing.
    pub fn new(algorithm: Algorithm) -> Digester {
        Digester(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => State::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            Algorithm::Blake3 => State::Blake3(Box::default()),
        })
    }

    /// Which algorithm this is.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha384(_) => Algorithm::Sha384,
            State::Sha512(_) => Algorithm::Sha512,
            State::Blake3(_) => Algorithm::Blake3,
        }
    }

    /// Adds `content`.
    pub fn update(&mut self, content: &[u8]) {
        match &mut self.0 {
            State::Sha256(hasher) => hasher.update(content),
            State::Sha384(hasher) => hasher.update(content),
            State::Sha512(hasher) => hasher.update(content),
            State::Blake3(hasher) => drop(hasher.update(content)),
        }
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        match self.0 {
            State::Sha256(hasher) => Digest::from_hash(algorithm, &hasher.finalize()),
            State::Sha384(hasher) => Digest::from_hash(algorithm, &hasher.finalize()),
            State::Sha512(hasher) => Digest::from_hash(algorithm, &hasher.finalize()),
            State::Blake3(hasher) => Digest::from_hash(algorithm, hasher.finalize().as_bytes()),
        }
    }

    /// The state as bytes, from which [`Digester::resume`] goes on, also in another process.
    /// `None` for BLAKE3, whose state has no such form.
    ///
    /// The bytes are those of the hash implementation and hold what was hashed last: keep them as safe as
    /// the content, and do not expect another release to read them.
    pub fn save(&self) -> Option<Vec<u8>> {
        match &self.0 {
            State::Sha256(hasher) => Some(hasher.serialize().to_vec()),
            State::Sha384(hasher) => Some(hasher.serialize().to_vec()),
            State::Sha512(hasher) => Some(hasher.serialize().to_vec()),
            State::Blake3(_) => None,
        }
    }

    /// Goes on from `state`.
    ///
    /// # Errors
    /// [`InvalidState`] where [`Digester::save`] for `algorithm` did not write `state`.
    pub fn resume(algorithm: Algorithm, state: &[u8]) -> Result<Digester, InvalidState> {
        fn restore<H: SerializableState>(state: &[u8]) -> Result<H, InvalidState> {
            let state = state.try_into().map_err(|_| InvalidState)?;
            H::deserialize(state).map_err(|_| InvalidState)
        }
        Ok(Digester(match algorithm {
            Algorithm::Sha256 => State::Sha256(restore(state)?),
            Algorithm::Sha384 => State::Sha384(restore(state)?),
            Algorithm::Sha512 => State::Sha512(restore(state)?),
            Algorithm::Blake3 => return Err(InvalidState),
        }))
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digester({})", self.algorithm().name())
    }
}

/// Bytes that are no saved state of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidState;

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a saved state of this hash algorithm")
    }
}

impl std::error::Error for InvalidState {}

/// Several hashes of the same content in one pass.
#[derive(Clone, Debug, Default)]
pub struct MultiDigester(Vec<Digester>);

impl MultiDigester {
    /// Starts one hash for each of `algorithms`.
    pub fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> MultiDigester {
        MultiDigester(algorithms.into_iter().map(Digester::new).collect())
    }

    /// Adds `content` to every hash, in pieces that stay in the cache between them.
    pub fn update(&mut self, content: &[u8]) {
        for piece in content.chunks(16 << 10) {
            for digester in &mut self.0 {
                digester.update(piece);
            }
        }
    }

    /// The digests, in the order of the algorithms.
    pub fn finish(self) -> Vec<Digest> {
        self.0.into_iter().map(Digester::finish).collect()
    }
}
