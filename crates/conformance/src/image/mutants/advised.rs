//! Layouts that leave a recommendation. The whole layout leaves some of them itself, because it holds every
//! feature; these leave one once more.

use serde_json::json;

use super::{Mutant, blob, doc, files, raw, remove, replace};
use crate::image::golden::pack::{Item, append};

pub(super) fn mutants() -> Vec<Mutant> {
    [descriptors(), platforms(), manifests(), layers(), annotations()].into_iter().flatten().collect()
}

fn descriptors() -> Vec<Mutant> {
    vec![
        doc("advised/other-scheme", "IMG-D11", &[], "manifest/arm", |v| {
            v["layers"][1]["urls"][1] = json!("ftp://example.com/layer");
        }),
        doc("advised/other-algorithm", "IMG-D24", &[], "manifest/arm", |v| {
            v["layers"][1]["digest"] = json!(format!("sha512:{}", "1".repeat(128)));
        }),
        doc("advised/index-without-type", "IMG-I04", &[], "index/nested", |v| remove(v, "mediaType")),
        doc("advised/index-of-anything", "IMG-I11", &[], "index/nested", |v| {
            v["manifests"][1]["mediaType"] = json!("text/plain");
        }),
        doc("advised/no-platform", "IMG-D17", &["IMG-I13"], "index/nested", |v| {
            remove(&mut v["manifests"][1], "platform");
        }),
        files("advised/blob-elsewhere", "IMG-L11", &[], |files| {
            let name = blob(files, |bytes| bytes == b"no image\n");
            drop(files.remove(&name));
        }),
        raw("advised/number-too-exact", "IMG-X06", &[], "config/app", |bytes| {
            replace(bytes, "1.5", b"9007199254740993");
        }),
    ]
}

fn platforms() -> Vec<Mutant> {
    vec![
        doc("advised/index-architecture", "IMG-I15", &[], "index/nested", |v| {
            v["manifests"][2]["platform"]["architecture"] = json!("x86_64");
        }),
        doc("advised/index-os", "IMG-I18", &[], "index/nested", |v| {
            v["manifests"][0]["platform"]["os"] = json!("gnu");
        }),
        doc("advised/index-features", "IMG-I20", &[], "index/nested", |v| {
            v["manifests"][2]["platform"]["os.features"] = json!(["win64"]);
        }),
        doc("advised/index-variant", "IMG-I23", &[], "index/nested", |v| {
            v["manifests"][1]["platform"]["variant"] = json!("first");
        }),
        doc("advised/config-architecture", "IMG-C03", &[], "config/app", |v| {
            v["architecture"] = json!("x86_64");
        }),
        doc("advised/config-os", "IMG-C06", &[], "config/app", |v| v["os"] = json!("gnu")),
        doc("advised/config-features", "IMG-C08", &[], "config/app", |v| {
            v["os"] = json!("windows");
            v["os.features"] = json!(["win64"]);
        }),
        doc("advised/config-variant", "IMG-C10", &[], "config/app", |v| v["variant"] = json!("first")),
    ]
}

fn manifests() -> Vec<Mutant> {
    vec![
        doc("advised/manifest-without-type", "IMG-M03", &[], "manifest/app", |v| remove(v, "mediaType")),
        doc("advised/config-of-docker", "IMG-M12", &[], "manifest/app", |v| {
            v["config"]["mediaType"] = json!("application/vnd.docker.container.image.v1+json");
        }),
        doc("advised/no-layers", "IMG-M16", &["IMG-M28"], "manifest/bundle", |v| v["layers"] = json!([])),
        doc("advised/layer-type", "IMG-M21", &[], "manifest/app", |v| {
            v["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+lz4");
        }),
        doc("advised/layer-nondistributable", "IMG-Y16", &[], "manifest/app", |v| {
            v["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar");
        }),
    ]
}

fn layers() -> Vec<Mutant> {
    vec![
        raw("advised/sparse", "IMG-Y04", &[], "layer/base", |bytes| {
            append(bytes, &Item::file("sparse", "x").record("GNU.sparse.size", b"1"));
        }),
        raw("advised/whiteout-of-nothing", "IMG-Y10", &["IMG-Y07"], "layer/upper", |bytes| {
            append(bytes, &Item::file("tmp/.wh.", ""));
        }),
        raw("advised/opaque", "IMG-Y13", &[], "layer/upper", |bytes| {
            append(bytes, &Item::file("tmp/.wh..wh..opq", ""));
        }),
        raw("advised/whiteout-behind", "IMG-Y14", &[], "layer/upper", |bytes| {
            append(bytes, &Item::file("etc/.wh.old", ""));
        }),
    ]
}

fn annotations() -> Vec<Mutant> {
    vec![
        doc("advised/key-without-domain", "IMG-A05", &[], "manifest/app", |v| {
            v["annotations"]["key"] = json!("");
        }),
        doc("advised/name-below", "IMG-A10", &[], "index/nested", |v| {
            v["manifests"][0]["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
        }),
        doc("advised/name-with-spaces", "IMG-A11", &[], "index.json", |v| {
            v["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = json!("v 1");
        }),
        doc("advised/base-with-spaces", "IMG-A14", &[], "manifest/app", |v| {
            v["annotations"]["org.opencontainers.image.base.name"] = json!("example.com/a b");
        }),
        doc("advised/base-without-host", "IMG-A15", &[], "manifest/app", |v| {
            v["annotations"]["org.opencontainers.image.base.name"] = json!("base:1");
        }),
    ]
}
