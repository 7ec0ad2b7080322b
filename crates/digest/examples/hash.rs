//! Hashes standard input with the algorithm named by the only argument; the benchmark times it.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use plimsoll_digest::{Algorithm, Digester};

fn main() -> io::Result<ExitCode> {
    let Some(algorithm) = std::env::args().nth(1).as_deref().and_then(Algorithm::parse) else {
        writeln!(io::stderr(), "usage: hash sha256|sha384|sha512|blake3 < FILE")?;
        return Ok(ExitCode::from(2));
    };
    let mut digester = Digester::new(algorithm);
    let mut buffer = vec![0; 64 << 10];
    let mut input = io::stdin().lock();
    loop {
        match input.read(&mut buffer)? {
            0 => break,
            count => digester.update(&buffer[..count]),
        }
    }
    writeln!(io::stdout(), "{}", digester.finish())?;
    Ok(ExitCode::SUCCESS)
}
