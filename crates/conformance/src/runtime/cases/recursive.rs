//! The recursive options of mounts: each is tried on a tree with a mount in it, both of which have the
//! opposite, and has to change both.

use rustix::mount::MountFlags;
use serde_json::json;

use crate::case::Case;
use crate::evidence::Judge;
use crate::evidence::judge::all;
use crate::runtime::Stage;
use crate::runtime::seen::optional;
use crate::runtime::stage::{NOSYMFOLLOW, STRICTATIME};

use super::edit::{USER, add_mount, bind, set};
use super::material::tree;
use super::mount_options::Sign::{self, Becomes, Can, Cannot, Has, Lacks, Updates};
use super::mount_options::{PLAIN, actions};

/// One recursive option.
struct Recursive {
    row: &'static str,
    option: &'static str,
    /// What the tree has before.
    before: MountFlags,
    /// What top and sub-mount show then.
    after: &'static [Sign],
}

const NONE: MountFlags = MountFlags::empty();

const TOUCH: &str = "touch:{}/new";
const OPEN: &str = "open:{}/null:r";
const RUN: &str = "run:{}/setuid:whoami";
const FOLLOW: &str = "read:{}/link";
const FILE: &str = "atime:{}/file";
const FOLDER: &str = "atime:{}";

/// All but `rnorelatime`, which leaves what the kernel does by itself and is tried where it can at least be
/// refused. The table of the specification has no `rnodev`.
const OPTIONS: [Recursive; 16] = [
    recursive("CFG-MOPT-rro", "rro", NONE, &[Cannot(TOUCH, "EROFS"), Has("ro")]),
    recursive("CFG-MOPT-rrw", "rrw", MountFlags::RDONLY, &[Can(TOUCH), Lacks(&["ro"])]),
    recursive("CFG-MOPT-rnosuid", "rnosuid", NONE, &[Becomes(USER), Has("nosuid")]),
    recursive("CFG-MOPT-rsuid", "rsuid", MountFlags::NOSUID, &[Becomes(0), Lacks(&["nosuid"])]),
    recursive("CFG-MOPT-rdev", "rdev", MountFlags::NODEV, &[Can(OPEN), Lacks(&["nodev"])]),
    recursive("CFG-MOPT-rnoexec", "rnoexec", NONE, &[Cannot(RUN, "EACCES"), Has("noexec")]),
    recursive("CFG-MOPT-rexec", "rexec", MountFlags::NOEXEC, &[Can(RUN), Lacks(&["noexec"])]),
    recursive("CFG-MOPT-rnoatime", "rnoatime", NONE, &[Updates(FILE, false), Has("noatime")]),
    recursive("CFG-MOPT-ratime", "ratime", MountFlags::NOATIME, &[Updates(FILE, true), Lacks(&["noatime"])]),
    recursive(
        "CFG-MOPT-rnodiratime",
        "rnodiratime",
        NONE,
        &[Updates(FOLDER, false), Updates(FILE, true), Has("nodiratime")],
    ),
    recursive(
        "CFG-MOPT-rdiratime",
        "rdiratime",
        MountFlags::NODIRATIME,
        &[Updates(FOLDER, true), Lacks(&["nodiratime"])],
    ),
    recursive("CFG-MOPT-rrelatime", "rrelatime", STRICTATIME, &[Updates(FILE, true), Has("relatime")]),
    recursive("CFG-MOPT-rstrictatime", "rstrictatime", NONE, &[Lacks(&["relatime", "noatime"])]),
    recursive("CFG-MOPT-rnostrictatime", "rnostrictatime", STRICTATIME, &[Has("relatime")]),
    recursive("CFG-MOPT-rnosymfollow", "rnosymfollow", NONE, &[Cannot(FOLLOW, "ELOOP"), Has("nosymfollow")]),
    recursive("CFG-MOPT-rsymfollow", "rsymfollow", NOSYMFOLLOW, &[Can(FOLLOW), Lacks(&["nosymfollow"])]),
];

const fn recursive(
    row: &'static str,
    option: &'static str,
    before: MountFlags,
    after: &'static [Sign],
) -> Recursive {
    Recursive { row, option, before, after }
}

pub(super) fn cases() -> Vec<Case<Stage>> {
    OPTIONS.iter().map(case).collect()
}

fn case(option: &'static Recursive) -> Case<Stage> {
    let run = move |stage: &mut Stage| {
        let source = tree(stage, "source", option.before)?;
        let places = ["/data", "/data/sub"];
        let mut wanted: Vec<_> = places.iter().flat_map(|place| actions(option.after, place)).collect();
        wanted.push("exit:0".to_owned());
        let mut config = stage.config(&wanted.iter().map(String::as_str).collect::<Vec<_>>());
        set(&mut config, "/process/user", json!({"uid": USER, "gid": USER}));
        add_mount(&mut config, bind(&source, PLAIN, &["rbind"]));
        add_mount(&mut config, bind(&source, "/data", &["rbind", option.option]));
        stage.observe("with", &config)
    };
    let judges: Vec<Judge> = ["/data", "/data/sub"]
        .iter()
        .flat_map(|place| option.after.iter().map(|sign| sign.judge("with", place)))
        .collect();
    Case::new(format!("mounts-recursive/{}", option.option), run)
        .rule(option.row, optional("with", all(judges)))
}
