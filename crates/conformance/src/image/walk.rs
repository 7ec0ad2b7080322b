//! The way through a layout: from index.json to every document and layer, and then to what nothing names.
//!
//! Documents and layers are memoised by digest, so an index of indexes of the same indexes costs no more
//! than its distinct parts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::rc::Rc;

use plimsoll_digest::{Algorithm, Digest};

use super::config::{self, Config};
use super::descriptor::{CONFIG, Descriptor, EMPTY, INDEX, MANIFEST, Scope};
use super::doc::{Cursor, Doc};
use super::findings::{Findings, Place};
use super::json;
use super::layout::{Layout, Member};
use super::manifest::{self, Manifest};
use super::stream::{self, Broken, Codec, Inflation};
use super::{grammar, layer};

/// Limits of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one JSON document.
    pub document: u64,
    /// Most documents.
    pub documents: usize,
    /// Deepest nesting of indexes.
    pub nesting: usize,
    /// Most that is inflated of one layer.
    pub inflation: Inflation,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { document: 16 << 20, documents: 100_000, nesting: 16, inflation: Inflation::default() }
    }
}

/// What was gone through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Blobs in the layout.
    pub blobs: u64,
    /// Manifests.
    pub manifests: u64,
    /// Layers that were looked into.
    pub layers: u64,
    /// Entries of layers.
    pub entries: u64,
    /// Bytes of blobs.
    pub bytes: u64,
    /// Bytes of layers, uncompressed.
    pub inflated: u64,
}

/// Looks at everything.
pub(super) fn walk(layout: &Layout, limits: Limits, findings: &mut Findings) -> Extent {
    let mut walk = Walk {
        layout,
        limits,
        findings,
        verified: BTreeMap::new(),
        done: BTreeSet::new(),
        layers: BTreeMap::new(),
        configs: BTreeMap::new(),
        referred: BTreeSet::new(),
        extent: Extent::default(),
    };
    walk.marker();
    walk.entry_point();
    walk.blobs();
    walk.extent
}

struct Walk<'a> {
    layout: &'a Layout,
    limits: Limits,
    findings: &'a mut Findings,
    /// Blobs by digest, and whether their content matches.
    verified: BTreeMap<String, bool>,
    /// Manifests and indexes that were judged, by digest and type.
    done: BTreeSet<(String, &'static str)>,
    /// Layers by digest, codec and algorithm of the diff id; their diff ids.
    layers: BTreeMap<(String, u8, String), Option<String>>,
    configs: BTreeMap<String, Rc<Config>>,
    /// Digests of content without a form, which is hashed at the end.
    referred: BTreeSet<String>,
    extent: Extent,
}

/// The algorithm and path of a digest.
fn algorithm_of(digest: &str) -> Option<(Algorithm, String)> {
    let (name, encoded) = grammar::digest(digest)?;
    Some((Algorithm::parse(name)?, format!("blobs/{name}/{encoded}")))
}

impl Walk<'_> {
    /// The file oci-layout, and what has to exist.
    fn marker(&mut self) {
        let place = Place::blob("oci-layout");
        for name in &self.layout.odd {
            self.findings.lint(
                "lint/odd-file",
                &Place::blob(name.as_str()),
                "no regular file stands where one is due",
            );
        }
        self.findings.check("IMG-L02", self.layout.has_blobs, &Place::blob("blobs"), || {
            "there is no directory blobs".to_owned()
        });
        let Some(member) = self.layout.files.get("oci-layout") else {
            self.findings.broken("IMG-L03", &place, "there is no file oci-layout");
            return;
        };
        self.findings.holds("IMG-L03");
        let Some(bytes) = self.read(member, &place) else { return };
        let document = json::scan(&bytes);
        let mut doc = Doc { findings: self.findings, blob: "oci-layout".to_owned() };
        let root = doc.bytes(&document);
        let object = root.is_some_and(|root| root.members().is_some());
        doc.findings.check("IMG-L04", object, &place, || "oci-layout is no JSON object".to_owned());
        let version = root.and_then(|root| root.get("imageLayoutVersion"));
        let present = version.is_some_and(|version| version.text().is_some());
        doc.findings.check("IMG-L05", present, &place, || {
            "there is no imageLayoutVersion, or it is no string".to_owned()
        });
    }

    fn entry_point(&mut self) {
        let place = Place::blob("index.json");
        let member = self.layout.files.get("index.json");
        for row in ["IMG-L06", "IMG-L12"] {
            self.findings.check(row, member.is_some(), &place, || "there is no file index.json".to_owned());
        }
        let Some(bytes) = member.and_then(|member| self.read(member, &place)) else { return };
        self.index(&bytes, "index.json", Scope::Top, 0);
    }

    /// Judges an index and goes on to what it names.
    fn index(&mut self, bytes: &[u8], name: &str, scope: Scope, depth: usize) {
        let document = json::scan(bytes);
        let mut doc = Doc { findings: self.findings, blob: name.to_owned() };
        let root = doc.bytes(&document);
        let object = root.filter(|root| root.members().is_some());
        if scope == Scope::Top {
            let shaped = object.is_some_and(|root| root.get("manifests").is_some());
            let place = Place::blob(name);
            doc.findings.check("IMG-L07", shaped, &place, || "index.json is no image index".to_owned());
        }
        let Some(root) = self.object(object, root.is_some(), name, ["IMG-I02", "IMG-I07"]) else { return };
        let mut doc = Doc { findings: self.findings, blob: name.to_owned() };
        let index = manifest::index(&mut doc, &Cursor::root(root), scope);
        if let Some(subject) = &index.subject {
            self.weak(subject);
        }
        for target in &index.manifests {
            self.follow(target, depth + 1);
        }
    }

    /// What is no object lacks everything that is required.
    fn object<'d>(
        &mut self,
        object: Option<&'d json::Node>,
        is_json: bool,
        name: &str,
        required: [&'static str; 2],
    ) -> Option<&'d json::Node> {
        if object.is_none() {
            let place = Place::blob(name);
            for row in required {
                self.findings.broken(row, &place, "the document is no JSON object");
            }
            if is_json {
                self.findings.broken("IMG-N13", &place, "the document is no JSON object");
            }
        }
        object
    }

    /// Goes to a manifest or index; other targets are content without a form.
    fn follow(&mut self, target: &Descriptor, depth: usize) {
        let Some(digest) = target.digest.clone() else { return };
        let kind = match target.media_type.as_str() {
            INDEX => INDEX,
            MANIFEST => MANIFEST,
            _ => return self.opaque(target),
        };
        if depth > self.limits.nesting {
            let why = format!("indexes are nested deeper than {}", self.limits.nesting);
            return self.findings.limit("limit/nesting", &target.place, why);
        }
        let member = self.checked(target);
        // Before the content is read: an index may name one document as often as it likes.
        if self.done.contains(&(digest.clone(), kind)) {
            return;
        }
        if self.done.len() >= self.limits.documents {
            return self.findings.limit("limit/documents", &target.place, "there are too many documents");
        }
        let Some(content) = self.content(target, member) else { return };
        self.done.insert((digest.clone(), kind));
        if kind == INDEX {
            self.index(&content, &digest, Scope::Other, depth);
        } else {
            self.manifest(&content, &digest);
        }
    }

    fn manifest(&mut self, bytes: &[u8], name: &str) {
        self.extent.manifests += 1;
        let document = json::scan(bytes);
        let mut doc = Doc { findings: self.findings, blob: name.to_owned() };
        let root = doc.bytes(&document);
        let object = root.filter(|root| root.members().is_some());
        let Some(root) = self.object(object, root.is_some(), name, ["IMG-M01", "IMG-M08"]) else { return };
        let mut doc = Doc { findings: self.findings, blob: name.to_owned() };
        let manifest = manifest::manifest(&mut doc, &Cursor::root(root));
        if let Some(subject) = &manifest.subject {
            self.weak(subject);
        }
        let config = manifest.config.as_ref().and_then(|config| self.config(config));
        let diff_ids = self.layers(&manifest, config.as_deref());
        if let Some(config) = config {
            self.stack(&manifest, &config, &diff_ids, name);
        }
    }

    fn config(&mut self, target: &Descriptor) -> Option<Rc<Config>> {
        if target.media_type != CONFIG {
            self.opaque(target);
            return None;
        }
        let digest = target.digest.clone()?;
        let member = self.checked(target);
        if let Some(known) = self.configs.get(&digest) {
            return Some(known.clone());
        }
        let content = self.content(target, member)?;
        let document = json::scan(&content);
        let mut doc = Doc { findings: self.findings, blob: digest.clone() };
        let root = doc.bytes(&document);
        let object = root.filter(|root| root.members().is_some());
        let root = self.object(object, false, &digest, ["IMG-C02", "IMG-C15"])?;
        let mut doc = Doc { findings: self.findings, blob: digest.clone() };
        let config = Rc::new(config::config(&mut doc, &Cursor::root(root)));
        self.configs.insert(digest, config.clone());
        Some(config)
    }

    /// The diff id of each layer, as its bytes give it.
    fn layers(&mut self, manifest: &Manifest, config: Option<&Config>) -> Vec<Option<String>> {
        let said = config.and_then(|config| config.diff_ids.clone()).unwrap_or_default();
        let mut found = Vec::new();
        for (at, target) in manifest.layers.iter().enumerate() {
            let Some(codec) = codec_of(&target.media_type) else {
                self.opaque(target);
                found.push(None);
                continue;
            };
            let wanted = said.get(at).cloned().flatten();
            let algorithm =
                wanted.as_deref().and_then(algorithm_of).map_or(Algorithm::Sha256, |(one, _)| one);
            found.push(self.layer(target, codec, algorithm));
        }
        found
    }

    fn layer(&mut self, target: &Descriptor, codec: Codec, inner: Algorithm) -> Option<String> {
        let digest = target.digest.clone()?;
        let member = self.present(target)?;
        self.embedded(target, Some(&member));
        let key = (digest.clone(), codec as u8, inner.name().to_owned());
        if let Some(known) = self.layers.get(&key) {
            return known.clone();
        }
        let (outer, _) = algorithm_of(&digest)?;
        let reader = match member.open() {
            Ok(reader) => reader,
            Err(e) => {
                self.findings.limit("limit/unreadable", &target.place, e.to_string());
                return None;
            }
        };
        let findings = &mut *self.findings;
        let (blob, inflated, entries) =
            stream::run(reader, codec, [outer, inner], self.limits.inflation, |pieces| {
                layer::look(pieces, &digest, findings)
            });
        self.extent.layers += 1;
        self.extent.entries += entries;
        self.extent.inflated += inflated.size;
        self.extent.bytes += blob.size;
        if let Some(got) = &blob.digest {
            self.named(&digest, got);
        }
        let place = Place { offset: Some(blob.at), ..Place::blob(digest.as_str()) };
        let whole = self.compression(codec, &blob, &place);
        let found = whole.then_some(inflated.digest);
        self.layers.insert(key, found.clone());
        found
    }

    /// Whether the blob is what its media type says.
    fn compression(&mut self, codec: Codec, blob: &stream::Outer, place: &Place) -> bool {
        let row = match codec {
            Codec::Gzip => "IMG-N15",
            Codec::Zstd => "IMG-N16",
            Codec::Plain => "IMG-Y01",
        };
        if blob.padding > 0 {
            self.findings.lint(
                "lint/gzip-padding",
                place,
                format!("{} zeros follow the last member", blob.padding),
            );
        }
        match &blob.broken {
            None if codec == Codec::Plain => true,
            None => self.findings.check(row, true, place, String::new),
            Some(Broken::Content(why)) => self.findings.check(row, false, place, || why.clone()),
            Some(Broken::Limit(why)) => {
                self.findings.limit("limit/inflation", place, why.as_str());
                false
            }
            Some(Broken::Reading(why)) => {
                self.findings.limit("limit/unreadable", place, why.as_str());
                false
            }
        }
    }

    /// Layers against what the configuration says of them.
    fn stack(&mut self, manifest: &Manifest, config: &Config, found: &[Option<String>], name: &str) {
        let place = Place::blob(name);
        if let Some(history) = config.history {
            let layers = manifest.layers.len();
            self.findings.check("IMG-N07", history == layers, &place, || {
                format!("the history has {history} entries that are not empty, there are {layers} layers")
            });
        }
        let Some(said) = &config.diff_ids else { return };
        self.findings.check("IMG-N05", said.len() == manifest.layers.len(), &place, || {
            format!("there are {} diff ids and {} layers", said.len(), manifest.layers.len())
        });
        for (at, (target, found)) in manifest.layers.iter().zip(found).enumerate() {
            let (Some(found), Some(Some(wanted))) = (found, said.get(at)) else { continue };
            let same = found == wanted;
            self.findings.check("IMG-N06", same, &target.place, || {
                format!("the uncompressed layer is {found}, its diff id {wanted}")
            });
            let row = if at == 0 { "IMG-M17" } else { "IMG-M18" };
            // A layer that no diff id names is another matter than one in the wrong place.
            let moved = !same && said.iter().flatten().any(|other| other == found);
            self.findings.check(row, !moved, &target.place, || {
                format!("layer {at} is the one that another diff id names")
            });
        }
    }

    /// A target whose content has no form here: it has a size and a digest all the same.
    fn opaque(&mut self, target: &Descriptor) {
        let member = self.checked(target).filter(|_| target.media_type == EMPTY);
        if let Some(member) = member {
            let place = target.place.clone();
            let content = if member.size == 2 { self.read(&member, &place) } else { Some(Vec::new()) };
            if let Some(bytes) = content {
                self.findings.check("IMG-N12", bytes == b"{}", &place, || "the content is not {}".to_owned());
            }
        }
    }

    /// A subject, which need not be there.
    fn weak(&mut self, target: &Descriptor) {
        let there = target.digest.as_deref().and_then(algorithm_of);
        let member = there.and_then(|(_, path)| self.layout.files.get(&path)).cloned();
        self.sized(target, member.as_ref());
        self.embedded(target, member.as_ref());
    }

    /// The blob that `target` names, if the layout has it.
    fn present(&mut self, target: &Descriptor) -> Option<Member> {
        let digest = target.digest.as_deref()?;
        let Some((_, path)) = algorithm_of(digest) else {
            self.findings.lint(
                "lint/unknown-algorithm",
                &target.place,
                "nothing can be verified against this digest",
            );
            return None;
        };
        let member = self.layout.files.get(&path).cloned();
        self.referred.insert(digest.to_owned());
        let reachable = member.is_some() || target.data.is_some() || target.elsewhere;
        self.findings
            .check("IMG-L11", reachable, &target.place, || format!("the layout has no blob {digest}"));
        self.sized(target, member.as_ref());
        member
    }

    fn sized(&mut self, target: &Descriptor, member: Option<&Member>) {
        if let (Some(size), Some(member)) = (target.size, member) {
            self.findings.check("IMG-N02", size.cast_unsigned() == member.size, &target.place, || {
                format!("the size is {size}, the blob has {} bytes", member.size)
            });
        }
    }

    /// Data against the content that it stands for.
    fn embedded(&mut self, target: &Descriptor, member: Option<&Member>) {
        let (Some(data), Some(digest)) = (&target.data, &target.digest) else { return };
        let Some((algorithm, _)) = algorithm_of(digest) else { return };
        let named = Digest::of(algorithm, data).as_str() == digest;
        let length = data.len() as u64;
        let fits = member.is_none_or(|member| member.size == length);
        let stored = member.filter(|_| fits && length <= self.limits.document).cloned();
        let content = stored.and_then(|member| self.read(&member, &target.place));
        let same = named && fits && content.is_none_or(|content| content == *data);
        self.findings.check("IMG-D14", same, &target.place, || {
            "data is not the content that the digest names".to_owned()
        });
    }

    /// The blob of `target`, after all that can be said without reading it.
    fn checked(&mut self, target: &Descriptor) -> Option<Member> {
        let member = self.present(target);
        self.embedded(target, member.as_ref());
        member
    }

    /// The document that `target` names: from its blob, else from its data.
    fn content(&mut self, target: &Descriptor, member: Option<Member>) -> Option<Vec<u8>> {
        let Some(member) = member else { return target.data.clone() };
        let digest = target.digest.as_deref()?;
        let bytes = self.read(&member, &target.place)?;
        let (algorithm, _) = algorithm_of(digest)?;
        if !self.verified.contains_key(digest) {
            self.extent.bytes += member.size;
            self.named(digest, Digest::of(algorithm, &bytes).as_str());
        }
        Some(bytes)
    }

    /// A whole file, unless it is too large.
    fn read(&mut self, member: &Member, place: &Place) -> Option<Vec<u8>> {
        if member.size > self.limits.document {
            let why = format!("the document has {} bytes, more than {}", member.size, self.limits.document);
            self.findings.limit("limit/document", place, why);
            return None;
        }
        let mut bytes = Vec::new();
        let most = self.limits.document;
        match member.open().and_then(|file| file.take(most).read_to_end(&mut bytes)) {
            Ok(_) => Some(bytes),
            Err(e) => {
                self.findings.limit("limit/unreadable", place, e.to_string());
                None
            }
        }
    }

    /// Content that something refers to, against its name.
    fn named(&mut self, digest: &str, got: &str) {
        let holds = digest == got;
        if self.verified.insert(digest.to_owned(), holds).is_none() {
            self.findings.check("IMG-L08", holds, &Place::blob(digest), || format!("the content is {got}"));
        }
    }

    /// Every file below `blobs`: its name, and its content where nothing referred to it.
    fn blobs(&mut self) {
        let layout = self.layout;
        for (path, member) in layout.files.iter().filter(|(path, _)| path.starts_with("blobs/")) {
            self.extent.blobs += 1;
            let place = Place::blob(path.as_str());
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            let named = match parts.as_slice() {
                [algorithm, encoded] => grammar::is_algorithm(algorithm) && grammar::is_encoded(encoded),
                _ => false,
            };
            self.findings
                .check("IMG-L10", named, &place, || "the name breaks the grammar of digests".to_owned());
            let [algorithm, encoded] = parts.as_slice() else { continue };
            let digest = format!("{algorithm}:{encoded}");
            if self.verified.contains_key(&digest) {
                continue;
            }
            let Some(known) = Algorithm::parse(algorithm) else { continue };
            let referred = self.referred.contains(&digest);
            match member.open().and_then(|reader| stream::hash(reader, known)) {
                Ok((got, size)) => {
                    self.extent.bytes += size;
                    let row = if referred { "IMG-L08" } else { "IMG-L09" };
                    self.findings.check(row, got == digest, &place, || format!("the content is {got}"));
                }
                Err(e) => self.findings.limit("limit/unreadable", &place, e.to_string()),
            }
        }
    }
}

/// How a layer of `media_type` is compressed; `None` for what is no layer of the specification.
fn codec_of(media_type: &str) -> Option<Codec> {
    let rest = media_type.strip_prefix("application/vnd.oci.image.layer.")?;
    match rest.strip_prefix("nondistributable.").unwrap_or(rest) {
        "v1.tar" => Some(Codec::Plain),
        "v1.tar+gzip" => Some(Codec::Gzip),
        "v1.tar+zstd" => Some(Codec::Zstd),
        _ => None,
    }
}
