//! What a mount entry means: its place, its source, its type, and its place among the others.

use std::path::Path;

use serde_json::{Value, json};

use crate::case::Case;
use crate::error::{Context as _, Result};
use crate::evidence::judge::all;
use crate::runtime::Stage;
use crate::runtime::seen::{fails, gives, mount_is, mounted_times};

use super::edit::{add_mount, bind, refusal, set};

pub(super) fn cases() -> Vec<Case<Stage>> {
    vec![
        order(),
        relative_destination(),
        relative_source(),
        bound_by_option(),
        refusal("mounts/no-destination", "CFG-MNT-02", |config| {
            add_mount(config, json!({"type": "tmpfs", "source": "tmpfs"}));
        }),
        refusal("mounts/unknown-type", "CFG-MNT-07", |config| {
            let entry = json!({"destination": "/data", "type": "plimsoll-no-such-type", "source": "none"});
            add_mount(config, entry);
        }),
    ]
}

/// A folder with a `file` that says `text`, below the bundle or beside it.
fn folder(path: &Path, text: &str) -> Result<()> {
    let context = || format!("make {}", path.display());
    std::fs::create_dir_all(path).context(context)?;
    std::fs::write(path.join("file"), text).context(context)
}

fn tmpfs(target: &str) -> Value {
    json!({"destination": target, "type": "tmpfs", "source": "tmpfs"})
}

/// What is mounted later lies above, whichever is the deeper.
fn order() -> Case<Stage> {
    Case::new("mounts/order", |stage: &mut Stage| {
        let (first, second) = (stage.place.join("first"), stage.place.join("second"));
        folder(&first, "first")?;
        folder(&second, "second")?;
        let mut config = stage.config(&[
            "read:/outer/inner/file",
            "read:/covered/inner/file",
            "read:/same/file",
            "exit:0",
        ]);
        add_mount(&mut config, tmpfs("/outer"));
        add_mount(&mut config, bind(&first, "/outer/inner", &["bind"]));
        add_mount(&mut config, bind(&first, "/covered/inner", &["bind"]));
        add_mount(&mut config, tmpfs("/covered"));
        add_mount(&mut config, bind(&first, "/same", &["bind"]));
        add_mount(&mut config, bind(&second, "/same", &["bind"]));
        stage.observe("ordered", &config)
    })
    .rule(
        "CFG-MNT-01",
        all(vec![
            gives("ordered", "read:/outer/inner/file", "", "first"),
            fails("ordered", "read:/covered/inner/file", &["ENOENT"]),
            mount_is("ordered", "/covered", "tmpfs"),
            gives("ordered", "read:/same/file", "", "second"),
        ]),
    )
}

fn relative_destination() -> Case<Stage> {
    Case::new("mounts/relative-destination", |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        set(&mut config, "/process/cwd", json!("/mnt"));
        add_mount(&mut config, tmpfs("data/deep"));
        stage.observe("relative", &config)
    })
    .rule("CFG-MNT-04", mounted_times("relative", "/data/deep", 1))
}

/// The runtime is called from elsewhere.
fn relative_source() -> Case<Stage> {
    Case::new("mounts/relative-source", |stage: &mut Stage| {
        let mut config =
            stage.config(&["read:/relative/file", "read:/dotted/file", "read:/absolute/file", "exit:0"]);
        let place = stage.place.join("absolute");
        folder(&place, "absolute")?;
        add_mount(&mut config, bind(Path::new("inside"), "/relative", &["bind"]));
        add_mount(&mut config, bind(Path::new("./inside"), "/dotted", &["bind"]));
        add_mount(&mut config, bind(&place, "/absolute", &["bind"]));
        let container = stage.bundle(&config)?;
        folder(&container.bundle.join("inside"), "inside")?;
        // What a runtime finds that looks where it was called.
        folder(&stage.place.join("inside"), "wrong")?;
        stage.observe_in("bound", container)
    })
    .rule(
        "CFG-MNT-05",
        all(vec![
            gives("bound", "read:/relative/file", "", "inside"),
            gives("bound", "read:/dotted/file", "", "inside"),
            gives("bound", "read:/absolute/file", "", "absolute"),
        ]),
    )
}

/// Whatever the type says, `bind` or `rbind` makes a bind mount, and only they do.
fn bound_by_option() -> Case<Stage> {
    const TYPES: [(&str, Option<&str>, &str); 6] = [
        ("/absent", None, "bind"),
        ("/absent-recursive", None, "rbind"),
        ("/none", Some("none"), "bind"),
        ("/bind", Some("bind"), "rbind"),
        ("/ext4", Some("ext4"), "bind"),
        ("/tmpfs", Some("tmpfs"), "rbind"),
    ];
    let judges =
        TYPES.iter().map(|(target, _, _)| gives("bound", &format!("read:{target}/file"), "", "bound"));
    let judges = judges
        .chain([mount_is("bound", "/unbound", "tmpfs"), fails("bound", "read:/unbound/file", &["ENOENT"])]);
    Case::new("mounts/bound-by-option", |stage: &mut Stage| {
        let source = stage.place.join("source");
        folder(&source, "bound")?;
        let mut wanted: Vec<_> = TYPES.iter().map(|(target, _, _)| format!("read:{target}/file")).collect();
        wanted.extend(["read:/unbound/file".to_owned(), "exit:0".to_owned()]);
        let mut config = stage.config(&wanted.iter().map(String::as_str).collect::<Vec<_>>());
        for (target, kind, option) in TYPES {
            let mut entry = json!({"destination": target, "source": source, "options": [option]});
            if let Some(kind) = kind {
                set(&mut entry, "/type", json!(kind));
            }
            add_mount(&mut config, entry);
        }
        add_mount(&mut config, json!({"destination": "/unbound", "type": "tmpfs", "source": source}));
        stage.observe("bound", &config)
    })
    .rule("CFG-MNT-06", all(judges.collect()))
}
