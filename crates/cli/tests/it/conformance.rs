//! `plimsoll conformance` on results that stand in a file: reports, comparison, certificates, submissions.

use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_conformance::{Day, Registry, Results, Verdict, rejudge};
use plimsoll_test_support::{Need, have, write_program};
use serde_json::json;
use tempfile::TempDir;

use crate::busybox_layout;

/// A folder with the results of a run, in which everything was skipped, and with keys.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Desk {
        let dir = tempfile::Builder::new().prefix("plimsoll-cli-").tempdir().unwrap();
        let desk = Desk { dir };
        std::fs::write(desk.path("runtime"), "a runtime").unwrap();
        std::fs::write(desk.path("results.json"), results(&desk.path("runtime")).to_vec()).unwrap();
        for (role, name) in [("submitters", "ann"), ("reviewers", "bob")] {
            std::fs::create_dir_all(desk.path("keys").join(role)).unwrap();
            let (said, code) = desk.run(&["keygen", &format!("keys/{role}/{name}")]);
            assert!(code == 0 && said.contains(&format!("keys/{role}/{name}.pub\nsha256:")), "{said}");
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the verb has printed, and its exit code.
    fn run(&self, arguments: &[&str]) -> (String, i32) {
        let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .arg("conformance")
            .args(arguments)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8(said).unwrap(), output.status.code().unwrap())
    }

    fn verify(&self) -> (String, i32) {
        self.run(&["verify", "certificate", "--subject", "runtime", "--keys", "keys"])
    }
}

fn results(runtime: &Path) -> Results {
    let registry = Registry::load().unwrap();
    let digest = |path: &Path| plimsoll_conformance::certificate::digest_of_file(path).unwrap().to_string();
    let names = rejudge::case_names("runtime").unwrap();
    let skipped = |name: String| {
        let obstacle = json!({"case": name, "verdict": "SKIP", "reason": "tool", "observed": "not today"});
        json!({"name": name, "evidence": {}, "obstacle": obstacle})
    };
    let document = json!({
        "format": 1,
        "suite": {
            "version": env!("CARGO_PKG_VERSION"),
            "binary": digest(Path::new(env!("CARGO_BIN_EXE_plimsoll"))),
            "registry": Registry::digest().to_string(),
        },
        "subject": {"kind": "runtime", "name": "x", "version": "x 1.0", "digest": digest(runtime)},
        "settings": {"spec": "1.3.0", "selection": "", "started": Day::today().to_string()},
        "cases": names.into_iter().map(skipped).collect::<Vec<_>>(),
    });
    let results = Results::parse(document.to_string().as_bytes()).unwrap();
    let judged = rejudge::rejudge(&results, &registry).unwrap();
    Results { rows: judged.rows, profiles: judged.profiles, ..results }
}

#[test]
fn a_certificate_goes_its_way() {
    let desk = Desk::new();
    let (said, code) =
        desk.run(&["attest", "results.json", "--key", "keys/submitters/ann", "-o", "certificate"]);
    assert!(code == 0 && said.starts_with("sha256:"), "{said}");
    assert_eq!(desk.verify(), ("refused: no reviewer has signed it\n".to_owned(), 1));
    let (said, code) = desk.run(&[
        "countersign",
        "certificate",
        "--key",
        "keys/reviewers/bob",
        "--keys",
        "keys",
        "--subject",
        "results.json",
    ]);
    assert!(code == 1 && said.starts_with("refused: the certificate is about sha256:"), "{said}");
    let (said, code) = desk.run(&[
        "countersign",
        "certificate",
        "--key",
        "keys/reviewers/bob",
        "--keys",
        "keys",
        "--subject",
        "runtime",
    ]);
    assert_eq!(code, 0, "{said}");
    let (said, code) = desk.verify();
    assert!(
        code == 0 && said.contains("\nsays         WARNED\n") && said.contains("\nreviewed by  bob\n"),
        "{said}"
    );
    let (said, code) =
        desk.run(&["verify", "certificate", "--subject", "runtime", "--keys", "keys", "--at", "2026-02-30"]);
    assert_eq!((said.as_str(), code), ("plimsoll: no day of the form YYYY-MM-DD: \"2026-02-30\"\n", 125));
    std::fs::write(desk.path("runtime"), "another runtime").unwrap();
    let (said, code) = desk.verify();
    assert!(code == 1 && said.starts_with("refused: the certificate is about sha256:"), "{said}");
    std::fs::write(desk.path("certificate/index.json"), "{}").unwrap();
    let (said, code) = desk.verify();
    assert!(code == 1 && said.starts_with("refused: read a certificate: index.json"), "{said}");
}

#[test]
fn a_run_is_run_again_in_the_same_manner() {
    let desk = Desk::new();
    // It refuses everything, so that no case but the first is tried.
    let script = "#!/bin/sh\necho \"$@\" >> \"${0%/*}/said\"\nexit 1\n";
    write_program(&desk.path("runtime"), script.as_bytes()).unwrap();
    let dialect = r#"{"name": "odd", "create": ["make", "{id}"]}"#;
    std::fs::write(desk.path("dialect.json"), dialect).unwrap();
    let probe = ["--probe", "runtime"];
    let manner = ["--dialect", "dialect.json", "--operation-patience", "20"];
    let run = [&["run", "./runtime", "-o", "results.json"], &probe[..], &manner[..]].concat();
    let (said, code) = desk.run(&run);
    assert!(code == 4 && said.contains("the minimal container does not run"), "{said}");
    desk.run(&["attest", "results.json", "--key", "keys/submitters/ann", "-o", "certificate"]);
    desk.run(&["countersign", "certificate", "--key", "keys/reviewers/bob"]);
    std::fs::remove_file(desk.path("said")).unwrap();
    let verify = ["verify", "certificate", "--subject", "runtime", "--keys", "keys", "--rerun"];
    let again = |manner: &[&str]| desk.run(&[&verify, &probe[..], manner].concat());
    let (said, code) = again(&[]);
    let wanted = r#"the dialect of the stored run is {"create":["make","{id}"]}, here as usual; the patience with an operation of the stored run is 20, here 10"#;
    assert!(code == 125 && said.contains(wanted), "{said}");
    assert!(!desk.path("said").exists(), "it was run all the same");
    let (said, code) = again(&manner);
    assert!(code == 0 && said.contains("\nsays         WARNED\n"), "{said}");
    let words = std::fs::read_to_string(desk.path("said")).unwrap();
    assert!(words.lines().any(|line| line.contains(" make plimsoll-")), "{words}");
}

#[test]
fn an_image_is_certified_as_registries_know_it() {
    if !have(&[Need::Root, Need::Program("busybox"), Need::Program("umoci")]) {
        return;
    }
    let desk = Desk::new();
    let layout = busybox_layout();
    let layout = layout.to_str().unwrap();
    let (said, code) = desk.run(&["image", layout, "-o", "results.json"]);
    assert_eq!(code, 0, "{said}");
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(format!("{layout}/index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest = format!("{layout}/blobs/{}", digest.replace(':', "/"));
    let attest = ["attest", "results.json", "--key", "keys/submitters/ann", "--image-manifest"];
    let (said, code) = desk.run(&[&attest[..], &["results.json", "-o", "certificate"]].concat());
    assert_eq!(code, 125, "{said}");
    let (said, code) = desk.run(&[&attest[..], &[&manifest, "-o", "certificate"]].concat());
    assert_eq!(code, 0, "{said}");
    desk.run(&["countersign", "certificate", "--key", "keys/reviewers/bob"]);
    let verify = ["verify", "certificate", "--keys", "keys", "--rerun", "--subject"];
    let (said, code) = desk.run(&[&verify[..], &[layout]].concat());
    assert!(code == 0 && said.contains("\nsays         WARNED\n"), "{said}");
    // Another image, of the same program.
    let copied = Command::new("cp").arg("-a").arg(layout).arg(desk.path("other")).status().unwrap();
    assert!(copied.success());
    let text = std::fs::read_to_string(desk.path("other/index.json")).unwrap();
    std::fs::write(desk.path("other/index.json"), format!("{text} ")).unwrap();
    let (said, code) = desk.run(&[&verify[..], &["other"]].concat());
    assert!(code == 1 && said.starts_with("refused: the certificate is about sha256:"), "{said}");
}

#[test]
fn a_command_that_is_run_again_is_the_verifiers() {
    let desk = Desk::new();
    let program = env!("CARGO_BIN_EXE_plimsoll");
    let command = format!("{program} conformance digest-adapter");
    let (said, code) = desk.run(&["digest", "--command", &command, "-o", "results.json"]);
    assert_eq!(code, 0, "{said}");
    desk.run(&["attest", "results.json", "--key", "keys/submitters/ann", "-o", "certificate"]);
    desk.run(&["countersign", "certificate", "--key", "keys/reviewers/bob"]);
    let verify = ["verify", "certificate", "--keys", "keys", "--subject", program, "--rerun"];
    let (said, code) = desk.run(&verify);
    assert!(code == 125 && said.contains("here none; name it with --command"), "{said}");
    let (said, code) = desk.run(&[&verify[..], &["--command", "true"]].concat());
    assert!(code == 125 && said.contains("here true; name it with --command"), "{said}");
    let (said, code) = desk.run(&[&verify[..], &["--command", &command]].concat());
    assert!(code == 0 && said.contains("\nsays         PASSED\n"), "{said}");
}

#[test]
fn a_submission_is_laid_out_and_looked_at() {
    let desk = Desk::new();
    let product = "vendor: v\nname: Ex\nversion: 1.0\nwebsite_url: https://example.com\ndocumentation_url: https://example.com\ntype: runtime\ndescription: d\n";
    std::fs::write(desk.path("P.yaml"), product).unwrap();
    let (said, code) = desk.run(&[
        "submit",
        "results.json",
        "--product",
        "P.yaml",
        "--key",
        "keys/submitters/ann",
        "--out",
        "out",
    ]);
    assert_eq!((said.as_str(), code), ("out/runtime-spec/v1.3/ex\n", 0));
    let look = || desk.run(&["verify", "--pr", "out/runtime-spec/v1.3/ex", "--keys", "keys"]);
    let (said, code) = look();
    assert!(code == 0 && said.contains("good  signature-verified: signed by ann\n"), "{said}");
    std::fs::write(desk.path("out/runtime-spec/v1.3/ex/junit.xml"), "<testsuites/>").unwrap();
    let (said, code) = look();
    assert!(
        code == 1 && said.contains("bad   reports-altered: junit.xml is not what these results give\n"),
        "{said}"
    );
    std::fs::write(desk.path("out/runtime-spec/v1.3/ex/results.json"), "").unwrap();
    let (said, code) = look();
    assert!(code == 2 && said.starts_with("refused: parse results: EOF"), "{said}");
}

#[test]
fn a_row_is_explained_with_what_proves_it() {
    for (row, mutant) in [("RUN-STATE-10", "state-without-pid"), ("IMG-M01", "manifest/no-version")] {
        let (said, code) = Desk::new().run(&["explain", row]);
        let provers = said.lines().find_map(|line| line.strip_prefix("  proven by the mutants "));
        assert!(code == 0 && provers.is_some_and(|names| names.contains(mutant)), "{said}");
    }
}

#[test]
fn what_is_known_of_rows_is_for_programs_too() {
    let desk = Desk::new();
    let (said, code) = desk.run(&["explain", "RUN-STATE-10", "--format", "json"]);
    let row: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &row["id"], &row["level"]), (0, &"RUN-STATE-10".into(), &"REQUIRED".into()));
    assert!(row["mutants"].as_array().unwrap().contains(&"state-without-pid".into()), "{said}");
    let (said, code) = desk.run(&["list", "RUN-STATE-", "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_str(&said).unwrap();
    let ids: Vec<_> = rows.as_array().unwrap().iter().filter_map(|row| row["id"].as_str()).collect();
    assert!(code == 0 && ids.len() > 10 && ids.iter().all(|id| id.starts_with("RUN-STATE-")), "{ids:?}");
    let (said, code) = desk.run(&["list", "--to", "markdown", "RUN-STATE-"]);
    assert!(code == 0 && said.starts_with("# How much is tested\n"), "{said}");
}

#[test]
fn results_are_shown_and_compared() {
    let desk = Desk::new();
    for (format, start) in [
        ("html", "<!doctype html>"),
        ("junit", "<?xml"),
        ("tap", "TAP version 14\n"),
        ("sarif", "{"),
        ("markdown", "# Conformance of `x`\n"),
        ("json", "{\"cases\""),
    ] {
        let (said, code) = desk.run(&["report", "results.json", "--to", format]);
        assert!(code == 0 && said.starts_with(start), "{format}: {said}");
    }
    let (said, code) = desk.run(&["diff", "results.json", "results.json"]);
    assert!(code == 0 && said.contains("\nno regression: "), "{said}");
    let mut other = Results::read(&desk.path("results.json")).unwrap();
    let row = other.rows.remove(0);
    std::fs::write(desk.path("other.json"), other.to_vec()).unwrap();
    let (said, code) = desk.run(&["diff", "results.json", "other.json"]);
    assert!(code == 1 && said.contains(&format!("\nmissing: 1\n  {}", row.id)), "{said}");
    // Judged again, the row is there once more.
    let (said, code) = desk.run(&["report", "other.json", "--rejudge", "--to", "json", "-o", "again.json"]);
    assert!(code == 0 && said.contains("\nnew: 1\n"), "{said}");
    assert_eq!(desk.run(&["diff", "results.json", "again.json"]).1, 0);
    let (said, code) = desk.run(&["matrix", "results.json", "other.json", "--to", "markdown"]);
    assert!(code == 0 && said.starts_with("| requirement | level | `x 1.0` | `x 1.0` |\n"), "{said}");
    assert_eq!(desk.run(&["reproduce", "results.json"]), (String::new(), 0));
    let failing = &mut other.rows[0].judgements[0];
    failing.verdict = Verdict::Fail;
    failing.case = "values/\x1b[2J".to_owned();
    std::fs::write(desk.path("other.json"), other.to_vec()).unwrap();
    assert_eq!(desk.run(&["reproduce", "other.json"]), ("values/\\u{1b}[2J\n".to_owned(), 0));
    let (said, code) = desk.run(&["reproduce", "other.json", "--format", "json"]);
    assert_eq!((said.as_str(), code), ("[\n  \"values/\\\\u{1b}[2J\"\n]\n", 0));
    std::fs::write(desk.path("deep.json"), "[".repeat(1000)).unwrap();
    let (said, code) = desk.run(&["report", "deep.json"]);
    assert!(code == 125 && said.ends_with("nested deeper than the limit\n"), "{said}");
}
