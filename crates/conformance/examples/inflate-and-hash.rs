//! The least that judging a layer takes: each gzip file named is hashed, inflated, and its content hashed. The
//! benchmark times it.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;
use plimsoll_digest::{Algorithm, Digester};

/// Hashes what is read through it.
struct Hashing<R> {
    input: R,
    digester: Digester,
}

impl<R: Read> Hashing<R> {
    fn new(input: R) -> Hashing<R> {
        Hashing { input, digester: Digester::new(Algorithm::Sha256) }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.digester.update(&buffer[..count]);
        Ok(count)
    }
}

fn main() -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    for name in std::env::args_os().skip(1) {
        let blob = BufReader::with_capacity(64 << 10, Hashing::new(File::open(name)?));
        let mut content = Hashing::new(MultiGzDecoder::new(blob));
        while content.read(&mut buffer)? > 0 {}
        let blob = content.input.into_inner().into_inner().digester.finish();
        writeln!(io::stdout(), "{blob} {}", content.digester.finish())?;
    }
    Ok(())
}
