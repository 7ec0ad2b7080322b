//! The digest subject: go-digest, and adapters that are wrong on purpose.

use plimsoll_conformance::{Results, Verdict, digest};
use plimsoll_test_support::{Need, have, skipped};

const MODULE: &str = "module adapter\n\ngo 1.21\n\nrequire github.com/opencontainers/go-digest v1.0.0\n";
const ADAPTER: &str = r#"package main

import (
	"bufio"
	"crypto"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"

	"github.com/opencontainers/go-digest"
)

var _ crypto.Hash

func kind(err error) string {
	switch {
	case errors.Is(err, digest.ErrDigestInvalidLength):
		return "length"
	case errors.Is(err, digest.ErrDigestUnsupported):
		return "unsupported"
	}
	return "format"
}

func answer(q map[string]string) map[string]any {
	content, _ := hex.DecodeString(q["content"])
	switch q["op"] {
	case "parse":
		d, err := digest.Parse(q["text"])
		if err != nil {
			return map[string]any{"ok": false, "error": kind(err)}
		}
		return map[string]any{"ok": true, "algorithm": d.Algorithm().String(), "encoded": d.Encoded()}
	case "verify":
		d, err := digest.Parse(q["digest"])
		if err != nil {
			return map[string]any{"ok": false, "error": kind(err)}
		}
		v := d.Verifier()
		v.Write(content)
		if !v.Verified() {
			return map[string]any{"ok": false, "error": "mismatch"}
		}
		return map[string]any{"ok": true}
	}
	return map[string]any{"ok": true, "digest": digest.Algorithm(q["algorithm"]).FromBytes(content)}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		q := map[string]string{}
		json.Unmarshal(in.Bytes(), &q)
		out.Encode(answer(q))
	}
}
"#;

fn not_passing(results: &Results) -> Vec<(&str, Verdict)> {
    let rows = results.rows.iter().filter(|row| row.verdict != Verdict::Pass);
    rows.map(|row| (row.id.as_str(), row.verdict)).collect()
}

#[test]
fn go_digest_holds_every_row() {
    if !have(&[Need::Program("go")]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("go.mod"), MODULE).unwrap();
    std::fs::write(dir.path().join("main.go"), ADAPTER).unwrap();
    let mut go = std::process::Command::new("go");
    let built =
        go.args(["build", "-mod=mod", "-o", "adapter", "."]).current_dir(dir.path()).output().unwrap();
    if !built.status.success() {
        return skipped(&format!("go-digest cannot be built: {}", String::from_utf8_lossy(&built.stderr)));
    }
    let results = digest::run(&dir.path().join("adapter").display().to_string(), None).unwrap();
    assert_eq!(not_passing(&results), []);
    assert_eq!(results.rows.len(), 16);
}

/// A subject in awk-less shell that answers every question in one way.
fn always(answer: &str) -> Results {
    digest::run(&format!("sh -c 'while read -r line; do echo \"$0\"; done' '{answer}'"), None).unwrap()
}

#[test]
fn wrong_subjects_fail() {
    let yes = always("{\"ok\":true}");
    let failed = |results: &Results, id: &str| results.row(id).unwrap().verdict == Verdict::Fail;
    for id in [
        "DIG-GRAM-01",
        "DIG-GRAM-02",
        "DIG-GRAM-03",
        "DIG-SHA256-01",
        "DIG-SHA256-02",
        "DIG-SHA256-03",
        "DIG-SHA512-01",
        "DIG-SHA512-02",
        "DIG-PARTS-01",
        "DIG-CALC-01",
    ] {
        assert!(failed(&yes, id), "{id}");
    }
    let format = always("{\"ok\":false,\"error\":\"format\"}");
    for id in
        ["DIG-SHA256-01", "DIG-SHA256-03", "DIG-SHA512-01", "DIG-GRAM-04", "DIG-ORDER-03", "DIG-CALC-01"]
    {
        assert!(failed(&format, id), "{id}");
    }
    for id in ["DIG-ORDER-01", "DIG-ORDER-02", "DIG-ORDER-04"] {
        assert!(failed(&always("{\"ok\":false,\"error\":\"length\"}"), id), "{id}");
    }
    // Who tells no kinds has no order of them.
    assert_eq!(always("{\"ok\":false}").row("DIG-ORDER-03").unwrap().verdict, Verdict::Skip);
}

#[test]
fn without_answers_nothing_is_said() {
    let silent = digest::run("true", None).unwrap();
    assert!(silent.rows.iter().all(|row| row.verdict == Verdict::Inconclusive));
    assert_eq!(digest::run("", None).unwrap_err().to_string(), "the command is empty");
    assert_eq!(
        digest::run("no-such-program-here", None).unwrap_err().to_string(),
        "no-such-program-here is not on PATH"
    );
}
