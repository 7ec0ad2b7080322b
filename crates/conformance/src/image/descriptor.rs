//! Descriptors and annotations: rows of descriptor.md and annotations.md.

use super::doc::{Cursor, Doc, Type};
use super::grammar;

/// The empty descriptor's type.
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The SHA-256 of `{}`.
const EMPTY_DIGEST: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Keys that the image specification defines, annotations of conversion among them.
const IMAGE_KEYS: [&str; 22] = [
    "created",
    "authors",
    "url",
    "documentation",
    "source",
    "version",
    "revision",
    "vendor",
    "licenses",
    "ref.name",
    "title",
    "description",
    "base.digest",
    "base.name",
    "os",
    "architecture",
    "variant",
    "os.version",
    "os.features",
    "author",
    "stopSignal",
    "exposedPorts",
];
const RESERVED: &str = "org.opencontainers.";
const RESERVED_IMAGE: &str = "org.opencontainers.image.";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What a descriptor says, as far as it is well formed.
#[derive(Debug, Clone, Default)]
pub(super) struct Descriptor {
    pub media_type: String,
    /// The digest, where it keeps the grammar and the rules of its algorithm.
    pub digest: Option<String>,
    pub size: Option<i64>,
    /// Whether there are urls to get it from.
    pub elsewhere: bool,
    pub data: Option<Vec<u8>>,
    /// Where it stands.
    pub place: super::findings::Place,
}

/// Where annotations may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// On a descriptor of index.json.
    Top,
    /// Anywhere else.
    Other,
    /// Labels of a configuration, where null is as good as absent.
    Labels,
}

/// Judges a descriptor; gives what it says.
pub(super) fn descriptor(doc: &mut Doc<'_>, cursor: &Cursor<'_>, scope: Scope) -> Descriptor {
    let table = [
        ("mediaType", Type::Text),
        ("digest", Type::Text),
        ("size", Type::Integer),
        ("urls", Type::Texts),
        ("data", Type::Text),
        ("artifactType", Type::Text),
        ("platform", Type::Object),
    ];
    doc.types("IMG-N03", cursor, &table);
    let mut found = Descriptor { place: doc.place(cursor), ..Descriptor::default() };
    if let Some(media_type) = doc.required("IMG-D03", cursor, "mediaType") {
        let text = media_type.node.text().unwrap_or_default();
        doc.check("IMG-D04", grammar::is_media_type(text), &media_type, || {
            format!("{text:?} is no media type")
        });
        found.media_type = text.to_owned();
    }
    found.digest = digest(doc, cursor);
    found.size = size(doc, cursor);
    found.elsewhere = urls(doc, cursor);
    found.data = data(doc, cursor, found.size);
    if let Some(kind) = cursor.get("artifactType") {
        let text = kind.node.text().unwrap_or_default();
        doc.check("IMG-D16", grammar::is_media_type(text), &kind, || format!("{text:?} is no media type"));
    }
    if let Some(whole) = annotations(doc, cursor, "annotations", scope) {
        doc.check("IMG-D12", whole, cursor, || "the annotations break their rules".to_owned());
    }
    if found.media_type == EMPTY {
        let named = found.digest.as_deref().is_none_or(|digest| {
            digest.strip_prefix("sha256:").is_none_or(|encoded| encoded == EMPTY_DIGEST)
        });
        doc.check("IMG-N12", named && found.size.is_none_or(|size| size == 2), cursor, || {
            "the type says that the content is {}, digest or size say otherwise".to_owned()
        });
    }
    found
}

fn digest(doc: &mut Doc<'_>, cursor: &Cursor<'_>) -> Option<String> {
    let Some(member) = cursor.get("digest") else {
        doc.check("IMG-D05", false, cursor, || "digest is missing".to_owned());
        return None;
    };
    let text = member.node.text().unwrap_or_default();
    let whole = digest_text(doc, &member, text);
    doc.check("IMG-D05", whole, &member, || format!("{text:?} is no well-formed digest"));
    whole.then(|| text.to_owned())
}

/// Judges the text of a digest.
pub(super) fn digest_text(doc: &mut Doc<'_>, cursor: &Cursor<'_>, text: &str) -> bool {
    let parts = grammar::digest(text);
    doc.check("IMG-D19", parts.is_some(), cursor, || format!("{text:?} is not algorithm:encoded"));
    let Some((algorithm, encoded)) = parts else { return false };
    doc.check("IMG-D24", algorithm == "sha256", cursor, || format!("the algorithm is {algorithm}"));
    let (length, form, case) = match algorithm {
        "sha256" => (64, "IMG-D27", "IMG-D28"),
        "sha512" => (128, "IMG-D29", "IMG-D30"),
        "blake3" => (64, "IMG-D32", "IMG-D33"),
        _ => return true,
    };
    let digits = encoded.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lower = !encoded.bytes().any(|byte| byte.is_ascii_uppercase());
    if algorithm == "blake3" {
        doc.check("IMG-D31", !digits || encoded.len() == length, cursor, || {
            format!("the output has {} bits", encoded.len() * 4)
        });
    }
    doc.check(form, digits && encoded.len() == length, cursor, || {
        format!("{} characters stand where {length} hexadecimal digits are due", encoded.len())
    });
    doc.check(case, !digits || lower, cursor, || "there are upper-case digits".to_owned());
    digits && lower && encoded.len() == length
}

fn size(doc: &mut Doc<'_>, cursor: &Cursor<'_>) -> Option<i64> {
    let Some(member) = cursor.get("size") else {
        doc.check("IMG-D07", false, cursor, || "size is missing".to_owned());
        return None;
    };
    let size = member.node.integer();
    doc.check("IMG-D07", size.is_some(), &member, || "size is no integer of 64 bits".to_owned());
    if let Some(size) = size {
        doc.check("IMG-D09", size >= 0, &member, || format!("the size is {size}"));
    }
    size.filter(|size| *size >= 0)
}

fn urls(doc: &mut Doc<'_>, cursor: &Cursor<'_>) -> bool {
    let urls = cursor.get("urls").map(|urls| urls.elements()).unwrap_or_default();
    for url in &urls {
        let text = url.node.text().unwrap_or_default();
        let scheme = grammar::uri_scheme(text);
        doc.check("IMG-D10", scheme.is_some(), url, || format!("{text:?} is no URI"));
        if let Some(scheme) = scheme {
            let web = ["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
            doc.check("IMG-D11", web, url, || format!("the scheme is {scheme}"));
        }
    }
    !urls.is_empty()
}

fn data(doc: &mut Doc<'_>, cursor: &Cursor<'_>, size: Option<i64>) -> Option<Vec<u8>> {
    let member = cursor.get("data")?;
    let content = member.node.text().and_then(grammar::base64);
    doc.check("IMG-D13", content.is_some(), &member, || "data is no base64".to_owned());
    let content = content?;
    if let Some(size) = size {
        doc.check("IMG-N04", content.len() as i64 == size, &member, || {
            format!("data has {} bytes, size says {size}", content.len())
        });
    }
    Some(content)
}

/// Judges the annotations in member `name`; gives whether they keep the binding rules, `None` where there are none.
pub(super) fn annotations(doc: &mut Doc<'_>, cursor: &Cursor<'_>, name: &str, scope: Scope) -> Option<bool> {
    let map = cursor.get(name)?;
    if scope == Scope::Labels && map.node.is_null() {
        return None;
    }
    let mut whole = doc.check("IMG-A08", !map.node.is_null(), &map, || {
        format!("{name} is null; it is to be absent or an empty map")
    });
    if !map.node.is_null() {
        whole &= doc.check("IMG-A01", map.node.members().is_some(), &map, || {
            format!("{name} is {}, not a map", map.node.kind())
        });
    }
    let members = map.members();
    let mut seen = std::collections::BTreeSet::new();
    for (key, value) in &members {
        whole &= doc.check("IMG-A04", seen.insert(*key), value, || format!("the key {key:?} stands twice"));
        whole &= doc.check("IMG-A03", !value.node.is_null(), value, || format!("{key} has no value"));
        if !value.node.is_null() {
            whole &= doc.check("IMG-A02", value.node.text().is_some(), value, || {
                format!("the value of {key} is {}", value.node.kind())
            });
        }
        whole &= key_is_allowed(doc, key, value);
        known_value(doc, key, value, scope);
    }
    Some(whole)
}

fn key_is_allowed(doc: &mut Doc<'_>, key: &str, value: &Cursor<'_>) -> bool {
    let reversed = key.contains('.') && !key.starts_with('.') && !key.ends_with('.');
    doc.check("IMG-A05", reversed, value, || format!("{key:?} is no domain in reverse"));
    if let Some(rest) = key.strip_prefix(RESERVED_IMAGE) {
        return doc.check("IMG-A07", IMAGE_KEYS.contains(&rest), value, || {
            format!("{key} is reserved, and the image specification defines no such key")
        });
    }
    // Other specifications of OCI have keys of their own below the prefix.
    let reserved = key.strip_prefix(RESERVED);
    let known = ["runtime.", "distribution.", "artifact.", "referrers."];
    let allowed = reserved.is_none_or(|rest| known.iter().any(|prefix| rest.starts_with(prefix)));
    match reserved {
        Some(_) => doc.check("IMG-A06", allowed, value, || {
            format!("{key} is reserved, and no OCI specification defines it")
        }),
        None => {
            doc.findings.holds("IMG-A06");
            true
        }
    }
}

fn known_value(doc: &mut Doc<'_>, key: &str, value: &Cursor<'_>, scope: Scope) {
    let Some(text) = value.node.text() else { return };
    match key {
        REF_NAME => {
            doc.check("IMG-A10", scope == Scope::Top, value, || {
                "ref.name stands outside of index.json".to_owned()
            });
            doc.check("IMG-A11", grammar::is_reference_name(text), value, || {
                format!("{text:?} breaks the grammar of ref.name")
            });
        }
        "org.opencontainers.image.created" => {
            doc.check("IMG-N08", grammar::is_date_time(text), value, || {
                format!("{text:?} is no date of RFC 3339")
            });
        }
        "org.opencontainers.image.base.name" => {
            let first = text.split('/').next().unwrap_or_default();
            let host = text.contains('/') && (first.contains(['.', ':']) || first == "localhost");
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            doc.check("IMG-A14", plain, value, || format!("{text:?} is no reference"));
            doc.check("IMG-A15", host, value, || format!("{text:?} names no registry"));
        }
        _ => {}
    }
}
