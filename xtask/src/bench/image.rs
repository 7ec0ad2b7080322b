//! A large image, made by umoci.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Options;
use crate::shell::must;

/// An image of two layers, like a distribution with its packages: 60,000 entries, 850 MB.
pub(super) fn make(umoci: &Path, layout: &Path, place: &Path, options: &Options) -> Result<()> {
    let call = |args: &[&str]| must(Command::new(umoci).args(args));
    let (layout, image) = (layout.display().to_string(), format!("{}:big", layout.display()));
    call(&["init", "--layout", &layout])?;
    call(&["new", "--image", &image])?;
    for layer in 0..2 {
        let bundle = place.join(format!("bundle-{layer}"));
        call(&["unpack", "--image", &image, &bundle.display().to_string()])?;
        fill(&bundle.join(format!("rootfs/layer-{layer}")), if options.smoke { 300 } else { 30_000 })?;
        call(&["repack", "--image", &image, &bundle.display().to_string()])?;
        remove(&bundle)?;
    }
    Ok(())
}

/// `count` files of about 14 KB in 300 directories, as compressible as programs are.
fn fill(dir: &Path, count: u32) -> Result<()> {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for i in 0..count {
        let parent = dir.join(format!("{:03}", i % 300));
        std::fs::create_dir_all(&parent)?;
        let size = 4_000 + next() % 20_500;
        let mut content = Vec::with_capacity(size as usize + 64);
        while content.len() < size as usize {
            // A few random bytes, then repetition: deflate takes this to some 40 per cent.
            let seed = next().to_le_bytes();
            content.extend(seed.iter().chain(&seed).chain(&[(i % 251) as u8; 8]));
            content.extend(next().to_le_bytes());
        }
        content.truncate(size as usize);
        std::fs::File::create(parent.join(format!("file-{i}")))?.write_all(&content)?;
    }
    Ok(())
}

pub(super) fn remove(path: &Path) -> Result<()> {
    std::fs::remove_dir_all(path).with_context(|| format!("remove {}", path.display()))
}
