//! Any bytes are a configuration or an error, never a panic; what was read is written and read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_spec::json::{from_slice, to_vec};
use plimsoll_spec::runtime::Config;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = from_slice::<Config>(bytes) {
        let written = to_vec(&config);
        assert_eq!(from_slice::<Config>(&written).map(|again| to_vec(&again)), Ok(written));
    }
});
