//! The project's rules, as far as a program can check them. Each check is a function of text, so that its
//! test can show it fail.

mod findings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::shell::{cargo, output, root};

/// Longest source file; beyond this it has become two things.
const LINES: usize = 800;
/// `main` reads at a glance.
const MAIN_LINES: usize = 60;

/// Where host paths are opened by name although the rule forbids it, and why.
const BY_NAME: [(&str, &str); 1] =
    [("crates/runtime/src/command/log.rs", "the log is a file of the host that the caller names")];

/// Checks everything and names all that is wrong.
pub(crate) fn run() -> Result<()> {
    let mut faults = Vec::new();
    let files = files()?;
    for (path, text) in
        files.iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "rs"))
    {
        faults.extend(source(path, text));
    }
    for (path, text) in &files {
        faults.extend(leaks(path, text));
    }
    let read =
        |name: &str| std::fs::read_to_string(root().join(name)).with_context(|| format!("read {name}"));
    let architecture = read("docs/architecture.md")?;
    let (imports, outside) = metadata()?;
    faults.extend(import_table(&architecture, &imports));
    faults.extend(dependencies(&architecture, &outside));
    faults.extend(readme(&read("README.md")?));
    let (page, seen) = (read(findings::PAGE)?, read(findings::SEEN)?);
    faults.extend(findings::unexplained(&page, &seen));
    faults.extend(findings::unfounded(&page, &seen));
    faults.extend(changelog(&read("CHANGELOG.md")?, env!("CARGO_PKG_VERSION")));
    if faults.is_empty() {
        println!("tidy: {} files are in order", files.len());
        return Ok(());
    }
    bail!("tidy:\n  {}", faults.join("\n  "))
}

/// Every file that git knows or would add, with its text.
fn files() -> Result<Vec<(PathBuf, String)>> {
    let mut git = std::process::Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let mut files = Vec::new();
    for name in output(&mut git)?.lines() {
        // What is no text has no rules; what was removed has none any more.
        if let Ok(text) = std::fs::read_to_string(root().join(name)) {
            files.push((PathBuf::from(name), text));
        }
    }
    Ok(files)
}

fn source(path: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |why: String| faults.push(format!("{}: {why}", path.display()));
    let lines = text.lines().count();
    if !text.starts_with("//! ") && !text.starts_with("#!") {
        fault("does not open with //! and what it is for".to_owned());
    }
    if lines > LINES {
        fault(format!("has {lines} lines, more than {LINES}"));
    }
    if path.ends_with("src/main.rs") && lines > MAIN_LINES {
        fault(format!("main.rs has {lines} lines, more than {MAIN_LINES}"));
    }
    let code: Vec<&str> =
        text.lines().take_while(|line| *line != "#[cfg(test)]").filter(|line| !is_comment(line)).collect();
    let uses = |word: &str| code.iter().any(|line| line.contains(word));
    let unsafe_words = [concat!("unsafe", " {"), concat!("unsafe", " fn"), concat!("unsafe", " impl")];
    if !path.starts_with("crates/sys") && unsafe_words.into_iter().any(uses) {
        fault("uses unsafe outside crates/sys".to_owned());
    }
    for word in [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!(")] {
        if uses(word) {
            fault(format!("holds {word}"));
        }
    }
    let walks = path.starts_with("crates/runtime/src") || path.starts_with("crates/image/src/layer");
    let excepted = BY_NAME.iter().any(|(excepted, _)| path == Path::new(excepted));
    if walks && !excepted && names_std_fs(&code.join("\n")) {
        fault("opens by name where paths are walked from a descriptor; use sys::fs or rustix".to_owned());
    }
    faults
}

/// Whether `code` names the module `std::fs`, by its path or out of a list or a glob of `std`.
fn names_std_fs(code: &str) -> bool {
    let tokens = tokens(code);
    let is_std = |at: usize| tokens.get(at..at + 3).is_some_and(|path| path == ["std", ":", ":"]);
    (0..tokens.len()).filter(|at| is_std(*at)).any(|at| leads_to_fs(&tokens[at + 3..]))
}

/// Whether what follows `std::` begins with `fs`, or has a member that does.
fn leads_to_fs(tokens: &[&str]) -> bool {
    if tokens.first() != Some(&"{") {
        return matches!(tokens.first(), Some(&"fs" | &"*"));
    }
    let mut depth = 0;
    for pair in tokens.windows(2) {
        match pair {
            ["{", _] => depth += 1,
            ["}", _] => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return false;
        }
        if depth == 1 && matches!(pair, ["{" | ",", "fs" | "*"]) {
            return true;
        }
    }
    false
}

/// The words of `code`, and what stands between them character by character.
fn tokens(code: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match is_word(first) {
            true => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        tokens.push(token);
        rest = behind.trim_start();
    }
    tokens
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// What must not be written down: hosts of registries, paths of one machine.
fn leaks(path: &Path, text: &str) -> Vec<String> {
    let hosts = ["docker", "ghcr", "quay", "gcr"].map(|name| format!("{name}.io"));
    let places = ["work", "opt"].map(|name| format!("\"/{name}/"));
    let found =
        hosts.iter().chain(&places).filter(|word| text.contains(word.as_str()) && !is_package(text, word));
    found.map(|word| format!("{}: names {word}", path.display())).collect()
}

/// Debian's engine has a host's name as its own.
fn is_package(text: &str, word: &str) -> bool {
    word == ["docker", "io"].join(".") && !text.contains(&format!("{word}/"))
}

type Imports = BTreeMap<String, BTreeSet<String>>;

/// Who imports whom, by `cargo metadata`, and every dependency from outside.
fn metadata() -> Result<(Imports, BTreeSet<String>)> {
    let text = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text)?;
    let (mut imports, mut outside) = (Imports::new(), BTreeSet::new());
    for package in metadata["packages"].as_array().context("cargo metadata lists no packages")? {
        let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
        let own = name(package);
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let dependency_name = name(dependency);
            match dependency_name.strip_prefix("plimsoll-") {
                Some(inside) if dependency["kind"].is_null() => {
                    if let Some(own) = own.strip_prefix("plimsoll-") {
                        imports.entry(own.to_owned()).or_default().insert(inside.to_owned());
                    }
                }
                Some(_) => {}
                None => drop(outside.insert(dependency_name)),
            }
        }
        if let Some(own) = own.strip_prefix("plimsoll-") {
            imports.entry(own.to_owned()).or_default();
        }
    }
    Ok((imports, outside))
}

/// Holds the table in the architecture page, lines of `crate -> crate crate`, against what is.
fn import_table(page: &str, imports: &Imports) -> Vec<String> {
    let rows: Imports = page
        .lines()
        .filter_map(|line| line.split_once(" -> "))
        .map(|(own, others)| (own.trim(), others))
        .filter(|(own, _)| imports.contains_key(*own))
        .map(|(own, others)| {
            let others = others.split_whitespace().filter(|other| *other != "-");
            (own.to_owned(), others.map(str::to_owned).collect())
        })
        .collect();
    let mut faults = Vec::new();
    for (own, others) in imports {
        if others.contains("runtime") {
            faults.push(format!("{own} imports runtime, which is reached by executing it"));
        }
        match rows.get(own) {
            None => faults.push(format!("docs/architecture.md: the import table lacks {own}")),
            Some(allowed) if allowed != others => {
                faults.push(format!(
                    "docs/architecture.md: {own} imports {others:?}, the table says {allowed:?}"
                ));
            }
            Some(_) => {}
        }
    }
    faults
}

/// Every dependency from outside has a row that says why.
fn dependencies(page: &str, outside: &BTreeSet<String>) -> Vec<String> {
    let lacks = |name: &&String| {
        !page.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")))
    };
    outside
        .iter()
        .filter(lacks)
        .map(|name| format!("docs/architecture.md: no row says why {name} was chosen"))
        .collect()
}

/// The README's commands are there.
fn readme(text: &str) -> Vec<String> {
    const VERBS: [&str; 13] = [
        "demo",
        "build",
        "test",
        "tidy",
        "ci",
        "setup",
        "install",
        "engines",
        "findings",
        "fuzz",
        "bench",
        "vm",
        "old-suite",
    ];
    let mut faults = Vec::new();
    for (_, rest) in text.match_indices("cargo xtask ").map(|(at, found)| text.split_at(at + found.len())) {
        let verb: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        if !VERBS.contains(&verb.as_str()) {
            faults.push(format!("README.md: there is no `cargo xtask {verb}`"));
        }
    }
    for command in ["cargo xtask demo", "cargo xtask test"] {
        if !text.contains(command) {
            faults.push(format!("README.md: lacks `{command}`"));
        }
    }
    faults
}

fn changelog(text: &str, version: &str) -> Vec<String> {
    let there = text.lines().any(|line| line.starts_with("## ") && line.contains(version));
    if there { Vec::new() } else { vec![format!("CHANGELOG.md: no entry for {version}")] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<String> {
        source(Path::new(path), text)
    }

    #[test]
    fn good_source_has_no_fault() {
        assert_eq!(faults("crates/image/src/a.rs", "//! A.\nfn a() {}\n"), [""; 0]);
        assert_eq!(
            faults("crates/sys/src/a.rs", concat!("//! A.\nfn a() { unsafe", " { b() } }\n")),
            [""; 0]
        );
    }

    #[test]
    fn every_fault_of_a_source_is_named() {
        assert_eq!(faults("a.rs", "fn a() {}\n"), ["a.rs: does not open with //! and what it is for"]);
        assert_eq!(
            faults("a.rs", &format!("//! A.\n{}", "\n".repeat(800))),
            ["a.rs: has 801 lines, more than 800"]
        );
        let long = format!("//! A.\n{}", "\n".repeat(60));
        assert_eq!(faults("x/src/main.rs", &long), ["x/src/main.rs: main.rs has 61 lines, more than 60"]);
        let text = concat!("//! A.\nfn a() { unsafe", " { b() } }\n");
        assert_eq!(
            faults("crates/image/src/a.rs", text),
            ["crates/image/src/a.rs: uses unsafe outside crates/sys"]
        );
        assert_eq!(
            faults("a.rs", concat!("//! A.\nfn a() { todo", "!() }\n")),
            [concat!("a.rs: holds todo", "!(")]
        );
        let text = "//! A.\nfn a() { std::fs::read(x) }\n";
        let want = "crates/runtime/src/a.rs: opens by name where paths are walked from a descriptor; use sys::fs or rustix";
        assert_eq!(faults("crates/runtime/src/a.rs", text), [want]);
        assert_eq!(faults("crates/runtime/src/command/log.rs", text), [""; 0]);
        assert_eq!(faults("crates/runtime/src/a.rs", &format!("//! A.\n#[cfg(test)]\n{text}")), [""; 0]);
    }

    #[test]
    fn the_file_system_by_name_is_found_however_it_is_written() {
        let names = [
            "std::fs::read(x)",
            "::std::fs::read(x)",
            "use std::fs;",
            "use std::fs as files;",
            "use std :: fs::{File, read};",
            "use std::{fs, io};",
            "use std::{io::{self, Read}, fs::File};",
            "use std::{\n    io,\n    fs,\n};",
            "use std::*;",
            "use {std::fs, std::io};",
        ];
        let others = [
            "use rustix::fs;",
            "use rustix::{fs, io};",
            "use std::os::unix::fs::OpenOptionsExt as _;",
            "use std::{os::{fd, unix}, io};\nuse rustix::{fs};",
            "use std::{os::unix::{io, fs}, io};",
            "my_std::fs::read(x)",
            "std::fsx::read(x)",
        ];
        let want = "crates/image/src/layer/a.rs: opens by name where paths are walked from a descriptor; use sys::fs or rustix";
        let found = |code: &str| faults("crates/image/src/layer/a.rs", &format!("//! A.\n{code}\n"));
        for code in names {
            assert_eq!(found(code), [want], "{code}");
        }
        for code in others {
            assert_eq!(found(code), [""; 0], "{code}");
        }
        assert_eq!(faults("crates/cli/src/a.rs", "//! A.\nuse std::fs;\n"), [""; 0]);
    }

    #[test]
    fn hosts_and_places_are_found() {
        let host = ["ghcr", "io"].join(".");
        assert_eq!(leaks(Path::new("a"), &format!("see {host}/x")), [format!("a: names {host}")]);
        let host = ["docker", "io"].join(".");
        assert_eq!(leaks(Path::new("a"), &format!("{host}/library")), [format!("a: names {host}")]);
        assert_eq!(leaks(Path::new("a"), &format!("apt-get install {host}")), [""; 0]);
    }

    #[test]
    fn the_import_table_is_held_against_what_is() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let imports = Imports::from([("spec".to_owned(), set(&["digest"])), ("digest".to_owned(), set(&[]))]);
        assert_eq!(import_table("spec -> digest\ndigest -> -\n", &imports), [""; 0]);
        assert_eq!(
            import_table("spec -> digest\n", &imports),
            ["docs/architecture.md: the import table lacks digest"]
        );
        let want = "docs/architecture.md: spec imports {\"digest\"}, the table says {}";
        assert_eq!(import_table("spec -> -\ndigest -> -\n", &imports), [want]);
        let imports = Imports::from([("cli".to_owned(), set(&["runtime"]))]);
        assert_eq!(
            import_table("cli -> runtime\n", &imports),
            ["cli imports runtime, which is reached by executing it"]
        );
    }

    #[test]
    fn papers_are_held_against_what_is() {
        let outside = BTreeSet::from(["sha2".to_owned()]);
        assert_eq!(dependencies("| `sha2` | fast |", &outside), [""; 0]);
        assert_eq!(dependencies("sha2", &outside), ["docs/architecture.md: no row says why sha2 was chosen"]);
        assert_eq!(readme("cargo xtask demo, cargo xtask test"), [""; 0]);
        let want = ["README.md: there is no `cargo xtask fly-by`", "README.md: lacks `cargo xtask test`"];
        assert_eq!(readme("cargo xtask demo, cargo xtask fly-by"), want);
        assert_eq!(changelog("## 0.1.0", "0.1.0"), [""; 0]);
        assert_eq!(changelog("## 0.1.0", "0.2.0"), ["CHANGELOG.md: no entry for 0.2.0"]);
    }
}
