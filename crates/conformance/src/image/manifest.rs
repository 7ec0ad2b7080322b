//! Indexes and manifests: rows of image-index.md and manifest.md that one document shows.

use super::descriptor::{CONFIG, Descriptor, EMPTY, INDEX, MANIFEST, Scope, annotations, descriptor};
use super::doc::{Cursor, Doc, Type};
use super::grammar;

/// What Docker calls the configuration of an image.
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What an index refers to.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub manifests: Vec<Descriptor>,
    pub subject: Option<Descriptor>,
}

/// What a manifest refers to.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub config: Option<Descriptor>,
    pub layers: Vec<Descriptor>,
    pub subject: Option<Descriptor>,
}

/// Judges an index; `scope` says whether it is index.json.
pub(super) fn index(doc: &mut Doc<'_>, root: &Cursor<'_>, scope: Scope) -> Index {
    doc.types(
        "IMG-N13",
        root,
        &[
            ("schemaVersion", Type::Integer),
            ("mediaType", Type::Text),
            ("artifactType", Type::Text),
            ("subject", Type::Object),
        ],
    );
    version(doc, root, ["IMG-I02", "IMG-I03"]);
    media_type(doc, root, ["IMG-I04", "IMG-I05"], INDEX);
    artifact_type(doc, root, "IMG-I06");
    doc.check("IMG-N14", root.get("config").is_none() && root.get("layers").is_none(), root, || {
        "an index has a member of manifests: config or layers".to_owned()
    });
    let mut found = Index { subject: subject(doc, root), ..Index::default() };
    if let Some(manifests) = doc.required("IMG-I07", root, "manifests") {
        doc.check("IMG-I08", manifests.node.elements().is_some(), &manifests, || {
            format!("manifests is {}, not an array", manifests.node.kind())
        });
        for entry in manifests.elements() {
            let target = descriptor(doc, &entry, scope);
            doc.check("IMG-I11", [INDEX, MANIFEST].contains(&target.media_type.as_str()), &entry, || {
                format!("{:?} is neither a manifest nor an index", target.media_type)
            });
            platform(doc, &entry, &target);
            found.manifests.push(target);
        }
    } else {
        doc.check("IMG-I08", false, root, || "manifests is missing".to_owned());
    }
    if let Some(whole) = annotations(doc, root, "annotations", Scope::Other) {
        doc.check("IMG-I26", whole, root, || "the annotations break their rules".to_owned());
    }
    found
}

/// Judges a manifest.
pub(super) fn manifest(doc: &mut Doc<'_>, root: &Cursor<'_>) -> Manifest {
    doc.types(
        "IMG-N13",
        root,
        &[
            ("schemaVersion", Type::Integer),
            ("mediaType", Type::Text),
            ("artifactType", Type::Text),
            ("config", Type::Object),
            ("layers", Type::Array),
            ("subject", Type::Object),
        ],
    );
    version(doc, root, ["IMG-M01", "IMG-M02"]);
    media_type(doc, root, ["IMG-M03", "IMG-M04"], MANIFEST);
    artifact_type(doc, root, "IMG-M06");
    doc.check("IMG-N14", root.get("manifests").is_none(), root, || {
        "a manifest has a member of indexes: manifests".to_owned()
    });
    let config = doc.required("IMG-M08", root, "config").map(|config| {
        let target = descriptor(doc, &config, Scope::Other);
        let known = target.media_type == CONFIG;
        doc.check("IMG-M14", known || grammar::is_media_type(&target.media_type), &config, || {
            format!("{:?} is no media type", target.media_type)
        });
        target
    });
    let entries = root.get("layers").map(|layers| layers.elements()).unwrap_or_default();
    doc.check("IMG-M16", !entries.is_empty(), root, || "there are no layers".to_owned());
    let mut layers = Vec::new();
    for entry in &entries {
        let shaped = entry
            .node
            .members()
            .is_some_and(|_| ["mediaType", "digest", "size"].iter().all(|name| entry.get(name).is_some()));
        doc.check("IMG-M15", shaped, entry, || "the layer is no descriptor".to_owned());
        let target = descriptor(doc, entry, Scope::Other);
        doc.check("IMG-M24", grammar::is_media_type(&target.media_type), entry, || {
            format!("{:?} is no media type", target.media_type)
        });
        layers.push(target);
    }
    let found = Manifest { config, layers, subject: subject(doc, root) };
    kind(doc, root, &found);
    if let Some(whole) = annotations(doc, root, "annotations", Scope::Other) {
        doc.check("IMG-M25", whole, root, || "the annotations break their rules".to_owned());
    }
    found
}

/// Whether layers of type `media_type` are layers of container images.
pub(super) fn is_image_layer(media_type: &str) -> bool {
    ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."]
        .iter()
        .any(|prefix| media_type.starts_with(prefix))
}

/// An image, or an artifact: each has rules of its own.
fn kind(doc: &mut Doc<'_>, root: &Cursor<'_>, found: &Manifest) {
    let Some(config) = &found.config else { return };
    let artifact_type = root.get("artifactType");
    if config.media_type == EMPTY {
        for row in ["IMG-M05", "IMG-M27"] {
            doc.check(row, artifact_type.is_some(), root, || {
                "the config is empty and artifactType is missing".to_owned()
            });
        }
    }
    let foreign =
        !found.layers.is_empty() && !found.layers.iter().any(|layer| is_image_layer(&layer.media_type));
    let image = [CONFIG, DOCKER_CONFIG].contains(&config.media_type.as_str());
    let artifact = artifact_type.is_some() || foreign || !image;
    if artifact {
        doc.check("IMG-M26", config.media_type != CONFIG, root, || {
            "an artifact has the config type of container images".to_owned()
        });
        let sized = found.layers.iter().any(|layer| layer.size != Some(0));
        doc.check("IMG-M28", sized, root, || "there is no layer with content".to_owned());
        return;
    }
    doc.findings.check("IMG-M12", config.media_type == CONFIG, &config.place, || {
        format!("the config of an image has the type {:?}", config.media_type)
    });
    let portable = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ];
    for layer in &found.layers {
        let kind = layer.media_type.as_str();
        doc.findings
            .check("IMG-M21", portable.contains(&kind), &layer.place, || format!("the type is {kind:?}"));
        doc.findings.check("IMG-Y16", !kind.contains(".nondistributable."), &layer.place, || {
            "the layer is nondistributable, which is deprecated".to_owned()
        });
    }
}

fn version(doc: &mut Doc<'_>, root: &Cursor<'_>, [present, two]: [&'static str; 2]) {
    let version = doc.required(present, root, "schemaVersion");
    let at = version.as_ref().unwrap_or(root);
    let is_two = version.as_ref().and_then(|version| version.node.integer()) == Some(2);
    doc.check(two, is_two, at, || "schemaVersion is not 2".to_owned());
}

fn media_type(doc: &mut Doc<'_>, root: &Cursor<'_>, [present, right]: [&'static str; 2], want: &str) {
    if let Some(found) = doc.required(present, root, "mediaType") {
        doc.check(right, found.node.text() == Some(want), &found, || format!("mediaType is not {want}"));
    }
}

fn artifact_type(doc: &mut Doc<'_>, root: &Cursor<'_>, row: &'static str) {
    if let Some(kind) = root.get("artifactType") {
        let text = kind.node.text().unwrap_or_default();
        doc.check(row, grammar::is_media_type(text), &kind, || format!("{text:?} is no media type"));
    }
}

fn subject(doc: &mut Doc<'_>, root: &Cursor<'_>) -> Option<Descriptor> {
    root.get("subject").map(|subject| descriptor(doc, &subject, Scope::Other))
}

fn platform(doc: &mut Doc<'_>, entry: &Cursor<'_>, target: &Descriptor) {
    let Some(platform) = entry.some("platform") else {
        if target.media_type == MANIFEST && entry.get("artifactType").is_none() {
            for row in ["IMG-D17", "IMG-I13"] {
                doc.check(row, false, entry, || "the entry does not say its platform".to_owned());
            }
        }
        return;
    };
    doc.findings.holds("IMG-D17");
    doc.findings.holds("IMG-I13");
    doc.types(
        "IMG-N13",
        &platform,
        &[
            ("architecture", Type::Text),
            ("os", Type::Text),
            ("os.version", Type::Text),
            ("os.features", Type::Texts),
            ("variant", Type::Text),
        ],
    );
    doc.required("IMG-I14", &platform, "architecture");
    doc.required("IMG-I17", &platform, "os");
    values(doc, &platform, ["IMG-I15", "IMG-I18", "IMG-I20", "IMG-I23"]);
}

/// The values of a platform, in an index or a configuration, against the tables of Go and the specification.
pub(super) fn values(
    doc: &mut Doc<'_>,
    cursor: &Cursor<'_>,
    [arch_row, os_row, features_row, variant_row]: [&'static str; 4],
) {
    // What buildkit gives attestations says that there is none.
    let unknown = |text: &str| text == "unknown";
    let architecture = cursor.text("architecture");
    if let (Some(text), Some(at)) = (architecture, cursor.get("architecture")) {
        doc.check(arch_row, grammar::is_goarch(text) || unknown(text), &at, || {
            format!("{text:?} is no GOARCH")
        });
    }
    if let (Some(text), Some(at)) = (cursor.text("os"), cursor.get("os")) {
        doc.check(os_row, grammar::is_goos(text) || unknown(text), &at, || format!("{text:?} is no GOOS"));
    }
    if cursor.text("os") == Some("windows")
        && let Some(features) = cursor.some("os.features")
    {
        for feature in features.elements() {
            doc.check(features_row, feature.node.text() == Some("win32k"), &feature, || {
                "not win32k".to_owned()
            });
        }
    }
    if let (Some(architecture), Some(variant), Some(at)) =
        (architecture, cursor.text("variant"), cursor.get("variant"))
    {
        let listed = grammar::variant_is_listed(architecture, variant);
        if let Some(listed) = listed.filter(|_| !variant.is_empty()) {
            doc.check(variant_row, listed, &at, || format!("{variant:?} is no variant of {architecture}"));
        }
    }
}
