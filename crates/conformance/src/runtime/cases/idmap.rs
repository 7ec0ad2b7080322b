//! Mounts whose owners are mapped. What is not mapped belongs to the overflow user or keeps its owner, so
//! that an option which is ignored shows.

use rustix::mount::MountFlags;
use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::judge::{all, refused, unchanged, where_supported};
use crate::evidence::{Judge, was_refused};
use crate::runtime::Stage;
use crate::runtime::seen::{gives, optional};
use crate::verdict::{Judgement, Reason};

use super::edit::{add_mount, append, bind, set};
use super::material::tree;

/// What the user namespace of a container begins at.
const NAMESPACE: u32 = 100_000;
/// What a mount's own mapping begins at: users, groups.
const MOUNT: (u32, u32) = (101_000, 102_000);

/// The rows of one of the two options.
struct Rows {
    option: &'static str,
    implemented: &'static str,
    applied: &'static str,
    given: &'static str,
    inherited: &'static str,
    nothing_to_use: &'static str,
}

const ROWS: [Rows; 2] = [
    Rows {
        option: "idmap",
        implemented: "CFG-MOPT-idmap",
        applied: "CFG-MIDM-idmap-01",
        given: "CFG-MIDM-idmap-03",
        inherited: "CFG-MIDM-idmap-04",
        nothing_to_use: "CFG-MIDM-idmap-05",
    },
    Rows {
        option: "ridmap",
        implemented: "CFG-MOPT-ridmap",
        applied: "CFG-MIDM-ridmap-01",
        given: "CFG-MIDM-ridmap-03",
        inherited: "CFG-MIDM-ridmap-04",
        nothing_to_use: "CFG-MIDM-ridmap-05",
    },
];

pub(super) fn cases() -> Vec<Case<Stage>> {
    let of = |rows| [applied(rows), given_mapping(rows), inherited(rows), nothing_to_use(rows)];
    let mut cases: Vec<_> = ROWS.iter().flat_map(of).collect();
    cases.push(half("mounts-idmap/users-alone", "CFG-MIDM-08", "gidMappings"));
    cases.push(half("mounts-idmap/groups-alone", "CFG-MIDM-09", "uidMappings"));
    cases
}

/// Whether the kernel maps owners of a tmpfs, which it does since Linux 6.3.
fn kernel_maps_tmpfs() -> Result<(), Obstacle> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if version >= (6, 3) {
        return Ok(());
    }
    Err(Obstacle::Skip(Reason::Kernel, format!("Linux {release} maps no owners of a tmpfs")))
}

fn mapping(first: u32) -> Value {
    json!([{"containerID": 0, "hostID": first, "size": 5000}])
}

/// A bind mount at `/data` of a tree that belongs to root, with `option` and perhaps mappings of its own.
fn entry(stage: &mut Stage, option: &str, own: bool) -> Result<Value, Obstacle> {
    kernel_maps_tmpfs()?;
    let source = tree(stage, "source", MountFlags::empty())?;
    let mut entry = bind(&source, "/data", &["rbind", option]);
    if own {
        set(&mut entry, "/uidMappings", mapping(MOUNT.0));
        set(&mut entry, "/gidMappings", mapping(MOUNT.1));
    }
    Ok(entry)
}

/// Looks at files of root in the tree and in what is mounted in it.
fn looking(stage: &Stage) -> Value {
    stage.config(&["stat:/data/setuid", "stat:/data/sub/setuid", "exit:0"])
}

/// Gives the container a user namespace.
fn with_users(config: &mut Value) {
    append(config, "/linux/namespaces", json!({"type": "user"}));
    for name in ["uidMappings", "gidMappings"] {
        set(
            config,
            &format!("/linux/{name}"),
            json!([{"containerID": 0, "hostID": NAMESPACE, "size": 65536}]),
        );
    }
}

/// Observes a container in a user namespace, whose root file system belongs to its root.
fn observe_with_users(stage: &mut Stage, name: &str, config: &mut Value) -> Result<(), Obstacle> {
    with_users(config);
    let container = stage.bundle(config)?;
    let rootfs = container.rootfs();
    std::fs::create_dir(rootfs.join("data")).context(|| "make a folder")?;
    for folder in ["", "dev", "etc", "proc", "sys", "tmp", "bin", "mnt", "data"] {
        std::os::unix::fs::chown(rootfs.join(folder), Some(NAMESPACE), Some(NAMESPACE))
            .context(|| "give the root file system to the container")?;
    }
    stage.observe_in(name, container)
}

/// Files of root belong to `users` and `groups`, in the tree and, for the recursive option, in what is
/// mounted in it.
fn owned(name: &str, option: &str, user: u32, group: u32) -> Judge {
    let places = if option == "ridmap" { &["/data", "/data/sub"][..] } else { &["/data"] };
    let of = |place: &&str| {
        let action = format!("stat:{place}/setuid");
        [gives(name, &action, "/uid", user), gives(name, &action, "/gid", group)]
    };
    all(places.iter().flat_map(of).collect())
}

fn applied(rows: &'static Rows) -> Case<Stage> {
    let option = rows.option;
    let run = move |stage: &mut Stage| {
        let entry = entry(stage, option, true)?;
        let mut config = looking(stage);
        add_mount(&mut config, entry);
        stage.observe("mapped", &config)
    };
    let owned = || owned("mapped", option, MOUNT.0, MOUNT.1);
    let implemented = match option {
        // The other option is there for what is mounted in the tree.
        "idmap" => all(vec![owned(), gives("mapped", "stat:/data/sub/setuid", "/uid", 0)]),
        _ => owned(),
    };
    Case::new(format!("mounts-idmap/{option}"), run)
        .rule(rows.implemented, optional("mapped", implemented))
        .rule(rows.applied, optional("mapped", owned()))
}

/// The mount's mapping is another than that of the container's user namespace.
fn given_mapping(rows: &'static Rows) -> Case<Stage> {
    let option = rows.option;
    let run = move |stage: &mut Stage| {
        let entry = entry(stage, option, true)?;
        let mut config = looking(stage);
        add_mount(&mut config, entry);
        observe_with_users(stage, "mapped", &mut config)
    };
    let owned = owned("mapped", option, MOUNT.0 - NAMESPACE, MOUNT.1 - NAMESPACE);
    Case::new(format!("mounts-idmap/{option}-own-mapping"), run).rule(rows.given, optional("mapped", owned))
}

/// Without a mapping of its own, the mount has the container's, or there is an error.
fn inherited(rows: &'static Rows) -> Case<Stage> {
    let option = rows.option;
    let run = move |stage: &mut Stage| {
        let entry = entry(stage, option, false)?;
        let mut config = looking(stage);
        add_mount(&mut config, entry);
        observe_with_users(stage, "mapped", &mut config)
    };
    let mapped = owned("mapped", option, 0, 0);
    let judge: Judge = Box::new(move |evidence| match evidence.at("/mapped/create") {
        Some(create) if was_refused(create) => Judgement::of(
            true,
            "the mapping of the container, or an error",
            crate::evidence::describe(create),
        ),
        _ => mapped(evidence),
    });
    Case::new(format!("mounts-idmap/{option}-of-container"), run).rule(rows.inherited, judge)
}

/// Neither the mount nor the container has a mapping.
fn nothing_to_use(rows: &'static Rows) -> Case<Stage> {
    let option = rows.option;
    let run = move |stage: &mut Stage| {
        let entry = entry(stage, option, false)?;
        let mut config = stage.config(&["exit:0"]);
        add_mount(&mut config, entry);
        stage.attempt("attempt", &config)
    };
    Case::new(format!("mounts-idmap/{option}-without-mapping"), run)
        .rule(rows.nothing_to_use, refused("/attempt"))
        .rule("RUN-ERR-01", unchanged("/attempt"))
}

/// One mapping without the other.
fn half(name: &str, row: &'static str, missing: &'static str) -> Case<Stage> {
    let run = move |stage: &mut Stage| {
        let mut entry = entry(stage, "idmap", true)?;
        let mut config = stage.config(&["exit:0"]);
        add_mount(&mut config, entry.clone());
        stage.observe("control", &config)?;
        super::edit::remove(&mut entry, &format!("/{missing}"));
        let mut config = stage.config(&["exit:0"]);
        add_mount(&mut config, entry);
        stage.attempt("attempt", &config)
    };
    Case::new(name, run)
        .rule(row, where_supported("/control", refused("/attempt")))
        .rule("RUN-ERR-01", unchanged("/attempt"))
}
