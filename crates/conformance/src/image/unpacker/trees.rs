//! Trees that layers make: media types, whiteouts, hard links and attributes.

use serde_json::json;

use crate::case::Case;
use crate::image::consumer::Stage;
use crate::image::golden::pack::{Item, TIME};
use crate::image::golden::{self, LAYER};
use crate::image::want::{Want, absent, content, is, kind, tree, tree_or_refusal};

use super::{Recipe, case};

pub(super) fn cases() -> Vec<Case<Stage>> {
    [media(), whiteouts(), links(), attributes(), whole()].into_iter().flatten().collect()
}

const NONDISTRIBUTABLE: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";

/// Layers of each type, alone.
fn media() -> Vec<Case<Stage>> {
    let types = [
        ("tar", LAYER.to_owned(), "IMG-M20"),
        ("tar+gzip", format!("{LAYER}+gzip"), "IMG-M20"),
        ("nondistributable", NONDISTRIBUTABLE.to_owned(), "IMG-M20"),
        ("nondistributable+gzip", format!("{NONDISTRIBUTABLE}+gzip"), "IMG-M20"),
        ("tar+zstd", format!("{LAYER}+zstd"), "IMG-M22"),
    ];
    let mut cases: Vec<_> = types
        .into_iter()
        .map(|(name, media_type, row)| {
            let build = move || {
                Recipe {
                    layers: vec![(media_type.clone(), vec![Item::directory("a"), Item::file("a/b", "text")])],
                    ..Recipe::new(Vec::new())
                }
                .build()
            };
            case(format!("media/{name}"), build).rule(row, tree("out", vec![content("a/b", "text")]))
        })
        .collect();
    // Each half of the archive is a member of its own.
    let members = case("media/gzip-members", || {
        Recipe::new(vec![vec![Item::file("first", "1".repeat(4000)), Item::file("last", "2")]]).build()
    });
    cases.push(members.rule("IMG-N25", tree("out", vec![kind("first", "file"), content("last", "2")])));
    cases
}

/// A base to be deleted from.
fn base() -> Vec<Item> {
    vec![
        Item::directory("d"),
        Item::file("d/a", "a"),
        Item::file("d/b", "b"),
        Item::directory("d/sub"),
        Item::file("d/sub/deep", "x"),
        Item::file("top", "t"),
        Item::file("kept", "k"),
    ]
}

/// A table: name, the upper layer, and per row what is wanted.
fn whiteouts() -> Vec<Case<Stage>> {
    let file = |name: &str| Item::file(name, "");
    let new = |name: &str| Item::file(name, "new");
    type Row = (&'static str, Vec<Want>);
    let table: Vec<(&str, Vec<Item>, Vec<Row>)> = vec![
        (
            "explicit",
            vec![file(".wh.top"), file("d/.wh.a")],
            vec![
                ("IMG-Y15", vec![content("kept", "k"), content("d/b", "b"), absent("top"), absent("d/a")]),
                ("IMG-Y11", vec![content("kept", "k"), absent(".wh.top"), absent("d/.wh.a")]),
            ],
        ),
        (
            "directory",
            vec![file(".wh.d")],
            vec![
                ("IMG-Y15", vec![content("kept", "k"), absent("d"), absent("d/sub/deep")]),
                ("IMG-Y11", vec![content("kept", "k"), absent(".wh.d")]),
            ],
        ),
        (
            "opaque",
            vec![file("d/.wh..wh..opq"), new("d/c")],
            vec![
                (
                    "IMG-Y15",
                    vec![
                        content("d/c", "new"),
                        kind("d", "directory"),
                        absent("d/a"),
                        absent("d/b"),
                        absent("d/sub"),
                    ],
                ),
                ("IMG-Y11", vec![content("d/c", "new"), absent("d/.wh..wh..opq")]),
                ("IMG-Y12", vec![content("d/c", "new"), content("top", "t")]),
            ],
        ),
        (
            "opaque-last",
            vec![new("d/c"), Item::directory("d/sub"), new("d/sub/new"), file("d/.wh..wh..opq")],
            vec![(
                "IMG-Y12",
                vec![content("d/c", "new"), content("d/sub/new", "new"), absent("d/a"), absent("d/sub/deep")],
            )],
        ),
        (
            "before-its-name",
            vec![file(".wh.top"), new("top")],
            vec![("IMG-Y12", vec![content("top", "new"), absent(".wh.top")])],
        ),
        (
            "after-its-name",
            vec![new("top"), file(".wh.top")],
            vec![("IMG-Y12", vec![content("top", "new"), absent(".wh.top")])],
        ),
        (
            "of-a-new-file",
            vec![new("fresh"), file(".wh.fresh")],
            vec![("IMG-Y12", vec![content("fresh", "new")])],
        ),
        (
            "of-nothing",
            vec![file("d/.wh.none"), new("fresh")],
            vec![("IMG-Y15", vec![content("fresh", "new"), content("d/a", "a"), absent("d/.wh.none")])],
        ),
        (
            "directory-made-anew",
            vec![file(".wh.d"), Item::directory("d").mode(0o700), new("d/c")],
            vec![(
                "IMG-Y12",
                vec![content("d/c", "new"), absent("d/a"), absent("d/sub"), is("d", "/mode", "0700")],
            )],
        ),
        (
            "recreated-as-in-the-text",
            vec![Item::directory("d"), Item::directory("d/sub"), new("d/sub/foo"), file("d/.wh..wh..opq")],
            vec![("IMG-Y12", vec![content("d/sub/foo", "new"), absent("d/sub/deep"), absent("d/b")])],
        ),
    ];
    let mut cases: Vec<_> = table
        .into_iter()
        .map(|(name, upper, rows)| {
            let build = move || Recipe::new(vec![base(), upper.clone()]).build();
            let case = case(format!("whiteout/{name}"), build);
            rows.into_iter().fold(case, |case, (row, wants)| case.rule(row, tree("out", wants)))
        })
        .collect();
    let again = case("whiteout/restored-by-a-third", move || {
        Recipe::new(vec![base(), vec![file(".wh.top")], vec![new("top")]]).build()
    });
    cases.push(again.rule("IMG-Y12", tree("out", vec![content("top", "new"), content("kept", "k")])));
    cases
}

fn links() -> Vec<Case<Stage>> {
    let pair =
        || vec![Item::file("one", "1"), Item::hard_link("two", "one"), Item::hard_link("three", "one")];
    let lower = "the text says that a link to a file of another layer may fail";
    let to_symlink = "hard links to symbolic links are not supported everywhere";
    vec![
        case("link/one-file", move || Recipe::new(vec![pair()]).build()).rule(
            "IMG-N23",
            tree(
                "out",
                vec![
                    content("two", "1"),
                    Want::Same("one".into(), "two".into()),
                    Want::Same("one".into(), "three".into()),
                ],
            ),
        ),
        case("link/replaced-name", move || Recipe::new(vec![pair(), vec![Item::file("one", "new")]]).build())
            .rule(
                "IMG-N23",
                tree(
                    "out",
                    vec![
                        content("one", "new"),
                        content("two", "1"),
                        Want::Other("one".into(), "two".into()),
                        Want::Same("two".into(), "three".into()),
                    ],
                ),
            ),
        case("link/to-lower-layer", || {
            Recipe::new(vec![vec![Item::file("one", "1")], vec![Item::hard_link("two", "one")]]).build()
        })
        .rule("IMG-N23", tree_or_refusal("out", lower, vec![content("two", "1"), content("one", "1")])),
        case("link/to-symlink", || {
            Recipe::new(vec![vec![Item::symlink("one", "/nowhere"), Item::hard_link("two", "one")]]).build()
        })
        .rule(
            "IMG-N23",
            tree_or_refusal(
                "out",
                to_symlink,
                vec![is("two", "/target", "/nowhere"), Want::Same("one".into(), "two".into())],
            ),
        ),
        case("link/symlink-targets", || {
            Recipe::new(vec![vec![
                Item::symlink("absolute", "/etc/passwd"),
                Item::symlink("up", "../../up"),
                Item::symlink("self", "self"),
                Item::symlink("dot", "."),
            ]])
            .build()
        })
        .rule(
            "IMG-N22",
            tree(
                "out",
                vec![
                    is("absolute", "/target", "/etc/passwd"),
                    is("up", "/target", "../../up"),
                    is("self", "/target", "self"),
                    is("dot", "/target", "."),
                ],
            ),
        ),
    ]
}

fn attributes() -> Vec<Case<Stage>> {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let accents = "na\u{ef}ve";
    let table: Vec<(&str, Vec<Item>, Vec<Want>)> = vec![
        (
            "mode",
            vec![
                Item::file("setuid", "").mode(0o4755),
                Item::file("setgid", "").mode(0o2711),
                Item::directory("sticky").mode(0o1777),
                Item::file("none", "").mode(0),
                Item::directory("closed").mode(0o500),
                Item::file("closed/in", "x"),
            ],
            vec![
                is("setuid", "/mode", "4755"),
                is("setgid", "/mode", "2711"),
                is("sticky", "/mode", "1777"),
                is("none", "/mode", "0000"),
                is("closed", "/mode", "0500"),
                content("closed/in", "x"),
            ],
        ),
        (
            "owner",
            vec![
                Item::file("f", "").owner(1, 2).mode(0o4755),
                Item::directory("d").owner(3, 4),
                Item::symlink("l", "f").owner(5, 6),
                Item::file("large", "").owner(3_000_000_000, 2_100_000),
            ],
            vec![
                is("f", "/owner", json!([1, 2])),
                is("f", "/mode", "4755"),
                is("d", "/owner", json!([3, 4])),
                is("l", "/owner", json!([5, 6])),
                is("large", "/owner", json!([3_000_000_000_u32, 2_100_000])),
            ],
        ),
        (
            "time",
            vec![
                Item::directory("d").time(1_000_000, 0),
                Item::file("d/f", "").time(TIME, 123_456_789),
                Item::file("old", "").time(0, 0),
                Item::file("older", "").time(-5, 0),
                Item::file("later", "").time(5_000_000_000, 0),
                Item::symlink("l", "d").time(7, 0),
            ],
            vec![
                is("d", "/time", json!([1_000_000, 0])),
                is("d/f", "/time", json!([TIME, 123_456_789])),
                is("old", "/time", json!([0, 0])),
                is("older", "/time", json!([-5, 0])),
                is("later", "/time", json!([5_000_000_000_i64, 0])),
                is("l", "/time", json!([7, 0])),
            ],
        ),
        (
            "device",
            vec![
                Item::character("null", 1, 3).mode(0o666),
                Item::block("loop", 7, 300),
                Item::fifo("pipe").mode(0o640),
            ],
            vec![
                kind("null", "character"),
                is("null", "/device", json!([1, 3])),
                is("null", "/mode", "0666"),
                kind("loop", "block"),
                is("loop", "/device", json!([7, 300])),
                kind("pipe", "fifo"),
                is("pipe", "/mode", "0640"),
            ],
        ),
        (
            "name",
            vec![
                Item::directory("d".repeat(120)),
                Item::file(long.as_str(), "long"),
                Item::symlink("l", "t".repeat(300)),
                Item::file(accents, "x"),
                Item::file("a b\nc", "odd"),
                Item::file("-rf", "dash"),
            ],
            vec![
                content(long, "long"),
                is("l", "/target", "t".repeat(300)),
                content(accents, "x"),
                content("a b\nc", "odd"),
                content("-rf", "dash"),
            ],
        ),
        (
            "parents",
            vec![Item::file("./a/b/c", "x"), Item::file("/abs", "y"), Item::file("a//d", "z")],
            vec![content("a/b/c", "x"), content("abs", "y"), content("a/d", "z"), kind("a", "directory")],
        ),
    ];
    let mut cases: Vec<_> = table
        .into_iter()
        .map(|(name, items, wants)| {
            let build = move || Recipe::new(vec![items.clone()]).build();
            case(format!("attribute/{name}"), build).rule("IMG-N22", tree("out", wants))
        })
        .collect();
    let xattrs = case("attribute/xattr", || {
        let file = Item::file("f", "x").xattr("user.note", b"a=b\n\0c").xattr("trusted.t", b"1");
        let capable =
            Item::file("capable", "").mode(0o755).owner(1, 1).xattr("security.capability", &CAPABILITY);
        Recipe::new(vec![vec![file, capable, Item::directory("d").xattr("user.d", b"d")]]).build()
    });
    let hexadecimal: String = CAPABILITY.iter().map(|byte| format!("{byte:02x}")).collect();
    cases.push(xattrs.rule(
        "IMG-N22",
        tree(
            "out",
            vec![
                is("f", "/xattrs/user.note", "613d620a0063"),
                is("f", "/xattrs/trusted.t", "31"),
                is("d", "/xattrs/user.d", "64"),
                is("capable", "/xattrs/security.capability", hexadecimal),
            ],
        ),
    ));
    let kept = case("attribute/of-parents-kept", || {
        let lower = vec![Item::directory("d").mode(0o700).time(99, 0), Item::file("d/a", "")];
        Recipe::new(vec![lower, vec![Item::directory("d").mode(0o711).time(77, 0), Item::file("d/b", "")]])
            .build()
    });
    cases.push(kept.rule(
        "IMG-Y08",
        tree("out", vec![is("d", "/mode", "0711"), is("d", "/time", json!([77, 0])), kind("d/a", "file")]),
    ));
    cases
}

/// cap_net_bind_service, permitted and effective, version 2.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The layers of the layout that holds everything, as a person would apply them.
fn whole() -> Vec<Case<Stage>> {
    let wants = || {
        vec![
            is("etc", "/mode", "0750"),
            absent("etc/config"),
            content("etc/new", "three\n"),
            content("bin/tool", "#!2\n"),
            content("bin/alias", "#!\n"),
            is("bin/alias", "/mode", "4755"),
            is("bin/tool", "/mode", "0644"),
            absent("bin/sh"),
            is("abs", "/target", "/etc/config"),
            kind("dev/null", "character"),
            kind("dev/pipe", "fifo"),
            is("tmp", "/mode", "1777"),
            content("old/c", "c"),
            absent("old/a"),
            absent("old/b"),
            absent("old/.wh..wh..opq"),
            is("caf\u{e9}", "/owner", json!([3_000_000_000_u32, 7])),
        ]
    };
    let build = || {
        golden::everything(&|name, bytes| {
            if name == "index.json" {
                *bytes = String::from_utf8_lossy(bytes).replace("\"v1.0\"", "\"v1\"").into_bytes();
            }
        })
    };
    let stack = || {
        Recipe::new(vec![
            vec![Item::file("f", "1"), Item::file("only-base", "b")],
            vec![Item::file("f", "2"), Item::file("only-two", "t")],
            vec![Item::file("f", "3")],
        ])
        .build()
    };
    let repeated = || {
        let once = vec![Item::file("f", "1")];
        Recipe::new(vec![once.clone(), vec![Item::file(".wh.f", "")], once]).build()
    };
    vec![
        // It has a layer of zstd, which is a recommendation only.
        case("stack/everything", build)
            .rule("IMG-M19", tree_or_refusal("out", "layers of zstd need not be supported", wants())),
        case("stack/order", stack)
            .rule(
                "IMG-M19",
                tree("out", vec![content("f", "3"), content("only-base", "b"), content("only-two", "t")]),
            )
            .rule("IMG-M11", tree("out", vec![content("f", "3")]))
            .rule("IMG-I09", tree("out", vec![content("f", "3")])),
        case("stack/same-layer-twice", repeated).rule("IMG-M19", tree("out", vec![content("f", "1")])),
        case("stack/no-entries", || Recipe::new(vec![Vec::new(), vec![Item::file("f", "1")]]).build())
            .rule("IMG-M19", tree("out", vec![content("f", "1")])),
    ]
}
