//! One start of a machine, from nothing to switched off: the emulator, its limits of time, and what it says.
//!
//! Files go in and results come out by disks that are archives, words by a channel; there is no network. What
//! an emulator needs on the host has no name or lies in its own mount namespace, and its processes are in a pid
//! namespace that dies with this program: nothing is left of it, however either ends.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::FdFlags;

use super::disk::{Disk, mount_point, place};
use super::namespace;
use crate::shell::find_program;

/// Most bytes of results; the file is sparse.
const RESULTS: u64 = 1 << 30;
/// The first line that a machine says, and the last.
const READY: &str = "plimsoll-vm: ready";
const DONE: &str = "plimsoll-vm: done";
/// How long a machine may take to switch off after it is done.
const SWITCH_OFF: Duration = Duration::from_secs(60);

/// What carries a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// User Mode Linux: quick to boot; one processor, and without cpuset, time namespaces and PSI.
    Uml,
    /// QEMU by software.
    Tcg,
    /// QEMU with the processor's help.
    Kvm,
}

impl Carrier {
    /// The emulator's program, where it is there.
    pub(crate) fn program(self) -> Result<PathBuf> {
        let name = if self == Carrier::Uml { "linux.uml" } else { "qemu-system-x86_64" };
        find_program(name, &[]).with_context(|| format!("{name} is not on PATH; see `cargo xtask setup`"))
    }

    /// How long it may take to boot on a machine that has other things to do.
    fn boot(self) -> Duration {
        Duration::from_secs(match self {
            Carrier::Kvm => 60,
            Carrier::Uml => 120,
            Carrier::Tcg => 300,
        })
    }
}

/// The machine did not get to the point where it runs anything: it ended before, or took too long.
#[derive(Debug)]
pub(crate) struct NotBooted;

impl std::fmt::Display for NotBooted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the machine did not boot")
    }
}

impl std::error::Error for NotBooted {}

/// What a machine has left.
pub(crate) struct Outcome {
    /// The exit code of the script.
    pub code: i32,
    /// `/vm/out`, as a tar archive.
    pub results: File,
    /// Seconds until it was ready, and until all was over.
    pub seconds: (f64, f64),
}

/// Starts a machine that runs what is in `payload` for at most `limit`; `say` gets its lines.
///
/// # Errors
/// [`NotBooted`]; where it takes too long or ends without results. The last lines of its console are printed then.
pub(crate) fn run(
    carrier: Carrier,
    disk: &Disk,
    payload: &File,
    limit: Duration,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    let scratch = place()?;
    let file = || tempfile::tempfile_in(&scratch).context("make a file for the machine");
    let (mut results, mut console) = (file()?, file()?);
    results.set_len(RESULTS).context("make a file for the machine")?;
    let start = Instant::now();
    let mut child = Running::start(carrier, disk, payload, &results, &console)?;
    let told = child.listen(start + carrier.boot(), limit, say);
    child.end();
    let ready = told.inspect_err(|_| eprintln!("{}", tail(&mut console)))?;
    let seconds = (ready.duration_since(start).as_secs_f64(), start.elapsed().as_secs_f64());
    results.rewind()?;
    let code = status(&results).inspect_err(|_| eprintln!("{}", tail(&mut console)))?;
    Ok(Outcome { code, results, seconds })
}

/// An emulator that is at work.
struct Running {
    child: Child,
}

impl Running {
    fn start(
        carrier: Carrier,
        disk: &Disk,
        payload: &File,
        results: &File,
        console: &File,
    ) -> Result<Running> {
        let fds = [payload.as_raw_fd(), results.as_raw_fd()];
        for file in [payload, results] {
            rustix::io::fcntl_setfd(file, FdFlags::empty()).context("hand a file to the machine")?;
        }
        let words = match carrier {
            Carrier::Uml => uml(disk, fds)?,
            Carrier::Tcg => qemu("tcg,thread=multi", disk, fds),
            Carrier::Kvm => qemu("kvm", disk, fds),
        };
        let mut command = namespace();
        let script = "mount -t tmpfs -o mode=700 plimsoll-vm \"$0\" && TMPDIR=$0 exec \"$@\"";
        command.args(["sh", "-c", script]).arg(mount_point()?).arg(carrier.program()?).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(console.try_clone().context("hand a file to the machine")?);
        let child = command.spawn().context("execute unshare");
        for file in [payload, results] {
            rustix::io::fcntl_setfd(file, FdFlags::CLOEXEC).context("keep a file from others")?;
        }
        Ok(Running { child: child? })
    }

    /// Hands on what the machine says until it is switched off; when it was ready.
    fn listen(&mut self, boot: Instant, limit: Duration, say: &mut dyn FnMut(&str)) -> Result<Instant> {
        let stdout = self.child.stdout.take().context("listen to the machine")?;
        let mut channel = BufReader::new(Channel { stdout, end: boot });
        let (mut ready, mut done) = (None, false);
        loop {
            let mut line = Vec::new();
            match channel.read_until(b'\n', &mut line) {
                Ok(0) => return Ok(ready.ok_or(NotBooted)?),
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::TimedOut && ready.is_none() => {
                    return Err(NotBooted.into());
                }
                Err(e) if e.kind() == std::io::ErrorKind::TimedOut => {
                    bail!("the machine took longer than {} s", limit.as_secs())
                }
                Err(e) => return Err(e).context("listen to the machine"),
            }
            let line = String::from_utf8_lossy(&line);
            match line.trim_end() {
                READY => {
                    ready = Some(Instant::now());
                    channel.get_mut().end = Instant::now() + limit;
                }
                DONE => {
                    done = true;
                    channel.get_mut().end = Instant::now() + SWITCH_OFF;
                }
                // What it says while it switches off is its own affair.
                line if !done => say(line),
                _ => {}
            }
        }
    }

    /// Ends what still runs. The namespace's first process goes with unshare, and everything goes with it.
    fn end(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The machine's words, until a moment.
struct Channel {
    stdout: ChildStdout,
    end: Instant,
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.stdout, PollFlags::IN)], Some(&left)) {
            Ok(0) => Err(std::io::ErrorKind::TimedOut.into()),
            Ok(_) => self.stdout.read(buffer),
            Err(e) => Err(e.into()),
        }
    }
}

/// What both kernels are told: less talk, and no waiting after a panic.
const KERNEL: &str = "rw quiet loglevel=4 panic=-1 systemd.show_status=no net.ifnames=0 audit=0";

fn uml(disk: &Disk, [payload, results]: [RawFd; 2]) -> Result<Vec<String>> {
    let changes = mount_point()?.join("changes");
    let disks = [
        format!("ubd0={},{}", changes.display(), disk.file("disk.img").display()),
        format!("ubd1r=/proc/self/fd/{payload}"),
        format!("ubd2=/proc/self/fd/{results}"),
    ];
    // Without a word about it this kernel takes SELinux.
    let own = "root=/dev/ubda mem=3G security=apparmor con=null con0=null,fd:2 ssl=null ssl1=null,fd:1 \
               plimsoll.channel=/dev/ttyS1 plimsoll.disk=ubd";
    Ok(disks.into_iter().chain(own.split(' ').chain(KERNEL.split(' ')).map(str::to_owned)).collect())
}

fn qemu(accelerator: &str, disk: &Disk, [payload, results]: [RawFd; 2]) -> Vec<String> {
    let file = |name| disk.file(name).display().to_string();
    let drive = |file: String, more: &str| format!("file={file},format=raw,if=virtio{more}");
    let own = "root=/dev/vda console=ttyS0 mitigations=off \
               plimsoll.channel=/dev/virtio-ports/plimsoll plimsoll.disk=vd";
    let options = [
        ("-display", "none".to_owned()),
        ("-machine", "q35".to_owned()),
        ("-accel", accelerator.to_owned()),
        ("-cpu", "max".to_owned()),
        ("-smp", "2".to_owned()),
        ("-m", "3072".to_owned()),
        ("-kernel", file("vmlinuz")),
        ("-initrd", file("initrd")),
        ("-append", format!("{own} {KERNEL}")),
        ("-drive", drive(file("disk.img"), ",snapshot=on")),
        ("-drive", drive(format!("/proc/self/fd/{payload}"), ",readonly=on")),
        ("-drive", drive(format!("/proc/self/fd/{results}"), "")),
        ("-chardev", "file,id=console,path=/proc/self/fd/2,append=on".to_owned()),
        ("-serial", "chardev:console".to_owned()),
        // A file and not stdio: that would take the end of its input for the end of the talk.
        ("-chardev", "file,id=talk,path=/proc/self/fd/1".to_owned()),
        ("-device", "virtio-serial-pci".to_owned()),
        ("-device", "virtserialport,chardev=talk,name=plimsoll".to_owned()),
        ("-device", "virtio-rng-pci".to_owned()),
    ];
    let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    ["-nodefaults", "-no-reboot"].map(str::to_owned).into_iter().chain(options).collect()
}

/// The exit code of the script, from the archive of results.
fn status(results: &File) -> Result<i32> {
    let mut tar = Command::new("tar");
    tar.args(["-xOf", "-", "./status"]).stdin(results.try_clone()?).stderr(Stdio::null());
    let output = tar.output().context("execute tar")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| anyhow::anyhow!("the machine ended without results"))
}

/// The end of what was written on the console.
fn tail(console: &mut File) -> String {
    let mut text = Vec::new();
    // Without it the error stands alone.
    let _ = console.rewind().and_then(|()| console.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text).replace('\r', "");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(25)..).unwrap_or_default();
    format!("the machine's console ended with:\n  {}", last.join("\n  "))
}
