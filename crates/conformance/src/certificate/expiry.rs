//! How long a certificate is good, by the rules of OCI's certification program.
//!
//! A version x.y of a specification can be certified against while it, x.y+1 or x.y+2 is the newest. A
//! certificate is good until 12 months after the release of x.y or 9 months after that of x.y+1, whichever is
//! later. While there is no x.y+1 there is therefore no last day, only one that it is sure to reach.

use crate::day::Day;
use crate::error::{Error, Kind, Result};

/// Major, minor, day of the release.
type Release = (u32, u32, Day);

/// The minor releases. The day is that of the announcement where that is known for sure, else that of the
/// tagged commit, which is some days earlier.
const RELEASES: [(&str, &[Release]); 2] = [
    (
        "runtime-spec",
        &[
            (1, 0, Day::of(2017, 7, 19)),
            (1, 1, Day::of(2023, 6, 28)),
            (1, 2, Day::of(2024, 1, 26)),
            (1, 3, Day::of(2025, 11, 4)),
        ],
    ),
    ("image-spec", &[(1, 0, Day::of(2017, 7, 19)), (1, 1, Day::of(2024, 1, 27))]),
];

/// How long a certificate against one version is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The release of the version.
    pub released: Day,
    /// The day that the certificate reaches in any case.
    pub at_least: Day,
    /// The last day; none while the next version is not released.
    pub expires: Option<Day>,
}

/// The specification that subjects of `kind` are judged by.
pub fn specification(kind: &str) -> &'static str {
    match kind {
        "runtime" => "runtime-spec",
        _ => "image-spec",
    }
}

fn releases(specification: &str) -> &'static [Release] {
    RELEASES.iter().find(|(name, _)| *name == specification).map_or(&[], |(_, releases)| releases)
}

fn position(specification: &str, version: &str) -> Result<usize> {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let of = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => {
            releases(specification).iter().position(|release| (release.0, release.1) == (major, minor))
        }
        _ => None,
    };
    of.ok_or_else(|| Error::new(Kind::Request, format!("there is no release {version:?} of {specification}")))
}

/// How long a certificate against `version` of `specification` is good.
///
/// # Errors
/// [`Kind::Request`] for a version that is not released, as far as this program knows.
pub fn validity(specification: &str, version: &str) -> Result<Validity> {
    let at = position(specification, version)?;
    let releases = releases(specification);
    let released = releases.get(at).map_or(Day::of(1970, 1, 1), |release| release.2);
    let at_least = released.plus_months(12);
    let expires = releases.get(at + 1).map(|next| at_least.max(next.2.plus_months(9)));
    Ok(Validity { released, at_least, expires })
}

/// Whether `version` is the newest of `specification` or one of the two before it.
pub fn eligible(specification: &str, version: &str) -> bool {
    position(specification, version).is_ok_and(|at| at + 3 >= releases(specification).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_day_counts() {
        let last = |version| validity("runtime-spec", version).unwrap().expires.map(|day| day.to_string());
        assert_eq!(last("1.0.0"), Some("2024-03-28".to_owned()));
        assert_eq!(last("1.1"), Some("2024-10-26".to_owned()));
        assert_eq!(last("1.2.1"), Some("2026-08-04".to_owned()));
        assert_eq!(last("1.3.0"), None);
        assert_eq!(validity("runtime-spec", "1.3.0").unwrap().at_least.to_string(), "2026-11-04");
        for wrong in ["1.4", "1", "", "x.y", "2.0"] {
            let error = validity("runtime-spec", wrong).unwrap_err();
            assert_eq!(error.to_string(), format!("there is no release {wrong:?} of runtime-spec"));
        }
    }

    #[test]
    fn three_versions_are_eligible() {
        let of = |version| eligible("runtime-spec", version);
        assert_eq!([of("1.0"), of("1.1"), of("1.2"), of("1.3"), of("1.4")], [false, true, true, true, false]);
    }
}
