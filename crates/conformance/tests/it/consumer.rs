//! Unpackers and converters: every row is tested, real programs are judged, and a program that does nothing
//! fails.

use std::collections::BTreeSet;

use plimsoll_conformance::image::consumer::{Request, Stage, Subject, presets, run};
use plimsoll_conformance::image::{converter, copier, unpacker};
use plimsoll_conformance::{Case, Results, Verdict};
use plimsoll_test_support::{Need, have};

fn judge(kind: &str, subject: Subject, suite: &[Case<Stage>]) -> Results {
    let request = Request { subject, version: "main".to_owned(), only: Vec::new(), keeper: None };
    run(kind, &request, suite, &mut |_, _, _| {}).unwrap()
}

#[test]
fn a_program_that_does_nothing_passes_nothing_that_it_would_have_to_do() {
    if !have(&[Need::Root]) {
        return;
    }
    let idle = |kind: &str, suite: &[Case<Stage>]| {
        judge(kind, Subject::new("idle", "true {layout} {target}", "").unwrap(), suite)
    };
    let results = idle("unpacker", &unpacker::suite());
    let passed: Vec<_> =
        results.rows.iter().filter(|row| row.verdict == Verdict::Pass).map(|row| row.id.as_str()).collect();
    // It parses nothing and reaches for nothing.
    assert_eq!(passed, ["IMG-M09", "IMG-N24"]);
    for (kind, suite) in [("converter", converter::suite()), ("copier", copier::suite())] {
        let results = idle(kind, &suite);
        assert!(
            results.rows.iter().all(|row| row.verdict == Verdict::Fail),
            "{kind}: {:?}",
            results.counts()
        );
    }
    // One that refuses everything is no better.
    let refusing =
        judge("unpacker", Subject::new("no", "false {layout} {target}", "").unwrap(), &unpacker::suite());
    let passed: BTreeSet<_> =
        refusing.rows.iter().filter(|row| row.verdict == Verdict::Pass).map(|row| row.id.as_str()).collect();
    assert!(
        passed.is_subset(&BTreeSet::from([
            "IMG-C18", "IMG-D06", "IMG-D08", "IMG-D15", "IMG-D21", "IMG-D26", "IMG-L14", "IMG-M09", "IMG-N24"
        ])),
        "{passed:?}"
    );
}

#[test]
fn known_programs_are_judged_as_they_are_known() {
    // Rows that each is known to fail; another verdict is news.
    let known: [(&str, &str, &[&str]); 2] =
        [("unpacker", "umoci", &[]), ("converter", "umoci", &["IMG-V10", "IMG-V11"])];
    for (kind, name, expected) in known {
        let subject = Subject::preset(kind, name).unwrap();
        if !have(&[Need::Root, Need::Program("umoci")]) || subject.program().is_err() {
            continue;
        }
        let suite = if kind == "unpacker" { unpacker::suite() } else { converter::suite() };
        let results = judge(kind, subject, &suite);
        for id in expected {
            assert_eq!(results.row(id).unwrap().verdict, Verdict::Fail, "{name} {id}");
        }
        assert!(results.rows.iter().all(|row| row.verdict != Verdict::Error), "{:?}", results.counts());
        assert!(results.counts().get(&Verdict::Pass).copied().unwrap_or(0) >= 20, "{:?}", results.counts());
    }
    assert_eq!(presets("unpacker").count(), 4);
}

#[test]
fn skopeo_copies_as_the_text_says() {
    let subject = Subject::preset("copier", "skopeo").unwrap();
    if !have(&[Need::Program("skopeo")]) || subject.program().is_err() {
        return;
    }
    let results = judge("copier", subject, &copier::suite());
    assert!(results.rows.iter().all(|row| row.verdict == Verdict::Pass), "{:?}", results.rows);
}

#[test]
fn nothing_selected_is_an_error() {
    let subject = Subject::new("x", "true {layout} {target}", "").unwrap();
    let request =
        Request { subject, version: "1.1".to_owned(), only: vec!["nothing".to_owned()], keeper: None };
    let error = run("unpacker", &request, &unpacker::suite(), &mut |_, _, _| {}).unwrap_err();
    assert_eq!(error.to_string(), "nothing is selected by nothing");
}
