//! How mounts propagate: the options of bind mounts, and that of the root file system.

use std::path::PathBuf;

use rustix::mount::MountFlags;
use serde_json::json;

use crate::case::{Case, Obstacle};
use crate::evidence::Judge;
use crate::evidence::judge::{all, equals};
use crate::runtime::Stage;
use crate::runtime::seen::{Propagation, fails, given, mount_is, not_mounted, propagates, succeeds};

use super::edit::{add_mount, allow, bind, refusal, set};
use super::material::tree;

/// The options, and what they make of the mount itself.
const OPTIONS: [(&str, &str, Propagation); 8] = [
    ("CFG-MOPT-shared", "shared", Propagation::Shared),
    ("CFG-MOPT-rshared", "rshared", Propagation::Shared),
    ("CFG-MOPT-slave", "slave", Propagation::Slave),
    ("CFG-MOPT-rslave", "rslave", Propagation::Slave),
    ("CFG-MOPT-private", "private", Propagation::Private),
    ("CFG-MOPT-rprivate", "rprivate", Propagation::Private),
    ("CFG-MOPT-unbindable", "unbindable", Propagation::Unbindable),
    ("CFG-MOPT-runbindable", "runbindable", Propagation::Unbindable),
];

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases: Vec<_> = OPTIONS.into_iter().map(option).collect();
    cases.extend([root_shared(), root_slave(), root_private(), root_unbindable()]);
    cases.push(refusal("propagation/root-unknown", "LNX-PROP-bad", |config| {
        set(config, "/linux/rootfsPropagation", json!("everywhere"));
    }));
    cases
}

/// A tree of which each mount is in a group of peers, so that each kind of propagation differs from what is
/// there.
fn shared_tree(stage: &mut Stage) -> Result<PathBuf, Obstacle> {
    let source = tree(stage, "source", MountFlags::empty())?;
    stage.share_mount(&source)?;
    stage.share_mount(&source.join("sub"))?;
    Ok(source)
}

fn option((row, option, kind): (&'static str, &'static str, Propagation)) -> Case<Stage> {
    let run = move |stage: &mut Stage| {
        let source = shared_tree(stage)?;
        let mut config = stage.config(&["bind:/data:/mnt", "bind:/plain:/mnt", "exit:0"]);
        allow(&mut config, "CAP_SYS_ADMIN");
        if kind == Propagation::Slave {
            // There is only something to be the slave of where the source is not made private first.
            set(&mut config, "/linux/rootfsPropagation", json!("slave"));
        }
        add_mount(&mut config, bind(&source, "/plain", &["rbind"]));
        add_mount(&mut config, bind(&source, "/data", &["rbind", option]));
        let container = stage.bundle(&config)?;
        stage.observe_between("bound", container, |stage, _| {
            stage.tmpfs(source.join("late"), MountFlags::empty()).map(drop)
        })?;
        stage.evidence.record("inherited", source.join("late").exists());
        Ok(())
    };
    let mut judges: Vec<Judge> = vec![equals("/inherited", true), propagates("bound", "/data", kind)];
    if option.starts_with('r') {
        judges.push(propagates("bound", "/data/sub", kind));
    }
    judges.extend(match kind {
        Propagation::Slave => vec![mount_is("bound", "/data/late", "tmpfs")],
        Propagation::Private => vec![not_mounted("bound", "/data/late")],
        Propagation::Unbindable => {
            vec![given(succeeds("bound", "bind:/plain:/mnt"), fails("bound", "bind:/data:/mnt", &["EINVAL"]))]
        }
        // Whose peer it is, the specification leaves open.
        Propagation::Shared => Vec::new(),
    });
    Case::new(format!("propagation/{option}"), run).rule(row, all(judges))
}

/// A container whose bundle is in a group of peers, so that what is mounted in it afterwards can propagate;
/// that is done at `/mnt` between create and start.
fn root(kind: &'static str) -> impl Fn(&mut Stage) -> Result<(), Obstacle> + Send + Sync {
    move |stage: &mut Stage| {
        let mut config = stage.config(&["mount:tmpfs:/tmp", "bind:/:/bin", "exit:0"]);
        allow(&mut config, "CAP_SYS_ADMIN");
        set(&mut config, "/linux/rootfsPropagation", json!(kind));
        let container = stage.bundle(&config)?;
        stage.share(&container.bundle)?;
        let rootfs = container.rootfs();
        stage.observe_between("root", container, |stage, container| {
            stage.tmpfs(container.rootfs().join("mnt"), MountFlags::empty()).map(drop)
        })?;
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let inner = rootfs.join("tmp");
        let reached = table.lines().any(|line| line.split(' ').nth(4) == inner.to_str());
        stage.evidence.record("innerReachesHost", reached);
        Ok(())
    }
}

fn root_shared() -> Case<Stage> {
    Case::new("propagation/root-shared", root("shared"))
        .rule("LNX-PROP-shared", propagates("root", "/", Propagation::Shared))
}

fn root_slave() -> Case<Stage> {
    Case::new("propagation/root-slave", root("slave")).rule(
        "LNX-PROP-slave",
        all(vec![
            propagates("root", "/", Propagation::Slave),
            mount_is("root", "/mnt", "tmpfs"),
            given(succeeds("root", "mount:tmpfs:/tmp"), equals("/innerReachesHost", false)),
        ]),
    )
}

fn root_private() -> Case<Stage> {
    Case::new("propagation/root-private", root("private")).rule(
        "LNX-PROP-private",
        all(vec![
            propagates("root", "/", Propagation::Private),
            not_mounted("root", "/mnt"),
            given(succeeds("root", "mount:tmpfs:/tmp"), equals("/innerReachesHost", false)),
        ]),
    )
}

fn root_unbindable() -> Case<Stage> {
    Case::new("propagation/root-unbindable", root("unbindable")).rule(
        "LNX-PROP-unbindable",
        all(vec![
            propagates("root", "/", Propagation::Unbindable),
            not_mounted("root", "/mnt"),
            given(
                succeeds("root", "mount:tmpfs:/tmp"),
                all(vec![fails("root", "bind:/:/bin", &["EINVAL"]), equals("/innerReachesHost", false)]),
            ),
        ]),
    )
}
