//! Devices: those that are listed, those that every container has, and the links that stand in `/dev`.

use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::judge::{all, equals};
use crate::evidence::{Evidence, Judge};
use crate::runtime::Stage;
use crate::runtime::seen::{agree, fails, given, gives, optional, succeeds, yields};
use crate::verdict::{Judgement, Verdict};

use super::edit::{append, refusal, remove, set};

/// What every container has: path, number, and what it does when it is opened.
const DEFAULTS: [(&str, &str, u32, u32); 6] = [
    ("LNX-DDEV-null", "/dev/null", 1, 3),
    ("LNX-DDEV-zero", "/dev/zero", 1, 5),
    ("LNX-DDEV-full", "/dev/full", 1, 7),
    ("LNX-DDEV-random", "/dev/random", 1, 8),
    ("LNX-DDEV-urandom", "/dev/urandom", 1, 9),
    ("LNX-DDEV-tty", "/dev/tty", 5, 0),
];

/// The links, and what they point to.
const LINKS: [(&str, &str, &str); 4] = [
    ("RLX-SYM-01", "/dev/fd", "/proc/self/fd"),
    ("RLX-SYM-02", "/dev/stdin", "/proc/self/fd/0"),
    ("RLX-SYM-03", "/dev/stdout", "/proc/self/fd/1"),
    ("RLX-SYM-04", "/dev/stderr", "/proc/self/fd/2"),
];

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases =
        vec![defaults(), console(), listed(), elsewhere(), attributes(), unbuffered(), matching()];
    cases.extend([
        occupied("devices/file-in-the-way", |path| std::fs::write(path, "a file")),
        occupied("devices/other-device-in-the-way", |path| node(path, 5)),
        refusal("devices/unknown-type", "LNX-DEV-02", |config| device(config, &[("type", json!("x"))])),
        refusal("devices/no-type", "LNX-DEV-02", |config| {
            device(config, &[]);
            remove(config, "/linux/devices/0/type");
        }),
        refusal("devices/no-path", "LNX-DEV-03", |config| {
            device(config, &[]);
            remove(config, "/linux/devices/0/path");
        }),
    ]);
    cases
}

/// Lists the null device as `/dev/mine`, with `members` in place of its own.
fn device(config: &mut Value, members: &[(&str, Value)]) {
    let mut device = json!({"path": "/dev/mine", "type": "c", "major": 1, "minor": 3});
    for (name, value) in members {
        set(&mut device, &format!("/{name}"), value.clone());
    }
    append(config, "/linux/devices", device);
}

/// `path` is the device, by whatever way it came there.
fn is_device(name: &str, path: &str, kind: &'static str, major: u32, minor: u32) -> Judge {
    yields(name, &format!("follow:{path}"), &format!("is the {kind} device {major}:{minor}"), move |stat| {
        stat["kind"] == kind && stat["major"] == major && stat["minor"] == minor
    })
}

/// A tmpfs at `/dev` and no devices in the configuration.
fn defaults() -> Case<Stage> {
    let mut case = Case::new("devices/default", |stage: &mut Stage| {
        let mut wanted: Vec<String> =
            DEFAULTS.iter().map(|(_, path, _, _)| format!("follow:{path}")).collect();
        wanted.extend(LINKS.iter().map(|(_, path, _)| format!("stat:{path}")));
        let more = [
            "open:/dev/null:rw",
            "open:/dev/zero:rw",
            "open:/dev/full:rw",
            "open:/dev/random:r",
            "open:/dev/urandom:r",
            "write:/dev/full:x",
            "follow:/dev/ptmx",
            "follow:/dev/pts/ptmx",
            "pty:/dev/ptmx",
            "exit:0",
        ];
        wanted.extend(more.map(str::to_owned));
        let config = stage.config(&wanted.iter().map(String::as_str).collect::<Vec<_>>());
        stage.observe("default", &config)
    });
    for (row, path, major, minor) in DEFAULTS {
        let mut judges = vec![is_device("default", path, "character", major, minor)];
        judges.extend(match row {
            // There is no terminal that it could be.
            "LNX-DDEV-tty" => None,
            "LNX-DDEV-random" | "LNX-DDEV-urandom" => Some(succeeds("default", &format!("open:{path}:r"))),
            "LNX-DDEV-full" => Some(fails("default", "write:/dev/full:x", &["ENOSPC"])),
            _ => Some(succeeds("default", &format!("open:{path}:rw"))),
        });
        case = case.rule(row, all(judges));
    }
    for (row, path, target) in LINKS {
        case = case.rule(row, gives("default", &format!("stat:{path}"), "/target", target));
    }
    case.rule(
        "LNX-DDEV-ptmx",
        all(vec![
            // A link and a bind mount both lead to the multiplexer of the container's own terminals.
            agree("default", "follow:/dev/ptmx", "follow:/dev/pts/ptmx", &["device", "inode"]),
            succeeds("default", "pty:/dev/ptmx"),
        ]),
    )
}

fn console() -> Case<Stage> {
    Case::new("devices/console", |stage: &mut Stage| {
        let mut config = stage.config(&[
            "follow:/dev/console",
            "follow:/proc/self/fd/0",
            "follow:/dev/ptmx",
            "follow:/dev/pts/ptmx",
            "follow:/dev/tty",
            "exit:0",
        ]);
        set(&mut config, "/process/terminal", json!(true));
        stage.observe_terminal("terminal", &config)
    })
    .rule(
        "LNX-DDEV-console",
        given(
            equals("/terminal/terminal/isTerminal", true),
            agree("terminal", "follow:/dev/console", "follow:/proc/self/fd/0", &["kind", "major", "minor"]),
        ),
    )
    .rule(
        "LNX-DDEV-ptmx",
        agree("terminal", "follow:/dev/ptmx", "follow:/dev/pts/ptmx", &["device", "inode"]),
    )
    .rule("LNX-DDEV-tty", is_device("terminal", "/dev/tty", "character", 5, 0))
}

fn elsewhere() -> Case<Stage> {
    Case::new("devices/elsewhere", |stage: &mut Stage| {
        stage.caller.must_be_root("make device nodes")?;
        let mut config = stage.config(&["follow:/srv/deep/zero", "open:/srv/deep/zero:r", "exit:0"]);
        device(&mut config, &[("path", json!("/srv/deep/zero")), ("minor", json!(5))]);
        stage.observe("elsewhere", &config)
    })
    .rule(
        "LNX-DEV-05",
        optional(
            "elsewhere",
            all(vec![
                is_device("elsewhere", "/srv/deep/zero", "character", 1, 5),
                succeeds("elsewhere", "open:/srv/deep/zero:r"),
            ]),
        ),
    )
}

/// One of each type.
fn listed() -> Case<Stage> {
    Case::new("devices/listed", |stage: &mut Stage| {
        stage.caller.must_be_root("make device nodes")?;
        let mut config = stage.config(&[
            "follow:/dev/mine",
            "open:/dev/mine:rw",
            "follow:/dev/block",
            "follow:/dev/pipe",
            "exit:0",
        ]);
        device(&mut config, &[]);
        device(
            &mut config,
            &[("path", json!("/dev/block")), ("type", json!("b")), ("major", json!(7)), ("minor", json!(77))],
        );
        append(&mut config, "/linux/devices", json!({"path": "/dev/pipe", "type": "p"}));
        stage.observe("listed", &config)
    })
    .rule(
        "LNX-DEV-01",
        all(vec![
            is_device("listed", "/dev/mine", "character", 1, 3),
            succeeds("listed", "open:/dev/mine:rw"),
            is_device("listed", "/dev/block", "block", 7, 77),
            gives("listed", "follow:/dev/pipe", "/kind", "fifo"),
        ]),
    )
    // That the numbers of a pipe may be left out is all that a subject can show: whoever leaves out those of
    // another device has written no valid configuration, and a runtime may but need not notice.
    .rule("LNX-DEV-06", gives("listed", "follow:/dev/pipe", "/kind", "fifo"))
}

/// The caller's mask of modes is no part of the configuration.
fn attributes() -> Case<Stage> {
    Case::new("devices/attributes", |stage: &mut Stage| {
        stage.caller.must_be_root("make device nodes")?;
        let mut config =
            stage.config(&["follow:/dev/mine", "follow:/dev/pipe", "follow:/dev/open", "exit:0"]);
        let path = json!("/dev/mine");
        let members = [("path", path), ("fileMode", json!(0o640)), ("uid", json!(17)), ("gid", json!(18))];
        device(&mut config, &members);
        let pipe = json!({"path": "/dev/pipe", "type": "p", "fileMode": 0o640, "uid": 17, "gid": 18});
        append(&mut config, "/linux/devices", pipe);
        device(&mut config, &[("path", json!("/dev/open")), ("minor", json!(5)), ("fileMode", json!(0o666))]);
        let container = stage.bundle(&config)?;
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        stage.note_command(&["umask", "0077"]);
        let done = stage.observe_in("made", container);
        rustix::process::umask(before);
        done
    })
    .rule(
        "LNX-DEV-07",
        all(vec![
            gives("made", "follow:/dev/mine", "/mode", 0o640),
            gives("made", "follow:/dev/pipe", "/mode", 0o640),
            gives("made", "follow:/dev/open", "/mode", 0o666),
        ]),
    )
    .rule(
        "LNX-DEV-08",
        all(vec![
            gives("made", "follow:/dev/mine", "/uid", 17),
            gives("made", "follow:/dev/pipe", "/uid", 17),
        ]),
    )
    .rule(
        "LNX-DEV-09",
        all(vec![
            gives("made", "follow:/dev/mine", "/gid", 18),
            gives("made", "follow:/dev/pipe", "/gid", 18),
        ]),
    )
}

/// `u` is a character device too; a runtime need not support it.
fn unbuffered() -> Case<Stage> {
    Case::new("devices/unbuffered", |stage: &mut Stage| {
        stage.caller.must_be_root("make device nodes")?;
        let mut config = stage.config(&["follow:/dev/mine", "exit:0"]);
        device(&mut config, &[("type", json!("u"))]);
        stage.observe("unbuffered", &config)
    })
    .rule("LNX-DEV-02", or_refused("unbuffered", is_device("unbuffered", "/dev/mine", "character", 1, 3)))
}

/// `judge`; a refusal says that the subject has chosen otherwise, which is its right.
fn or_refused(name: &str, judge: Judge) -> Judge {
    let judge = optional(name, judge);
    Box::new(move |evidence: &Evidence| {
        let said = judge(evidence);
        match said.verdict {
            Verdict::Skip => Judgement::not_applicable(said.observed),
            _ => said,
        }
    })
}

/// Leaves `/dev` to the root file system.
fn uncover(config: &mut Value) {
    if let Some(mounts) = config.pointer_mut("/mounts").and_then(Value::as_array_mut) {
        mounts.retain(|mount| mount["destination"].as_str().is_some_and(|it| !it.starts_with("/dev")));
    }
}

/// A memory device of the host's own making.
fn node(path: &std::path::Path, minor: u32) -> std::io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let mode = Mode::from_raw_mode(0o666);
    Ok(mknodat(CWD, path, FileType::CharacterDevice, mode, makedev(1, minor))?)
}

/// The node is there already, as the configuration wants it.
fn matching() -> Case<Stage> {
    Case::new("devices/matching", |stage: &mut Stage| {
        stage.caller.must_be_root("make device nodes")?;
        let mut config = stage.config(&["follow:/dev/mine", "open:/dev/mine:rw", "exit:0"]);
        device(&mut config, &[]);
        uncover(&mut config);
        let container = stage.bundle(&config)?;
        node(&container.rootfs().join("dev/mine"), 3).context(|| "make a device")?;
        stage.observe_in("matching", container)
    })
    .rule(
        "LNX-DEV-01",
        all(vec![
            is_device("matching", "/dev/mine", "character", 1, 3),
            succeeds("matching", "open:/dev/mine:rw"),
        ]),
    )
}

/// Something else is where the device has to be.
fn occupied(
    name: &str,
    make: impl Fn(&std::path::Path) -> std::io::Result<()> + Send + Sync + 'static,
) -> Case<Stage> {
    let run = move |stage: &mut Stage| -> Result<(), Obstacle> {
        stage.caller.must_be_root("make device nodes")?;
        let mut config = stage.config(&["exit:0"]);
        device(&mut config, &[]);
        uncover(&mut config);
        let container = stage.bundle(&config)?;
        make(&container.rootfs().join("dev/mine")).context(|| "put something in the way")?;
        stage.attempt_in("attempt", container)
    };
    Case::new(name, run)
        .rule("LNX-DEV-04", crate::evidence::judge::refused("/attempt"))
        .rule("RUN-ERR-01", crate::evidence::judge::unchanged("/attempt"))
}
