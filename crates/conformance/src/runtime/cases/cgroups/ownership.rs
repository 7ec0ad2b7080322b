//! Whom the cgroup of a container belongs to: root, unless the container is to manage it itself.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;

use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::judge::{all, equals, satisfies, succeeds};
use crate::evidence::{Evidence, Judge};
use crate::runtime::Stage;
use crate::verdict::{Judgement, Reason};

use super::{need_pure, place};

/// The id on the host of the container's root.
const OWNER: u32 = 100_000;

/// The kernel's own list of what may be given away.
const LIST: &str = "/sys/kernel/cgroup/delegate";

/// Given away where the kernel has no list.
const WITHOUT_LIST: [&str; 3] = ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

pub(super) fn cases() -> Vec<Case<Stage>> {
    vec![delegated(), read_only(), no_mount(), no_namespace(), without_a_list(), first_version()]
}

/// How the tree of cgroups is seen inside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Writable,
    ReadOnly,
    Absent,
}

fn config(stage: &Stage, view: View, namespaced: bool) -> Value {
    let mut config = stage.config(&["exit:0"]);
    let mapping = json!([{"containerID": 0, "hostID": OWNER, "size": 1000}]);
    config["linux"]["uidMappings"] = mapping.clone();
    config["linux"]["gidMappings"] = mapping;
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.push(json!({"type": "user"}));
        if namespaced {
            namespaces.push(json!({"type": "cgroup"}));
        }
    }
    if let Some(mounts) = config["mounts"].as_array_mut()
        && view != View::Absent
    {
        let how = if view == View::Writable { "rw" } else { "ro" };
        mounts.push(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", how]}));
    }
    config
}

/// The owners of the container's cgroup of version 2.
fn look_at_unified(stage: &mut Stage, config: &Value) -> Result<(), Obstacle> {
    need_pure()?;
    look(stage, config, "")
}

/// The owners of the container's cgroup: of the directory, and of every file in it.
fn look(stage: &mut Stage, config: &Value, controller: &str) -> Result<(), Obstacle> {
    stage.caller.must_be_root("give the root file system away")?;
    let mut container = stage.bundle(&Value::Null)?;
    stage.write_config(&container, config.to_string().as_bytes())?;
    let target = container.rootfs().join("sys/fs/cgroup");
    std::fs::create_dir_all(&target).context(|| "make a place for the cgroups")?;
    for path in [container.rootfs(), container.bundle.clone()] {
        std::os::unix::fs::chown(&path, Some(OWNER), Some(OWNER))
            .context(|| "give the root file system away")?;
    }
    let ran = stage.create(&mut container)?;
    stage.evidence.record("create", crate::runtime::stage::brief(&ran));
    if let Some(place) = place(&container, controller) {
        let uid = |path: &str| std::fs::metadata(path).ok().map(|file| file.uid());
        stage.evidence.record("directory", uid(&place.directory));
        let files = std::fs::read_dir(&place.directory).into_iter().flatten().flatten();
        let mut given: Vec<String> = files
            .filter(|entry| entry.metadata().is_ok_and(|file| file.is_file() && file.uid() == OWNER))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        given.sort();
        let there = |name: &&str| std::path::Path::new(&place.directory).join(name).exists();
        let list = std::fs::read_to_string(LIST).unwrap_or_default();
        let listed: BTreeSet<&str> = list.lines().filter(there).collect();
        let missing = list.lines().filter(|name| !there(name)).count();
        stage.evidence.record("given", given);
        stage.evidence.record("listed", json!(listed));
        stage.evidence.record("listedButAbsent", missing);
        let plain: BTreeSet<&str> = WITHOUT_LIST.iter().copied().filter(there).collect();
        stage.evidence.record("plain", json!(plain));
    }
    stage.clean(&container)
}

fn delegated() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = config(stage, View::Writable, true);
        look_at_unified(stage, &config)
    };
    Case::new("cgroups/delegated", run)
        .rule("LNX-CGO-04", all(vec![succeeds("/create"), equals("/directory", OWNER)]))
        .rule("LNX-CGO-06", where_given(crate::evidence::judge::same("/given", "/listed")))
        .rule("LNX-CGO-07", where_one_is_absent(succeeds("/create")))
        .rule("LNX-CGO-08", where_given(holds_procs()))
        .rule("LNX-CGO-10", where_given(crate::evidence::judge::same("/given", "/listed")))
}

/// `judge`, where the kernel's list names a file that the cgroup does not have.
fn where_one_is_absent(judge: Judge) -> Judge {
    Box::new(move |evidence: &Evidence| match evidence.at("/listedButAbsent").and_then(Value::as_u64) {
        Some(0) => Judgement::skip(Reason::Kernel, "the cgroup has every file that the kernel lists"),
        _ => judge(evidence),
    })
}

fn holds_procs() -> Judge {
    satisfies("/given", "holds cgroup.procs", |given| {
        given.as_array().is_some_and(|given| given.contains(&json!("cgroup.procs")))
    })
}

/// `judge`, for a runtime that gives cgroups away at all: whether it does is a recommendation of its own.
fn where_given(judge: Judge) -> Judge {
    Box::new(move |evidence| {
        let created = evidence.at("/create/exit") == Some(&json!(0));
        match evidence.at("/directory") == Some(&json!(0)) && created {
            true => Judgement::not_applicable("the runtime gives no cgroup away"),
            false => judge(evidence),
        }
    })
}

fn read_only() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = config(stage, View::ReadOnly, true);
        look_at_unified(stage, &config)
    };
    Case::new("cgroups/not-delegated-read-only", run).rule(
        "LNX-CGO-04",
        all(vec![succeeds("/create"), equals("/directory", 0), equals("/given", json!([]))]),
    )
}

fn no_mount() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = config(stage, View::Absent, true);
        look_at_unified(stage, &config)
    };
    Case::new("cgroups/not-delegated-no-mount", run).rule(
        "LNX-CGO-05",
        all(vec![succeeds("/create"), equals("/directory", 0), equals("/given", json!([]))]),
    )
}

fn no_namespace() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = config(stage, View::Absent, false);
        look_at_unified(stage, &config)
    };
    Case::new("cgroups/not-delegated-no-namespace", run).rule(
        "LNX-CGO-03",
        all(vec![succeeds("/create"), equals("/directory", 0), equals("/given", json!([]))]),
    )
}

/// In version 1 no group may be given away.
fn first_version() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        if super::has("pids") != Some(false) {
            let why = "this host has no cgroups of version 1".to_owned();
            return Err(Obstacle::Skip(crate::Reason::Kernel, why));
        }
        let config = config(stage, View::Writable, true);
        look(stage, &config, "pids")
    };
    Case::new("cgroups/not-delegated-version-1", run)
        .rule("LNX-CGO-02", all(vec![succeeds("/create"), equals("/directory", 0)]))
}

/// The worker's own mount namespace hides the kernel's list.
fn without_a_list() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        need_pure()?;
        stage.caller.must_be_root("hide the kernel's list")?;
        if let Some(folder) = std::path::Path::new(LIST).parent().filter(|folder| folder.exists()) {
            mount("none", folder, "tmpfs", MountFlags::empty(), None).context(|| "hide the kernel's list")?;
            stage.note_own("mount");
            stage.note_command(&["mount", "-t", "tmpfs", "none", &folder.to_string_lossy()]);
        }
        let config = config(stage, View::Writable, true);
        look_at_unified(stage, &config)
    };
    Case::new("cgroups/delegated-without-a-list", run).rule(
        "LNX-CGO-09",
        where_given(all(vec![succeeds("/create"), crate::evidence::judge::same("/given", "/plain")])),
    )
}
