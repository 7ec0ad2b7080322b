//! Any bytes are a bundle of envelopes, a product or an error, never a panic; and an envelope is one text alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_conformance::certificate::{Certificate, examine, parse_bundle};
use plimsoll_conformance::submission::Product;
use plimsoll_conformance::Registry;

fuzz_target!(|bytes: &[u8]| {
    if let Ok([test_result, conformance]) = parse_bundle(bytes) {
        let results = conformance.payload.0.clone();
        let certificate = Certificate { test_result, conformance, results, subject: None };
        assert_eq!(certificate.bundle(), bytes);
        if let Ok(registry) = Registry::load() {
            assert!(!examine(&certificate, &registry).is_empty());
        }
    }
    if let Ok(product) = Product::parse(bytes) {
        let _ = product.faults();
        assert!(product.slug().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    }
});
