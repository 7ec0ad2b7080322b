//! sha256 of a large file.

use std::io::Write as _;
use std::process::Command;

use anyhow::Result;

use super::{Contender, Options, compete};
use crate::compile;

pub(super) fn run(options: &Options) -> Result<()> {
    let own = compile::example("plimsoll-digest", "hash")?;
    let mut file = tempfile::Builder::new().prefix("plimsoll-bench-").tempfile_in("/dev/shm")?;
    let block = vec![0x5a; 1 << 20];
    for _ in 0..if options.smoke { 16 } else { 1024 } {
        file.write_all(&block)?;
    }
    let file = file.into_temp_path();
    let shell = |script: String| {
        move || {
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            command
        }
    };
    let own = format!("exec {} sha256 < {}", own.display(), file.display());
    let ours = Contender::new("plimsoll", shell(own), || Ok(()));
    let peer = options.peer("openssl").map(|openssl| {
        let script = format!("exec {} dgst -sha256 {}", openssl.display(), file.display());
        Contender::new("openssl", shell(script), || Ok(()))
    });
    compete("hash: sha256 of 1 GiB", ours, peer.into_iter().collect(), options)
}
