//! Unpacking a large image to a file system in memory.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Contender, Options, compete};
use crate::compile;
use crate::shell::must;

pub(super) fn run(options: &Options) -> Result<()> {
    let Some(umoci) = options.peer("umoci") else { return Ok(()) };
    if !rustix::process::geteuid().is_root() {
        println!("skipped: unpack: needs root");
        return Ok(());
    }
    let plimsoll = compile::release()?.binary("plimsoll");
    let place = tempfile::Builder::new().prefix("plimsoll-bench-").tempdir_in("/dev/shm")?;
    let layout = place.path().join("oci");
    make_image(&umoci, &layout, place.path(), options.smoke)?;
    let store = place.path().join("store");
    let source = format!("oci:{}:big", layout.display());
    must(Command::new(&plimsoll).arg("--root").arg(&store).args(["import", &source, "big"]))?;

    let contender = |name: &str, command: Box<dyn Fn(&Path) -> Command>| {
        let target = place.path().join(format!("out-{name}"));
        let out = target.clone();
        Contender::new(name, move || command(&target), move || remove(&out))
    };
    let ours = Box::new(move |target: &Path| {
        let mut command = Command::new(&plimsoll);
        command.arg("--root").arg(&store).args(["unpack", "big"]).arg(target);
        command
    });
    let image = format!("{}:big", layout.display());
    let theirs = Box::new(move |target: &Path| {
        let mut command = Command::new(&umoci);
        command.args(["unpack", "--image", &image]).arg(target);
        command
    });
    compete("unpack: to memory", vec![contender("plimsoll", ours), contender("umoci", theirs)], options)
}

fn remove(path: &Path) -> Result<()> {
    std::fs::remove_dir_all(path).with_context(|| format!("remove {}", path.display()))
}

/// An image of two layers, like a distribution with its packages: 60,000 entries, 850 MB.
fn make_image(umoci: &Path, layout: &Path, place: &Path, small: bool) -> Result<()> {
    let call = |args: &[&str]| must(Command::new(umoci).args(args));
    let (layout, image) = (layout.display().to_string(), format!("{}:big", layout.display()));
    call(&["init", "--layout", &layout])?;
    call(&["new", "--image", &image])?;
    for layer in 0..2 {
        let bundle = place.join(format!("bundle-{layer}"));
        call(&["unpack", "--image", &image, &bundle.display().to_string()])?;
        fill(&bundle.join(format!("rootfs/layer-{layer}")), if small { 300 } else { 30_000 })?;
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
