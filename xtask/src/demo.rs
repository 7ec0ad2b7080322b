//! The main job on the embedded image, and how to tell that it was done.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{compile, shell::output};

/// Runs the embedded image and checks what it says about itself against the host.
pub(crate) fn run() -> Result<()> {
    let built = compile::release()?;
    let plimsoll = built.binary("plimsoll");
    let root = tempfile::Builder::new().prefix("plimsoll-demo-").tempdir().context("make a folder")?;
    let call = |args: &[&str]| {
        let mut command = Command::new(&plimsoll);
        command.arg("--root").arg(root.path()).args(args);
        command
    };
    let imported = output(&mut call(&["import", "embedded", "hello"]))?;
    println!("imported and verified: {}", imported.trim());
    let said = output(&mut call(&["run", "--rm", "hello"]))?;
    print!("{said}");
    let mut own = 0;
    for line in said.lines() {
        let Some((kind, inside)) = line.trim().split_once(": ") else { continue };
        let Ok(host) = std::fs::read_link(format!("/proc/self/ns/{kind}")) else { continue };
        own += usize::from(host.to_string_lossy() != inside);
    }
    // Mount, pid, ipc, uts and network at the least.
    if own < 5 {
        bail!("the container shares too many namespaces with the host: only {own} are its own");
    }
    println!("proof: {own} namespaces differ from the host's, and the layer has the digest that names it");
    let left = output(&mut call(&["ps", "--all", "--quiet"]))?;
    if !left.is_empty() {
        bail!("a container is left: {left}");
    }
    Ok(())
}
