//! Hashing what is read on its way to somebody else.

use std::io::{self, Read};

use crate::{Algorithm, Digest, Digester};

/// Hands on what it reads from `R` and hashes it.
#[derive(Debug)]
pub struct DigestReader<R> {
    inner: R,
    digester: Digester,
    size: u64,
}

impl<R: Read> DigestReader<R> {
    /// Hashes what is read from `inner`.
    pub fn new(inner: R, algorithm: Algorithm) -> DigestReader<R> {
        DigestReader { inner, digester: Digester::new(algorithm), size: 0 }
    }

    /// Bytes read so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of what was read, and how many bytes that was.
    pub fn finish(self) -> (Digest, u64) {
        (self.digester.finish(), self.size)
    }
}

impl<R: Read> Read for DigestReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // A reader that claims more than the buffer holds is broken; hash what can be there.
        self.digester.update(buffer.get(..count).unwrap_or(buffer));
        self.size += count as u64;
        Ok(count)
    }
}
