//! A set of digests that can be found by the first characters that people type.

use std::collections::BTreeMap;
use std::fmt;

use crate::Digest;

/// Digests, found by a prefix of their encoded part, with or without the algorithm before it.
#[derive(Clone, Debug, Default)]
pub struct DigestSet(BTreeMap<(String, String), Digest>);

impl DigestSet {
    /// Adds `digest`; it may be there already.
    pub fn insert(&mut self, digest: Digest) {
        let key = (digest.encoded().to_owned(), digest.algorithm_name().to_owned());
        self.0.insert(key, digest);
    }

    /// The only digest that starts with `prefix`: `sha256:4bcd`, or `4bcd` of any algorithm.
    ///
    /// # Errors
    /// [`LookupError::NotFound`] for none (and for an empty prefix), [`LookupError::Ambiguous`] for several.
    pub fn lookup(&self, prefix: &str) -> Result<&Digest, LookupError> {
        let (algorithm, encoded) = match prefix.split_once(':') {
            Some((algorithm, encoded)) => (Some(algorithm), encoded),
            None => (None, prefix),
        };
        if encoded.is_empty() {
            return Err(LookupError::NotFound);
        }
        let mut found = self
            .0
            .range((encoded.to_owned(), String::new())..)
            .take_while(|((candidate, _), _)| candidate.starts_with(encoded))
            .filter(|((_, name), _)| algorithm.is_none_or(|algorithm| algorithm == name))
            .map(|(_, digest)| digest);
        match (found.next(), found.next()) {
            (Some(digest), None) => Ok(digest),
            (Some(_), Some(_)) => Err(LookupError::Ambiguous),
            (None, _) => Err(LookupError::NotFound),
        }
    }

    /// The shortest prefix, of at least `length` characters, that finds `digest` and no other.
    pub fn short<'a>(&self, digest: &'a Digest, length: usize) -> &'a str {
        let encoded = digest.encoded();
        (length..encoded.len())
            .map(|end| &encoded[..end])
            .find(|prefix| self.lookup(prefix) == Ok(digest))
            .unwrap_or(encoded)
    }
}

impl Extend<Digest> for DigestSet {
    fn extend<T: IntoIterator<Item = Digest>>(&mut self, digests: T) {
        digests.into_iter().for_each(|digest| self.insert(digest));
    }
}

/// Why a prefix names no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupError {
    /// Nothing starts with it.
    NotFound,
    /// More than one digest starts with it.
    Ambiguous,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "no digest starts so",
            Self::Ambiguous => "more than one digest starts so",
        })
    }
}

impl std::error::Error for LookupError {}
