//! What a certificate must not survive, and what it must.

use std::path::Path;

use plimsoll_digest::Digest;
use plimsoll_spec::image::Data;
use plimsoll_spec::json::Object;
use plimsoll_test_support::{Need, have};
use serde_json::json;

use super::*;
use crate::rejudge::{case_names, rejudge};
use crate::results::CaseRecord;

pub(crate) const PROGRAM: &[u8] = b"a runtime";
pub(crate) const SUITE: &str = "sha256:00000000000000000000000000000000000000000000000000000000000000aa";

/// The one row that passes, and the case that judges it and no other row.
pub(crate) const PASSED: &str = "LNX-SEC-10";
pub(crate) const PASSED_CASE: &str = "seccomp/listener-unused";

/// A whole run: the control and one other case have passed, everything else was skipped.
pub(crate) fn results() -> Results {
    let registry = Registry::load().unwrap();
    let ran = |operation: &str| json!({"operation": operation, "exit": 0, "timedOut": false, "stderr": ""});
    let control = json!({"minimal": {
        "create": ran("create"), "start": ran("start"), "delete": ran("delete"), "left": [],
        "exit": {"code": 0}, "report": {"pid": 1},
    }});
    let passed = json!({"life": {"report": {"results": [{"errno": "EPERM"}]}}});
    let obstacle =
        |name: &str| json!({"case": name, "verdict": "SKIP", "reason": "tool", "observed": "not today"});
    let cases: Vec<serde_json::Value> = case_names("runtime")
        .unwrap()
        .into_iter()
        .map(|name| match name.as_str() {
            "control/minimal" => json!({"name": name, "evidence": control, "milliseconds": 20}),
            PASSED_CASE => json!({"name": name, "evidence": passed, "milliseconds": 20}),
            _ => json!({"name": name, "evidence": {}, "obstacle": obstacle(&name)}),
        })
        .collect();
    let document = json!({
        "format": 1,
        "suite": {"version": env!("CARGO_PKG_VERSION"), "binary": SUITE, "registry": Registry::digest().to_string()},
        "subject": {"kind": "runtime", "name": "x", "version": "x 1.0", "digest": sha256(PROGRAM).to_string()},
        "environment": {"kernel": "6.18"},
        "settings": {"spec": "1.3.0", "selection": "", "started": "2026-11-01"},
        "cases": cases,
    });
    let results = Results::parse(document.to_string().as_bytes()).unwrap();
    judged(results, &registry)
}

fn judged(results: Results, registry: &Registry) -> Results {
    let judged = rejudge(&results, registry).unwrap();
    Results { rows: judged.rows, profiles: judged.profiles, ..results }
}

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

/// Who signs, who trusts whom, and what they look at.
struct World {
    registry: Registry,
    submitter: SecretKey,
    reviewer: SecretKey,
    keys: Keys,
    subject: Digest,
}

impl World {
    fn new() -> World {
        let (submitter, reviewer) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let mut keys = Keys::default();
        keys.add(Role::Submitter, "ann", submitter.public()).unwrap();
        keys.add(Role::Reviewer, "bob", reviewer.public()).unwrap();
        keys.add_suite(SUITE);
        World { registry: Registry::load().unwrap(), submitter, reviewer, keys, subject: sha256(PROGRAM) }
    }

    fn issue(&self, results: &Results) -> Result<Certificate> {
        let mut certificate =
            Certificate::issue(results, day("2026-11-24"), &self.submitter, &self.registry, None)?;
        certificate.sign(&self.reviewer)?;
        Ok(certificate)
    }

    /// A certificate of `results` as somebody makes it who skips the checks of [`Certificate::issue`].
    fn forge(&self, results: &Results) -> Certificate {
        let bytes = results.to_vec();
        let made = statement::make(results, &bytes, day("2026-11-24"), &self.registry).unwrap();
        let mut certificate = Certificate {
            test_result: Envelope::of(made.test_result),
            conformance: Envelope::of(made.conformance),
            results: bytes,
            subject: None,
        };
        certificate.sign(&self.submitter).unwrap();
        certificate.sign(&self.reviewer).unwrap();
        certificate
    }

    fn against(&self) -> Against<'_> {
        Against {
            registry: &self.registry,
            keys: &self.keys,
            rule: Rule::Certificate,
            subject: &self.subject,
            at: day("2026-12-01"),
        }
    }

    fn sentences(&self, certificate: &Certificate) -> Vec<String> {
        match verify(certificate, &self.against()) {
            Ok(_) => Vec::new(),
            Err(refusals) => refusals.into_iter().map(|refusal| refusal.sentence).collect(),
        }
    }
}

#[test]
fn a_good_certificate_is_believed() {
    let world = World::new();
    let certificate = world.issue(&results()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("certificate");
    certificate.write(&place).unwrap();
    let read = Certificate::read(&place).unwrap();
    assert_eq!(read, certificate);
    let verified = verify(&read, &world.against()).unwrap();
    assert_eq!((verified.submitters, verified.reviewers), (vec!["ann".to_owned()], vec!["bob".to_owned()]));
    assert_eq!((verified.issued, verified.expires), (day("2026-11-24"), None));
    let error = certificate.write(&place).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("write the certificate {}: the folder is not empty", place.display())
    );
}

#[test]
fn the_signed_bytes_are_those_of_the_specification() {
    let envelope = Envelope {
        payload_type: "http://example.com/HelloWorld".to_owned(),
        ..Envelope::of(b"hello world".to_vec())
    };
    assert_eq!(envelope.signed_bytes(), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

#[test]
fn statements_are_what_in_toto_wants() {
    let world = World::new();
    let certificate = world.issue(&results()).unwrap();
    let statement: serde_json::Value = serde_json::from_slice(&certificate.test_result.payload.0).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://in-toto.io/attestation/test-result/v0.1");
    assert_eq!(statement["subject"], json!([{"name": "x", "digest": {"sha256": sha256(PROGRAM).encoded()}}]));
    assert!(statement["predicate"]["passedTests"].as_array().unwrap().contains(&json!(PASSED)));
    let statement: serde_json::Value = serde_json::from_slice(&certificate.conformance.payload.0).unwrap();
    let predicate = &statement["predicate"];
    assert_eq!(statement["predicateType"], "tag:plimsoll,2026:conformance/v1");
    assert_eq!(
        predicate["specification"],
        json!({"name": "runtime-spec", "version": "1.3.0", "released": "2025-11-04"})
    );
    assert_eq!(predicate["validAtLeastUntil"], "2026-11-04");
}

#[test]
fn no_byte_of_an_envelope_can_be_changed() {
    let world = World::new();
    let mut first = Envelope::of(b"{\"a\":1}".to_vec());
    let mut second = Envelope::of(b"{\"b\":22}".to_vec());
    for key in [&world.submitter, &world.reviewer] {
        first.sign(key).unwrap();
        second.sign(key).unwrap();
    }
    let certificate =
        Certificate { test_result: first, conformance: second, results: Vec::new(), subject: None };
    let good = certificate.bundle();
    let believed = |text: &[u8]| {
        let Ok(envelopes) = parse_bundle(text) else { return false };
        envelopes.iter().all(|envelope| world.keys.signers(envelope).is_ok_and(|signers| signers.len() == 2))
    };
    assert!(believed(&good));
    for at in 0..good.len() {
        for flip in [1u8, 2, 4, 8, 16, 32, 64, 128] {
            let mut changed = good.clone();
            changed[at] ^= flip;
            assert!(!believed(&changed), "byte {at} with {flip:#x}: {}", String::from_utf8_lossy(&changed));
        }
        assert!(!believed(&good[..at]), "cut at {at}");
        let mut longer = good.clone();
        longer.insert(at, b' ');
        assert!(!believed(&longer), "a space at {at}");
    }
}

/// Every file below `dir`.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn no_byte_of_a_stored_certificate_can_be_changed() {
    /// With many rows not every byte is tried: all rows are made of the same parts.
    const MOST: usize = 3000;
    let world = World::new();
    let certificate = world.issue(&results()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    certificate.write(dir.path()).unwrap();
    let believed = || Certificate::read(dir.path()).is_ok_and(|read| verify(&read, &world.against()).is_ok());
    assert!(believed());
    for file in files(dir.path()) {
        // The two bytes `{}` are nothing that anybody reads.
        if file.ends_with(sha256(b"{}").encoded()) {
            continue;
        }
        let good = std::fs::read(&file).unwrap();
        for at in (0..good.len()).step_by(good.len().div_ceil(MOST)) {
            let mut changed = good.clone();
            changed[at] ^= 1;
            std::fs::write(&file, &changed).unwrap();
            assert!(!believed(), "byte {at} of {}", file.display());
        }
        std::fs::write(&file, &good[..good.len() - 1]).unwrap();
        assert!(!believed(), "{} without its end", file.display());
        std::fs::write(&file, &good).unwrap();
    }
    assert!(believed());
}

#[test]
fn a_wrong_key_is_named() {
    let world = World::new();
    let mut certificate = world.issue(&results()).unwrap();
    let stranger = SecretKey::generate().unwrap();
    certificate.sign(&stranger).unwrap();
    let id = stranger.public().id().to_owned();
    let want = format!("test result: the key {id:?}, which has signed, is not among the trusted keys");
    assert_eq!(world.sentences(&certificate)[0], want);
    let error = certificate.sign(&stranger).unwrap_err();
    assert_eq!(error.to_string(), format!("sign: the key {id} has signed already"));
    // Another key's signature under a trusted name.
    let mut certificate = world.issue(&results()).unwrap();
    let message = certificate.test_result.signed_bytes();
    certificate.test_result.signatures[0].signature = Data(stranger.sign(&message).to_vec());
    assert_eq!(world.sentences(&certificate), ["test result: the signature of ann does not verify"]);
    certificate.test_result.signatures[0].signature = Data(vec![0; 3]);
    assert_eq!(world.sentences(&certificate), ["test result: the signature of ann does not verify"]);
}

#[test]
fn both_parts_must_be_played_and_by_two() {
    let world = World::new();
    let only =
        Certificate::issue(&results(), day("2026-11-24"), &world.submitter, &world.registry, None).unwrap();
    assert_eq!(world.sentences(&only), ["no reviewer has signed it"]);
    let submission = Against { rule: Rule::Submission, ..world.against() };
    assert!(verify(&only, &submission).is_ok());
    let only =
        Certificate::issue(&results(), day("2026-11-24"), &world.reviewer, &world.registry, None).unwrap();
    assert_eq!(world.sentences(&only), ["no submitter has signed it"]);
    let mut nobody = only.clone();
    nobody.test_result.signatures.clear();
    nobody.conformance.signatures.clear();
    assert_eq!(world.sentences(&nobody), ["no submitter has signed it", "no reviewer has signed it"]);
    // The signatures of one statement are none of the other.
    let mut half = world.issue(&results()).unwrap();
    half.conformance.signatures.pop();
    assert_eq!(world.sentences(&half), ["the two statements are not signed by the same"]);
    let mut twice = world.issue(&results()).unwrap();
    let again = twice.test_result.signatures[0].clone();
    twice.test_result.signatures.push(again);
    assert_eq!(
        world.sentences(&twice),
        [format!("test result: the key {:?} has signed twice", world.submitter.public().id())]
    );
    let mut keys = Keys::default();
    keys.add(Role::Submitter, "ann", world.submitter.public()).unwrap();
    let error = keys.add(Role::Reviewer, "ann2", world.submitter.public()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key ann2 is a submitter's and a reviewer's: nobody reviews their own results"
    );
}

#[test]
fn a_swapped_payload_is_refused() {
    let world = World::new();
    let mut certificate = world.issue(&results()).unwrap();
    std::mem::swap(&mut certificate.test_result, &mut certificate.conformance);
    let found = world.sentences(&certificate);
    assert!(found[0].starts_with("parse the statement of conformance: /predicate"), "{found:?}");
    // The payload of another honest certificate, with the signatures of this one.
    let mut certificate = world.issue(&results()).unwrap();
    let mut other = results();
    other.subject.name = "y".to_owned();
    certificate.test_result.payload = world.issue(&other).unwrap().test_result.payload;
    assert_eq!(world.sentences(&certificate)[0], "test result: the signature of ann does not verify");
    // A statement that is signed, and of other results.
    let mut certificate = world.issue(&results()).unwrap();
    certificate.test_result = world.issue(&other).unwrap().test_result;
    assert_eq!(
        world.sentences(&certificate),
        ["the test result is not the one that follows from the results"]
    );
    certificate.conformance = world.issue(&other).unwrap().conformance;
    assert_eq!(world.sentences(&certificate).len(), 2);
}

#[test]
fn another_program_is_refused() {
    let world = World::new();
    let certificate = world.issue(&results()).unwrap();
    let other = sha256(b"another runtime");
    let refusals = verify(&certificate, &Against { subject: &other, ..world.against() }).unwrap_err();
    let want = format!("the certificate is about {}, the file at hand is {other}", world.subject);
    assert_eq!(refusals, [Refusal { check: Check::Subject, sentence: want }]);
}

#[test]
fn a_removed_row_and_a_removed_case_are_missed() {
    let world = World::new();
    let mut short = results();
    short.rows.retain(|row| row.id != PASSED);
    let found = world.sentences(&world.forge(&short));
    assert!(found.contains(&format!("the row {PASSED} is missing")), "{found:?}");
    let error = world.issue(&short).unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("sign the results: the row {PASSED} is missing")),
        "{error}"
    );

    let mut short = results();
    short.cases.retain(|case| case.name != "control/minimal");
    let short = judged(short, &world.registry);
    let found = world.sentences(&world.forge(&short));
    assert_eq!(found[0], "the case control/minimal was not run");

    let mut partial = results();
    partial.settings.insert("selection".to_owned(), "control/".to_owned());
    assert_eq!(world.sentences(&world.forge(&partial)), ["only a part of the suite was run: control/"]);

    let mut more = results();
    more.cases.push(CaseRecord { name: "own/case".to_owned(), ..more.cases[0].clone() });
    assert_eq!(world.sentences(&world.forge(&more)), ["there is no case \"own/case\" in this suite"]);
    let mut more = results();
    more.rows.push(more.rows[0].clone());
    assert_eq!(
        world.sentences(&world.forge(&more)),
        ["the rows are not in the order of the registry, or stand twice"]
    );
    let mut more = results();
    more.cases.push(more.cases[0].clone());
    let name = more.cases[0].name.clone();
    assert_eq!(world.sentences(&world.forge(&more)), [format!("judge again: case {name:?} stands twice")]);
}

#[test]
fn verdicts_follow_from_evidence_alone() {
    let world = World::new();
    let at = |name: &str| results().cases.iter().position(|case| case.name == name).unwrap();
    let (control, at) = (at("control/minimal"), at(PASSED_CASE));
    let mut lying = results();
    lying.cases[at].evidence = plimsoll_spec::json::Value::Object(Object::new());
    let found = world.sentences(&world.forge(&lying));
    assert!(
        found.contains(&format!("the row {PASSED} is stored as PASS, but the evidence says FAIL")),
        "{found:?}"
    );
    // An obstacle is why there is no verdict: it must not be one.
    let claim =
        results().rows.iter().flat_map(|row| &row.judgements).find(|said| said.case == PASSED_CASE).cloned();
    for verdict in [crate::Verdict::Pass, crate::Verdict::NotApplicable] {
        let mut lying = results();
        lying.cases[at].obstacle = claim.clone();
        lying.cases[at].obstacle.as_mut().unwrap().verdict = verdict;
        let why = format!(
            "judge again: the obstacle of case {PASSED_CASE:?} says {}, which only a rule may say",
            verdict.as_str()
        );
        assert_eq!(world.sentences(&world.forge(&lying)), [why]);
    }
    // And without the control no case says anything.
    let mut lying = results();
    lying.cases[control].evidence = plimsoll_spec::json::Value::Object(Object::new());
    let found = world.sentences(&world.forge(&lying));
    let why = "although the minimal container does not run: its program reported nothing";
    assert!(found.len() == 1 && found[0].ends_with(why), "{found:?}");
    let mut lying = results();
    lying.profiles.clear();
    assert_eq!(world.sentences(&world.forge(&lying)), ["the profiles are not what follows from the rows"]);
    let mut lying = results();
    lying.rows.iter_mut().for_each(|row| row.judgements.iter_mut().for_each(|said| said.observed.push('!')));
    assert!(world.sentences(&world.forge(&lying))[0].ends_with("but not for the stored reasons"));
}

#[test]
fn a_stale_suite_is_refused() {
    let world = World::new();
    let mut old = results();
    old.suite.version = "0.0.1".to_owned();
    let want =
        format!("judged by suite \"0.0.1\", this is {}: run the suite again", env!("CARGO_PKG_VERSION"));
    assert_eq!(world.sentences(&world.forge(&old)), [want]);
    let mut old = results();
    old.suite.registry = SUITE.to_owned();
    let want = format!(
        "judged by the registry {SUITE}, this program has {}: run the suite again",
        Registry::digest()
    );
    assert_eq!(world.sentences(&world.forge(&old)), [want]);
    let mut own = results();
    own.suite.binary = sha256(b"my own suite").to_string();
    let want = format!(
        "judged by the program {}, which is neither this one nor among the trusted suites",
        own.suite.binary
    );
    assert_eq!(world.sentences(&world.forge(&own)), [want]);
}

#[test]
fn days_are_in_order() {
    let world = World::new();
    let at = |certificate: &Certificate, text: &str| match verify(
        certificate,
        &Against { at: day(text), ..world.against() },
    ) {
        Ok(_) => Vec::new(),
        Err(refusals) => refusals.into_iter().map(|refusal| refusal.sentence).collect(),
    };
    let certificate = world.issue(&results()).unwrap();
    assert_eq!(at(&certificate, "2026-11-23"), ["signed on 2026-11-24, which is after 2026-11-23"]);
    assert_eq!(at(&certificate, "2030-01-01"), [""; 0]);
    let mut older = results();
    older.settings.insert("spec".to_owned(), "1.2.0".to_owned());
    let older = judged(older, &world.registry);
    assert_eq!(
        at(&world.forge(&older), "2026-11-24"),
        ["expired on 2026-08-04, by the rule for runtime-spec 1.2.0; asked about 2026-11-24"]
    );
    for (started, want) in [
        ("2026-11-25", "signed on 2026-11-24, before the run of 2026-11-25"),
        ("2026-08-25", "signed on 2026-11-24, more than 90 days after the run of 2026-08-25"),
        ("yesterday", "the results do not say on which day they were made"),
    ] {
        let mut other = results();
        other.settings.insert("started".to_owned(), started.to_owned());
        assert_eq!(at(&world.forge(&other), "2026-12-01"), [want]);
    }
    let mut unknown = results();
    unknown.settings.insert("spec".to_owned(), "1.9.0".to_owned());
    let error = world.issue(&unknown).unwrap_err();
    assert_eq!(error.to_string(), "there is no release \"1.9.0\" of runtime-spec");
}

#[test]
fn an_image_is_referred_to() {
    let world = World::new();
    let manifest = br#"{"schemaVersion":2}"#;
    let subject = layout::descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
    let error = Certificate::issue(
        &results(),
        day("2026-11-24"),
        &world.submitter,
        &world.registry,
        Some(subject.clone()),
    );
    let want = format!(
        "sign the results: the certificate refers to {}, the results are about {}",
        subject.digest, world.subject
    );
    assert_eq!(error.unwrap_err().to_string(), want);
    let mut about = results();
    about.subject.digest = subject.digest.to_string();
    let certificate = Certificate::issue(
        &about,
        day("2026-11-24"),
        &world.submitter,
        &world.registry,
        Some(subject.clone()),
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    certificate.write(dir.path()).unwrap();
    assert_eq!(Certificate::read(dir.path()).unwrap().subject, Some(subject));
}

#[test]
fn a_countersigned_certificate_replaces_the_first() {
    let world = World::new();
    let mut certificate =
        Certificate::issue(&results(), day("2026-11-24"), &world.submitter, &world.registry, None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    certificate.write(dir.path()).unwrap();
    let before = files(dir.path()).len();
    certificate.sign(&world.reviewer).unwrap();
    certificate.replace(dir.path()).unwrap();
    assert_eq!(files(dir.path()).len(), before);
    assert!(verify(&Certificate::read(dir.path()).unwrap(), &world.against()).is_ok());
}

/// What `read` says of a stored certificate after `change`.
fn refusal(change: impl Fn(&Path)) -> String {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    world.issue(&results()).unwrap().write(dir.path()).unwrap();
    change(dir.path());
    Certificate::read(dir.path()).unwrap_err().chain()
}

#[test]
fn malformed_layouts_are_named() {
    let index = |dir: &Path, change: &dyn Fn(&mut serde_json::Value)| {
        let path = dir.join("index.json");
        let mut document = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut document);
        std::fs::write(&path, document.to_string()).unwrap();
    };
    let said = refusal(|dir| index(dir, &|document| document["manifests"] = json!([])));
    assert_eq!(said, "read a certificate: index.json: there is no certificate in it");
    let said = refusal(|dir| {
        index(dir, &|document| {
            let one = document["manifests"][0].clone();
            document["manifests"] = json!([one, one]);
        });
    });
    assert_eq!(said, "read a certificate: index.json: there is more than one certificate in it");
    let said =
        refusal(|dir| index(dir, &|document| document["manifests"][0]["size"] = 1_000_000_000_000u64.into()));
    assert!(said.ends_with("it has 1000000000000 bytes, more than 65536"), "{said}");
    let said = refusal(|dir| index(dir, &|document| document["manifests"][0]["digest"] = "sha512:aa".into()));
    assert!(said.starts_with("read a certificate: index.json: /manifests/0/digest: not a digest"), "{said}");
    let said = refusal(|dir| std::fs::write(dir.join("index.json"), "[".repeat(100_000)).unwrap());
    assert!(said.ends_with("nested deeper than the limit"), "{said}");
    let said = refusal(|dir| std::fs::write(dir.join("index.json"), vec![b' '; 2 << 20]).unwrap());
    assert!(said.ends_with("index.json: it has more than 1048576 bytes"), "{said}");
    let said = refusal(|dir| std::fs::remove_file(dir.join("oci-layout")).unwrap());
    assert!(said.ends_with("oci-layout: No such file or directory (os error 2)"), "{said}");
    let said = refusal(|dir| {
        let path = dir.join("index.json");
        let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
        std::fs::write(path, text.replacen('{', "{\"schemaVersion\":2,", 1)).unwrap();
    });
    assert_eq!(said, "read a certificate: index.json: /schemaVersion: member \"schemaVersion\" stands twice");
    let said = refusal(|dir| {
        std::fs::remove_file(dir.join("index.json")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.join("index.json"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
    });
    assert!(said.ends_with("index.json: it is no regular file"), "{said}");
    let said = refusal(|dir| {
        std::fs::rename(dir.join("blobs"), dir.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.join("blobs")).unwrap();
    });
    assert!(said.ends_with("Too many levels of symbolic links (os error 40)"), "{said}");
}

#[test]
fn malformed_envelopes_are_named() {
    let world = World::new();
    let certificate = world.issue(&results()).unwrap();
    let good = json::to_vec(&certificate.test_result);
    let text = String::from_utf8(good.clone()).unwrap();
    let said = |text: &str| Envelope::parse(text.as_bytes()).unwrap_err().chain();
    assert_eq!(Envelope::parse(&good).unwrap(), certificate.test_result);
    assert_eq!(
        said(&text.replacen('{', "{\"payload\":\"\",", 1)),
        "parse an envelope: /payload: member \"payload\" stands twice"
    );
    assert_eq!(
        said(&text.replacen('{', "{\"also\":1,", 1)),
        "parse an envelope: it has the unknown member \"also\""
    );
    assert_eq!(
        said(&text.replacen("{\"keyid\"", "{\"cert\":1,\"keyid\"", 1)),
        "parse an envelope: it has the unknown member \"cert\""
    );
    assert_eq!(said(&format!(" {text}")), "parse an envelope: it is not written in the canonical form");
    assert_eq!(
        said(&text.replace("vnd.in-toto+json", "json")),
        "parse an envelope: its payload is of the type \"application/json\""
    );
    assert!(said(&text[..text.len() - 1]).starts_with("parse an envelope: EOF while parsing"));
    let mut many = certificate.test_result.clone();
    many.signatures = vec![many.signatures[0].clone(); 17];
    assert_eq!(
        said(&String::from_utf8(json::to_vec(&many)).unwrap()),
        "parse an envelope: it has more than 16 signatures"
    );
    let error = parse_bundle(&good).unwrap_err();
    assert_eq!(error.to_string(), "parse a bundle: it has not two lines, an envelope each");
}

#[test]
fn a_bomb_is_defused() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let mut certificate = world.issue(&results()).unwrap();
    certificate.results = vec![b' '; (256 << 20) + 1];
    certificate.write(dir.path()).unwrap();
    let error = Certificate::read(dir.path()).unwrap_err();
    assert_eq!(error.to_string(), "read a certificate: the results: they have more than 268435456 bytes");
}

#[test]
fn keys_are_those_of_openssl() {
    if !have(&[Need::Program("openssl")]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = |script: &str| {
        let output =
            std::process::Command::new("sh").args(["-ec", script]).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let own = SecretKey::generate().unwrap();
    let public = own.write(&dir.path().join("own")).unwrap();
    assert_eq!(PublicKey::read(&public).unwrap(), own.public());
    assert_eq!(SecretKey::read(&dir.path().join("own")).unwrap().public(), own.public());
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(dir.path().join("own")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let error = own.write(&dir.path().join("own")).unwrap_err();
    assert!(error.to_string().ends_with("own.pub"), "{error}");
    // Ours signs, theirs verifies; theirs signs, ours verifies.
    let envelope = Envelope::of(b"{}".to_vec());
    std::fs::write(dir.path().join("message"), envelope.signed_bytes()).unwrap();
    std::fs::write(dir.path().join("ours"), own.sign(&envelope.signed_bytes())).unwrap();
    run("openssl pkeyutl -verify -rawin -pubin -inkey own.pub -sigfile ours -in message");
    run("openssl pkeyutl -sign -rawin -inkey own -in message -out theirs && cmp ours theirs");
    run(
        "openssl genpkey -algorithm ed25519 -out other && openssl pkey -in other -pubout -out other.pub && openssl pkeyutl -sign -rawin -inkey other -in message -out theirs",
    );
    let other = PublicKey::read(&dir.path().join("other.pub")).unwrap();
    assert!(other.verifies(&envelope.signed_bytes(), &std::fs::read(dir.path().join("theirs")).unwrap()));
    assert_eq!(SecretKey::read(&dir.path().join("other")).unwrap().public(), other);
    run("openssl genpkey -algorithm x25519 -out foreign");
    let Err(error) = SecretKey::read(&dir.path().join("foreign")) else {
        panic!("a key of x25519 was taken")
    };
    assert!(error.chain().contains("parse a secret key of ed25519"), "{}", error.chain());
}

#[test]
fn a_folder_of_keys_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let Err(error) = Keys::read(dir.path()) else { panic!("keys in an empty folder") };
    assert!(
        error.to_string().ends_with("there is no submitters/NAME.pub and no reviewers/NAME.pub"),
        "{error}"
    );
    let world = World::new();
    for (role, name, key) in [("submitters", "ann", &world.submitter), ("reviewers", "bob", &world.reviewer)]
    {
        std::fs::create_dir(dir.path().join(role)).unwrap();
        key.write(&dir.path().join(role).join(name)).unwrap();
    }
    std::fs::write(dir.path().join("suites"), format!("# our builds\n{SUITE}\n")).unwrap();
    let keys = Keys::read(dir.path()).unwrap();
    let certificate = world.issue(&results()).unwrap();
    assert!(verify(&certificate, &Against { keys: &keys, ..world.against() }).is_ok());
    std::fs::write(dir.path().join("reviewers/bad.pub"), "no key").unwrap();
    let Err(error) = Keys::read(dir.path()) else { panic!("a key that is none") };
    assert!(error.chain().contains("bad.pub: parse a public key of ed25519"), "{}", error.chain());
}

#[test]
fn runs_of_today_are_compared() {
    use super::rerun::{Cause, compare};
    let stored = results();
    let with = |verdict: crate::Verdict| {
        let mut run = stored.clone();
        run.rows.iter_mut().filter(|row| row.id == PASSED).for_each(|row| row.verdict = verdict);
        run
    };
    use crate::Verdict::{Fail, Pass, Skip};
    assert_eq!(compare(&stored, &[with(Pass)]), []);
    let causes =
        |runs: &[Results]| -> Vec<Cause> { compare(&stored, runs).iter().map(|found| found.cause).collect() };
    assert_eq!(causes(&[with(Fail), with(Fail)]), [Cause::Real]);
    assert_eq!(causes(&[with(Fail), with(Pass)]), [Cause::Unstable]);
    // Only what a machine or its user lacks excuses a row, and not what anybody has written about environments.
    let skipped = |reason| {
        let mut run = with(Skip);
        run.environment.insert("kernel".to_owned(), "5.10".to_owned());
        run.rows.iter_mut().filter(|row| row.id == PASSED).for_each(|row| row.reason = reason);
        run
    };
    use crate::Reason::{Kernel, Unsupported};
    assert_eq!(causes(&[skipped(Some(Kernel))]), [Cause::Environment]);
    for reason in [None, Some(Unsupported)] {
        assert_eq!(causes(&[skipped(reason)]), [Cause::Real], "{reason:?}");
    }
    let mut unjudged = with(crate::Verdict::Inconclusive);
    unjudged.environment = skipped(None).environment;
    assert_eq!(causes(&[unjudged]), [Cause::Real]);
    assert_eq!(
        compare(&stored, &[with(Skip)])[0].sentence(),
        format!("the row {PASSED} is certified as PASS, seen SKIP: it cannot be seen again")
    );
    let mut failing = with(Fail);
    failing.environment = skipped(None).environment;
    assert_eq!(causes(&[failing]), [Cause::Real]);
}
