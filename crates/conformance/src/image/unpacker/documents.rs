//! Documents that have to be refused, and documents that must not be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::case::Case;
use crate::evidence::{Judge, judge};
use crate::image::consumer::Stage;
use crate::image::descriptor::{INDEX, MANIFEST};
use crate::image::golden::pack::{Item, archive};
use crate::image::golden::{Golden, Maker, index, manifest, named, platform, with};
use crate::image::want::{
    content, refused, refused_or_passed_over, refused_or_unknown, tree, tree_or_refusal,
};

use super::{Recipe, case};
use plimsoll_digest::Algorithm;

pub(super) fn cases() -> Vec<Case<Stage>> {
    [refusals(), tolerance(), indexes()].into_iter().flatten().collect()
}

pub(super) fn plain() -> Recipe<'static> {
    Recipe::new(vec![vec![Item::file("f", "text")]])
}

/// A layout whose blob of at most `most` bytes that begins with `start` has another last byte.
fn damaged(golden: Golden, is_it: impl Fn(&[u8]) -> bool, change: impl Fn(&mut Vec<u8>)) -> Golden {
    let mut golden = golden;
    for (name, bytes) in &mut golden.files {
        if name.starts_with("blobs/") && is_it(bytes) {
            change(bytes);
        }
    }
    golden
}

fn is_layer(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

fn is_config(bytes: &[u8]) -> bool {
    bytes.windows(9).any(|window| window == b"\"rootfs\":")
}

fn is_manifest(bytes: &[u8]) -> bool {
    bytes.windows(9).any(|window| window == b"\"layers\":")
}

/// What was accepted shows no verification, but the row asks for the ability only.
const UNSEEN: &str = "content that does not match was used, so nothing shows whether SHA-256 can be verified";

/// Whoever does not use embedded data has nothing to check. The data is that of a whole other image, so whoever
/// uses it without a check ends with that.
const PASSED_OVER: &str = "the content itself was used, so nothing shows whether embedded data is checked";

fn refusals() -> Vec<Case<Stage>> {
    // In a gzip header the time says nothing about the content: all but the digest stays right.
    let layer = case("refuse/layer-damaged", || damaged(plain().build(), is_layer, |bytes| bytes[4] ^= 1));
    let config = case("refuse/config-damaged", || {
        damaged(plain().build(), is_config, |bytes| {
            let text = String::from_utf8_lossy(bytes).replace("2020-01-02", "2021-01-02");
            *bytes = text.into_bytes();
        })
    });
    let manifest = case("refuse/manifest-damaged", || {
        let noted = Recipe { manifest: &|v| v["x.y"] = json!(""), ..plain() };
        damaged(noted.build(), is_manifest, |bytes| {
            // A space more, and one character less in a name that nobody reads: the same length and meaning.
            let text = String::from_utf8_lossy(bytes).replace("\"x.y\":", "\"x\":  ");
            *bytes = text.into_bytes();
        })
    });
    let size = case("refuse/size-wrong", || {
        Recipe {
            manifest: &|v| v["layers"][0]["size"] = json!(v["layers"][0]["size"].as_i64().unwrap_or(0) + 1),
            ..plain()
        }
        .build()
    });
    let data = case("refuse/data-wrong", || {
        let other = Recipe::new(vec![vec![Item::file("f", "data")]]).build();
        let embedded = |is_it: fn(&[u8]) -> bool| {
            json!(other.files.values().find(|bytes| is_it(bytes)).map(|bytes| STANDARD.encode(bytes)))
        };
        let manifest = |v: &mut Value| {
            v["config"]["data"] = embedded(is_config);
            v["layers"][0]["data"] = embedded(is_layer);
        };
        Recipe { manifest: &manifest, ..plain() }.build()
    });
    let rootfs = case("refuse/rootfs-type", || {
        Recipe { config: &|v| v["rootfs"]["type"] = json!("deltas"), ..plain() }.build()
    });
    vec![
        layer
            .rule("IMG-D06", refused("out"))
            .rule("IMG-D21", refused("out"))
            .rule("IMG-D26", refused_or_unknown("out", UNSEEN)),
        config.rule("IMG-D06", refused("out")).rule("IMG-D21", refused("out")),
        manifest.rule("IMG-D06", refused("out")).rule("IMG-D21", refused("out")),
        size.rule("IMG-D08", refused("out")),
        data.rule("IMG-D15", refused_or_passed_over("out", PASSED_OVER, &content("f", "text"))),
        rootfs.rule("IMG-C18", refused("out")),
    ]
}

/// One judge for every case that is about accepting.
fn taken() -> Judge {
    tree("out", vec![content("f", "text")])
}

fn tolerance() -> Vec<Case<Stage>> {
    let unknown = || {
        let mut maker = Maker::new(&|_, _| {});
        let other =
            maker.blob("other", "application/vnd.example.other", b"anything".to_vec(), Algorithm::Sha256);
        let (image, _) = plain().image(&mut maker);
        maker.finish(&index(&[other, named(image, "v1")]))
    };
    let algorithm = json!({"mediaType": MANIFEST, "digest": "example+b64:AbC_-=", "size": 3});
    vec![
        // Whoever cannot verify SHA-256 cannot take what is named by it.
        case("accept/sha256", || plain().build()).rule("IMG-D26", taken()),
        case("accept/unknown-type-in-index", unknown).rule("IMG-I12", taken()).rule("IMG-L13", taken()),
        case("accept/unknown-algorithm", move || {
            let algorithm = algorithm.clone();
            Recipe {
                index: &move |v| {
                    if let Some(list) = v["manifests"].as_array_mut() {
                        list.push(algorithm.clone());
                    }
                },
                ..plain()
            }
            .build()
        })
        .rule("IMG-D20", taken()),
        case("accept/extra-config-field", || {
            Recipe {
                config: &|v| {
                    v["com.example.extra"] = json!({"a": [1]});
                    v["config"]["Extra"] = json!(true);
                },
                ..plain()
            }
            .build()
        })
        .rule("IMG-C20", taken()),
        case("accept/extra-manifest-field", || {
            Recipe {
                manifest: &|v| v["com.example.extra"] = json!([]),
                index: &|v| v["x"] = json!(1),
                ..plain()
            }
            .build()
        })
        .rule("IMG-X02", taken()),
        case("accept/unknown-annotation", || {
            Recipe {
                manifest: &|v| {
                    v["annotations"] = json!({"com.example.unknown": "", "x": "y"});
                    v["layers"][0]["annotations"] = json!({"com.example.unknown": "1"});
                },
                ..plain()
            }
            .build()
        })
        .rule("IMG-A09", taken()),
        case("accept/null-config-fields", || {
            Recipe {
                config: &|v| {
                    *v = with(v.clone(), &json!({"author": null, "history": null, "os.features": null}));
                    v["config"] = json!({"Env": null, "Cmd": null, "Labels": null, "Volumes": null});
                },
                ..plain()
            }
            .build()
        })
        .rule("IMG-C20", taken()),
        unknown_config(),
    ]
}

/// Whether a config of an unknown type is parsed: then one that is no JSON makes a difference.
fn unknown_config() -> Case<Stage> {
    let artifact = |bytes: &[u8]| {
        let mut maker = Maker::new(&|_, _| {});
        let config =
            maker.blob("config", "application/vnd.example.unknown", bytes.to_vec(), Algorithm::Sha256);
        let (layer, _) = maker.layer("0", &super::gzip_type(), archive(&[Item::file("f", "text")]));
        let image = maker.document("manifest", MANIFEST, &manifest(&config, &[layer]));
        maker.finish(&index(&[named(image, "v1")]))
    };
    let case = Case::new("accept/config-of-unknown-type", move |stage: &mut Stage| {
        stage.consume("json", &artifact(br#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#))?;
        stage.consume("other", &artifact(b"\x00\xff no json"))
    });
    case.rule("IMG-M09", judge::same("/json/refused", "/other/refused"))
}

fn indexes() -> Vec<Case<Stage>> {
    let nested = |maker: &mut Maker<'_>, images: &[Value]| {
        let inner = maker.document("nested", INDEX, &index(images));
        with(inner, &json!({"annotations": {"org.opencontainers.image.ref.name": "v1"}}))
    };
    let here = |image: Value| with(image, &json!({"platform": platform()}));
    let through = move || {
        let mut maker = Maker::new(&|_, _| {});
        let (image, _) = plain().image(&mut maker);
        let outer = nested(&mut maker, &[here(image)]);
        maker.finish(&index(&[outer]))
    };
    let first = move || {
        let mut maker = Maker::new(&|_, _| {});
        let (one, _) = plain().image(&mut maker);
        let (two, _) = Recipe::new(vec![vec![Item::file("f", "second")]]).image(&mut maker);
        let outer = nested(&mut maker, &[here(one), here(two)]);
        maker.finish(&index(&[outer]))
    };
    let foreign = move || {
        let mut maker = Maker::new(&|_, _| {});
        let (other, _) = Recipe::new(vec![vec![Item::file("f", "other")]]).image(&mut maker);
        let other = with(other, &json!({"platform": {"architecture": "s390x", "os": "zos"}}));
        let (image, _) = plain().image(&mut maker);
        let outer = nested(&mut maker, &[other, here(image)]);
        maker.finish(&index(&[outer]))
    };
    let unsupported = "the reference names an index, which need not be supported";
    vec![
        case("index/nested", through).rule("IMG-I01", taken()).rule("IMG-I10", taken()),
        case("index/first-match", first)
            .rule("IMG-I25", tree_or_refusal("out", unsupported, vec![content("f", "text")])),
        case("index/platform", foreign)
            .rule("IMG-I16", tree_or_refusal("out", unsupported, vec![content("f", "text")]))
            .rule("IMG-I19", tree_or_refusal("out", unsupported, vec![content("f", "text")])),
        case("index/name-below", || {
            let mut maker = Maker::new(&|_, _| {});
            let (image, _) = plain().image(&mut maker);
            let inner = maker.document("nested", INDEX, &index(&[named(image, "v1")]));
            maker.finish(&index(&[inner]))
        })
        .rule("IMG-L14", refused("out")),
    ]
}
