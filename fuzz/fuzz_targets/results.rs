//! Any bytes are results or an error, never a panic; every report of them is made, and they are judged again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_conformance::report::{Format, diff, matrix::Matrix, render, reproducer};
use plimsoll_conformance::{Registry, Results, rejudge};

fuzz_target!(|bytes: &[u8]| {
    let Ok(results) = Results::parse(bytes) else { return };
    let Ok(registry) = Registry::load() else { return };
    for format in [Format::Html, Format::Junit, Format::Tap, Format::Sarif, Format::Markdown, Format::Json] {
        let text = render(&results, &registry, format);
        // Nothing in results may act on a terminal; JSON escapes it on its own.
        assert!(!text.contains('\u{1b}'));
    }
    results.cases.iter().for_each(|case| drop(reproducer(&results, &case.name)));
    let same = diff::diff(&results, &results);
    assert!(!same.is_regression());
    if let Ok(table) = Matrix::new(std::slice::from_ref(&results), &registry) {
        drop((table.html(), table.markdown(), table.json()));
    }
    // What cannot be judged again says so.
    let _ = rejudge::rejudge(&results, &registry);
});
