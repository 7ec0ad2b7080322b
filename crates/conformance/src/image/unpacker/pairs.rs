//! Every type of entry over every type of what is there: 7 by 7.

use serde_json::json;

use crate::case::Case;
use crate::image::consumer::Stage;
use crate::image::golden::pack::Item;
use crate::image::want::{Want, absent, content, is, kind, tree};

use super::{Recipe, case};

const TYPES: [&str; 7] = ["file", "directory", "symlink", "hard-link", "character", "block", "fifo"];

pub(super) fn cases() -> Vec<Case<Stage>> {
    let pairs = TYPES.iter().flat_map(|from| TYPES.iter().map(move |to| (*from, *to)));
    pairs.map(|(from, to)| pair(from, to)).collect()
}

fn pair(from: &'static str, to: &'static str) -> Case<Stage> {
    let build = move || {
        // Links lead to these; an unpacker that follows them changes them.
        let beside = [Item::file("target", "kept"), Item::directory("room"), Item::file("room/kept", "kept")];
        let lower = beside.into_iter().chain(lower(from)).collect();
        let upper = upper(to);
        Recipe::new(vec![lower, upper]).build()
    };
    let row = if (from, to) == ("directory", "directory") { "IMG-Y08" } else { "IMG-Y09" };
    case(format!("pair/{from}-to-{to}"), build).rule(row, tree("out", wants(from, to)))
}

fn lower(from: &str) -> Vec<Item> {
    match from {
        "file" => vec![Item::file("x", "lower")],
        "directory" => vec![Item::directory("x").mode(0o711).owner(1, 1), Item::file("x/inside", "lower")],
        "symlink" => vec![Item::symlink("x", "room")],
        "hard-link" => vec![Item::file("first", "lower"), Item::hard_link("x", "first")],
        "character" => vec![Item::character("x", 1, 3)],
        "block" => vec![Item::block("x", 7, 0)],
        _ => vec![Item::fifo("x")],
    }
}

fn upper(to: &str) -> Vec<Item> {
    match to {
        "file" => vec![Item::file("x", "upper").mode(0o600)],
        "directory" => vec![Item::directory("x").mode(0o700).owner(2, 3)],
        "symlink" => vec![Item::symlink("x", "target")],
        "hard-link" => vec![Item::file("other", "upper"), Item::hard_link("x", "other")],
        "character" => vec![Item::character("x", 1, 5).mode(0o640)],
        "block" => vec![Item::block("x", 7, 1).mode(0o640)],
        _ => vec![Item::fifo("x").mode(0o622)],
    }
}

fn wants(from: &str, to: &str) -> Vec<Want> {
    let mut wants = match to {
        "file" => vec![content("x", "upper"), is("x", "/mode", "0600")],
        "directory" => {
            vec![kind("x", "directory"), is("x", "/mode", "0700"), is("x", "/owner", json!([2, 3]))]
        }
        "symlink" => vec![kind("x", "symlink"), is("x", "/target", "target")],
        "hard-link" => vec![content("x", "upper"), Want::Same("x".into(), "other".into())],
        "character" => {
            vec![kind("x", "character"), is("x", "/device", json!([1, 5])), is("x", "/mode", "0640")]
        }
        "block" => vec![kind("x", "block"), is("x", "/device", json!([7, 1])), is("x", "/mode", "0640")],
        _ => vec![kind("x", "fifo"), is("x", "/mode", "0622")],
    };
    match (from, to) {
        // What was in the directory stays in one case and goes in all others.
        ("directory", "directory") => wants.push(content("x/inside", "lower")),
        ("directory", _) => wants.push(absent("x/inside")),
        ("hard-link", _) => wants.push(content("first", "lower")),
        _ => {}
    }
    wants.extend([content("target", "kept"), content("room/kept", "kept"), is("room", "/mode", "0755")]);
    wants
}
