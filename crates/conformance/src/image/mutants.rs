//! Layouts with one thing broken each: what proves that a row can fail.
//!
//! A mutant edits one part of [`golden::everything`], and everything that names the part follows, so the row
//! that it is made for fails, with those that say the same and no other.

mod advised;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::golden::pack::{Item, append, seal};
use super::golden::{self, Golden};

/// One broken layout.
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// The row it is made for.
    pub row: &'static str,
    /// Further rows that cannot but fail with it.
    pub also: &'static [&'static str],
    change: Change,
}

impl std::fmt::Debug for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

enum Change {
    /// A document, as JSON.
    Json(&'static str, fn(&mut Value)),
    /// A part, as bytes.
    Bytes(&'static str, fn(&mut Vec<u8>)),
    /// The files, once all is made.
    Files(fn(&mut BTreeMap<String, Vec<u8>>)),
}

impl Mutant {
    /// The layout.
    pub fn build(&self) -> Golden {
        match &self.change {
            Change::Json(part, change) => golden::everything(&|name, bytes| {
                if name == *part
                    && let Ok(mut value) = serde_json::from_slice(bytes)
                {
                    change(&mut value);
                    *bytes = value.to_string().into_bytes();
                }
            }),
            Change::Bytes(part, change) => golden::everything(&|name, bytes| {
                if name == *part {
                    change(bytes);
                }
            }),
            Change::Files(change) => {
                let mut golden = golden::everything(&|_, _| {});
                change(&mut golden.files);
                golden
            }
        }
    }
}

const fn doc(
    name: &'static str,
    row: &'static str,
    also: &'static [&'static str],
    part: &'static str,
    change: fn(&mut Value),
) -> Mutant {
    Mutant { name, row, also, change: Change::Json(part, change) }
}

const fn raw(
    name: &'static str,
    row: &'static str,
    also: &'static [&'static str],
    part: &'static str,
    change: fn(&mut Vec<u8>),
) -> Mutant {
    Mutant { name, row, also, change: Change::Bytes(part, change) }
}

const fn files(
    name: &'static str,
    row: &'static str,
    also: &'static [&'static str],
    change: fn(&mut BTreeMap<String, Vec<u8>>),
) -> Mutant {
    Mutant { name, row, also, change: Change::Files(change) }
}

/// Every mutant.
pub fn all() -> Vec<Mutant> {
    [
        layouts(),
        descriptors(),
        digests(),
        indexes(),
        manifests(),
        configurations(),
        annotations(),
        layers(),
        texts(),
        advised::mutants(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn remove(value: &mut Value, name: &str) {
    if let Some(object) = value.as_object_mut() {
        object.remove(name);
    }
}

fn replace(bytes: &mut Vec<u8>, from: &str, to: &[u8]) {
    let found = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    if let Some(at) = found {
        bytes.splice(at..at + from.len(), to.iter().copied());
    }
}

/// The blob below `blobs/ALGORITHM/` whose content satisfies `test`.
fn blob(files: &BTreeMap<String, Vec<u8>>, test: impl Fn(&[u8]) -> bool) -> String {
    let mut blobs = files.iter().filter(|(name, _)| name.starts_with("blobs/"));
    blobs.find(|(_, bytes)| test(bytes)).map(|(name, _)| name.clone()).unwrap_or_default()
}

fn is_unreferenced(bytes: &[u8]) -> bool {
    bytes.starts_with(b"nobody names")
}

fn layouts() -> Vec<Mutant> {
    vec![
        files("layout/no-blobs", "IMG-L02", &[], |files| files.retain(|name, _| !name.starts_with("blobs/"))),
        files("layout/no-marker", "IMG-L03", &[], |files| drop(files.remove("oci-layout"))),
        raw("layout/marker-array", "IMG-L04", &["IMG-L05"], "oci-layout", |bytes| {
            *bytes = b"[\"1.0.0\"]".to_vec();
        }),
        raw("layout/marker-empty", "IMG-L04", &["IMG-L05", "IMG-N01"], "oci-layout", Vec::clear),
        doc("layout/no-version", "IMG-L05", &[], "oci-layout", |value| *value = json!({})),
        doc("layout/version-number", "IMG-L05", &[], "oci-layout", |value| {
            *value = json!({"imageLayoutVersion": 1});
        }),
        files("layout/no-index", "IMG-L06", &["IMG-L12"], |files| drop(files.remove("index.json"))),
        doc("layout/index-array", "IMG-L07", &["IMG-I02", "IMG-I07", "IMG-N13"], "index.json", |value| {
            *value = json!([]);
        }),
        raw("layout/index-empty", "IMG-L07", &["IMG-I02", "IMG-I07", "IMG-N01"], "index.json", Vec::clear),
        doc(
            "layout/index-is-manifest",
            "IMG-L07",
            &["IMG-I07", "IMG-I08", "IMG-N14"],
            "index.json",
            |value| *value = json!({"schemaVersion": 2, "config": {}, "layers": []}),
        ),
        files("layout/blob-damaged", "IMG-L08", &[], |files| {
            let name = blob(files, |bytes| bytes == b"no image\n");
            files.insert(name, b"no imagE\n".to_vec());
        }),
        files("layout/layer-damaged", "IMG-L08", &["IMG-N06"], |files| {
            let name = blob(files, |bytes| bytes.starts_with(b"./\0"));
            if let Some(byte) = files.get_mut(&name).and_then(|bytes| bytes.get_mut(1536)) {
                *byte = b'X';
            }
        }),
        files("layout/stray-damaged", "IMG-L09", &[], |files| {
            let name = blob(files, is_unreferenced);
            files.insert(name, b"nobody names that\n".to_vec());
        }),
        files("layout/blob-name", "IMG-L10", &["IMG-L09"], |files| {
            drop(files.insert("blobs/sha256/a b".to_owned(), Vec::new()));
        }),
        files("layout/algorithm-name", "IMG-L10", &[], |files| {
            drop(files.insert("blobs/Sha_/ab".to_owned(), Vec::new()));
        }),
        files("layout/blob-too-deep", "IMG-L10", &[], |files| {
            drop(files.insert("blobs/file".to_owned(), Vec::new()));
        }),
        files("layout/entry-point", "IMG-L12", &["IMG-L06", "IMG-L10"], |files| {
            let index = files.remove("index.json").unwrap_or_default();
            files.insert("blobs/index.json".to_owned(), index);
        }),
    ]
}

fn descriptors() -> Vec<Mutant> {
    vec![
        doc("descriptor/no-type", "IMG-D03", &[], "index.json", |v| {
            remove(&mut v["manifests"][4], "mediaType");
        }),
        doc("descriptor/type-without-slash", "IMG-D04", &[], "index.json", |v| {
            v["manifests"][4]["mediaType"] = json!("text");
        }),
        doc("descriptor/type-with-parameter", "IMG-D04", &[], "index.json", |v| {
            v["manifests"][4]["mediaType"] = json!("text/plain; a=b");
        }),
        doc("descriptor/type-too-long", "IMG-D04", &[], "index.json", |v| {
            v["manifests"][4]["mediaType"] = json!(format!("text/{}", "a".repeat(128)));
        }),
        doc("descriptor/no-digest", "IMG-D05", &[], "index.json", |v| {
            remove(&mut v["manifests"][4], "digest");
        }),
        doc("descriptor/no-size", "IMG-D07", &[], "index.json", |v| remove(&mut v["manifests"][4], "size")),
        doc("descriptor/size-text", "IMG-D07", &["IMG-N03"], "index.json", |v| {
            v["manifests"][4]["size"] = json!("9");
        }),
        doc("descriptor/size-fraction", "IMG-D07", &["IMG-N03"], "index.json", |v| {
            v["manifests"][4]["size"] = json!(9.5);
        }),
        raw("descriptor/size-too-large", "IMG-D07", &["IMG-N03"], "index/nested", |bytes| {
            replace(bytes, "\"size\":", b"\"size\":9223372036854775808,\"size.\":");
        }),
        doc("descriptor/size-negative", "IMG-D09", &[], "index.json", |v| {
            v["manifests"][4]["size"] = json!(-9);
        }),
        doc("descriptor/size-wrong", "IMG-N02", &[], "index.json", |v| v["manifests"][4]["size"] = json!(8)),
        doc("descriptor/url-space", "IMG-D10", &[], "manifest/arm", |v| {
            v["layers"][1]["urls"][0] = json!("https://example.com/a b");
        }),
        doc("descriptor/url-relative", "IMG-D10", &[], "manifest/arm", |v| {
            v["layers"][1]["urls"][0] = json!("layers/one");
        }),
        doc("descriptor/urls-text", "IMG-N03", &[], "manifest/arm", |v| {
            v["layers"][1]["urls"] = json!("https://example.com");
        }),
        doc("descriptor/annotations", "IMG-D12", &["IMG-A02"], "index.json", |v| {
            v["manifests"][0]["annotations"]["com.example.n"] = json!(1);
        }),
        doc("descriptor/data-unpadded", "IMG-D13", &[], "manifest/artifact", |v| {
            v["config"]["data"] = json!("e30");
        }),
        doc("descriptor/data-url-alphabet", "IMG-D13", &[], "manifest/artifact", |v| {
            v["config"]["data"] = json!("e_0=");
        }),
        doc("descriptor/data-other", "IMG-D14", &[], "manifest/artifact", |v| {
            v["config"]["data"] = json!("W10=");
        }),
        doc("descriptor/data-short", "IMG-D14", &["IMG-N04"], "manifest/artifact", |v| {
            v["config"]["data"] = json!("ew==");
        }),
        doc("descriptor/artifact-type", "IMG-D16", &[], "index.json", |v| {
            v["manifests"][2]["artifactType"] = json!("sbom");
        }),
        doc("descriptor/empty-type", "IMG-N12", &[], "index.json", |v| {
            v["manifests"][4]["mediaType"] = json!("application/vnd.oci.empty.v1+json");
        }),
    ]
}

fn digests() -> Vec<Mutant> {
    vec![
        doc("digest/no-colon", "IMG-D19", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!("sha256");
        }),
        doc("digest/upper-algorithm", "IMG-D19", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!("SHA256:ab");
        }),
        doc("digest/double-separator", "IMG-D19", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!("a++b:c");
        }),
        doc("digest/path", "IMG-D19", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!("sha256:../../../etc/passwd");
        }),
        doc("digest/sha256-short", "IMG-D27", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!("sha256:abc");
        }),
        doc("digest/sha256-letters", "IMG-D27", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!(format!("sha256:{}", "g".repeat(64)));
        }),
        doc("digest/sha256-upper", "IMG-D28", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!(format!("sha256:{}", "A".repeat(64)));
        }),
        doc("digest/sha512-short", "IMG-D29", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!(format!("sha512:{}", "a".repeat(64)));
        }),
        doc("digest/sha512-upper", "IMG-D30", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!(format!("sha512:{}", "A".repeat(128)));
        }),
        doc("digest/blake3-long", "IMG-D31", &["IMG-D05", "IMG-D32"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!(format!("blake3:{}", "a".repeat(128)));
        }),
        doc("digest/blake3-letters", "IMG-D32", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!(format!("blake3:{}", "z".repeat(64)));
        }),
        doc("digest/blake3-upper", "IMG-D33", &["IMG-D05"], "index.json", |v| {
            v["manifests"][4]["digest"] = json!(format!("blake3:{}", "A".repeat(64)));
        }),
    ]
}

fn indexes() -> Vec<Mutant> {
    vec![
        doc("index/no-version", "IMG-I02", &["IMG-I03"], "index/nested", |v| remove(v, "schemaVersion")),
        doc("index/version-1", "IMG-I03", &[], "index/nested", |v| v["schemaVersion"] = json!(1)),
        doc("index/version-text", "IMG-I03", &["IMG-N13"], "index.json", |v| v["schemaVersion"] = json!("2")),
        doc("index/type-of-manifest", "IMG-I05", &[], "index/nested", |v| {
            v["mediaType"] = json!("application/vnd.oci.image.manifest.v1+json");
        }),
        doc("index/artifact-type", "IMG-I06", &[], "index/nested", |v| v["artifactType"] = json!("a b/c")),
        doc("index/no-manifests", "IMG-I07", &["IMG-I08"], "index/nested", |v| remove(v, "manifests")),
        doc("index/manifests-null", "IMG-I08", &[], "index/nested", |v| v["manifests"] = json!(null)),
        doc("index/manifests-object", "IMG-I08", &[], "index.json", |v| v["manifests"] = json!({})),
        doc("index/no-architecture", "IMG-I14", &[], "index.json", |v| {
            remove(&mut v["manifests"][0]["platform"], "architecture");
        }),
        doc("index/no-os", "IMG-I17", &[], "index.json", |v| {
            remove(&mut v["manifests"][0]["platform"], "os");
        }),
        doc("index/annotations", "IMG-I26", &["IMG-A02"], "index/nested", |v| {
            v["annotations"]["com.example.list"] = json!([]);
        }),
        doc("index/both", "IMG-N14", &[], "index/nested", |v| v["layers"] = json!([])),
        doc("index/features", "IMG-N13", &[], "index.json", |v| {
            v["manifests"][0]["platform"]["os.features"] = json!("win32k");
        }),
        doc("index/subject-no-size", "IMG-D07", &[], "index/nested", |v| remove(&mut v["subject"], "size")),
    ]
}

fn manifests() -> Vec<Mutant> {
    vec![
        doc("manifest/no-version", "IMG-M01", &["IMG-M02"], "manifest/app", |v| remove(v, "schemaVersion")),
        doc("manifest/version-1", "IMG-M02", &[], "manifest/app", |v| v["schemaVersion"] = json!(1)),
        doc("manifest/type-of-index", "IMG-M04", &[], "manifest/app", |v| {
            v["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
        }),
        doc("manifest/empty-config-alone", "IMG-M05", &["IMG-M27"], "manifest/artifact", |v| {
            remove(v, "artifactType");
        }),
        doc("manifest/artifact-undefined", "IMG-M27", &["IMG-M05"], "manifest/bundle", |v| {
            v["config"] = v["layers"][0].clone();
        }),
        doc("manifest/artifact-type", "IMG-M06", &[], "manifest/artifact", |v| {
            v["artifactType"] = json!("sbom");
        }),
        doc("manifest/no-config", "IMG-M08", &[], "manifest/bundle", |v| remove(v, "config")),
        doc("manifest/config-type", "IMG-M14", &["IMG-D04"], "manifest/bundle", |v| {
            v["config"]["mediaType"] = json!("own");
        }),
        doc(
            "manifest/layer-is-digest",
            "IMG-M15",
            &["IMG-D03", "IMG-D05", "IMG-D07", "IMG-M24"],
            "manifest/artifact",
            |v| v["layers"][0] = v["layers"][0]["digest"].clone(),
        ),
        doc("manifest/base-not-first", "IMG-M17", &["IMG-M18", "IMG-N06"], "manifest/app", |v| {
            if let Some(layers) = v["layers"].as_array_mut() {
                layers.swap(0, 1);
            }
        }),
        doc("manifest/stack-order", "IMG-M18", &["IMG-N06"], "manifest/app", |v| {
            if let Some(layers) = v["layers"].as_array_mut() {
                layers.swap(1, 2);
            }
        }),
        doc("manifest/layer-type", "IMG-M24", &["IMG-D04"], "manifest/artifact", |v| {
            v["layers"][0]["mediaType"] = json!("spdx json/x");
        }),
        doc("manifest/annotations", "IMG-M25", &["IMG-A03"], "manifest/app", |v| {
            v["annotations"]["com.example.null"] = json!(null);
        }),
        doc("manifest/artifact-as-image", "IMG-M26", &[], "manifest/app", |v| {
            v["artifactType"] = json!("application/vnd.example.thing");
        }),
        doc("manifest/foreign-layers", "IMG-M26", &[], "manifest/app", |v| {
            for layer in 0..3 {
                v["layers"][layer]["mediaType"] = json!("application/vnd.example.layer");
            }
        }),
        doc("manifest/both", "IMG-N14", &[], "manifest/app", |v| v["manifests"] = json!([])),
        doc("manifest/layers-null", "IMG-N13", &[], "manifest/bundle", |v| v["layers"] = json!(null)),
        doc("manifest/array", "IMG-M01", &["IMG-M08", "IMG-N13"], "manifest/bundle", |v| *v = json!([])),
        raw("manifest/cut", "IMG-N01", &["IMG-M01", "IMG-M08"], "manifest/bundle", |bytes| {
            bytes.truncate(40);
        }),
    ]
}

fn configurations() -> Vec<Mutant> {
    vec![
        doc("config/no-architecture", "IMG-C02", &[], "config/app", |v| remove(v, "architecture")),
        doc("config/no-os", "IMG-C05", &[], "config/app", |v| remove(v, "os")),
        doc("config/labels", "IMG-C14", &["IMG-A02"], "config/app", |v| {
            v["config"]["Labels"]["com.example.b"] = json!(true);
        }),
        doc("config/no-rootfs", "IMG-C15", &[], "config/app", |v| remove(v, "rootfs")),
        doc("config/no-type", "IMG-C16", &[], "config/app", |v| remove(&mut v["rootfs"], "type")),
        doc("config/type-other", "IMG-C17", &[], "config/app", |v| v["rootfs"]["type"] = json!("diff")),
        doc("config/no-diff-ids", "IMG-C19", &[], "config/app", |v| remove(&mut v["rootfs"], "diff_ids")),
        doc("config/diff-ids-null", "IMG-C19", &[], "config/app", |v| v["rootfs"]["diff_ids"] = json!(null)),
        doc("config/diff-id-text", "IMG-C19", &["IMG-D19"], "config/app", |v| {
            v["rootfs"]["diff_ids"][1] = json!("layer two");
        }),
        doc("config/diff-id-wrong", "IMG-N06", &[], "config/app", |v| {
            v["rootfs"]["diff_ids"][1] = json!(format!("sha256:{}", "3".repeat(64)));
        }),
        doc("config/diff-ids-fewer", "IMG-N05", &[], "config/app", |v| {
            drop(v["rootfs"]["diff_ids"].as_array_mut().map(Vec::pop));
        }),
        doc("config/history-fewer", "IMG-N07", &[], "config/app", |v| {
            v["history"][0]["empty_layer"] = json!(true);
        }),
        doc("config/created", "IMG-N08", &[], "config/app", |v| v["created"] = json!("yesterday")),
        doc("config/env", "IMG-N09", &[], "config/app", |v| v["config"]["Env"][0] = json!("PATH")),
        doc("config/cmd-text", "IMG-N10", &[], "config/app", |v| v["config"]["Cmd"] = json!("--flag")),
        doc("config/port", "IMG-N11", &[], "config/app", |v| {
            v["config"]["ExposedPorts"]["80/http"] = json!({});
        }),
    ]
}

fn annotations() -> Vec<Mutant> {
    vec![
        doc("annotations/array", "IMG-A01", &["IMG-M25"], "manifest/app", |v| v["annotations"] = json!([])),
        doc("annotations/number", "IMG-A02", &["IMG-M25"], "manifest/app", |v| {
            v["annotations"]["com.example.empty"] = json!(7);
        }),
        doc("annotations/no-value", "IMG-A03", &["IMG-M25"], "manifest/app", |v| {
            v["annotations"]["com.example.empty"] = json!(null);
        }),
        raw("annotations/twice", "IMG-A04", &["IMG-M25", "IMG-X07"], "manifest/app", |bytes| {
            replace(
                bytes,
                "\"com.example.empty\":\"\"",
                b"\"com.example.empty\":\"\",\"com.example.\\u0065mpty\":\"x\"",
            );
        }),
        doc("annotations/reserved", "IMG-A06", &["IMG-M25"], "manifest/app", |v| {
            v["annotations"]["org.opencontainers.mine"] = json!("");
        }),
        doc("annotations/reserved-image", "IMG-A07", &["IMG-M25"], "manifest/app", |v| {
            v["annotations"]["org.opencontainers.image.mine"] = json!("");
        }),
        doc("annotations/null", "IMG-A08", &["IMG-I26"], "index.json", |v| v["annotations"] = json!(null)),
    ]
}

fn layers() -> Vec<Mutant> {
    vec![
        raw("layer/no-tar", "IMG-Y01", &[], "layer/base", |bytes| *bytes = vec![b'x'; 1024]),
        raw("layer/checksum", "IMG-Y01", &[], "layer/base", |bytes| bytes[600] ^= 1),
        raw("layer/truncated", "IMG-Y01", &[], "layer/base", |bytes| bytes.truncate(512 * 3 + 10)),
        raw("layer/pax", "IMG-Y01", &[], "layer/base", |bytes| {
            replace(bytes, "user.note=a=b", b"user.note:a:b");
        }),
        raw("layer/twice", "IMG-Y02", &[], "layer/base", |bytes| {
            append(bytes, &Item::file("etc/config", "again"));
        }),
        raw("layer/twice-spelt-otherwise", "IMG-Y02", &[], "layer/base", |bytes| {
            append(bytes, &Item::file("./etc//config", "again"));
        }),
        raw("layer/no-mode", "IMG-Y03", &[], "layer/base", |bytes| {
            bytes[612..620].fill(0);
            seal(&mut bytes[512..1024]);
        }),
        raw("layer/uid-text", "IMG-Y03", &[], "layer/base", |bytes| {
            bytes[620..627].copy_from_slice(b"root   ");
            seal(&mut bytes[512..1024]);
        }),
        raw("layer/link-without-target", "IMG-Y03", &[], "layer/base", |bytes| {
            append(bytes, &Item::symlink("nowhere", ""));
        }),
        raw("layer/overlay-whiteout", "IMG-Y07", &[], "layer/upper", |bytes| {
            append(bytes, &Item::character("bin/alias", 0, 0));
        }),
        raw("layer/whiteout-of-nothing", "IMG-Y07", &[], "layer/upper", |bytes| {
            append(bytes, &Item::file("tmp/.wh.", ""));
        }),
        raw("layer/whiteout-of-parent", "IMG-Y07", &[], "layer/upper", |bytes| {
            append(bytes, &Item::file("tmp/.wh...", ""));
        }),
        raw("layer/whiteout-with-content", "IMG-N17", &[], "layer/upper", |bytes| {
            append(bytes, &Item::file("tmp/.wh.a", "x"));
        }),
        raw("layer/whiteout-is-link", "IMG-N17", &[], "layer/upper", |bytes| {
            append(bytes, &Item::symlink("tmp/.wh.a", "b"));
        }),
        raw("layer/whiteout-as-directory", "IMG-N18", &[], "layer/upper", |bytes| {
            append(bytes, &Item::file("tmp/.wh.a/b", "x"));
        }),
        raw("layer/link-to-directory", "IMG-N19", &[], "layer/base", |bytes| {
            append(bytes, &Item::hard_link("etc2", "etc"));
        }),
        raw("layer/not-gzip", "IMG-N15", &[], "blob/upper", |bytes| *bytes = golden::pack::archive(&[])),
        raw("layer/gzip-cut", "IMG-N15", &[], "blob/upper", |bytes| bytes.truncate(bytes.len() - 4)),
        raw("layer/gzip-checksum", "IMG-N15", &[], "blob/upper", |bytes| {
            let at = bytes.len() - 6;
            bytes[at] ^= 1;
        }),
        raw("layer/gzip-junk", "IMG-N15", &[], "blob/upper", |bytes| bytes.extend_from_slice(b"junk")),
        raw("layer/not-zstd", "IMG-N16", &[], "blob/third", |bytes| *bytes = b"(\xb5/\xfdnothing".to_vec()),
    ]
}

fn texts() -> Vec<Mutant> {
    vec![
        raw("json/surrogate", "IMG-X04", &[], "config/app", |bytes| {
            replace(bytes, "Somebody", b"\\ud800body");
        }),
        raw("json/utf8", "IMG-X05", &[], "config/app", |bytes| replace(bytes, "Somebody", b"S\xf6mebody")),
        raw("json/twice", "IMG-X07", &[], "config/app", |bytes| {
            replace(bytes, "\"os\":", b"\"os\":\"plan9\",\"os\":");
        }),
        raw("json/byte-order-mark", "IMG-N01", &["IMG-C02", "IMG-C15"], "config/app", |bytes| {
            drop(bytes.splice(0..0, *b"\xef\xbb\xbf"));
        }),
        raw("json/two-values", "IMG-N01", &["IMG-C02", "IMG-C15"], "config/app", |bytes| {
            bytes.extend_from_slice(b"{}");
        }),
    ]
}
