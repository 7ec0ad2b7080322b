//! Versions of the specifications, as far as this suite knows them.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::requirement::Area;

/// A minor release of a specification, or what is on its main branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// What comes after every release.
    const MAIN: Version = Version { major: u32::MAX, minor: 0 };

    const fn release(major: u32, minor: u32) -> Version {
        Version { major, minor }
    }

    /// `1.1`, or `1.1.0` with any third number, which changes no row.
    ///
    /// # Errors
    /// [`Kind::Request`] for what is no version of the specification of `area`; it says which there are.
    pub fn parse(area: Area, text: &str) -> Result<Version> {
        let known = known(area);
        let found = read(text).filter(|version| known.contains(version));
        found.ok_or_else(|| {
            let known: Vec<String> = known.iter().map(Version::to_string).collect();
            let why = format!(
                "there is no version {text:?} of the {} specification; there are {}",
                area.as_str(),
                known.join(", ")
            );
            Error::new(Kind::Request, why)
        })
    }

    /// The version that the table of rows says brought one; `None` for what is no version.
    pub(crate) fn since(text: &str) -> Option<Version> {
        read(text)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Version::MAIN => f.write_str("main"),
            Version { major, minor } => write!(f, "{major}.{minor}"),
        }
    }
}

fn known(area: Area) -> &'static [Version] {
    const RUNTIME: [Version; 4] =
        [Version::release(1, 0), Version::release(1, 1), Version::release(1, 2), Version::release(1, 3)];
    const IMAGE: [Version; 3] = [Version::release(1, 0), Version::release(1, 1), Version::MAIN];
    // Digests are part of the image specification.
    const DIGEST: [Version; 2] = [Version::release(1, 0), Version::release(1, 1)];
    match area {
        Area::Runtime => &RUNTIME,
        Area::Image => &IMAGE,
        Area::Digest => &DIGEST,
    }
}

fn read(text: &str) -> Option<Version> {
    if text == "main" {
        return Some(Version::MAIN);
    }
    let number = |text: &str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse::<u32>().ok().filter(|_| plain)
    };
    let mut numbers = text.split('.').map(number);
    let version = Version::release(numbers.next()??, numbers.next()??);
    match (numbers.next(), numbers.next()) {
        (None | Some(Some(_)), None) => Some(version),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_one_that_there_is() {
        let shown = |area, text| Version::parse(area, text).map(|version| version.to_string());
        assert_eq!(shown(Area::Runtime, "1.3.0").unwrap(), "1.3");
        assert_eq!(shown(Area::Runtime, "1.2").unwrap(), "1.2");
        assert_eq!(shown(Area::Image, "main").unwrap(), "main");
        for wrong in
            ["", "v1.3", "1", "1.4", "2.0", "1.3.", "1.3.0.0", "1.3.x", "1.03", "+1.3", "latest", "main"]
        {
            let error = shown(Area::Runtime, wrong).unwrap_err();
            let why = format!(
                "there is no version {wrong:?} of the runtime specification; there are 1.0, 1.1, 1.2, 1.3"
            );
            assert_eq!((error.kind(), error.to_string()), (Kind::Request, why));
        }
        assert!(shown(Area::Image, "1.2").is_err() && shown(Area::Digest, "main").is_err());
    }

    #[test]
    fn versions_are_compared_by_number() {
        let order = ["1.0", "1.2", "1.10", "2.0", "main"].map(|text| read(text).unwrap());
        assert!(order.is_sorted());
    }
}
