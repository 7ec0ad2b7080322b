//! Reading gzip: all members, and the zeros that may fill a file behind them. Refuses whatever else follows a
//! member.
//!
//! # References
//! - [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952), section 2.2: a file is a series of members
//! - [GNU gzip, tapes](https://www.gnu.org/software/gzip/manual/html_node/Tapes.html): zeros behind the data

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// What every member starts with.
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The bytes within all members of `R`.
pub(crate) struct Members<R> {
    /// The one that is being read; none after a failure or the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    pub(crate) fn new(source: R) -> Self {
        Members { member: Some(GzDecoder::new(source)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.member = match self.member.take().map(GzDecoder::into_inner) {
                Some(source) => next(source)?,
                None => None,
            };
        }
        Ok(0)
    }
}

/// The member with which `source` goes on; none where nothing or nothing but zeros follows.
fn next<R: BufRead>(mut source: R) -> io::Result<Option<GzDecoder<R>>> {
    match source.fill_buf()?.first().copied() {
        None => Ok(None),
        Some(0) if only_zeros(&mut source)? => Ok(None),
        Some(first) if first == MAGIC[0] => Ok(Some(GzDecoder::new(source))),
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "what follows a member of gzip is none")),
    }
}

fn only_zeros(source: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = source.fill_buf()?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        let count = bytes.len();
        if count == 0 {
            return Ok(true);
        }
        source.consume(count);
    }
}
