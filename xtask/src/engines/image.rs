//! The image of the journey: Debian's static busybox under the names of its applets, as an archive that every
//! engine loads.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use plimsoll_digest::{Algorithm, Digest};
use serde_json::json;

use crate::embed::architecture;
use crate::shell::{find_program, output};
use crate::tar::Archive;

/// Its name; no engine adds a host to this one.
pub(super) const IMAGE: &str = "localhost/plimsoll-engines:1";

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nsailor:x:1000:1000::/tmp:/bin/sh\n";
const GROUP: &str = "root:x:0:\nsailor:x:1000:\ncrew:x:2000:sailor\n";

/// Writes the archive to `target`.
pub(super) fn pack(target: &Path) -> Result<()> {
    let busybox = find_program("busybox", &[]).context("busybox is not on PATH")?;
    let applets = output(Command::new(&busybox).arg("--list"))?;
    let program = std::fs::read(&busybox).with_context(|| format!("read {}", busybox.display()))?;
    let mut layer = Archive::default();
    for directory in ["bin/", "dev/", "etc/", "full/", "proc/", "root/", "sys/"] {
        layer.directory(directory, 0o755);
    }
    layer.directory("tmp/", 0o1777);
    layer.file("bin/busybox", 0o755, &program);
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        layer.link(&format!("bin/{applet}"), "busybox");
    }
    layer.file("etc/passwd", 0o644, PASSWD.as_bytes());
    layer.file("etc/group", 0o644, GROUP.as_bytes());
    layer.file("etc/plain", 0o644, b"#!/bin/sh\n");
    layer.file("full/of", 0o644, b"something\n");
    let layer = layer.finish();
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(Algorithm::Sha256, &layer).to_string()]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    let mut archive = Archive::default();
    archive.file("config.json", 0o644, config.to_string().as_bytes());
    archive.file("layer.tar", 0o644, &layer);
    archive.file("manifest.json", 0o644, manifest.to_string().as_bytes());
    std::fs::write(target, archive.finish()).with_context(|| format!("write {}", target.display()))
}
