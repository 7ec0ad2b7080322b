//! The options of mounts: each is tried on a fresh tmpfs and on a bind mount, and told by what the kernel
//! lists and what it then allows. What an option forbids is allowed beside it, on a bind mount without it.

use rustix::mount::MountFlags;
use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::evidence::Judge;
use crate::evidence::judge::{all, refused};
use crate::runtime::Stage;
use crate::runtime::seen::{
    fails, given, gives, mount_has, mount_is, mount_lacks, mounted_times, not_mounted, optional, succeeds,
};

use super::edit::{USER, add_mount, append, bind, set};
use super::material::{TEXT, tree};

/// What an option has to show at a mount; `{}` in an action is its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sign {
    /// The action succeeds.
    Can(&'static str),
    /// It fails with the error; without the option it succeeds.
    Cannot(&'static str, &'static str),
    /// A program of root's with the set-user-id bit, run by [`USER`], has this effective user id.
    Becomes(u32),
    /// Whether the action changes an access time; where it does not, it does without the option.
    Updates(&'static str, bool),
    /// The kernel lists it.
    Has(&'static str),
    /// The kernel lists none of these.
    Lacks(&'static [&'static str]),
}

/// Where the bind mount without options is.
pub(super) const PLAIN: &str = "/plain";

impl Sign {
    /// The action at `place`, if there is one.
    pub(super) fn action(self, place: &str) -> Option<String> {
        match self {
            Sign::Can(action) | Sign::Cannot(action, _) | Sign::Updates(action, _) => {
                Some(action.replace("{}", place))
            }
            Sign::Becomes(_) => Some(format!("run:{place}/setuid:whoami")),
            Sign::Has(_) | Sign::Lacks(_) => None,
        }
    }

    fn holds(self, name: &str, place: &str) -> Judge {
        let action = self.action(place).unwrap_or_default();
        match self {
            Sign::Can(_) => succeeds(name, &action),
            Sign::Cannot(_, error) => fails(name, &action, only(error)),
            Sign::Becomes(user) => gives(name, &action, "/frames/0/uids/1", user),
            Sign::Updates(_, whether) => gives(name, &action, "", whether),
            Sign::Has(option) => mount_has(name, place, option),
            Sign::Lacks(options) => mount_lacks(name, place, options),
        }
    }

    /// What must be seen where the option is not given, for this to mean anything.
    fn control(self) -> Option<Sign> {
        match self {
            Sign::Cannot(action, _) => Some(Sign::Can(action)),
            Sign::Becomes(USER) => Some(Sign::Becomes(0)),
            Sign::Updates(action, false) => Some(Sign::Updates(action, true)),
            _ => None,
        }
    }

    /// What the container `name` shows at `place`, with the control beside it.
    pub(super) fn judge(self, name: &str, place: &str) -> Judge {
        match self.control() {
            Some(control) => given(control.holds(name, PLAIN), self.holds(name, place)),
            None => self.holds(name, place),
        }
    }
}

/// One of the errors that options cause, as a list.
fn only(error: &'static str) -> &'static [&'static str] {
    match error {
        "EROFS" => &["EROFS"],
        "ELOOP" => &["ELOOP"],
        _ => &["EACCES"],
    }
}

/// The actions of `signs` at `place`, and those of their controls.
pub(super) fn actions(signs: &[Sign], place: &str) -> Vec<String> {
    let of = |sign: &Sign| {
        let control = sign.control().and_then(|control| control.action(PLAIN));
        [control, sign.action(place)]
    };
    signs.iter().flat_map(of).flatten().collect()
}

/// One row of the table of options.
struct Flag {
    row: &'static str,
    options: &'static [&'static str],
    /// What is seen at the bind mount.
    bound: &'static [Sign],
    /// What is seen at the tmpfs.
    fresh: &'static [Sign],
}

use Sign::{Becomes, Can, Cannot, Has, Lacks, Updates};

const TOUCH: &str = "touch:{}/new";
const OPEN: &str = "open:{}/null:r";
const RUN: &str = "run:{}/setuid:whoami";
const FOLLOW: &str = "read:{}/link";
const FILE: &str = "atime:{}/file";
const FOLDER: &str = "atime:{}";

/// Every option that changes attributes of a mount. A negated option comes after what it negates: mount(8)
/// lets the last of contradicting options win. Of those for which the kernel shows nothing the acceptance
/// remains: a tmpfs refuses what is handed down to it as unknown.
const FLAGS: [Flag; 31] = [
    flag("CFG-MOPT-ro", &["ro"], &[Cannot(TOUCH, "EROFS")], &[Has("ro")]),
    flag("CFG-MOPT-rw", &["ro", "rw"], &[Can(TOUCH)], &[Has("rw"), Lacks(&["ro"])]),
    flag("CFG-MOPT-nosuid", &["nosuid"], &[Becomes(USER)], &[Has("nosuid")]),
    flag("CFG-MOPT-suid", &["nosuid", "suid"], &[Becomes(0)], &[Lacks(&["nosuid"])]),
    flag("CFG-MOPT-nodev", &["nodev"], &[Cannot(OPEN, "EACCES")], &[Has("nodev")]),
    flag("CFG-MOPT-dev", &["nodev", "dev"], &[Can(OPEN)], &[Lacks(&["nodev"])]),
    flag("CFG-MOPT-noexec", &["noexec"], &[Cannot(RUN, "EACCES")], &[Has("noexec")]),
    flag("CFG-MOPT-exec", &["noexec", "exec"], &[Can(RUN)], &[Lacks(&["noexec"])]),
    flag("CFG-MOPT-noatime", &["noatime"], &[Updates(FILE, false)], &[Has("noatime")]),
    flag("CFG-MOPT-atime", &["noatime", "atime"], &[Updates(FILE, true)], &[Lacks(&["noatime"])]),
    flag(
        "CFG-MOPT-nodiratime",
        &["nodiratime"],
        &[Updates(FOLDER, false), Updates(FILE, true)],
        &[Has("nodiratime")],
    ),
    flag(
        "CFG-MOPT-diratime",
        &["nodiratime", "diratime"],
        &[Updates(FOLDER, true)],
        &[Lacks(&["nodiratime"])],
    ),
    flag(
        "CFG-MOPT-strictatime",
        &["strictatime"],
        &[Updates(FILE, true)],
        &[Lacks(&["relatime", "noatime"])],
    ),
    // What the kernel does by itself.
    flag("CFG-MOPT-nostrictatime", &["strictatime", "nostrictatime"], &[], &[Has("relatime")]),
    flag("CFG-MOPT-relatime", &["relatime"], &[Updates(FILE, true)], &[Has("relatime")]),
    flag("CFG-MOPT-norelatime", &["relatime", "norelatime"], &[], &[Lacks(&["noatime"])]),
    flag("CFG-MOPT-nosymfollow", &["nosymfollow"], &[Cannot(FOLLOW, "ELOOP")], &[Has("nosymfollow")]),
    flag("CFG-MOPT-symfollow", &["nosymfollow", "symfollow"], &[Can(FOLLOW)], &[Lacks(&["nosymfollow"])]),
    flag(
        "CFG-MOPT-defaults",
        &["defaults"],
        &[Can(TOUCH), Becomes(0), Can(OPEN)],
        &[Lacks(&["ro", "nosuid", "nodev", "noexec", "sync"])],
    ),
    flag("CFG-MOPT-sync", &["sync"], &[], &[Has("sync")]),
    flag("CFG-MOPT-async", &["sync", "async"], &[], &[Lacks(&["sync"])]),
    flag("CFG-MOPT-dirsync", &["dirsync"], &[], &[Has("dirsync")]),
    flag("CFG-MOPT-lazytime", &["lazytime"], &[], &[Has("lazytime")]),
    flag("CFG-MOPT-nolazytime", &["lazytime", "nolazytime"], &[], &[Lacks(&["lazytime"])]),
    flag("CFG-MOPT-iversion", &["iversion"], &[], &[Lacks(&[])]),
    flag("CFG-MOPT-noiversion", &["iversion", "noiversion"], &[], &[Lacks(&[])]),
    flag("CFG-MOPT-silent", &["silent"], &[], &[Lacks(&[])]),
    flag("CFG-MOPT-loud", &["silent", "loud"], &[], &[Lacks(&[])]),
    flag("CFG-MOPT-mand", &["mand"], &[], &[Lacks(&[])]),
    flag("CFG-MOPT-nomand", &["mand", "nomand"], &[], &[Lacks(&[])]),
    // Accepted or not is all that can be told: what is left is what the kernel does by itself.
    flag("CFG-MOPT-rnorelatime", &["rnorelatime"], &[], &[Lacks(&["noatime"])]),
];

const fn flag(
    row: &'static str,
    options: &'static [&'static str],
    bound: &'static [Sign],
    fresh: &'static [Sign],
) -> Flag {
    Flag { row, options, bound, fresh }
}

/// The options that a runtime should or may implement, rather than must.
const OPTIONAL: [&str; 5] = [
    "CFG-MOPT-nosymfollow",
    "CFG-MOPT-symfollow",
    "CFG-MOPT-mand",
    "CFG-MOPT-nomand",
    "CFG-MOPT-rnorelatime",
];

/// No file system knows it.
const UNKNOWN: &str = "plimsoll-knows-no-such-option";

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases: Vec<_> = FLAGS.iter().map(attribute).collect();
    cases.extend([binds(), remount(), copy_up(), data(), unknown()]);
    cases
}

fn attribute(flag: &'static Flag) -> Case<Stage> {
    let name = flag.row.trim_start_matches("CFG-MOPT-");
    let run = move |stage: &mut Stage| {
        let mut wanted = actions(flag.bound, "/data");
        wanted.push("exit:0".to_owned());
        let mut config = stage.config(&wanted.iter().map(String::as_str).collect::<Vec<_>>());
        set(&mut config, "/process/user", json!({"uid": USER, "gid": USER}));
        add_mount(
            &mut config,
            json!({"destination": "/fresh", "type": "tmpfs", "source": "tmpfs", "options": flag.options}),
        );
        if !flag.bound.is_empty() {
            let source = tree(stage, "source", MountFlags::empty())?;
            let options: Vec<&str> = ["bind"].iter().chain(flag.options).copied().collect();
            add_mount(&mut config, bind(&source, PLAIN, &["bind"]));
            add_mount(&mut config, bind(&source, "/data", &options));
        }
        stage.observe("with", &config)
    };
    let signs = flag.fresh.iter().map(|sign| sign.judge("with", "/fresh"));
    let signs: Vec<Judge> = signs.chain(flag.bound.iter().map(|sign| sign.judge("with", "/data"))).collect();
    let judge = all(signs);
    let judge = if OPTIONAL.contains(&flag.row) { optional("with", judge) } else { judge };
    Case::new(format!("mount-options/{name}"), run).rule(flag.row, judge)
}

/// `bind` takes the folder without what is mounted in it, `rbind` with it.
fn binds() -> Case<Stage> {
    Case::new("mount-options/bind", |stage: &mut Stage| {
        let source = tree(stage, "source", MountFlags::empty())?;
        let mut config = stage.config(&[
            "read:/one/file",
            "read:/one/sub/file",
            "read:/all/file",
            "read:/all/sub/file",
            "exit:0",
        ]);
        add_mount(&mut config, bind(&source, "/one", &["bind"]));
        add_mount(&mut config, bind(&source, "/all", &["rbind"]));
        stage.observe("bound", &config)
    })
    .rule(
        "CFG-MOPT-bind",
        all(vec![
            gives("bound", "read:/one/file", "", TEXT),
            fails("bound", "read:/one/sub/file", &["ENOENT"]),
            not_mounted("bound", "/one/sub"),
        ]),
    )
    .rule(
        "CFG-MOPT-rbind",
        all(vec![gives("bound", "read:/all/file", "", TEXT), gives("bound", "read:/all/sub/file", "", TEXT)]),
    )
}

/// A second entry changes the first and adds no mount.
fn remount() -> Case<Stage> {
    Case::new("mount-options/remount", |stage: &mut Stage| {
        let mut config = stage.config(&["touch:/data/new", "touch:/control/new", "exit:0"]);
        let entry = |target: &str, options: &[&str]| json!({"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options});
        add_mount(&mut config, entry("/control", &["mode=777"]));
        add_mount(&mut config, entry("/data", &["mode=777"]));
        add_mount(&mut config, entry("/data", &["remount", "ro"]));
        stage.observe("remounted", &config)
    })
    .rule(
        "CFG-MOPT-remount",
        all(vec![
            mounted_times("remounted", "/data", 1),
            given(
                succeeds("remounted", "touch:/control/new"),
                fails("remounted", "touch:/data/new", &["EROFS"]),
            ),
        ]),
    )
}

fn copy_up() -> Case<Stage> {
    Case::new("mount-options/tmpcopyup", |stage: &mut Stage| {
        let mut config = stage.config(&["read:/mnt/file", "stat:/mnt/file", "touch:/mnt/new", "exit:0"]);
        add_mount(
            &mut config,
            json!({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}),
        );
        let container = stage.bundle(&config)?;
        let folder = container.rootfs().join("mnt");
        let written = std::fs::write(folder.join("file"), TEXT);
        written.map_err(|e| environment("fill the folder below the tmpfs", e))?;
        stage.observe_in("copied", container)?;
        stage.evidence.record("original", json!({"new": folder.join("new").exists()}));
        Ok(())
    })
    .rule(
        "CFG-MOPT-tmpcopyup",
        optional(
            "copied",
            all(vec![
                mount_is("copied", "/mnt", "tmpfs"),
                gives("copied", "read:/mnt/file", "", TEXT),
                succeeds("copied", "touch:/mnt/new"),
                crate::evidence::judge::equals("/original/new", false),
            ]),
        ),
    )
}

fn environment(context: &str, error: std::io::Error) -> Obstacle {
    crate::Error::because(crate::Kind::Environment, context, error).into()
}

/// What only the file system knows reaches it.
fn data() -> Case<Stage> {
    Case::new("mount-options/data", |stage: &mut Stage| {
        let mut config = stage.config(&["statfs:/data", "stat:/data", "exit:0"]);
        let options = ["nosuid", "size=64k", "mode=751", "nr_inodes=5"];
        add_mount(
            &mut config,
            json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options}),
        );
        stage.observe("data", &config)
    })
    .rule(
        "CFG-MNT-10",
        all(vec![
            crate::runtime::seen::yields("data", "statfs:/data", "has 64 KiB and 5 inodes", |value| {
                let number = |member: &str| value.get(member).and_then(Value::as_u64).unwrap_or_default();
                number("blocks") * number("blockSize") == 64 << 10 && number("files") == 5
            }),
            gives("data", "stat:/data", "/mode", 0o751),
            mount_has("data", "/data", "nosuid"),
        ]),
    )
}

fn unknown() -> Case<Stage> {
    Case::new("mount-options/unknown", |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        add_mount(&mut config, json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs"}));
        append(&mut config, "/mounts/4/options", json!(UNKNOWN));
        stage.attempt("unknown", &config)
    })
    .rule("CFG-MNT-10", refused("/unknown"))
    .rule("RUN-ERR-01", crate::evidence::judge::unchanged("/unknown"))
}
