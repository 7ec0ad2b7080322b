//! Judging a large image, beside no more than inflating and hashing the same bytes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Contender, Options, compete, image};
use crate::compile;

pub(super) fn run(options: &Options) -> Result<()> {
    let Some(umoci) = options.peer("umoci") else { return Ok(()) };
    if !rustix::process::geteuid().is_root() {
        println!("skipped: validate: making the image needs root");
        return Ok(());
    }
    let inflate = compile::example("plimsoll-conformance", "inflate-and-hash")?;
    let plimsoll = compile::release()?.binary("plimsoll");
    let place = tempfile::Builder::new().prefix("plimsoll-bench-").tempdir_in("/dev/shm")?;
    let layout = place.path().join("oci");
    image::make(&umoci, &layout, place.path(), options)?;
    let layers = layers(&layout)?;
    let ours = move || {
        let mut command = Command::new(&plimsoll);
        command.arg("validate").arg(&layout);
        command
    };
    let least = move || {
        let mut command = Command::new(&inflate);
        command.args(&layers);
        command
    };
    let ours = Contender::new("plimsoll", ours, || Ok(()));
    let least = Contender::new("inflate and hash", least, || Ok(()));
    compete("validate: the image that is unpacked", ours, vec![least], options)
}

/// The blobs that are compressed: the rest of an image is of no weight.
fn layers(layout: &Path) -> Result<Vec<PathBuf>> {
    let blobs = layout.join("blobs/sha256");
    let mut layers = Vec::new();
    for entry in std::fs::read_dir(&blobs).with_context(|| format!("list {}", blobs.display()))? {
        let path = entry?.path();
        if std::fs::read(&path)?.starts_with(&[0x1f, 0x8b]) {
            layers.push(path);
        }
    }
    Ok(layers)
}
