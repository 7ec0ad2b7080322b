//! Two threads and the buffers between them: one reads, verifies and decompresses the blob, the other
//! consumes the archive. Buffers go round, so memory stays what it is.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use plimsoll_digest::{Mismatch, Verifier};

use super::compression::Codec;
use super::{Expected, Limits};
use crate::{Error, Kind, Result};

/// Bytes of a buffer: a second-level cache's worth, so that what one thread wrote the other finds there.
const BUFFER: usize = 512 << 10;
/// Buffers on the way.
const AHEAD: usize = 8;
/// Bytes of the blob read at a time.
const READ: usize = 128 << 10;

/// A blob that is verified as it is read.
pub(super) struct Blob<'a, R> {
    source: R,
    verifier: Verifier,
    mismatch: Option<Mismatch>,
    size: u64,
    progress: &'a super::Watcher<'a>,
    name: String,
}

impl<'a, R: Read> Blob<'a, R> {
    pub(super) fn new(source: R, expected: &Expected<'_>, progress: &'a super::Watcher<'a>) -> Self {
        let verifier = Verifier::new(expected.digest, Some(expected.size));
        let name = format!("layer {}", expected.digest);
        Blob { source, verifier, mismatch: None, size: expected.size, progress, name }
    }

    /// The verdict on the whole blob, whose rest is read for it.
    fn finish(mut self) -> Result<()> {
        let mut rest = vec![0; READ];
        while self.mismatch.is_none() {
            match self.read(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.mismatch.is_some() => break,
                Err(e) => return Err(Error::io("read the blob", e)),
            }
        }
        let verdict = self.mismatch.map_or_else(|| self.verifier.finish(), Err);
        verdict.map_err(|mismatch| {
            let kind = match mismatch {
                Mismatch::TooLong { .. } | Mismatch::TooShort { .. } => Kind::Size,
                _ => Kind::Digest,
            };
            Error::new(kind, format!("{} is not what its descriptor says", self.name)).because(mismatch)
        })
    }
}

impl<R: Read> Read for Blob<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        if let Err(mismatch) = self.verifier.update(buffer.get(..count).unwrap_or_default()) {
            self.mismatch = Some(mismatch.clone());
            return Err(io::Error::other(mismatch));
        }
        (self.progress)(count as u64)?;
        Ok(count)
    }
}

type Piece = io::Result<Vec<u8>>;

/// Decompresses `blob` in a thread of its own while `consume` reads the archive in this one.
///
/// A blob that is not what it should be is the reason given, whatever else went wrong because of it.
pub(super) fn run<R: Read + Send, T>(
    blob: Blob<'_, R>,
    codec: Codec,
    limits: &Limits,
    consume: impl FnOnce(Archive) -> Result<T>,
) -> Result<T> {
    let (pieces, incoming) = sync_channel(AHEAD);
    let (used, recycled) = sync_channel(AHEAD + 2);
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || produce(blob, codec, limits, &pieces, &recycled));
        let consumed = consume(Archive { incoming, used, current: Vec::new(), at: 0 });
        match producer.join() {
            Ok(verdict) => verdict.and(consumed),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Sends the archive in pieces; then the verdict on the blob.
fn produce<R: Read>(
    mut blob: Blob<'_, R>,
    codec: Codec,
    limits: &Limits,
    pieces: &SyncSender<Piece>,
    recycled: &Receiver<Vec<u8>>,
) -> Result<()> {
    let sent = send(&mut blob, codec, limits, pieces, recycled);
    if let Err(error) = sent {
        // Whoever listens no more has an error of its own.
        let _ = pieces.send(Err(io::Error::other(error)));
    }
    blob.finish()
}

fn send<R: Read>(
    blob: &mut Blob<'_, R>,
    codec: Codec,
    limits: &Limits,
    pieces: &SyncSender<Piece>,
    recycled: &Receiver<Vec<u8>>,
) -> Result<()> {
    let size = limits.decompressed(blob.size);
    let mut decoder = codec.decoder(BufReader::with_capacity(READ, &mut *blob))?;
    let mut total = 0;
    loop {
        let mut piece = recycled.try_recv().unwrap_or_default();
        piece.resize(BUFFER, 0);
        let length = fill(&mut decoder, &mut piece)?;
        if length == 0 {
            return Ok(());
        }
        piece.truncate(length);
        total += length as u64;
        if total > size {
            let context = format!("the archive of the layer has more than {size} bytes");
            return Err(Error::new(Kind::Limit, context));
        }
        if pieces.send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
}

/// Fills `buffer` as far as the decoder goes.
fn fill(decoder: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match decoder.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::new(Kind::Compression, "decompress the layer").because(e)),
        }
    }
    Ok(filled)
}

/// The archive as it comes out of the other thread.
#[derive(Debug)]
pub(super) struct Archive {
    incoming: Receiver<Piece>,
    used: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl Archive {
    /// What is left of the current piece, or the next one; none at the end. Whether it is new comes with it.
    fn advance(&mut self) -> io::Result<bool> {
        if self.at < self.current.len() {
            return Ok(false);
        }
        let old = std::mem::take(&mut self.current);
        self.at = 0;
        if old.capacity() > 0 {
            // There is room for every buffer that exists.
            let _ = self.used.try_send(old);
        }
        // The channel closes when all was sent.
        if let Ok(piece) = self.incoming.recv() {
            self.current = piece?;
        }
        Ok(true)
    }
}

/// Hands on an archive and verifies it.
#[derive(Debug)]
pub(super) struct Verified<'a> {
    archive: Archive,
    verifier: &'a mut Verifier,
}

impl<'a> Verified<'a> {
    pub(super) fn new(archive: Archive, verifier: &'a mut Verifier) -> Self {
        Verified { archive, verifier }
    }
}

impl Read for Verified<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Verified<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.archive.advance()? {
            self.verifier.update(&self.archive.current).map_err(io::Error::other)?;
        }
        Ok(self.archive.current.get(self.archive.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.archive.at += count;
    }
}
