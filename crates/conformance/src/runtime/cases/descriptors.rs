//! Which descriptors a program finds open.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::judge::satisfies;
use crate::runtime::Stage;
use crate::runtime::seen::{given, optional};
use crate::verdict::Judgement;

pub(super) fn cases() -> Vec<Case<Stage>> {
    vec![closed(), passed()]
}

/// An open file that programs which this process executes inherit.
fn inheritable(stage: &mut Stage, name: &str) -> Result<OwnedFd, Obstacle> {
    let path = stage.place.join(name);
    let flags = OFlags::RDWR | OFlags::CREATE;
    let opened = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o644))
        .context(|| format!("open {}", path.display()))?;
    stage.note_open(opened.as_raw_fd(), &path);
    Ok(opened)
}

/// What the caller of the runtime has left open is none of the container's business.
fn closed() -> Case<Stage> {
    Case::new("descriptors/closed", |stage: &mut Stage| {
        let held = ["one", "two", "three"].map(|name| inheritable(stage, name));
        let config = stage.config(&["exit:0"]);
        let done = stage.observe("closed", &config);
        let inherited: Vec<i32> = held.iter().flatten().map(OwnedFd::as_raw_fd).collect();
        stage.evidence.record("inherited", inherited);
        done
    })
    .rule(
        "RLX-FD-01",
        given(
            satisfies("/inherited", "are three descriptors", |held| held.as_array().map(Vec::len) == Some(3)),
            satisfies("/closed/report/descriptors", "are 0, 1 and 2", |open| {
                let numbers: Vec<&Value> =
                    open.as_array().into_iter().flatten().map(|it| &it["fd"]).collect();
                numbers == [&json!(0), &json!(1), &json!(2)]
            }),
        ),
    )
}

/// One that is handed on by the option for it.
fn passed() -> Case<Stage> {
    Case::new("descriptors/passed", |stage: &mut Stage| {
        let file = inheritable(stage, "passed")?;
        let number = file.as_raw_fd();
        let stat = rustix::fs::fstat(&file).context(|| "look at a file")?;
        stage.evidence.record("file", json!({"number": number, "inode": stat.st_ino}));
        // Those that are handed on are counted from 3.
        let count = (number - 2).to_string();
        let config = stage.config(&["follow:/proc/self/fd/3", "follow:/proc/self/fd/4", "exit:0"]);
        let mut container = stage.bundle(&config)?;
        let created = stage.create_by("create-fds", &[("count", &count)], &mut container)?;
        let mut seen = json!({"create": created.to_json()});
        if created.ok() && stage.start(&container)?.ok() {
            stage.wait(&container);
            seen["report"] = container.frames().into_iter().next().unwrap_or_default();
        }
        stage.evidence.record("passed", seen);
        stage.clean(&container)
    })
    .rule("RLX-FD-02", optional("passed", handed_on()))
}

/// The program has the very file, under the number that it had outside.
fn handed_on() -> crate::evidence::Judge {
    Box::new(|evidence| {
        let place = |pointer: &str| evidence.at(pointer).cloned().unwrap_or_default();
        let (number, inode) = (place("/file/number"), place("/file/inode"));
        let results = place("/passed/report/results");
        let action = format!("follow:/proc/self/fd/{number}");
        let found = results.as_array().into_iter().flatten().find(|result| result["do"] == action.as_str());
        let holds = found.is_some_and(|result| !inode.is_null() && result["value"]["inode"] == inode);
        let observed = found.map_or_else(|| evidence.show("/passed/report"), Value::to_string);
        Judgement::of(holds, format!("descriptor {number} is the file with inode {inode}"), observed)
    })
}
