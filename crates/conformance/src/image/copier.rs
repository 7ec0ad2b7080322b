//! What a copier does to images: rows that bind those who store or copy content.
//!
//! The target is a layout again, and every blob of the source has to be there, byte for byte.

mod mutants;

use plimsoll_digest::Algorithm;
use serde_json::{Value, json};

use crate::case::Case;
use crate::evidence::{Evidence, Judge};
use crate::verdict::Judgement;

use super::consumer::Stage;
use super::descriptor::{CONFIG, EMPTY, MANIFEST};
use super::golden::pack::{Item, archive};
use super::golden::{Golden, LAYER, Maker, index, manifest, named, platform, with};

pub use mutants::mutants;

/// Makes a layout.
type Build = fn() -> Golden;

/// Every case.
pub fn suite() -> Vec<Case<Stage>> {
    let table: [(&str, Build, &'static str); 6] = [
        ("image", image, "IMG-X01"),
        ("unusual-form", unusual, "IMG-X01"),
        ("unknown-artifact-type", artifact, "IMG-M07"),
        ("unknown-config-type", unknown_config, "IMG-M10"),
        ("unknown-layer-type", unknown_layer, "IMG-M23"),
        ("unknown-annotation", annotated, "IMG-A09"),
    ];
    let case = |(name, build, row): (&str, Build, &'static str)| {
        Case::new(format!("copy/{name}"), move |stage: &mut Stage| stage.consume("out", &build()))
            .rule(row, copied())
    };
    table.into_iter().map(case).collect()
}

/// The copy succeeded, and no blob is missing or other than it was.
fn copied() -> Judge {
    Box::new(|evidence: &Evidence| {
        if evidence.at("/out/ok") != Some(&Value::Bool(true)) {
            let ran = evidence.at("/out/run").map_or("it was not run".to_owned(), crate::evidence::describe);
            return Judgement::of(false, "the image is copied", ran);
        }
        let holds = evidence.at("/out/uncopied") == Some(&json!([]));
        Judgement::of(holds, "every blob is in the target as it was", evidence.show("/out/uncopied"))
    })
}

/// A layout of one manifest, which `change` changes; config and layer have the types given.
fn layout(
    config_type: &str,
    layer_type: &str,
    edit: super::golden::Edit<'_>,
    change: impl Fn(&mut Value),
) -> Golden {
    let mut maker = Maker::new(edit);
    let (layer, id) = maker.layer("0", layer_type, archive(&[Item::file("f", "text")]));
    let config = match config_type {
        CONFIG => {
            let config = json!({"config": {}, "rootfs": {"type": "layers", "diff_ids": [id]}});
            maker.document("config", CONFIG, &with(config, &platform()))
        }
        EMPTY => maker.blob("config", EMPTY, b"{}".to_vec(), Algorithm::Sha256),
        other => maker.blob("config", other, b"no json at all".to_vec(), Algorithm::Sha256),
    };
    let mut document = manifest(&config, &[layer]);
    change(&mut document);
    let document = maker.document("manifest", MANIFEST, &document);
    maker.finish(&index(&[named(document, "v1")]))
}

fn gzip() -> String {
    format!("{LAYER}+gzip")
}

fn image() -> Golden {
    layout(CONFIG, &gzip(), &|_, _| {}, |_| {})
}

/// White space and members that nobody knows: what is written anew comes out otherwise.
fn unusual() -> Golden {
    let spaced = |name: &str, bytes: &mut Vec<u8>| {
        if name == "manifest" || name == "config" {
            *bytes = String::from_utf8_lossy(bytes).replace(',', " ,\n").into_bytes();
        }
    };
    layout(CONFIG, &gzip(), &spaced, |v| v["com.example.extra"] = json!({"b": 1, "a": [null]}))
}

fn artifact() -> Golden {
    layout(EMPTY, "application/vnd.example.data", &|_, _| {}, |v| {
        v["artifactType"] = json!("application/vnd.example.thing");
    })
}

fn unknown_config() -> Golden {
    layout("application/vnd.example.config.v7", "application/vnd.example.data", &|_, _| {}, |_| {})
}

fn unknown_layer() -> Golden {
    layout("application/vnd.example.config.v7", "application/vnd.example.layer.v9", &|_, _| {}, |v| {
        v["layers"][0]["annotations"] = json!({"org.opencontainers.image.title": "f"});
    })
}

fn annotated() -> Golden {
    layout(CONFIG, &gzip(), &|_, _| {}, |v| v["annotations"] = json!({"com.example.unknown": "", "x": "y"}))
}
