//! The root file system: where it is, and whether it can be written to.

use serde_json::json;

use crate::case::Case;
use crate::error::Context as _;
use crate::evidence::judge::{all, refused, unchanged};
use crate::runtime::Stage;
use crate::runtime::seen::{fails, given, gives, mount_has, succeeds};

use super::edit::{refusal, remove, set};

pub(super) fn cases() -> Vec<Case<Stage>> {
    vec![
        refusal("root/absent", "CFG-ROOT-01", |config| remove(config, "/root")),
        refusal("root/no-path", "CFG-ROOT-02", |config| set(config, "/root", json!({}))),
        paths(),
        refusal("root/no-directory", "CFG-ROOT-05", |config| set(config, "/root/path", json!("nowhere"))),
        a_file(),
        readonly(),
    ]
}

/// The ways to write one path, relative and absolute. The runtime is called from elsewhere.
fn paths() -> Case<Stage> {
    const NAMES: [&str; 4] = ["plain", "dotted", "deeper", "absolute"];
    Case::new("root/paths", |stage: &mut Stage| {
        for name in NAMES {
            let mut config = stage.config(&["read:/mnt/file", "exit:0"]);
            let container = stage.bundle(&config)?;
            let folder = if name == "deeper" {
                let moved = container.bundle.join("a/b");
                std::fs::create_dir(container.bundle.join("a")).context(|| "make a folder")?;
                std::fs::rename(container.rootfs(), &moved).context(|| "move the root file system")?;
                moved
            } else {
                container.rootfs()
            };
            std::fs::write(folder.join("mnt/file"), name).context(|| "mark the root file system")?;
            let path = match name {
                "plain" => "rootfs".to_owned(),
                "dotted" => "./rootfs".to_owned(),
                "deeper" => "a/b".to_owned(),
                _ => folder.to_string_lossy().into_owned(),
            };
            set(&mut config, "/root/path", json!(path));
            stage.write_config(&container, config.to_string().as_bytes())?;
            stage.observe_in(name, container)?;
        }
        Ok(())
    })
    .rule("CFG-ROOT-03", all(NAMES.map(|name| gives(name, "read:/mnt/file", "", name)).into()))
}

fn a_file() -> Case<Stage> {
    Case::new("root/file", |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        set(&mut config, "/root/path", json!("file"));
        let container = stage.bundle(&config)?;
        std::fs::write(container.bundle.join("file"), "").context(|| "make a file")?;
        stage.attempt_in("attempt", container)
    })
    .rule("CFG-ROOT-05", refused("/attempt"))
    .rule("RUN-ERR-01", unchanged("/attempt"))
}

fn readonly() -> Case<Stage> {
    Case::new("root/readonly", |stage: &mut Stage| {
        let mut config = stage.config(&["touch:/new", "touch:/etc/new", "mkdir:/mnt/new", "exit:0"]);
        stage.observe("default", &config)?;
        set(&mut config, "/root/readonly", json!(false));
        stage.observe("writable", &config)?;
        set(&mut config, "/root/readonly", json!(true));
        stage.observe("readonly", &config)
    })
    .rule(
        "CFG-ROOT-06",
        given(
            succeeds("writable", "touch:/new"),
            all(vec![
                fails("readonly", "touch:/new", &["EROFS"]),
                fails("readonly", "touch:/etc/new", &["EROFS"]),
                fails("readonly", "mkdir:/mnt/new", &["EROFS"]),
                mount_has("readonly", "/", "ro"),
            ]),
        ),
    )
    .rule(
        "CFG-ROOT-07",
        all(vec![
            succeeds("default", "touch:/new"),
            succeeds("default", "touch:/etc/new"),
            succeeds("default", "mkdir:/mnt/new"),
        ]),
    )
}
