//! The workspace's tests where they have what this host may lack: systemd, cgroup v2 with every controller,
//! AppArmor, and all capabilities.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::machine::Carrier;
use super::payload::{Payload, quote};
use super::{Lane, Options as Machine};
use crate::compile;
use crate::shell::output;

/// The crates of the product.
const PACKAGES: [&str; 8] = [
    "plimsoll-digest",
    "plimsoll-spec",
    "plimsoll-sys",
    "plimsoll-cgroups",
    "plimsoll-image",
    "plimsoll-runtime",
    "plimsoll-conformance",
    "plimsoll-cli",
];

/// Tests of the tool in which the judge works: their limits of time are those of a host, and `vm conformance`
/// runs it in the machine.
const LEFT_OUT: [&str; 5] =
    ["image_mutants::", "mutants::", "reproducers::", "rootless::a_runtime_is_judged", "subjects::"];

/// `vm test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the tests of these crates, by the name of their folder.
    #[arg(long = "package", short = 'p', value_name = "CRATE")]
    packages: Vec<String>,
    /// Only tests whose name holds this.
    filter: Vec<String>,
}

/// What cargo has built: programs, and those of them that are tests.
struct Built {
    programs: Vec<PathBuf>,
    tests: Vec<(String, PathBuf)>,
}

pub(super) fn run(machine: &Machine, options: &Options) -> Result<()> {
    let wanted = |package: &&&str| {
        options.packages.is_empty() || options.packages.iter().any(|name| package.ends_with(name.as_str()))
    };
    let packages: Vec<&str> = PACKAGES.iter().filter(wanted).copied().collect();
    let is_unknown = |name: &&String| !PACKAGES.iter().any(|package| package.ends_with(name.as_str()));
    if let Some(name) = options.packages.iter().find(is_unknown) {
        bail!("no tests of {name:?} run in a machine; there are {}", PACKAGES.join(", "));
    }
    let built = build(&packages)?;
    let mut lane = Lane::new(machine, &[Carrier::Kvm, Carrier::Tcg, Carrier::Uml])?;
    let mut payload = Payload::default();
    // At their places on this host: tests know the programs that they test by absolute paths.
    for path in built.programs.iter().chain(built.tests.iter().map(|(_, path)| path)) {
        payload.program(path, &path.to_string_lossy())?;
    }
    payload.folder(&compile::static_dir()?.join("tmp").to_string_lossy());
    let payload = payload.finish(&script(&built.tests, &options.filter))?;
    let mut skipped = Vec::new();
    let outcome = lane.run(&payload, &mut |line| {
        if line.starts_with("skipped: ") {
            skipped.push(line.to_owned());
        }
        println!("{line}");
    })?;
    println!("{} tests or peers skipped in the machine", skipped.len());
    for line in skipped {
        println!("  {line}");
    }
    match outcome.code {
        0 => Ok(()),
        _ => bail!("tests have failed in the machine"),
    }
}

/// Runs every test program, whatever becomes of the others.
fn script(tests: &[(String, PathBuf)], filter: &[String]) -> String {
    let mut script = "failed=0\n".to_owned();
    for (name, path) in tests {
        let mut left_out = String::new();
        if name == "plimsoll-cli test" {
            for name in LEFT_OUT {
                script.push_str(&format!(
                    "echo 'skipped: {name}: its limits of time ask for a processor that is not emulated'\n"
                ));
                left_out.push_str(&format!("--skip {name} "));
            }
        }
        let program = quote(&[path.to_string_lossy()]);
        let title = quote(&[format!("== {name}")]);
        script.push_str(&format!(
            "echo {title}\n{program} --test-threads=2 {left_out}{} || {{ failed=1; echo {title}: failed; }}\n",
            quote(filter)
        ));
    }
    script + "exit $failed\n"
}

fn build(packages: &[&str]) -> Result<Built> {
    // Debian 12 may have an older C library than this host; static programs do not ask for it.
    let mut cargo = compile::static_command("test")?;
    cargo.args(["--no-run", "--message-format=json"]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    // The tool's tests execute the runtime beside it.
    if !packages.contains(&"plimsoll-runtime") {
        cargo.args(["--package", "plimsoll-runtime"]);
    }
    cargo.env(compile::EMBEDDED_PROBE, compile::probe()?);
    eprintln!("building static tests");
    let mut built = Built { programs: Vec::new(), tests: Vec::new() };
    for line in output(&mut cargo)?.lines() {
        let message: Value = serde_json::from_str(line).context("read what cargo says")?;
        let Some(path) = message["executable"].as_str().map(PathBuf::from) else { continue };
        let (package, kind) = (package(&message), message["target"]["kind"][0].as_str().unwrap_or_default());
        match (message["profile"]["test"] == true, kind) {
            (false, _) => built.programs.push(path),
            (true, "test" | "lib") if packages.contains(&package.as_str()) => {
                built.tests.push((format!("{package} {kind}"), path));
            }
            (true, _) => {}
        }
    }
    Ok(built)
}

/// The package that a message is about: its folder, by the manifest.
fn package(message: &Value) -> String {
    let manifest = Path::new(message["manifest_path"].as_str().unwrap_or_default());
    let folder = manifest.parent().and_then(Path::file_name).unwrap_or_default();
    format!("plimsoll-{}", folder.to_string_lossy())
}
