//! Any archive of a layout is judged or refused, never a panic: the golden layout with one part replaced, so
//! that the bytes get behind digests and compression.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_conformance::image::{Colour, Inflation, Limits, golden, validate};

const PARTS: [&str; 10] = [
    "oci-layout", "index.json", "index/nested", "manifest/app", "manifest/artifact", "config/app", "layer/base",
    "layer/upper", "blob/upper", "blob/third",
];

fuzz_target!(|input: (u8, &[u8])| {
    let (part, bytes) = input;
    let layout = golden::everything(&|name, content| {
        if PARTS.get(usize::from(part) % (PARTS.len() + 1)) == Some(&name) {
            *content = bytes.to_vec();
        }
    });
    // Beyond the parts the bytes are the archive itself.
    let whole = usize::from(part) % (PARTS.len() + 1) == PARTS.len();
    let archive = if whole { bytes.to_vec() } else { layout.archive() };
    let path = std::env::temp_dir().join(format!("plimsoll-fuzz-{}.tar", std::process::id()));
    if std::fs::write(&path, archive).is_err() {
        return;
    }
    let limits = Limits { inflation: Inflation { bytes: 16 << 20, ratio: 300 }, ..Limits::default() };
    if let Ok(report) = validate(&path, "main", limits) {
        report.text(Colour::None).expect("the registry is whole");
        report.to_sarif().expect("the registry is whole");
    }
    let _ = std::fs::remove_file(&path);
});
