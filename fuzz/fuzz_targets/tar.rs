//! Any bytes are an archive or an error, never a panic, and never more entries than blocks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_image::layer::tar::{Entry, Reader};

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    let mut entry = Entry::default();
    let mut count = 0;
    while let Ok(true) = reader.read_entry(&mut entry) {
        count += 1;
        assert!(count <= bytes.len() / 512);
    }
});
