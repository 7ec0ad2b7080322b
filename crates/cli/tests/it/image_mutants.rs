//! The judges of unpackers, converters, copiers and digests can fail: every mutant of a right subject is noticed
//! by the rows that are said to notice it, in every case that is said to, and by nothing else.

use std::collections::BTreeSet;

use plimsoll_conformance::image::consumer::{Mutant, Request, Stage, Subject, run, run_mutant};
use plimsoll_conformance::image::{converter, copier, unpacker};
use plimsoll_conformance::{Case, Results, Verdict, digest};
use plimsoll_test_support::{Need, have};

const PROGRAM: &str = env!("CARGO_BIN_EXE_plimsoll");

/// The rows that `verdict` was said of, and the cases that said it.
fn said(results: &Results, verdict: Verdict) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let rows = results.rows.iter().filter(|row| row.verdict == verdict);
    let judgements = results.rows.iter().flat_map(|row| &row.judgements);
    let judgements = judgements.filter(|judgement| judgement.verdict == verdict);
    (rows.map(|row| row.id.as_str()).collect(), judgements.map(|judgement| judgement.case.as_str()).collect())
}

/// Whether the subject itself passes every row of `mutant`, wherever the mutant has to be noticed.
fn is_right(whole: &Results, mutant: &Mutant) -> bool {
    let rows = whole.rows.iter().filter(|row| mutant.rows.contains(&row.id.as_str()));
    let judgements = rows.flat_map(|row| &row.judgements);
    let mut seen = judgements.filter(|judgement| mutant.is_noticed_by(&judgement.case));
    seen.all(|judgement| judgement.verdict == Verdict::Pass)
}

/// What is wrong with `mutant`, if anything.
fn survives(mutant: &Mutant, results: &Results, suite: &[Case<Stage>]) -> Option<String> {
    let selected = suite.iter().map(|case| case.name.as_str()).filter(|case| mutant.is_noticed_by(case));
    let expected = (mutant.rows.iter().copied().collect(), selected.collect());
    let found = said(results, Verdict::Fail);
    (found != expected).then(|| format!("{}: {found:?}, expected {expected:?}", mutant.name))
}

/// How many mutants run side by side: they wait for the disk most of the time.
const SIDE_BY_SIDE: usize = 4;

/// What is wrong with `mutants`.
fn survivors(kind: &str, subject: &Subject, suite: &[Case<Stage>], mutants: &[Mutant]) -> Vec<String> {
    let faults = |first: usize| -> Vec<String> {
        let share = mutants.iter().skip(first).step_by(SIDE_BY_SIDE);
        let judged = share.map(|mutant| (mutant, run_mutant(mutant, kind, subject, suite).unwrap()));
        judged.filter_map(|(mutant, results)| survives(mutant, &results, suite)).collect()
    };
    let faults = &faults;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SIDE_BY_SIDE).map(|first| scope.spawn(move || faults(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Every mutant of `subject` is noticed, and what the subject itself passes is all noticed by one of them.
fn prove(kind: &str, subject: &Subject, suite: &[Case<Stage>], mutants: Vec<Mutant>) {
    let request =
        Request { subject: subject.clone(), version: "main".to_owned(), only: Vec::new(), keeper: None };
    let whole = run(kind, &request, suite, &mut |_, _, _| {}).unwrap();
    let (rows, _) = said(&whole, Verdict::Pass);
    let (mut proven, mut idle) = (BTreeSet::<&str>::new(), Vec::new());
    let (mut noticed, mut names) = (Vec::new(), BTreeSet::new());
    for mutant in mutants {
        assert!(names.insert(mutant.name.clone()), "{} stands there twice", mutant.name);
        assert!(!mutant.breaks.is_empty());
        if is_right(&whole, &mutant) {
            proven.extend(mutant.rows);
            noticed.push(mutant);
        } else {
            idle.push(mutant.name);
        }
    }
    let faults = survivors(kind, subject, suite, &noticed);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(idle, [""; 0], "the subject is not as right as it was");
    let open: Vec<_> = rows.iter().filter(|row| !proven.contains(*row)).collect();
    assert!(open.is_empty(), "no mutant is made to break {open:?}");
    let (_, failing) = said(&whole, Verdict::Fail);
    let open = suite.iter().map(|case| case.name.as_str()).filter(|case| !failing.contains(case));
    let open: Vec<_> = open.filter(|case| !noticed.iter().any(|mutant| mutant.is_noticed_by(case))).collect();
    assert!(open.is_empty(), "no mutant is noticed by {open:?}");
}

#[test]
fn every_mutant_of_an_unpacker_is_noticed() {
    if !have(&[Need::Root]) {
        return;
    }
    let template = format!("{PROGRAM} --root {{scratch}} unpack oci:{{layout}}:{{ref}} {{target}}");
    let subject = Subject::new("plimsoll", &template, "").unwrap();
    prove("unpacker", &subject, &unpacker::suite(), unpacker::mutants());
}

#[test]
fn every_mutant_of_a_converter_is_noticed() {
    if !have(&[Need::Root]) {
        return;
    }
    let template = format!("{PROGRAM} --root {{scratch}} bundle oci:{{layout}}:{{ref}} {{target}}");
    let subject = Subject::new("plimsoll", &template, "rootfs").unwrap();
    prove("converter", &subject, &converter::suite(), converter::mutants());
}

#[test]
fn every_mutant_of_a_copier_is_noticed() {
    let subject = Subject::new("cp", "cp -r {layout} {target}", "").unwrap();
    prove("copier", &subject, &copier::suite(), copier::mutants());
}

#[test]
fn every_mutant_of_a_digest_is_noticed() {
    let command = format!("{PROGRAM} conformance digest-adapter");
    let whole = digest::run(&command, None).unwrap();
    assert!(whole.rows.iter().all(|row| row.verdict == Verdict::Pass), "{:?}", whole.counts());
    let mut proven = BTreeSet::<&str>::new();
    for mutant in digest::mutants() {
        assert!(!mutant.breaks.is_empty());
        let results = digest::run_mutant(&mutant, &command).unwrap();
        let (rows, _) = said(&results, Verdict::Fail);
        assert_eq!(rows, mutant.rows.iter().copied().collect(), "{}", mutant.name);
        proven.extend(mutant.rows);
    }
    let open: Vec<_> = whole.rows.iter().filter(|row| !proven.contains(&row.id.as_str())).collect();
    assert!(open.is_empty(), "no mutant is made to break {open:?}");
}
