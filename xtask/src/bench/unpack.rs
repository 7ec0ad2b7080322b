//! Unpacking a large image to a file system in memory.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Contender, Options, compete, image};
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
    image::make(&umoci, &layout, place.path(), options)?;
    let store = place.path().join("store");
    let source = format!("oci:{}:big", layout.display());
    must(Command::new(&plimsoll).arg("--root").arg(&store).args(["import", &source, "big"]))?;

    let contender = |name: &str, command: Box<dyn Fn(&Path) -> Command>| {
        let target = place.path().join(format!("out-{name}"));
        let out = target.clone();
        Contender::new(name, move || command(&target), move || image::remove(&out))
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
    compete("unpack: to memory", contender("plimsoll", ours), vec![contender("umoci", theirs)], options)
}
