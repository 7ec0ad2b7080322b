//! A daemon of an engine: started with its log in a file, ready when its client says so, stopped by its pid.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::client::Client;

/// How long a daemon may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that runs until this is dropped.
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command` and waits until `client`, called with `probe`, succeeds.
    pub(super) fn start(
        command: &mut Command,
        dir: &Path,
        client: &Client,
        probe: &[&str],
    ) -> Result<Daemon> {
        let name = command.get_program().to_string_lossy().into_owned();
        let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = dir.join(format!("{name}.log"));
        let file = std::fs::File::create(&log).with_context(|| format!("make {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("execute {name}"))?;
        let mut daemon = Daemon { child, log };
        let begin = Instant::now();
        loop {
            if client.call(probe)?.code == 0 {
                return Ok(daemon);
            }
            if let Some(status) = daemon.child.try_wait()? {
                bail!("{name} does not start: {status}: {}", daemon.last_words());
            }
            if begin.elapsed() > PATIENCE {
                bail!("{name} does not answer: {}", daemon.last_words());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The last line of the log that tells of a failure, or the last at all.
    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let grave =
            |line: &&str| ["level=fatal", "level=error", "failed"].iter().any(|word| line.contains(word));
        text.lines().rfind(grave).or(text.lines().last()).unwrap_or("its log is empty").to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // One that is gone needs no signal.
            let _ = kill_process(pid, Signal::TERM);
        }
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // The comparison of the host tells what it has left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
