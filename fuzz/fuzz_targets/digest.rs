//! Any text is a digest or an error, never a panic; a digest writes itself as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_digest::Digest;

fuzz_target!(|text: &str| {
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(digest.as_str(), text);
        assert!(!digest.encoded().contains('/') && !digest.algorithm_name().contains('/'));
    }
});
