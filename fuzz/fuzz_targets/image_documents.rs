//! Any bytes are a document or an error, never a panic; what was read is written and read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_spec::image::{ImageConfig, Index, Manifest};
use plimsoll_spec::json::{Wire, from_slice, to_vec};

fn check<T: Wire>(bytes: &[u8]) {
    if let Ok(document) = from_slice::<T>(bytes) {
        let written = to_vec(&document);
        assert_eq!(from_slice::<T>(&written).map(|again| to_vec(&again)), Ok(written));
    }
}

fuzz_target!(|bytes: &[u8]| {
    check::<Index>(bytes);
    check::<Manifest>(bytes);
    check::<ImageConfig>(bytes);
});
