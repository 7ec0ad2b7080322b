//! What of the root file system is masked or read-only, its label, and the file systems that Linux programs
//! expect.

use std::path::Path;

use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::{Context as _, Result};
use crate::evidence::Judge;
use crate::evidence::judge::all;
use crate::runtime::Stage;
use crate::runtime::seen::{fails, given, gives, result, succeeds, yields};
use crate::verdict::{Judgement, Reason};

use super::edit::{add_mount, refusal, set};

pub(super) fn cases() -> Vec<Case<Stage>> {
    vec![
        masked(),
        refusal("paths/masked-relative", "LNX-MASK-02", |config| {
            set(config, "/linux/maskedPaths", json!(["etc"]));
        }),
        readonly(),
        refusal("paths/readonly-relative", "LNX-ROP-02", |config| {
            set(config, "/linux/readonlyPaths", json!(["etc"]));
        }),
        label(),
        file_systems(),
    ]
}

const SECRET: &str = "secret";

/// `file` and `dir/file` in `folder`.
fn fill(folder: &Path) -> Result<()> {
    let context = || format!("fill {}", folder.display());
    std::fs::create_dir_all(folder.join("dir")).context(context)?;
    std::fs::write(folder.join("file"), SECRET).context(context)?;
    std::fs::write(folder.join("dir/file"), SECRET).context(context)
}

fn masked() -> Case<Stage> {
    Case::new("paths/masked", |stage: &mut Stage| {
        let mut config = stage.config(&[
            "read:/open/file",
            "read:/open/dir/file",
            "list:/open/dir",
            "read:/mnt/file",
            "read:/mnt/dir/file",
            "list:/mnt/dir",
            "exit:0",
        ]);
        set(&mut config, "/linux/maskedPaths", json!(["/mnt/file", "/mnt/dir"]));
        let container = stage.bundle(&config)?;
        fill(&container.rootfs().join("mnt"))?;
        fill(&container.rootfs().join("open"))?;
        stage.observe_in("masked", container)
    })
    .rule(
        "LNX-MASK-01",
        given(
            all(vec![
                gives("masked", "read:/open/file", "", SECRET),
                gives("masked", "read:/open/dir/file", "", SECRET),
                gives("masked", "list:/open/dir", "/0", "file"),
            ]),
            all(vec![hidden("read:/mnt/file"), hidden("read:/mnt/dir/file"), hidden("list:/mnt/dir")]),
        ),
    )
}

/// The action fails, or yields nothing.
fn hidden(action: &'static str) -> Judge {
    Box::new(move |evidence| {
        let found = result(evidence, "masked", action);
        let empty = |value: &Value| *value == json!("") || *value == json!([]);
        let holds = found.is_some_and(|it| it["ok"] == false || it["ok"] == true && empty(&it["value"]));
        let observed = found.map_or_else(|| evidence.show("/masked/report"), Value::to_string);
        Judgement::of(holds, format!("{action} shows nothing"), observed)
    })
}

fn readonly() -> Case<Stage> {
    Case::new("paths/readonly", |stage: &mut Stage| {
        let mut config = stage.config(&[
            "write:/open/file:x",
            "touch:/open/dir/new",
            "write:/mnt/file:x",
            "read:/mnt/file",
            "touch:/mnt/dir/new",
            "write:/mnt/dir/file:x",
            "unlink:/mnt/dir/file",
            "read:/mnt/dir/file",
            "exit:0",
        ]);
        set(&mut config, "/linux/readonlyPaths", json!(["/mnt/file", "/mnt/dir"]));
        let container = stage.bundle(&config)?;
        fill(&container.rootfs().join("mnt"))?;
        fill(&container.rootfs().join("open"))?;
        stage.observe_in("readonly", container)
    })
    .rule(
        "LNX-ROP-01",
        given(
            all(vec![
                succeeds("readonly", "write:/open/file:x"),
                succeeds("readonly", "touch:/open/dir/new"),
            ]),
            all(vec![
                fails("readonly", "write:/mnt/file:x", &["EROFS"]),
                gives("readonly", "read:/mnt/file", "", SECRET),
                fails("readonly", "touch:/mnt/dir/new", &["EROFS"]),
                fails("readonly", "write:/mnt/dir/file:x", &["EROFS"]),
                fails("readonly", "unlink:/mnt/dir/file", &["EROFS"]),
                gives("readonly", "read:/mnt/dir/file", "", SECRET),
            ]),
        ),
    )
}

/// A label that the reference policy knows.
const LABEL: &str = "system_u:object_r:container_file_t:s0:c715,c811";

fn label() -> Case<Stage> {
    Case::new("paths/label", |stage: &mut Stage| {
        if !Path::new("/sys/fs/selinux/enforce").exists() {
            return Err(Obstacle::Skip(Reason::Lsm, "this kernel runs no SELinux".to_owned()));
        }
        let mut config = stage.config(&["xattr:/dev/shm:security.selinux", "exit:0"]);
        set(&mut config, "/linux/mountLabel", json!(LABEL));
        stage.observe("labelled", &config)
    })
    .rule(
        "LNX-LABEL-01",
        yields("labelled", "xattr:/dev/shm:security.selinux", "is the label", |value| {
            value.as_str().is_some_and(|text| text.trim_end_matches('\0') == LABEL)
        }),
    )
}

/// What the Linux ABI includes, when it is asked for: `statfs(2)`'s types.
const FILE_SYSTEMS: [(&str, &str, u64); 4] = [
    ("LNX-FS-proc", "/proc", 0x9fa0),
    ("LNX-FS-sysfs", "/sys", 0x6265_6572),
    ("LNX-FS-devpts", "/dev/pts", 0x1cd1),
    ("LNX-FS-tmpfs", "/dev/shm", 0x0102_1994),
];

fn file_systems() -> Case<Stage> {
    let mut case = Case::new("paths/file-systems", |stage: &mut Stage| {
        let mut wanted: Vec<String> =
            FILE_SYSTEMS.iter().map(|(_, path, _)| format!("statfs:{path}")).collect();
        wanted.push("exit:0".to_owned());
        let mut config = stage.config(&wanted.iter().map(String::as_str).collect::<Vec<_>>());
        add_mount(
            &mut config,
            json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}),
        );
        stage.observe("mounted", &config)
    });
    for (row, path, kind) in FILE_SYSTEMS {
        case = case.rule(row, gives("mounted", &format!("statfs:{path}"), "/type", kind));
    }
    case
}
