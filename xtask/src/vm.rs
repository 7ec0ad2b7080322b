//! A machine of our own: Debian 12 with systemd and cgroup v2, booted for one command and then forgotten.
//! Needs root, for the disk is made by debootstrap; uses no network once it is.

mod conformance;
mod disk;
mod machine;
mod payload;
mod smoke;
mod tests;

use std::fs::File;
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::compile;
use crate::shell::{output, root};
use disk::Disk;
use machine::{Carrier, NotBooted, Outcome};
use payload::{Payload, quote};

/// `vm`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Boot, judge a few cases and limit one container: shows that the lane works.
    #[arg(long)]
    smoke: bool,
    /// Make the disk again.
    #[arg(long, global = true)]
    rebuild: bool,
    /// Use User Mode Linux.
    #[arg(long, global = true, conflicts_with = "qemu")]
    uml: bool,
    /// Use QEMU, with KVM where a machine boots by it.
    #[arg(long, global = true)]
    qemu: bool,
    /// Put the results here instead of in target/vm/results.
    #[arg(long, value_name = "DIR", global = true)]
    keep: Option<PathBuf>,
    /// End the machine after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, global = true)]
    limit: u64,
    /// Run the command as an ordinary user, in a cgroup that is delegated to it.
    #[arg(long)]
    user: bool,
    /// Run this inside, beside plimsoll, plimsoll-runtime and plimsoll-probe; what it puts into /vm/out comes back.
    #[arg(last = true)]
    command: Vec<String>,
}

impl Options {
    /// What every change has to pass: a machine that does not end is ended while there is time for the rest.
    pub(crate) fn smoke() -> Options {
        Options {
            verb: None,
            smoke: true,
            rebuild: false,
            uml: false,
            qemu: false,
            keep: None,
            limit: 900,
            user: false,
            command: Vec::new(),
        }
    }
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Pass the workspace's tests of containers, cgroups and images inside.
    Test(tests::Options),
    /// Judge runtimes inside, as root and as an ordinary user.
    Conformance(conformance::Options),
}

/// Runs what was asked for; the exit code is that of the command.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if let Some(reason) = smoke::obstacle().filter(|_| options.smoke) {
        println!("skipped: vm: {reason}");
        return Ok(ExitCode::SUCCESS);
    }
    if !rustix::process::geteuid().is_root() {
        bail!("a machine needs root: its disk is made by debootstrap and mounted privately");
    }
    if options.rebuild {
        Disk::forget()?;
    }
    match &options.verb {
        _ if options.smoke => smoke::run(options)?,
        Some(Verb::Test(verb)) => tests::run(options, verb)?,
        Some(Verb::Conformance(verb)) => conformance::run(options, verb)?,
        None if options.command.is_empty() => {
            let disk = Disk::ready()?;
            println!("{}", disk.file("disk.img").display());
        }
        None => return command(options),
    }
    Ok(ExitCode::SUCCESS)
}

fn command(options: &Options) -> Result<ExitCode> {
    let mut lane = Lane::new(options, &[Carrier::Kvm, Carrier::Tcg, Carrier::Uml])?;
    let payload = binaries()?;
    let words = quote(&options.command);
    let script = if options.user { as_user(&words) } else { words };
    let outcome = lane.run(&payload.finish(&script)?, &mut |line| println!("{line}"))?;
    // A code that is none of a process is a failure nonetheless.
    Ok(ExitCode::from(u8::try_from(outcome.code).unwrap_or(1)))
}

/// A payload with the release binaries on the machine's PATH.
fn binaries() -> Result<Payload> {
    let built = compile::release()?;
    let mut payload = Payload::default();
    for name in ["plimsoll", "plimsoll-runtime", "plimsoll-probe"] {
        payload.program(&built.binary(name), &format!("/usr/local/bin/{name}"))?;
    }
    Ok(payload)
}

/// The shell command `words` as the user `tester`, as a service of that user's manager. `/vm/out` is theirs then.
fn as_user(words: &str) -> String {
    let inner = quote(&[words]);
    format!(
        "systemctl start user@1000.service && chown tester /vm/out && \
         setpriv --reuid 1000 --regid 1000 --init-groups env HOME=/home/tester USER=tester XDG_RUNTIME_DIR=/run/user/1000 \
         systemd-run --user --quiet --pipe --wait --collect --property=Delegate=yes --setenv=PATH=\"$PATH\" \
         --setenv=LANG=C.UTF-8 --working-directory=/home/tester sh -c {inner}"
    )
}

/// Lies beside a disk that KVM did not boot here.
const NO_KVM: &str = "kvm-does-not-boot";

/// A disk, and what carries the machines that read it.
struct Lane {
    disk: Disk,
    carriers: Vec<Carrier>,
    limit: Duration,
    results: PathBuf,
}

impl Lane {
    /// The first of `wanted` that boots is used, within what the options allow.
    fn new(options: &Options, wanted: &[Carrier]) -> Result<Lane> {
        let disk = Disk::ready()?;
        let allowed = |carrier: &&Carrier| match carrier {
            Carrier::Uml => !options.qemu,
            Carrier::Kvm => !options.uml && Path::new("/dev/kvm").exists() && !disk.file(NO_KVM).exists(),
            Carrier::Tcg => !options.uml,
        };
        let allowed: Vec<Carrier> = wanted.iter().filter(allowed).copied().collect();
        let there: Vec<Carrier> =
            allowed.iter().copied().filter(|carrier| carrier.program().is_ok()).collect();
        if there.is_empty() {
            // The first that is not there says what to do.
            for carrier in allowed {
                carrier.program()?;
            }
        }
        let results = match &options.keep {
            Some(dir) => dir.clone(),
            None => disk::place()?.join("results"),
        };
        Ok(Lane { disk: Disk::ready()?, carriers: there, limit: Duration::from_secs(options.limit), results })
    }

    /// Runs `payload` and unpacks its results. A carrier that does not boot makes way for the next.
    fn run(&mut self, payload: &File, say: &mut dyn FnMut(&str)) -> Result<Outcome> {
        let (carrier, mut outcome) = loop {
            let carrier =
                self.carriers.first().copied().context("there is no emulator to carry a machine")?;
            match machine::run(carrier, &self.disk, payload, self.limit, say) {
                Err(error) if error.is::<NotBooted>() && self.carriers.len() > 1 => {
                    eprintln!("{carrier:?}: {error:#}; the next is tried");
                    if carrier == Carrier::Kvm {
                        std::fs::write(self.disk.file(NO_KVM), "")?;
                    }
                    self.carriers.remove(0);
                }
                other => break (carrier, other?),
            }
        };
        let (ready, all) = outcome.seconds;
        eprintln!("{carrier:?}: ready after {ready:.0} s, over after {all:.0} s");
        std::fs::create_dir_all(&self.results).with_context(|| format!("make {}", self.results.display()))?;
        outcome.results.rewind()?;
        let mut tar = Command::new("tar");
        tar.args(["-x", "--no-same-owner", "--exclude=./status", "-C"]).arg(&self.results).arg("-f").arg("-");
        output(tar.stdin(outcome.results.try_clone()?)).context("unpack the results")?;
        Ok(outcome)
    }
}

/// A command whose program runs in mount and pid namespaces of its own and dies with this program.
fn namespace() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["nice", "-n", "5"]).current_dir(root());
    plimsoll_sys::process::die_with_parent(&mut command);
    command
}
