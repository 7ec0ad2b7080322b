//! The judge can fail: every mutant of a runtime is noticed by the rows that are said to notice it.

use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_conformance::{Verdict, seen};
use plimsoll_test_support::{Host, Need, find_program, have, skipped, write_program};
use serde_json::Value;

/// Mutants whose cases need cgroups of version 2 and nothing else.
const ONLY_CGROUP2: [&str; 4] = ["cgroups-are-", "delegation-", "no-limit-unified", "no-limit-memory"];

/// For a runtime that takes longer to start than ours: a few of each family.
const FEW: [&str; 9] = [
    "state-own-word",
    "delete-forces",
    "refusal-leaves-a-cgroup",
    "hooks-in-reverse",
    "no-poststop-hooks",
    "annotations-of-any-value",
    "mount-without-nodev",
    "a-capability-less",
    "filter-with-one-comparison",
];

/// The command that makes the kill matrix of `runtime`.
fn mutants(runtime: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("--runtime").arg(runtime).args(["conformance", "mutants"]).args(arguments);
    command
}

/// The matrix that `command` makes, or `None` where `plimsoll` was built without a probe.
fn matrix(mut command: Command) -> Option<Value> {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("matrix.json");
    let output = command.arg("--output").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("built without a probe") {
        skipped("plimsoll was built without a probe");
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let matrix = std::fs::read(&file).unwrap_or_else(|e| panic!("{e}: {said}"));
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", survivors(&text));
    Some(serde_json::from_slice(&matrix).unwrap())
}

/// What of the matrix says why it does not hold.
fn survivors(text: &str) -> String {
    let telling = ["SURVIVED", "has not noticed", "shows nothing", "stands before", "mutants:"];
    let lines = text.lines().filter(|line| telling.iter().any(|word| line.contains(word)));
    lines.collect::<Vec<_>>().join("\n")
}

/// How many mutants have died.
fn killed(matrix: &Value) -> usize {
    let mutants = matrix["mutants"].as_array().unwrap();
    mutants.iter().filter(|mutant| !mutant["killed"].as_array().unwrap().is_empty()).count()
}

fn own_runtime() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_plimsoll")).with_file_name("plimsoll-runtime")
}

#[test]
fn every_mutant_is_noticed() {
    if !have(&[Need::Root]) {
        return;
    }
    let runtime = own_runtime();
    if !runtime.is_file() {
        return skipped("plimsoll-runtime is not built beside plimsoll");
    }
    let Some(matrix) = matrix(mutants(&runtime, &[])) else { return };
    assert!(killed(&matrix) >= 300, "{} mutants were killed", killed(&matrix));
    // What the runtime itself fails is left out of account, so it must not be more than is published.
    for failing in matrix["failing"].as_array().unwrap() {
        let seen = seen(failing["row"].as_str().unwrap()).remove(&Verdict::Fail).unwrap_or_default();
        assert!(seen.iter().any(|subject| subject.starts_with("plimsoll-runtime")), "{failing}");
    }
    let arguments = ONLY_CGROUP2.iter().flat_map(|name| ["--only", name]);
    let arguments: Vec<&str> = ["--only-cgroup2"].into_iter().chain(arguments).collect();
    let Some(matrix) = self::matrix(mutants(&runtime, &arguments)) else { return };
    assert!(killed(&matrix) >= 8, "{} mutants were killed", killed(&matrix));
}

#[test]
fn mutants_of_another_runtime_are_noticed() {
    if !have(&[Need::Root, Need::Program("runc")]) {
        return;
    }
    let arguments: Vec<&str> = FEW.iter().flat_map(|name| ["--only", name]).collect();
    let Some(matrix) = matrix(mutants(&find_program("runc").unwrap(), &arguments)) else { return };
    assert_eq!(killed(&matrix), FEW.len());
}

/// A runtime that takes the climbing out of every path, and otherwise is `runtime`. What it makes of `place`'s
/// name in the hierarchies it lists in `place/made`.
fn flattening(runtime: &Path, place: &Path) -> PathBuf {
    let script = place.join("flattening");
    let text = format!(
        r#"#!/bin/sh
for word; do
    [ -f "$word/config.json" ] && sed -i 's|\(\.\./\)\{{2,\}}||' "$word/config.json"
done
{} "$@"
code=$?
find /sys/fs/cgroup -path '*{}*' -name escaped >> {}/made
exit $code
"#,
        runtime.display(),
        place.display(),
        place.display(),
    );
    write_program(&script, text.as_bytes()).unwrap();
    script
}

#[test]
fn what_a_subject_makes_of_a_climbing_path_goes() {
    if !have(&[Need::Root]) {
        return;
    }
    let runtime = own_runtime();
    if !runtime.is_file() {
        return skipped("plimsoll-runtime is not built beside plimsoll");
    }
    // Where nobody else has runs, so that cgroups of what lies above the run's folder are its own too.
    let place = tempfile::Builder::new().prefix("plimsoll-climb-").tempdir_in("/var/tmp").unwrap();
    let mark = place.path().file_name().unwrap().to_str().unwrap();
    let look = || ["var", mark].map(|name| Host::look(place.path(), name));
    let before = look();
    let mut command = mutants(&flattening(&runtime, place.path()), &["--only", "cgroups-climb"]);
    command.env("TMPDIR", place.path());
    let Some(matrix) = matrix(command) else { return };
    assert_eq!(killed(&matrix), 1);
    let made = std::fs::read_to_string(place.path().join("made")).unwrap();
    assert!(made.contains(mark), "it has made nothing within");
    assert_eq!(look(), before);
}

#[test]
fn an_unknown_mutant_is_an_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let output = command.args(["conformance", "mutant", "nobody", "true", "state", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.trim_end(), "plimsoll: there is no mutant \"nobody\"");
}

#[test]
fn a_mutant_puts_the_configuration_back() {
    let bundle = tempfile::tempdir().unwrap();
    let file = bundle.path().join("config.json");
    let text = "{ \"ociVersion\": \"0.1\" }\n";
    std::fs::write(&file, text).unwrap();
    let copy = bundle.path().join("seen");
    let script = bundle.path().join("runtime");
    let runtime = format!("#!/bin/sh\ncat config.json > {}\nexit 7\n", copy.display());
    write_program(&script, runtime.as_bytes()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(["conformance", "mutant", "any-version"]).arg(&script).args(["--root", "r", "create", "x"]);
    let status = command.current_dir(bundle.path()).status().unwrap();
    assert_eq!(status.code(), Some(7));
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), r#"{"ociVersion":"1.0.2"}"#);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}
