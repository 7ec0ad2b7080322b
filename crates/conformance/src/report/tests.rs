//! Reports of results that hold everything: every verdict, unknown rows, and text that wants to be markup.

use plimsoll_test_support::{Need, have};
use serde_json::{Value, json};

use super::diff::{Change, diff};
use super::matrix::Matrix;
use super::*;
use crate::results::Results;

const NASTY: &str = "</script><script>alert(1)</script>|`\"'&\n# TODO\u{1b}[2J\u{202e}]]>\u{0}";

/// Results in which every verdict stands, and every text is hostile.
fn hostile() -> Results {
    let judgement = |verdict: &str| {
        let mut judgement = json!({"case": format!("family/{NASTY}"), "verdict": verdict, "expected": NASTY, "observed": NASTY});
        if verdict == "SKIP" {
            judgement["reason"] = "lsm".into();
        }
        judgement
    };
    let row =
        |id: &str, verdict: &str| json!({"id": id, "verdict": verdict, "judgements": [judgement(verdict)]});
    let document = json!({
        "format": 1,
        "suite": {"version": NASTY, "binary": NASTY, "registry": NASTY},
        "subject": {"kind": "runtime", "name": NASTY, "version": NASTY, "digest": NASTY},
        "environment": {NASTY: NASTY},
        "settings": {"spec": NASTY, "started": NASTY, "selection": NASTY, "program": NASTY},
        "cases": [{
            "name": format!("family/{NASTY}"),
            "evidence": {
                "bundles": {NASTY: {"path": format!("/place{NASTY}/b"), "text": "END\n'END'\n$(touch /hit)", "files": [
                    {"path": "/a\ntouch /hit", "size": 1}, {"path": "/../../x", "text": ""}, {"path": format!("/{NASTY}"), "link": NASTY, "mode": 511},
                ]}},
                "beside": [{"path": "/b\n$(touch /hit)", "text": "$(touch /hit)", "owner": [1, 2]}, {"path": "/n", "node": "c 1 3;touch /hit"}, {"path": "/n", "node": "c 1 3"}],
                "props": [
                    {"before": 0, "own": NASTY}, {"before": 0, "own": "net"}, {"before": 0, "holds": {"kind": NASTY, "pid": 1}},
                    {"before": 0, "holds": {"kind": "net", "pid": "1; touch /hit"}}, {"before": 0, "command": [NASTY, "$(touch /hit)"]},
                    {"before": 0, "caller": ["$(touch /hit)", NASTY]}, {"before": 1, "listens": {"as": "agent", "path": "$(touch /hit)", "answer": NASTY}},
                    {"before": 1, "listens": {"as": NASTY, "path": "/x"}}, {"before": 1, "opens": {"number": 99, "path": "$(touch /hit)"}},
                ],
                "operations": [{"operation": "create\ntouch /hit", "command": [NASTY, "$(touch /hit)", "it's"], "folder": NASTY, "environment": [["A B", "x"], ["A", NASTY]]}],
            },
            "milliseconds": u64::MAX,
        }],
        "rows": [
            row("RUN-OPS-01", "PASS"), row("RUN-STATE-02", "FAIL"), row("CFG-CAP-04", "SKIP"),
            row("RUN-STATE-03", "INCONCLUSIVE"), row("RUN-STATE-04", "ERROR"), row("RUN-STATE-05", "NOT_APPLICABLE"),
            row(NASTY, "FAIL"),
        ],
        "profiles": [{"name": NASTY, "verdict": "non-conformant", "counts": {"FAIL": u64::MAX, "PASS": u64::MAX, NASTY: 1}}],
    });
    Results::parse(document.to_string().as_bytes()).unwrap()
}

/// One case, whose rows have these verdicts.
fn small(rows: &[(&str, &str)]) -> Results {
    let row = |(id, verdict): &(&str, &str)| {
        json!({"id": id, "verdict": verdict, "reason": (*verdict == "SKIP").then_some("lsm"),
            "judgements": [{"case": "family/what", "verdict": verdict, "reason": (*verdict == "SKIP").then_some("lsm"), "expected": "1", "observed": "2"}]})
    };
    let document = json!({
        "format": 1,
        "suite": {"version": "0", "binary": "b", "registry": "r"},
        "subject": {"kind": "runtime", "name": "x", "version": "x 1", "digest": "d"},
        "settings": {"spec": "1.3.0"},
        "cases": [{"name": "family/what", "evidence": {}, "milliseconds": 1500}],
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
    });
    Results::parse(document.to_string().as_bytes()).unwrap()
}

fn of(results: &Results, format: Format) -> String {
    render(results, &Registry::load().unwrap(), format)
}

/// Whether Python's parser of XML takes `text`; `None` where there is no Python.
fn is_xml(text: &str) -> Option<bool> {
    if !have(&[Need::Program("python3")]) {
        return None;
    }
    use std::io::Write as _;
    let mut child = std::process::Command::new("python3")
        .args(["-c", "import sys, xml.dom.minidom as d; d.parseString(sys.stdin.buffer.read())"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Some(child.wait().unwrap().success())
}

#[test]
fn no_report_obeys_what_is_in_results() {
    let results = hostile();
    for format in [Format::Html, Format::Junit, Format::Tap, Format::Sarif, Format::Markdown] {
        let text = of(&results, format);
        for acting in ["\u{1b}", "\u{0}", "\u{202e}"] {
            assert!(!text.contains(acting), "{format:?} holds {acting:?}");
        }
        assert_eq!(text, of(&results, format), "{format:?} is not the same twice");
    }
    let html = of(&results, Format::Html);
    assert_eq!(html.matches("<script").count(), 1);
    assert!(!html.contains("alert(1)</script>"));
    let table = [results.clone(), results.clone()];
    let registry = Registry::load().unwrap();
    let html = Matrix::new(&table, &registry).unwrap().html();
    assert_eq!(html.matches("<script").count(), 1);
}

#[test]
fn a_page_loads_nothing_and_runs_its_own_script_alone() {
    let html = of(&small(&[("RUN-OPS-01", "FAIL")]), Format::Html);
    for outside in ["src=", "@import", "url(", "<link", "onclick", "style="] {
        assert!(!html.contains(outside), "{outside}");
    }
    // By hand: `openssl dgst -sha256 -binary | base64` of an empty text.
    assert_eq!(super::html::source_hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

#[test]
fn junit_is_xml_and_counts() {
    assert_ne!(is_xml(&of(&hostile(), Format::Junit)), Some(false));
    let text = of(&small(&[("RUN-OPS-01", "PASS"), ("RUN-STATE-02", "FAIL")]), Format::Junit);
    let want =
        "<testsuites name=\"x x 1\" tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"1.500\">";
    assert!(text.contains(want), "{text}");
    assert!(text.contains("<property name=\"requirement\" value=\"RUN-STATE-02\"/>"), "{text}");
    assert!(
        text.contains("<failure type=\"FAIL\" message=\"RUN-STATE-02: 2\">RUN-STATE-02 (REQUIRED) "),
        "{text}"
    );
    let text = of(&small(&[("RUN-OPS-01", "SKIP")]), Format::Junit);
    assert!(text.contains("<skipped type=\"SKIP\" message=\"RUN-OPS-01 (lsm): 2\">"), "{text}");
    let text = of(&small(&[("RUN-OPS-01", "INCONCLUSIVE")]), Format::Junit);
    assert!(
        text.contains(" errors=\"1\" skipped=\"0\"") && text.contains("<error type=\"INCONCLUSIVE\""),
        "{text}"
    );
}

#[test]
fn what_is_only_recommended_is_told_and_fails_nothing() {
    let registry = Registry::load().unwrap();
    let should = registry.rows().iter().find(|row| row.level == crate::Level::Should).unwrap().id;
    let results = small(&[(should, "FAIL")]);
    let text = of(&results, Format::Junit);
    assert!(
        text.contains("failures=\"0\"") && !text.contains("<failure") && text.contains("<system-out>"),
        "{text}"
    );
    let text = of(&results, Format::Tap);
    assert!(text.contains("not ok 1 - ") && text.contains(" # TODO SHOULD only\n"), "{text}");
    assert!(of(&results, Format::Sarif).contains("\"level\": \"warning\""));
}

#[test]
fn what_fails_stands_before_what_holds() {
    let mut results = small(&[("RUN-STATE-02", "FAIL")]);
    let failing = results.rows[0].judgements[0].clone();
    let holding = crate::results::JudgementRecord {
        case: "family/good".to_owned(),
        verdict: crate::Verdict::Pass,
        ..failing.clone()
    };
    results.rows[0].judgements = vec![holding.clone(), holding, failing];
    let html = of(&results, Format::Html);
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}: {html}"));
    assert!(place("by case <code>family/what") < place("<summary>2 judgements without fault</summary>"));
    assert!(place("<summary>2 judgements without fault</summary>") < place("by case <code>family/good"));
}

#[test]
fn tap_has_a_point_for_every_row() {
    let text = of(
        &small(&[("RUN-STATE-02", "FAIL"), ("RUN-OPS-01", "SKIP"), ("RUN-STATE-03", "PASS")]),
        Format::Tap,
    );
    assert!(text.starts_with("TAP version 14\n1..3\n"), "{text}");
    assert!(text.contains("not ok 1 - RUN-STATE-02 "), "{text}");
    assert!(text.contains("  ---\n  verdict: \"FAIL\"\n  level: \"REQUIRED\"\n"), "{text}");
    assert!(text.contains("ok 2 - RUN-OPS-01 ") && text.contains(" # SKIP lsm: 2\n"), "{text}");
    // A directive in a description, or a second point in a text, would be the results speaking.
    let text = of(&hostile(), Format::Tap);
    let points = text.lines().filter(|line| line.starts_with("ok ") || line.starts_with("not ok ")).count();
    assert_eq!(points, 7);
    assert!(text.contains("\\# TODO"), "{text}");
}

#[test]
fn sarif_is_json_with_a_result_for_what_does_not_pass() {
    let document: Value = serde_json::from_str(&of(&hostile(), Format::Sarif)).unwrap();
    let run = &document["runs"][0];
    assert_eq!(
        (document["version"].as_str(), run["tool"]["driver"]["rules"].as_array().unwrap().len()),
        (Some("2.1.0"), 7)
    );
    let found: Vec<_> = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| (result["kind"].as_str().unwrap(), result["level"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [("fail", "error"), ("open", "none"), ("review", "none"), ("review", "none"), ("fail", "warning")]
    );
    assert_eq!(run["results"][0]["ruleIndex"], 1);
}

#[test]
fn markdown_keeps_text_in_code_spans() {
    let text = of(&hostile(), Format::Markdown);
    for line in text.lines().filter(|line| line.starts_with('|')) {
        // In a table even a code span ends at a bar that is not escaped.
        let bars = line.replace("\\|", "").matches('|').count();
        assert_eq!(bars, 4, "{line}");
    }
}

#[test]
fn a_script_does_only_what_the_evidence_says() {
    if !have(&[Need::Program("dash")]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let results = hostile();
    let name = &results.cases[0].name;
    // It would execute itself again in namespaces of its own.
    // Every command that the script may call is one that does nothing; what is left is the shell itself.
    let script =
        reproducer(&results, name).unwrap().replace("/hit", &format!("{}/hit", dir.path().display()));
    let quiet = "mktemp() { echo .; }; mkdir() { :; }; cp() { :; }; chmod() { :; }; chown() { :; }; mknod() { :; }; ln() { :; }; sed() { :; }; cat() { :; }; cd() { [ \"$1\" = . ]; }\n";
    let file = dir.path().join("script");
    std::fs::write(&file, format!("set -f\n{quiet}{script}")).unwrap();
    let output = std::process::Command::new("dash")
        .arg(&file)
        .envs([("PROBE", "x"), ("PLIMSOLL_OWN", "1")])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!dir.path().join("hit").exists());
    assert!(!script.contains("/../../x"), "{script}");
    assert!(script.contains("\nmknod ./n c 1 3 && "), "{script}");
    assert!(script.contains(" unshare --net sh ") && !script.contains("\nhold "), "{script}");
}

#[test]
fn a_script_arranges_what_the_case_had_around_the_subject() {
    let results = |props: &Value| {
        let config = json!({"linux": {"namespaces": [{"type": "network", "path": "/proc/12/ns/net"}]}});
        let mut results = serde_json::from_slice::<Value>(&small(&[]).to_vec()).unwrap();
        results["cases"][0]["evidence"] = json!({
            "bundles": {"b": {"path": "/place/b", "config": config, "owner": [7, 8], "beside": [{"path": "/n", "text": "t"}]}},
            "beside": [{"path": "/socket", "node": "p"}],
            "operations": [{"operation": "create", "command": ["x", "/place/b"], "exit": 3, "folder": "/place"}],
            "props": props,
        });
        reproducer(&Results::parse(results.to_string().as_bytes()).unwrap(), "family/what").unwrap()
    };
    let plain = results(&json!([]));
    assert!(plain.contains("\nmknod ./socket p ") && !plain.contains("unshare"), "{plain}");
    assert!(plain.contains("\ncd \"$here\" && x \"$here\"/b\nended 3 create\n"), "{plain}");
    assert!(plain.contains("\nchown 7:8 ..\n") && plain.contains("printf %s t > ./n"), "{plain}");
    let script = results(&json!([
        {"before": 0, "own": "uts"},
        {"before": 0, "holds": {"kind": "net", "pid": 12}},
        {"before": 0, "command": ["nsenter", "--net=/proc/12/ns/net", "ip"]},
        {"before": 0, "listens": {"as": "terminal", "path": "/place/socket"}},
        {"before": 0, "caller": ["setpriv", "x"]},
        {"before": 1, "opens": {"number": 4, "path": "/place/f"}},
        {"before": 1, "opens": {"number": 12, "path": "/place/f"}},
    ]));
    for line in [
        "exec env PLIMSOLL_OWN=1 unshare --uts sh \"$0\"\n",
        "\nfor tool in nsenter setpriv; do\n",
        "\nhold net; held_12=$held\n",
        "sed -i \"s|/proc/12/ns/|/proc/$held_12/ns/|g\" ../config.json\n",
        "\nnsenter --net=/proc/\"$held_12\"/ns/net ip\nlisten terminal \"$here\"/socket\n",
        "\ncd \"$here\" && setpriv x x \"$here\"/b\nended 3 create\n",
        "\nexec 4<>\"$here\"/f\necho \"The case had the descriptor 12 open",
    ] {
        assert!(script.contains(line), "{line}: {script}");
    }
    assert!(!script.contains("mknod"), "{script}");
}

#[test]
fn only_a_case_with_bundles_has_a_script() {
    let results = small(&[("RUN-OPS-01", "PASS")]);
    assert_eq!(reproducer(&results, "family/what"), None);
    assert_eq!(reproducer(&results, "family/other"), None);
}

#[test]
fn every_change_has_its_name() {
    let before = small(&[
        ("A", "PASS"),
        ("B", "FAIL"),
        ("C", "PASS"),
        ("D", "PASS"),
        ("E", "SKIP"),
        ("F", "FAIL"),
        ("G", "SKIP"),
        ("H", "PASS"),
        ("I", "PASS"),
        ("J", "FAIL"),
    ]);
    let after = small(&[
        ("A", "FAIL"),
        ("B", "PASS"),
        ("C", "SKIP"),
        ("E", "PASS"),
        ("F", "INCONCLUSIVE"),
        ("G", "ERROR"),
        ("H", "PASS"),
        ("I", "NOT_APPLICABLE"),
        ("J", "FAIL"),
        ("K", "PASS"),
        ("L", "FAIL"),
    ]);
    let found = diff(&before, &after);
    let changes: Vec<(&str, Change)> = found.rows.iter().map(|row| (row.id.as_str(), row.change)).collect();
    let want = [
        ("A", Change::NewFailure),
        ("L", Change::NewFailure),
        ("C", Change::Unjudged),
        ("F", Change::Unjudged),
        ("I", Change::Unjudged),
        ("D", Change::Missing),
        ("B", Change::Fixed),
        ("E", Change::NewlyJudged),
        ("K", Change::New),
        ("G", Change::Other),
    ];
    assert_eq!((changes.as_slice(), found.same), (want.as_slice(), 2));
    assert!(found.is_regression());
    assert!(
        found.text().contains("\nregression: 2 new failure, 3 no longer judged, 1 missing, 1 fixed, "),
        "{}",
        found.text()
    );
    for worse in [[("A", "FAIL")].as_slice(), &[("A", "SKIP")], &[("A", "INCONCLUSIVE")], &[]] {
        assert!(diff(&small(&[("A", "PASS")]), &small(worse)).is_regression(), "{worse:?}");
    }
    assert!(!diff(&small(&[("A", "FAIL")]), &small(&[("A", "PASS"), ("B", "SKIP")])).is_regression());
}

#[test]
fn a_table_has_all_rows_of_all_columns() {
    let registry = Registry::load().unwrap();
    let columns = [small(&[("RUN-STATE-03", "PASS")]), small(&[("ZZZ-1", "PASS"), ("RUN-STATE-02", "FAIL")])];
    let table = Matrix::new(&columns, &registry).unwrap();
    let document: Value = serde_json::from_str(&table.json()).unwrap();
    let rows: Vec<(&str, &Value)> = document["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["id"].as_str().unwrap(), &row["verdicts"]))
        .collect();
    assert_eq!(
        rows,
        [
            ("RUN-STATE-02", &json!([null, "FAIL"])),
            ("RUN-STATE-03", &json!(["PASS", null])),
            ("ZZZ-1", &json!([null, "PASS"]))
        ]
    );
    assert!(table.markdown().contains("| REQUIRED |  | **FAIL** |\n"), "{}", table.markdown());
    let Err(error) = Matrix::new(&[], &registry) else { panic!("an empty table") };
    assert_eq!(error.to_string(), "make a table of 0 results: from 1 to 64 are possible");
}
