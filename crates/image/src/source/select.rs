//! Which image is meant: by its name in the layout's index, then by platform through indexes of indexes.
//! Refuses to guess between names; skips what is unknown, as the specification asks.

use std::collections::{BTreeSet, HashSet};

use plimsoll_digest::Digest;
use plimsoll_spec::image::{Descriptor, ImageConfig, Index, Manifest, Platform};

use super::{Blobs, document};
use crate::media::{self, Document};
use crate::platform::PlatformSpec;
use crate::{Error, Kind, Result, image};

/// The annotation that holds an image's name in a layout.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Most indexes and manifests that are looked at for one image.
const VISIT_LIMIT: usize = 10_000;

/// The manifest of the image that `reference` names in `index`, and its name; without a reference the only
/// one there is.
pub(super) fn image(
    blobs: &dyn Blobs,
    index: &Index,
    reference: Option<&str>,
    platform: &PlatformSpec,
) -> Result<(Descriptor, Option<String>)> {
    let name = match reference {
        Some(reference) => Some(reference),
        None => only_name(index)?,
    };
    let named: Vec<&Descriptor> = match name {
        Some(name) => index.manifests.iter().filter(|image| self::name(image) == Some(name)).collect(),
        None => index.manifests.iter().collect(),
    };
    let mut chosen = match (named.as_slice(), name) {
        ([], Some(name)) => {
            let context = format!("no image is called {name:?} among {}", list(index));
            return Err(Error::new(Kind::NotFound, context));
        }
        ([], None) => return Err(Error::new(Kind::NotFound, "there is no image in the index")),
        // One manifest is what was asked for, whatever it runs on.
        ([one], _) if media::document(&one.media_type) == Some(Document::Manifest) => (*one).clone(),
        (several, _) => best(blobs, several, platform)?,
    };
    // It names the image in this index only, and elsewhere another name may.
    chosen.annotations.remove(REF_NAME);
    Ok((chosen, name.map(str::to_owned)))
}

/// The name that all images of `index` share, if they have one.
fn only_name(index: &Index) -> Result<Option<&str>> {
    let names: BTreeSet<Option<&str>> = index.manifests.iter().map(name).collect();
    match names.len() {
        0 | 1 => Ok(names.into_iter().next().flatten()),
        _ => Err(Error::new(Kind::Invalid, format!("a reference is needed, one of {}", list(index)))),
    }
}

fn name(image: &Descriptor) -> Option<&str> {
    image.annotations.get(REF_NAME).map(String::as_str)
}

/// The names in `index` for a message; some of them where there are many.
fn list(index: &Index) -> String {
    let names: BTreeSet<&str> = index.manifests.iter().filter_map(name).collect();
    if names.is_empty() {
        return "images without names".into();
    }
    let shown: Vec<String> = names.iter().take(20).map(|name| format!("{name:?}")).collect();
    let more = if names.len() > shown.len() { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// The manifest among and below `candidates` that suits `platform` best; the first of equals.
fn best(blobs: &dyn Blobs, candidates: &[&Descriptor], platform: &PlatformSpec) -> Result<Descriptor> {
    let mut search =
        Search { blobs, platform, visits: 0, read: HashSet::new(), best: None, offered: BTreeSet::new() };
    candidates.iter().try_for_each(|candidate| search.visit(candidate, 0))?;
    search.best.map(|(_, descriptor)| descriptor).ok_or_else(|| {
        let offered: Vec<String> = search.offered.into_iter().take(20).collect();
        Error::new(Kind::NotFound, format!("no image for {platform}, only for [{}]", offered.join(", ")))
    })
}

struct Search<'a> {
    blobs: &'a dyn Blobs,
    platform: &'a PlatformSpec,
    visits: usize,
    /// Documents that were read, so that indexes which name each other's parts many times cost no more than
    /// once. One that was passed over for its platform may be named again with another.
    read: HashSet<Digest>,
    best: Option<(usize, Descriptor)>,
    offered: BTreeSet<String>,
}

impl Search<'_> {
    fn visit(&mut self, descriptor: &Descriptor, depth: usize) -> Result<()> {
        media::check_depth(depth)?;
        self.visits += 1;
        if self.visits > VISIT_LIMIT {
            return Err(Error::new(Kind::Limit, format!("more than {VISIT_LIMIT} images to choose from")));
        }
        match media::document(&descriptor.media_type) {
            Some(Document::Index)
                if descriptor.platform.as_ref().is_none_or(|on| self.rank(on).is_some())
                    && self.is_first(descriptor) =>
            {
                let index: Index = document(self.blobs, descriptor)?;
                let media_type = index.media_type.as_deref();
                image::check_shape(descriptor, index.schema_version, media_type, &index.extra)?;
                index.manifests.iter().try_for_each(|below| self.visit(below, depth + 1))
            }
            Some(Document::Manifest) => self.offer(descriptor),
            // Other types, such as attestations, are for others.
            _ => Ok(()),
        }
    }

    fn is_first(&mut self, descriptor: &Descriptor) -> bool {
        self.read.insert(descriptor.digest.clone())
    }

    fn offer(&mut self, descriptor: &Descriptor) -> Result<()> {
        let rank = match &descriptor.platform {
            Some(platform) => self.rank(platform),
            None if self.is_first(descriptor) => match platform_of_config(self.blobs, descriptor)? {
                Some(platform) => self.rank(&platform),
                None => None,
            },
            None => None,
        };
        if let Some(rank) = rank
            && self.best.as_ref().is_none_or(|(best, _)| rank < *best)
        {
            self.best = Some((rank, descriptor.clone()));
        }
        Ok(())
    }

    fn rank(&mut self, platform: &Platform) -> Option<usize> {
        let features = match platform.os_features.as_slice() {
            [] => String::new(),
            features => format!(" with {}", features.join(" ")),
        };
        self.offered.insert(format!("{}{features}", PlatformSpec::of(platform)));
        self.platform.rank(platform)
    }
}

/// The platform that the configuration of the manifest `descriptor` gives; none where it is an artifact.
fn platform_of_config(blobs: &dyn Blobs, descriptor: &Descriptor) -> Result<Option<Platform>> {
    let manifest: Manifest = document(blobs, descriptor)?;
    if media::document(&manifest.config.media_type) != Some(Document::Config) {
        return Ok(None);
    }
    let config: ImageConfig = document(blobs, &manifest.config)?;
    Ok(Some(Platform {
        architecture: config.architecture,
        os: config.os,
        os_version: config.os_version,
        os_features: config.os_features,
        variant: config.variant,
        ..Platform::default()
    }))
}
