//! A blob as a stream: one thread reads, hashes and inflates, the other hashes what comes out and looks at it.
//!
//! It refuses bombs: what is inflated has a limit in bytes and, beyond the first gibibyte, in proportion to
//! the blob.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use plimsoll_digest::{Algorithm, Digester};

use super::tar::Source;

/// Bytes that go from one thread to the other at a time.
const PIECE: usize = 256 << 10;
/// Pieces on the way.
const AHEAD: usize = 8;
/// Largest window of zstd that is kept in memory: 128 MiB, what its own tool takes without being told.
const WINDOW_LOG: u32 = 27;

/// How a blob is compressed, by its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Plain,
    Gzip,
    Zstd,
}

/// Most that is inflated of one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inflation {
    /// Bytes.
    pub bytes: u64,
    /// Bytes for each byte of the blob, once there are more than 1 GiB.
    pub ratio: u64,
}

impl Default for Inflation {
    fn default() -> Inflation {
        Inflation { bytes: 128 << 30, ratio: 300 }
    }
}

/// Why a stream ended before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// The bytes are not what the codec says.
    Content(String),
    /// There is more than the limit.
    Limit(String),
    /// The file cannot be read.
    Reading(String),
}

/// What is known of the blob after the stream.
#[derive(Debug)]
pub(super) struct Outer {
    /// The digest of the whole blob; `None` where it was not read to its end.
    pub digest: Option<String>,
    /// Bytes of the blob that were read.
    pub size: u64,
    /// What went wrong.
    pub broken: Option<Broken>,
    /// Offset in the blob where it did.
    pub at: u64,
    /// Bytes of zeros behind the last member of gzip.
    pub padding: u64,
}

/// What is known of the uncompressed bytes after the stream.
#[derive(Debug)]
pub(super) struct Inflated {
    /// Their digest; of what there was, where the blob is broken.
    pub digest: String,
    /// How many there are.
    pub size: u64,
}

/// The whole of a file, hashed.
pub(super) fn hash(reader: Box<dyn Read + Send>, algorithm: Algorithm) -> io::Result<(String, u64)> {
    let mut source = Hashing::new(reader, algorithm);
    source.drain()?;
    Ok((source.digester.finish().to_string(), source.passed))
}

/// Runs `look` over the uncompressed bytes of a blob, while all of them are hashed by `inner` and those of
/// the blob by `outer`.
pub(super) fn run<T>(
    reader: Box<dyn Read + Send>,
    codec: Codec,
    [outer, inner]: [Algorithm; 2],
    limits: Inflation,
    look: impl FnOnce(&mut Pieces) -> T,
) -> (Outer, Inflated, T) {
    let (send, receive) = sync_channel(AHEAD);
    let (give_back, spare) = sync_channel(AHEAD + 2);
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || produce(reader, codec, outer, limits, &send, &spare));
        let mut pieces =
            Pieces { receive, give_back, piece: Vec::new(), at: 0, digester: Digester::new(inner), size: 0 };
        let seen = look(&mut pieces);
        // What the look left unread counts for the digest all the same.
        while pieces.fill_buf().is_ok_and(|piece| !piece.is_empty()) {
            pieces.consume(pieces.piece.len() - pieces.at);
        }
        let inflated = Inflated { digest: pieces.digester.finish().to_string(), size: pieces.size };
        let lost = |_| Outer {
            digest: None,
            size: 0,
            broken: Some(Broken::Reading("the reading thread failed".to_owned())),
            at: 0,
            padding: 0,
        };
        (worker.join().unwrap_or_else(lost), inflated, seen)
    })
}

/// The uncompressed bytes, on the side that looks at them.
#[derive(Debug)]
pub(super) struct Pieces {
    receive: Receiver<Vec<u8>>,
    give_back: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    digester: Digester,
    size: u64,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() {
            let used = std::mem::take(&mut self.piece);
            // The other side may have ended; then nobody needs the memory.
            let _ = self.give_back.try_send(used);
            self.piece = self.receive.recv().unwrap_or_default();
            self.at = 0;
            self.size += self.piece.len() as u64;
            self.digester.update(&self.piece);
        }
        Ok(self.piece.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at = (self.at + count).min(self.piece.len());
    }
}

impl Source for Pieces {}

/// The reading side: hashes what passes, buffered.
struct Hashing {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    have: usize,
    at: usize,
    passed: u64,
    digester: Digester,
    failure: Option<String>,
}

impl Hashing {
    fn new(reader: Box<dyn Read + Send>, algorithm: Algorithm) -> Hashing {
        let digester = Digester::new(algorithm);
        Hashing { reader, buffer: vec![0; PIECE], have: 0, at: 0, passed: 0, digester, failure: None }
    }

    fn drain(&mut self) -> io::Result<()> {
        while !self.fill_buf()?.is_empty() {
            self.consume(self.have - self.at);
        }
        Ok(())
    }
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Hashing {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.have {
            match self.reader.read(&mut self.buffer) {
                Ok(0) => return Ok(&[]),
                Ok(count) => {
                    (self.at, self.have) = (0, count);
                    self.digester.update(self.buffer.get(..count).unwrap_or_default());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.failure = Some(e.to_string());
                    return Err(e);
                }
            }
        }
        Ok(self.buffer.get(self.at..self.have).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.have - self.at);
        self.at += count;
        self.passed += count as u64;
    }
}

fn produce(
    reader: Box<dyn Read + Send>,
    codec: Codec,
    algorithm: Algorithm,
    limits: Inflation,
    send: &SyncSender<Vec<u8>>,
    spare: &Receiver<Vec<u8>>,
) -> Outer {
    let mut source = Hashing::new(reader, algorithm);
    let mut out = Out { send, spare, limits, sent: 0 };
    let result = match codec {
        Codec::Plain => out.copy(&mut source).map(|()| 0),
        Codec::Gzip => gzip(&mut source, &mut out),
        Codec::Zstd => zstd(&mut source, &mut out).map(|()| 0),
    };
    let at = source.passed;
    let (broken, padding) = match result {
        Ok(padding) => (None, padding),
        Err(broken) => (Some(broken), 0),
    };
    // The digest is of all bytes, however the content is; a bomb is not read on.
    let limited = matches!(broken, Some(Broken::Limit(_)));
    let whole = !limited && source.drain().is_ok();
    let broken = source.failure.take().map(Broken::Reading).or(broken);
    let size = source.passed;
    Outer { digest: whole.then(|| source.digester.finish().to_string()), size, broken, at, padding }
}

struct Out<'a> {
    send: &'a SyncSender<Vec<u8>>,
    spare: &'a Receiver<Vec<u8>>,
    limits: Inflation,
    sent: u64,
}

impl Out<'_> {
    /// Sends everything that `source` gives.
    fn copy(&mut self, source: &mut dyn Read) -> Result<(), Broken> {
        let failed = |e: io::Error| Broken::Content(e.to_string());
        loop {
            let mut piece = self.spare.try_recv().unwrap_or_default();
            piece.resize(PIECE, 0);
            let mut have = 0;
            let mut failure = None;
            while have < PIECE && failure.is_none() {
                match source.read(piece.get_mut(have..).unwrap_or_default()) {
                    Ok(0) => break,
                    Ok(count) => have += count,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => failure = Some(e),
                }
            }
            piece.truncate(have);
            self.sent += have as u64;
            let ended = have < PIECE;
            if have > 0 && self.send.send(piece).is_err() {
                return Ok(());
            }
            match failure {
                Some(e) => return Err(failed(e)),
                None if ended => return Ok(()),
                None => {}
            }
            if self.sent > self.limits.bytes {
                return Err(Broken::Limit(format!("more than {} bytes are inflated", self.limits.bytes)));
            }
        }
    }
}

/// A source that ends the inflating when too much comes out of too little.
struct Bounded<'a, 'b, S> {
    inner: S,
    sent: u64,
    before: u64,
    limits: Inflation,
    exceeded: &'b mut bool,
    passed: &'a dyn Fn(&S) -> u64,
}

impl<S: Read> Read for Bounded<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sent += count as u64;
        let total = self.before + self.sent;
        if total > 1 << 30 && total / self.limits.ratio > (self.passed)(&self.inner) {
            *self.exceeded = true;
            return Err(io::Error::other("too much comes out of too little"));
        }
        Ok(count)
    }
}

fn bounded<S: Read>(inner: S, out: &mut Out<'_>, passed: &dyn Fn(&S) -> u64) -> (Result<(), Broken>, S) {
    let mut exceeded = false;
    let (before, limits) = (out.sent, out.limits);
    let mut source = Bounded { inner, sent: 0, before, limits, exceeded: &mut exceeded, passed };
    let result = out.copy(&mut source);
    let inner = source.inner;
    let ratio = limits.ratio;
    let result = if exceeded {
        Err(Broken::Limit(format!("more than {ratio} bytes are inflated of each byte of the blob")))
    } else {
        result
    };
    (result, inner)
}

/// All members; zeros may stand behind the last one. Gives how many.
fn gzip(source: &mut Hashing, out: &mut Out<'_>) -> Result<u64, Broken> {
    let reading = |e: io::Error| Broken::Reading(e.to_string());
    let mut first = true;
    loop {
        let start = source.fill_buf().map_err(reading)?;
        match start.first() {
            None if first => return Err(Broken::Content("the blob is empty".to_owned())),
            None => return Ok(0),
            Some(0) if !first => return zeros(source),
            Some(_) => {}
        }
        let decoder = flate2::bufread::GzDecoder::new(&mut *source);
        let passed = |decoder: &flate2::bufread::GzDecoder<&mut Hashing>| decoder.get_ref().passed;
        let (result, _) = bounded(decoder, out, &passed);
        result?;
        first = false;
    }
}

fn zeros(source: &mut Hashing) -> Result<u64, Broken> {
    let mut count = 0;
    loop {
        let piece = source.fill_buf().map_err(|e| Broken::Reading(e.to_string()))?;
        if piece.is_empty() {
            return Ok(count);
        }
        if piece.iter().any(|byte| *byte != 0) {
            return Err(Broken::Content(
                "something that is no member of gzip follows the last one".to_owned(),
            ));
        }
        let length = piece.len();
        count += length as u64;
        source.consume(length);
    }
}

fn zstd(source: &mut Hashing, out: &mut Out<'_>) -> Result<(), Broken> {
    let failed = |e: io::Error| Broken::Content(e.to_string());
    if source.fill_buf().map_err(failed)?.is_empty() {
        return Err(Broken::Content("the blob is empty".to_owned()));
    }
    let mut decoder = zstd::Decoder::with_buffer(&mut *source).map_err(failed)?;
    decoder.window_log_max(WINDOW_LOG).map_err(failed)?;
    let passed = |decoder: &zstd::Decoder<'_, &mut Hashing>| decoder.get_ref().passed;
    bounded(decoder, out, &passed).0
}
