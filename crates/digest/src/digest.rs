//! The digest itself and its grammar. Refuses, in this order: a wrong shape, an unknown algorithm (only
//! where the caller asks for known ones), a wrong length, a wrong character.

use std::fmt;
use std::str::FromStr;

use crate::{Algorithm, Digester};

/// `algorithm:encoded`, well formed.
///
/// A digest of an algorithm that is not in [`Algorithm`] can be held, compared and written, so that
/// documents which mention it survive a round trip; nothing can be verified against it.
///
/// # References
/// - [descriptor.md, digests](https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests)
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    text: Box<str>,
    colon: usize,
    algorithm: Option<Algorithm>,
}

impl Digest {
    /// Reads a digest of any algorithm.
    ///
    /// # Errors
    /// [`ParseErrorKind::Format`] for text outside the grammar; for an algorithm that is known here also
    /// [`ParseErrorKind::Length`] and, for a character that is not lower-case hexadecimal, `Format`.
    pub fn parse(text: &str) -> Result<Digest, ParseError> {
        match Self::parse_known(text) {
            Err(ParseError { kind: ParseErrorKind::Unsupported, at }) => {
                Ok(Digest { text: text.into(), colon: at, algorithm: None })
            }
            result => result,
        }
    }

    /// Reads a digest that content can be verified against.
    ///
    /// # Errors
    /// As [`Digest::parse`], and [`ParseErrorKind::Unsupported`] for a well-formed digest of an algorithm
    /// that is unknown here.
    pub fn parse_known(text: &str) -> Result<Digest, ParseError> {
        let format = |at| ParseError { kind: ParseErrorKind::Format, at };
        let (name, encoded) = text.split_once(':').ok_or(format(text.len()))?;
        let start = name.len() + 1;
        if name.is_empty() || encoded.is_empty() {
            return Err(format(if name.is_empty() { 0 } else { start }));
        }
        let Some(algorithm) = Algorithm::parse(name) else {
            let fault = algorithm_fault(name).or_else(|| encoded_fault(encoded).map(|at| start + at));
            return Err(
                fault.map_or(ParseError { kind: ParseErrorKind::Unsupported, at: name.len() }, format)
            );
        };
        if encoded.len() != algorithm.size() * 2 {
            return Err(ParseError { kind: ParseErrorKind::Length, at: start });
        }
        match encoded.bytes().position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Some(at) => Err(format(start + at)),
            None => Ok(Digest { text: text.into(), colon: name.len(), algorithm: Some(algorithm) }),
        }
    }

    /// The digest of `content`.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Digest {
        let mut digester = Digester::new(algorithm);
        digester.update(content);
        digester.finish()
    }

    /// A digest from the hash itself; `hash` has the length of `algorithm`.
    pub(crate) fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Digest {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let name = algorithm.name();
        let mut text = String::with_capacity(name.len() + 1 + hash.len() * 2);
        text.push_str(name);
        text.push(':');
        for byte in hash {
            text.push(HEX[usize::from(byte >> 4)].into());
            text.push(HEX[usize::from(byte & 15)].into());
        }
        Digest { text: text.into(), colon: name.len(), algorithm: Some(algorithm) }
    }

    /// The algorithm, or `None` where it is unknown here.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The part in front of the colon. It holds only `a-z 0-9 + . _ -` and neither starts nor ends with
    /// a separator, so it is never `.` or `..`.
    pub fn algorithm_name(&self) -> &str {
        &self.text[..self.colon]
    }

    /// The part behind the colon. It holds only `a-z A-Z 0-9 = _ -`.
    pub fn encoded(&self) -> &str {
        &self.text[self.colon + 1..]
    }

    /// The first 12 characters of the encoded part, as people are shown it.
    pub fn short(&self) -> &str {
        // The encoded part is ASCII by the grammar, so every index is a character boundary.
        &self.encoded()[..self.encoded().len().min(12)]
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Digest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Digest, ParseError> {
        Digest::parse(text)
    }
}

/// Position of the first byte of `name` outside `[a-z0-9]+([+._-][a-z0-9]+)*`.
fn algorithm_fault(name: &str) -> Option<usize> {
    let mut after_separator = true;
    for (at, byte) in name.bytes().enumerate() {
        after_separator = match byte {
            b'a'..=b'z' | b'0'..=b'9' => false,
            b'+' | b'.' | b'_' | b'-' if !after_separator => true,
            _ => return Some(at),
        };
    }
    after_separator.then_some(name.len())
}

/// Position of the first byte of `encoded` outside `[a-zA-Z0-9=_-]+`.
fn encoded_fault(encoded: &str) -> Option<usize> {
    encoded.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'_' | b'-')))
}

/// Why a text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    kind: ParseErrorKind,
    at: usize,
}

/// The kinds of [`ParseError`], in the order in which they are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Not `algorithm:encoded`, or a character that may not stand where it does.
    Format,
    /// Well formed, of an algorithm that is unknown here.
    Unsupported,
    /// The encoded part is not as long as the algorithm's hash.
    Length,
}

impl ParseError {
    /// What is wrong.
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// Byte offset of the fault in the text.
    pub fn position(&self) -> usize {
        self.at
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ParseErrorKind::Format => write!(f, "invalid digest format at byte {}", self.at),
            ParseErrorKind::Unsupported => f.write_str("unsupported digest algorithm"),
            ParseErrorKind::Length => f.write_str("invalid digest length"),
        }
    }
}

impl std::error::Error for ParseError {}
