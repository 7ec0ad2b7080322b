//! What the probe can try. An action is a verb and its operands, with colons between: `open:/etc/x:w`.
//! Its result is `{"do": ..., "ok": ..., "value" or "errno": ...}`: what happened, not whether that is right.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use plimsoll_sys::inspect;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, inotify};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::{outcome, report};

/// Most bytes of a file that are reported.
const READ_LIMIT: usize = 16 << 10;

/// Whether the action ends the probe, so that it comes last whatever its place.
pub(super) fn is_ending(action: &str) -> bool {
    let verb = action.split(':').next().unwrap_or_default();
    matches!(verb, "exit" | "wait" | "signals" | "segv" | "abort" | "allocate" | "spawn" | "sleep")
}

/// Tries one action.
pub(super) fn run(action: &str) -> Value {
    let mut words = action.split(':');
    let (verb, operands) = (words.next().unwrap_or_default(), words.collect::<Vec<_>>());
    let mut result = attempt(verb, &operands);
    if let Some(members) = result.as_object_mut() {
        members.insert("do".to_owned(), json!(action));
    }
    result
}

fn attempt(verb: &str, operands: &[&str]) -> Value {
    match (verb, operands) {
        ("stat", [path]) => outcome(rustix::fs::lstat(*path), |stat| described(&stat, path)),
        ("follow", [path]) => outcome(rustix::fs::stat(*path), |stat| described(&stat, path)),
        ("open", [path, how]) => outcome(open(path, how), |_| Value::Null),
        ("read", [path]) => outcome(read(path), |text| json!(text)),
        ("write", [path, text]) => outcome(write(path, text), |()| Value::Null),
        ("list", [path]) => outcome(list(path), |names| json!(names)),
        ("await", [path, most]) => outcome(wait_for(path, most), |there| json!(there)),
        ("touch", [path]) => outcome(open(path, "wc"), |_| Value::Null),
        ("mkdir", [path]) => outcome(rustix::fs::mkdir(*path, Mode::from_raw_mode(0o755)), |()| Value::Null),
        ("rmdir", [path]) => outcome(rustix::fs::rmdir(*path), |()| Value::Null),
        ("unlink", [path]) => outcome(rustix::fs::unlink(*path), |()| Value::Null),
        ("chmod", [path, mode]) => {
            let mode = u32::from_str_radix(mode, 8).unwrap_or_default();
            outcome(rustix::fs::chmod(*path, Mode::from_raw_mode(mode)), |()| Value::Null)
        }
        ("symlink", [target, path]) => outcome(rustix::fs::symlink(*target, *path), |()| Value::Null),
        ("mknod", [path, kind, major, minor]) => outcome(mknod(path, kind, major, minor), |()| Value::Null),
        ("statfs", [path]) => outcome(
            rustix::fs::statfs(*path),
            |stat| json!({"type": stat.f_type, "blocks": stat.f_blocks, "blockSize": stat.f_bsize, "files": stat.f_files}),
        ),
        ("mount", [kind, path]) => outcome(
            rustix::mount::mount(*kind, *path, *kind, rustix::mount::MountFlags::empty(), None),
            |()| Value::Null,
        ),
        ("bind", [from, to]) => outcome(rustix::mount::mount_bind(*from, *to), |()| Value::Null),
        ("unmount", [path]) => {
            outcome(rustix::mount::unmount(*path, rustix::mount::UnmountFlags::DETACH), |()| Value::Null)
        }
        ("atime", [path]) => outcome(atime(path), |changed| json!(changed)),
        ("run", [program, arguments @ ..]) => execute(program, arguments),
        // One action in a process of its own, which may not survive it.
        ("child", [_, ..]) => execute("/proc/self/exe", &["do", &operands.join(":")]),
        ("call", [name, arguments @ ..]) => outcome(call(name, arguments), |returned| json!(returned)),
        ("pty", [path]) => outcome(pty(path), |name| json!(name)),
        ("hostname", [text]) => outcome(rustix::system::sethostname(text.as_bytes()), |()| Value::Null),
        ("xattr", [path, name]) => {
            let mut value = [0u8; 1024];
            outcome(rustix::fs::lgetxattr(*path, *name, &mut value), |length| {
                json!(String::from_utf8_lossy(value.get(..length).unwrap_or_default()))
            })
        }
        _ => json!({"ok": false, "errno": "unknown action"}),
    }
}

fn described(stat: &rustix::fs::Stat, path: &str) -> Value {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::CharacterDevice => "character",
        FileType::BlockDevice => "block",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        _ => "unknown",
    };
    let target = rustix::fs::readlink(path, Vec::new()).ok();
    json!({
        "kind": kind,
        "mode": stat.st_mode & 0o7777,
        "uid": stat.st_uid,
        "gid": stat.st_gid,
        "size": stat.st_size,
        "device": stat.st_dev,
        "inode": stat.st_ino,
        "major": rustix::fs::major(stat.st_rdev),
        "minor": rustix::fs::minor(stat.st_rdev),
        "target": target.map(|target| target.to_string_lossy().into_owned()),
    })
}

/// Opens as the letters say: `r`, `w`, `rw`, with `c` to create and `l` not to follow a last link.
fn open(path: &str, how: &str) -> Result<std::os::fd::OwnedFd, Errno> {
    let mut flags = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    flags |= match (how.contains('r'), how.contains('w')) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        _ => OFlags::RDONLY,
    };
    flags.set(OFlags::CREATE, how.contains('c'));
    flags.set(OFlags::NOFOLLOW, how.contains('l'));
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))
}

fn read(path: &str) -> Result<String, Errno> {
    let file = open(path, "r")?;
    let mut text = vec![0; READ_LIMIT];
    let length = rustix::io::read(&file, &mut text)?;
    Ok(String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned())
}

fn write(path: &str, text: &str) -> Result<(), Errno> {
    let file = open(path, "w")?;
    rustix::io::write(&file, text.as_bytes()).map(drop)
}

/// Waits until there is a file at `path`, `most` milliseconds long; whether there is one.
fn wait_for(path: &str, most: &str) -> Result<bool, Errno> {
    let path = std::path::Path::new(path);
    let end = Instant::now() + Duration::from_millis(most.parse().unwrap_or_default());
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    let folder = path.parent().unwrap_or(path);
    inotify::add_watch(&watch, folder, inotify::WatchFlags::CREATE)?;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if path.exists() || left.is_zero() {
            return Ok(path.exists());
        }
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        if poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&left))? > 0 {
            // Only that something was made matters.
            rustix::io::read(&watch, &mut [0u8; 4096])?;
        }
    }
}

fn list(path: &str) -> Result<Vec<String>, Errno> {
    let folder = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn mknod(path: &str, kind: &str, major: &str, minor: &str) -> Result<(), Errno> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| Errno::INVAL);
    let kind = match kind {
        "c" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        _ => return Err(Errno::INVAL),
    };
    let device = rustix::fs::makedev(number(major)?, number(minor)?);
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o666), device)
}

/// Whether reading the file or directory at `path`, whose times are set to the past, changes its access time.
fn atime(path: &str) -> Result<bool, Errno> {
    use rustix::fs::{Timespec, Timestamps};
    let past = Timespec { tv_sec: 1_000_000_000, tv_nsec: 0 };
    // The modification is later than the access, so that relative access times are due.
    let later = Timespec { tv_sec: 1_000_000_001, tv_nsec: 0 };
    let times = Timestamps { last_access: past, last_modification: later };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())?;
    if rustix::fs::FileType::from_raw_mode(rustix::fs::stat(path)?.st_mode).is_dir() {
        list(path)?;
    } else {
        read(path)?;
    }
    Ok(rustix::fs::stat(path)?.st_atime != past.tv_sec)
}

/// Executes a program; its exit code and what it printed.
fn execute(program: &str, arguments: &[&str]) -> Value {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            json!({"ok": true, "value": {
                "code": output.status.code(),
                "signal": output.status.signal(),
                "frames": super::frames(&text),
                "stdout": text,
            }})
        }
        Err(e) => match Errno::from_io_error(&e) {
            Some(errno) => json!({"ok": false, "errno": super::errno_name(errno)}),
            None => json!({"ok": false, "errno": e.to_string()}),
        },
    }
}

fn call(name: &str, arguments: &[&str]) -> Result<i64, Errno> {
    let mut numbers = [0u64; 6];
    for (number, text) in numbers.iter_mut().zip(arguments) {
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        *number = parsed.map_err(|_| Errno::INVAL)?;
    }
    inspect::try_call(name, numbers)
}

/// Opens a multiplexer of terminals; the name of the terminal that it allocates.
fn pty(path: &str) -> Result<String, Errno> {
    let master = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::pty::ptsname(&master, Vec::new()).map(|name| name.to_string_lossy().into_owned())
}

/// Ends the probe, when the list of actions is over.
pub(super) fn end(action: &str) -> ExitCode {
    let (verb, operand) = action.split_once(':').unwrap_or((action, ""));
    match verb {
        "exit" => ExitCode::from(operand.parse::<u8>().unwrap_or(255)),
        "segv" => die(rustix::process::Signal::SEGV),
        "abort" => die(rustix::process::Signal::ABORT),
        "signals" => signals(),
        "allocate" => allocate(operand.parse().unwrap_or_default()),
        "spawn" => spawn(operand.parse().unwrap_or_default()),
        _ => forever(),
    }
}

fn forever() -> ! {
    loop {
        std::thread::park();
    }
}

/// The first process of a pid namespace ignores what it does not handle, so a child does it.
fn die(signal: rustix::process::Signal) -> ExitCode {
    let pid = rustix::process::getpid();
    // Not reached by a process that the signal ends.
    let _ = rustix::process::kill_process(pid, signal);
    std::process::abort()
}

/// Reports every signal that arrives, until SIGUSR2 has been reported twice.
fn signals() -> ExitCode {
    let Ok(watch) = plimsoll_sys::signal::block_and_watch_all() else { return ExitCode::from(71) };
    report(&json!({"ready": true}));
    let mut last = 0;
    loop {
        let mut watched = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
        // Interrupted or not, what has arrived is read.
        let _ = rustix::event::poll(&mut watched, None);
        while let Ok(Some(number)) = plimsoll_sys::signal::next(&watch) {
            report(&json!({"signal": number}));
            if number == 12 && last == 12 {
                return ExitCode::SUCCESS;
            }
            last = number;
        }
    }
}

/// Uses `megabytes` of memory, which a limit may end.
fn allocate(megabytes: usize) -> ExitCode {
    let mut held = Vec::new();
    for _ in 0..megabytes {
        // Written to, so that it is really there.
        held.push(vec![1u8; 1 << 20]);
    }
    report(&json!({"allocated": held.iter().map(Vec::len).sum::<usize>()}))
}

/// Starts children until the kernel refuses, at most `count`.
fn spawn(count: usize) -> ExitCode {
    let mut children = Vec::new();
    let mut refused = Value::Null;
    for _ in 0..count {
        match Command::new("/proc/self/exe").args(["do", "wait"]).stdout(std::process::Stdio::null()).spawn()
        {
            Ok(child) => children.push(child),
            Err(e) => {
                refused = Errno::from_io_error(&e).map_or(json!("other"), super::errno_name);
                break;
            }
        }
    }
    let reported = report(&json!({"spawned": children.len(), "refused": refused}));
    for child in &mut children {
        let _ = child.kill();
        let _ = child.wait();
    }
    let _ = std::io::stdout().flush();
    reported
}
