//! How fast an image is judged, against a loop that only inflates and hashes the same bytes:
//! `validate_speed LAYOUT`, a directory with gzip layers.

use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Instant;

use plimsoll_conformance::image::{Limits, validate};
use plimsoll_digest::{Algorithm, DigestReader, Digester};

fn main() -> std::io::Result<()> {
    let Some(layout) = std::env::args_os().nth(1) else {
        return Err(std::io::Error::other("usage: validate_speed LAYOUT"));
    };
    let layout = Path::new(&layout);
    for _ in 0..3 {
        let start = Instant::now();
        let bytes = plain_loop(&layout.join("blobs/sha256"))?;
        let plain = start.elapsed();
        let start = Instant::now();
        let report =
            validate(layout, "1.1", Limits::default()).map_err(|e| std::io::Error::other(e.chain()))?;
        let judged = start.elapsed();
        // The figures are what this program is for.
        #[expect(clippy::print_stdout, reason = "an example prints its figures")]
        {
            println!(
                "{bytes} bytes inflated and hashed in {plain:?}; judged in {judged:?}, {} entries: {:.2} of the loop's speed",
                report.extent.entries,
                plain.as_secs_f64() / judged.as_secs_f64()
            );
        }
    }
    Ok(())
}

/// Inflates what is gzip, hashes everything on both sides.
fn plain_loop(blobs: &Path) -> std::io::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(blobs)? {
        let file = std::fs::File::open(entry?.path())?;
        let reader = DigestReader::new(file, Algorithm::Sha256);
        let mut reader = BufReader::with_capacity(256 << 10, reader);
        let gzip = std::io::BufRead::fill_buf(&mut reader)?.starts_with(&[0x1f, 0x8b]);
        let mut source: Box<dyn Read> = match gzip {
            true => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
            false => Box::new(reader),
        };
        let mut digester = Digester::new(Algorithm::Sha256);
        let mut piece = vec![0; 256 << 10];
        loop {
            let count = source.read(&mut piece)?;
            if count == 0 {
                break;
            }
            total += count as u64;
            digester.update(&piece[..count]);
        }
        digester.finish();
    }
    Ok(total)
}
