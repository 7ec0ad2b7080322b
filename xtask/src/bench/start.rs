//! `run` of /bin/true with the default configuration.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Contender, Options, able, compete};
use crate::compile;
use crate::shell::{find_program, must, output};

/// Set in the process that has a private view of the cgroups.
const INSIDE: &str = "PLIMSOLL_BENCH_CGROUP2";

pub(super) fn run(options: &Options) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: start: needs root");
        return Ok(());
    }
    if std::env::var_os(INSIDE).is_none() {
        return in_cgroup2(options);
    }
    let Some(busybox) = options.peer("busybox") else { return Ok(()) };
    let runtime = compile::release()?.binary("plimsoll-runtime");
    let bundle = tempfile::Builder::new().prefix("plimsoll-bench-").tempdir()?;
    let bin = bundle.path().join("rootfs/bin");
    std::fs::create_dir_all(&bin)?;
    std::fs::copy(busybox, bin.join("busybox"))?;
    std::os::unix::fs::symlink("busybox", bin.join("true"))?;
    must(Command::new(&runtime).arg("spec").current_dir(bundle.path()))?;
    let config = bundle.path().join("config.json");
    let mut value: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&config)?)?;
    value["process"]["terminal"] = false.into();
    value["process"]["args"] = serde_json::json!(["/bin/true"]);
    std::fs::write(&config, value.to_string())?;

    let contender = |name: &str, program: PathBuf| {
        let (place, id) = (bundle.path().to_owned(), format!("plimsoll-bench-{name}"));
        let command = move || {
            let mut command = Command::new(&program);
            command.args(["run", &id]).current_dir(&place);
            command
        };
        Contender::new(name, command, || Ok(()))
    };
    let mut peers = Vec::new();
    for name in ["crun", "runc", "youki"] {
        peers.extend(options.peer(name).map(|program| contender(name, program)));
    }
    let ours = contender("plimsoll-runtime", runtime);
    compete("start: run /bin/true with the default configuration", ours, able(peers), options)
}

/// Runs this benchmark again in a mount namespace whose cgroups are of version 2 alone: crun refuses others.
fn in_cgroup2(options: &Options) -> Result<()> {
    let own = std::env::current_exe()?;
    let pure = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let script = if pure {
        "exec \"$@\""
    } else {
        "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\""
    };
    let mut command = Command::new(find_program("unshare", &[]).context("unshare is not on PATH")?);
    command.args(["-m", "sh", "-c", script, "sh"]).arg(own).args([
        "bench",
        "start",
        "--runs",
        &options.runs().to_string(),
    ]);
    for peers in &options.peers {
        command.arg("--peers").arg(peers);
    }
    for (flag, set) in [("--smoke", options.smoke), ("--json", options.json)] {
        command.args(set.then_some(flag));
    }
    print!("{}", output(command.env(INSIDE, "1"))?);
    Ok(())
}
