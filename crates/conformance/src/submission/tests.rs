//! Submissions that are good, and each way in which one is not.

use std::os::unix::fs::symlink;

use super::*;
use crate::certificate::tests::{PASSED, PASSED_CASE, PROGRAM, SUITE, results};
use crate::certificate::{Keys, Role};
use crate::results::RowRecord;

const GOOD: &str = "---\n# a product\nvendor: Example Works\nname: \"Ex: runtime\"\nversion: v1.2\nwebsite_url: https://example.com/x # home\n\
    documentation_url: 'https://example.com/docs'\ntype: runtime\ndescription: >-\n  Runs\n  containers.\n";

fn faults(text: &str) -> Vec<String> {
    match Product::parse(text.as_bytes()) {
        Ok(product) => product.faults(),
        Err(e) => vec![e.chain()],
    }
}

#[test]
fn a_product_is_a_mapping_of_strings() {
    let product = Product::parse(GOOD.as_bytes()).unwrap();
    assert_eq!(product.faults(), [""; 0]);
    assert_eq!(product.field("name"), "Ex: runtime");
    assert_eq!(product.field("website_url"), "https://example.com/x");
    assert_eq!(product.field("description"), "Runs containers.");
    assert_eq!(product.slug(), "ex-runtime");
    let product =
        Product::parse(b"description: one\n  two # three\n  'four'\nname: 'it''s'\nvendor: |\n  a\n  b\n")
            .unwrap();
    assert_eq!(
        (product.field("description"), product.field("name"), product.field("vendor")),
        ("one two 'four'", "it's", "a\nb")
    );
}

#[test]
fn other_yaml_is_refused_by_its_line() {
    for (text, want) in [
        ("a: &b c", "line 1: a value that begins with & is no string"),
        ("\nb: *a", "line 2: a value that begins with * is no string"),
        ("a: !!int 1", "line 1: a value that begins with ! is no string"),
        ("a: [x]", "line 1: a value that begins with [ is no string"),
        ("a: {b: c}", "line 1: a value that begins with { is no string"),
        ("a: b: c", "line 1: a mapping or a list within a value is no string"),
        ("a:\n  b: c", "line 1: a mapping or a list within a value is no string"),
        ("a:\n  - b", "line 1: a mapping or a list within a value is no string"),
        ("- a", "line 1: it is no `name: value`"),
        ("a", "line 1: it is no `name: value`"),
        ("a: 1\na: 2", "line 2: a stands twice"),
        ("a: \"b", "line 1: a quoted value does not end, or goes on behind its end"),
        ("a: 'b' c", "line 1: a quoted value does not end, or goes on behind its end"),
        ("a: |2\n  b", "line 1: the header \"|2\" of a block is not understood"),
        ("? a", "line 1: it is no `name: value`"),
    ] {
        assert_eq!(faults(text), [format!("parse a product: {want}")], "{text:?}");
    }
    let large = format!("a: {}", "x".repeat(64 << 10));
    assert_eq!(faults(&large), ["parse a product: it has more than 65536 bytes"]);
    assert_eq!(Product::parse(b"a: \xff").unwrap_err().to_string(), "parse a product: it is not UTF-8");
}

#[test]
fn every_field_is_checked() {
    let with = |field: &str, value: &str| {
        let lines: Vec<&str> = GOOD.lines().filter(|line| !line.starts_with(&format!("{field}:"))).collect();
        faults(&format!("{}\n{field}: {value}\n", lines.join("\n")))
    };
    for (field, value, want) in [
        ("vendor", "", "vendor is missing"),
        ("name", "My OCI runtime", "name holds \"OCI\", which the program's terms forbid"),
        ("name", "my-oci", "name holds \"OCI\", which the program's terms forbid"),
        ("version", "main", "version is no version: it has no digit"),
        ("website_url", "javascript:alert(1)", "website_url is no https:// or http:// address"),
        ("website_url", "https://", "website_url is no https:// or http:// address"),
        ("repo_url", "https://a@b/", "repo_url is no https:// or http:// address"),
        (
            "product_logo_url",
            "https://example.com/x.png",
            "product_logo_url is no address of an SVG, AI or EPS file",
        ),
        (
            "type",
            "cloud",
            "type is \"cloud\", and not one of distribution, hosted platform, installer, runtime, image, unpacker, converter",
        ),
        ("contact", "me", "there is no field \"contact\""),
        ("vendor", "\"a\\u0007\"", ""),
        ("version", "\"1\\u0007\"", "version has a control character"),
    ] {
        let found = with(field, value);
        assert_eq!(found.join(""), want, "{field}: {value}");
    }
    assert_eq!(with("product_logo_url", "https://example.com/x.SVG"), [""; 0]);
    assert_eq!(with("name", "Association"), [""; 0]);
    assert_eq!(faults("").len(), 7);
}

/// A signed submission on disk, and who trusts it.
struct World {
    dir: tempfile::TempDir,
    place: PathBuf,
    keys: Keys,
    registry: Registry,
}

impl World {
    fn new(results: &Results) -> World {
        let registry = Registry::load().unwrap();
        let key = SecretKey::generate().unwrap();
        let mut keys = Keys::default();
        keys.add(Role::Submitter, "ann", key.public()).unwrap();
        keys.add_suite(SUITE);
        let dir = tempfile::tempdir().unwrap();
        let place = submit(results, GOOD.as_bytes(), Some(&key), dir.path(), &registry).unwrap();
        World { dir, place, keys, registry }
    }

    fn review(&self) -> Result<Vec<Label>> {
        let glass =
            Glass { registry: &self.registry, keys: Some(&self.keys), subject: None, at: Day::today() };
        review(&self.place, &glass)
    }

    fn bad(&self) -> Vec<(&'static str, String)> {
        let labels = self.review().unwrap();
        labels
            .into_iter()
            .filter(|label| label.tone == Tone::Bad)
            .map(|label| (label.name, label.reason))
            .collect()
    }
}

fn today() -> Results {
    let mut results = results();
    results.settings.insert("started".to_owned(), Day::today().to_string());
    results
}

#[test]
fn a_good_submission_has_good_labels() {
    let world = World::new(&today());
    assert_eq!(world.place, world.dir.path().join("runtime-spec/v1.3/ex-runtime"));
    let labels = world.review().unwrap();
    let good: Vec<&str> =
        labels.iter().filter(|label| label.tone == Tone::Good).map(|label| label.name).collect();
    let want = [
        "release-documents-checked",
        "product-checked",
        "version-checked",
        "tests-verified",
        "no-failed-tests",
        "reports-checked",
        "signature-verified",
    ];
    assert_eq!(good, want, "{labels:#?}");
    let readme = std::fs::read_to_string(world.place.join("README.md")).unwrap();
    assert!(readme.contains("plimsoll conformance run RUNTIME --spec 1.3.0 -o results.json"), "{readme}");
    let error = submit(&today(), GOOD.as_bytes(), None, world.dir.path(), &world.registry).unwrap_err();
    assert!(error.chain().ends_with("File exists (os error 17)"), "{}", error.chain());
    let error = submit(&today(), b"name: x1", None, world.dir.path(), &world.registry).unwrap_err();
    assert!(
        error.to_string().starts_with("submit: PRODUCT.yaml: vendor is missing; version is missing"),
        "{error}"
    );
}

#[test]
fn the_file_at_hand_must_be_the_one() {
    let world = World::new(&today());
    let look = |content: &[u8]| {
        let digest = plimsoll_digest::Digest::of(plimsoll_digest::Algorithm::Sha256, content);
        let glass = Glass {
            registry: &world.registry,
            keys: Some(&world.keys),
            subject: Some(&digest),
            at: Day::today(),
        };
        let labels = review(&world.place, &glass).unwrap();
        labels
            .into_iter()
            .filter(|label| label.name.starts_with("sig"))
            .map(|label| label.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(look(PROGRAM), ["signature-verified"]);
    assert_eq!(look(b"another"), ["signature-refused"]);
}

#[test]
fn what_is_missing_or_strange_is_named() {
    let world = World::new(&today());
    std::fs::remove_file(world.place.join("junit.xml")).unwrap();
    std::fs::write(world.place.join("notes.txt"), "").unwrap();
    assert_eq!(
        world.bad(),
        [
            ("evidence-missing", "junit.xml is missing".to_owned()),
            ("unexpected-files", "\"notes.txt\" does not belong here".to_owned())
        ]
    );
    symlink("/etc/passwd", world.place.join("junit.xml")).unwrap();
    let error = world.review().unwrap_err();
    assert!(error.to_string().ends_with("\"junit.xml\" is no file"), "{error}");
    std::fs::remove_file(world.place.join("junit.xml")).unwrap();
    std::fs::write(world.place.join("results.json"), "{").unwrap();
    assert_eq!(world.review().unwrap_err().kind(), Kind::Document);
}

#[test]
fn what_was_altered_is_named() {
    let world = World::new(&today());
    let path = world.place.join("report.html");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("could not be judged in full", "conforms").replace("</html>", "</html> "),
    )
    .unwrap();
    assert_eq!(world.bad(), [("reports-altered", "report.html is not what these results give".to_owned())]);

    let world = World::new(&today());
    let mut other = today();
    other.rows.retain(|row: &RowRecord| row.id != PASSED);
    std::fs::write(world.place.join("results.json"), other.to_vec()).unwrap();
    let bad: Vec<&str> = world.bad().into_iter().map(|(name, _)| name).collect();
    assert_eq!(bad, ["required-tests-missing", "reports-altered", "signature-refused"]);

    let world = World::new(&today());
    std::fs::remove_dir_all(world.place.join("certificate")).unwrap();
    assert_eq!(world.bad(), [("not-signed", "there is no certificate".to_owned())]);

    let world = World::new(&today());
    let other = world.dir.path().join("v1.2");
    std::fs::rename(&world.place, &other).unwrap();
    let world = World { place: other, ..world };
    let (name, reason) = world.bad().remove(0);
    assert!(name == "version-mismatch" && reason.contains("is to be called \"v1.3\""), "{reason}");
}

#[test]
fn a_failing_row_is_named() {
    let registry = Registry::load().unwrap();
    let mut failing = today();
    let at = failing.cases.iter().position(|case| case.name == PASSED_CASE).unwrap();
    failing.cases[at].evidence = plimsoll_spec::json::Value::Object(plimsoll_spec::json::Object::new());
    let judged = crate::rejudge::rejudge(&failing, &registry).unwrap();
    let failing = Results { rows: judged.rows, profiles: judged.profiles, ..failing };
    let bad = World::new(&failing).bad();
    assert_eq!(bad[0].0, "failed-tests");
    assert!(bad[0].1.contains(PASSED), "{bad:?}");
}
