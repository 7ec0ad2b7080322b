//! The release binaries: static, so that the runtime starts without a loader, with an image inside.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::embed;
use crate::shell::{cargo, must, output, root};

/// Where the binaries are.
pub(crate) struct Built {
    pub dir: PathBuf,
}

impl Built {
    /// The binary `name`.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Builds `plimsoll`, `plimsoll-runtime` and the program of the embedded image.
pub(crate) fn release() -> Result<Built> {
    let target = host()?;
    let dir = root().join("target").join(&target).join("release");
    let parts = ["--bin", "plimsoll-runtime", "--bin", "plimsoll-hello", "--bin", "plimsoll-probe"];
    let packages = ["-p", "plimsoll-runtime", "-p", "plimsoll-cli", "-p", "plimsoll-conformance"];
    let (image, probe) = (root().join("target/embedded.tar"), dir.join("plimsoll-probe"));
    // Both builds are of one package: with another environment each would undo the other.
    let build = || {
        let mut build = static_build(&target);
        build.env("PLIMSOLL_EMBEDDED_IMAGE", &image);
        build.envs(probe.is_file().then_some((EMBEDDED_PROBE, &probe)));
        build
    };
    // Empty until the program in it is built.
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(&image);
    opened.with_context(|| format!("make {}", image.display()))?;
    must(build().args(packages).args(parts))?;
    embed::pack(&dir.join("plimsoll-hello"), &image)?;
    must(build().args(["-p", "plimsoll-cli", "--bin", "plimsoll"]))?;
    Ok(Built { dir })
}

/// Names the probe for the build of `plimsoll`.
pub(crate) const EMBEDDED_PROBE: &str = "PLIMSOLL_EMBEDDED_PROBE";

/// The judge's probe alone, static as it has to be: what tests need of a release.
pub(crate) fn probe() -> Result<PathBuf> {
    let target = host()?;
    must(static_build(&target).args(["-p", "plimsoll-conformance", "--bin", "plimsoll-probe"]))?;
    Ok(root().join("target").join(target).join("release/plimsoll-probe"))
}

/// Builds `plimsoll-runtime` alone, as [`release`] does; where it is.
pub(crate) fn runtime() -> Result<PathBuf> {
    let target = host()?;
    must(static_build(&target).args(["-p", "plimsoll-runtime", "--bin", "plimsoll-runtime"]))?;
    Ok(root().join("target").join(&target).join("release/plimsoll-runtime"))
}

/// Builds an example of `package` for measurements; where it is.
pub(crate) fn example(package: &str, name: &str) -> Result<PathBuf> {
    let target = host()?;
    must(static_build(&target).args(["-p", package, "--example", name]))?;
    Ok(root().join("target").join(target).join("release/examples").join(name))
}

/// `cargo VERB` for static programs, as they run on any Linux of this architecture.
pub(crate) fn static_command(verb: &str) -> Result<std::process::Command> {
    Ok(static_cargo(verb, &host()?))
}

/// Where [`static_command`] puts what it builds, without the profile.
pub(crate) fn static_dir() -> Result<PathBuf> {
    Ok(root().join("target").join(host()?))
}

fn static_build(target: &str) -> std::process::Command {
    let mut command = static_cargo("build", target);
    command.arg("--release");
    command
}

fn static_cargo(verb: &str, target: &str) -> std::process::Command {
    // The target is named, else the flags would reach build scripts and procedural macros, which cannot be static.
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let mut command = cargo();
    command.args([verb, "--target", target]);
    command.env(variable, "-C target-feature=+crt-static -C relocation-model=static");
    command
}

/// The triple of this machine.
fn host() -> Result<String> {
    let version = output(std::process::Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}
