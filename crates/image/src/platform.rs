//! Platforms: what is asked for, and which image of an index suits it best.
//!
//! Names are brought into one form first (`x86_64` is `amd64`, `arm64/v8` is `arm64`); then older variants
//! and the 32-bit architecture of the same processors are taken where nothing better is there, as
//! containerd does. Refused are images that need features of the operating system, since none is known
//! for Linux, and whatever runs on another operating system.
//!
//! # References
//! - [image-index.md, platform variants](https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md#platform-variants)
//! - [GOARCH and GOOS](https://go.dev/doc/install/source#environment)

use std::fmt;

use plimsoll_spec::image::Platform;

use crate::{Error, Kind, Result};

/// What an image shall run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformSpec {
    os: String,
    architecture: String,
    variant: String,
}

impl PlatformSpec {
    /// Reads `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for any other form.
    pub fn parse(text: &str) -> Result<PlatformSpec> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            !part.is_empty() && part.len() <= 64 && part.bytes().all(allowed)
        };
        match parts.as_slice() {
            [os, architecture] if parts.iter().all(word) => Ok(Self::normal(os, architecture, "")),
            [os, architecture, variant] if parts.iter().all(word) => {
                Ok(Self::normal(os, architecture, variant))
            }
            _ => {
                Err(Error::new(Kind::Invalid, format!("platform {text:?} is not OS/ARCHITECTURE[/VARIANT]")))
            }
        }
    }

    /// What this program runs on.
    pub fn host() -> PlatformSpec {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86" => ("386", ""),
            "arm" => ("arm", "v7"),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", ""),
            "loongarch64" => ("loong64", ""),
            same => (same, ""),
        };
        Self::normal(std::env::consts::OS, architecture, variant)
    }

    /// What `platform` says in the one form.
    pub fn of(platform: &Platform) -> PlatformSpec {
        Self::normal(&platform.os, &platform.architecture, platform.variant.as_deref().unwrap_or(""))
    }

    /// How well `platform` suits this: 0 best, more is worse, `None` not at all.
    pub fn rank(&self, platform: &Platform) -> Option<usize> {
        if !platform.os_features.is_empty() {
            return None;
        }
        let offered = Self::of(platform);
        self.accepted().iter().position(|accepted| *accepted == offered)
    }

    fn normal(os: &str, architecture: &str, variant: &str) -> PlatformSpec {
        let (os, architecture, variant) =
            (os.to_ascii_lowercase(), architecture.to_ascii_lowercase(), variant.to_ascii_lowercase());
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386" | "i686" | "386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1" | "1") => ("amd64", ""),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8" | "8.0" | "v8.0") => ("arm64", ""),
            ("aarch64" | "arm64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            other => other,
        };
        let os = if os == "macos" { "darwin".to_owned() } else { os };
        PlatformSpec { os, architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// Everything that runs on this, the best first.
    fn accepted(&self) -> Vec<PlatformSpec> {
        let on = |architecture: &str, variant: &str| PlatformSpec {
            os: self.os.clone(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        };
        let level = self.variant.strip_prefix('v').and_then(|level| level.parse::<u8>().ok());
        let mut accepted = vec![self.clone()];
        match (self.architecture.as_str(), level) {
            ("amd64", level) => {
                // The psABI has levels 1 to 4; whatever is above is an own invention.
                let below = (2..level.unwrap_or(2).min(5)).rev();
                accepted.extend(below.map(|level| on("amd64", &format!("v{level}"))));
                if level.is_some() {
                    accepted.push(on("amd64", ""));
                }
                accepted.push(on("386", ""));
            }
            ("arm", Some(level)) => accepted.extend(arm_below(level).map(|variant| on("arm", variant))),
            ("arm64", _) => {
                if !self.variant.is_empty() {
                    accepted.push(on("arm64", ""));
                }
                accepted.extend(arm_below(9).map(|variant| on("arm", variant)));
            }
            _ => {}
        }
        accepted
    }
}

/// The variants of 32-bit ARM below `level`, the newest first.
fn arm_below(level: u8) -> impl Iterator<Item = &'static str> {
    let variants = [(8, "v8"), (7, "v7"), (6, "v6"), (5, "v5")];
    variants.into_iter().filter(move |&(other, _)| other < level).map(|(_, name)| name)
}

impl fmt::Display for PlatformSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}
