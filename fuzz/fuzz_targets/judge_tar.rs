//! Any bytes are an archive with or without faults, never a panic, and never more entries than blocks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_conformance::image::tar::Scanner;

fuzz_target!(|bytes: &[u8]| {
    let mut scanner = Scanner::new(bytes);
    let mut count = 0;
    while let Ok(Some(entry)) = scanner.entry() {
        count += 1;
        assert!(count <= bytes.len() / 512);
        assert!(entry.at < entry.content && entry.content <= bytes.len() as u64);
    }
});
