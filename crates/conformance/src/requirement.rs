//! Every normative statement of the specifications as a row with an id that never changes.
//!
//! The tables stand beside the code, one line a row; `reasons.tsv` says for rows that no black box can show
//! why that is so. A row without either a rule or a reason is a fault of the suite, which
//! [`coverage`](crate::coverage) finds.

use std::collections::BTreeMap;

use plimsoll_digest::{Algorithm, Digest};
use plimsoll_spec::json::wire_enum;

use crate::error::{Error, Kind, Result};
use crate::version::Version;

wire_enum! {
    /// How strongly a row binds, by RFC 2119.
    pub enum Level {
        /// MUST.
        Must = "MUST",
        /// MUST NOT.
        MustNot = "MUST NOT",
        /// REQUIRED.
        Required = "REQUIRED",
        /// SHOULD.
        Should = "SHOULD",
        /// SHOULD NOT.
        ShouldNot = "SHOULD NOT",
        /// MAY.
        May = "MAY",
        /// No key word, but a meaning that can be got wrong and seen.
        Consequence = "consequence",
    }

    /// What a row is about.
    pub enum Area {
        /// The runtime specification.
        Runtime = "runtime",
        /// The image specification.
        Image = "image",
        /// The digest grammar and its reference implementation.
        Digest = "digest",
    }
}

impl Level {
    /// Whether a subject that breaks the row does not conform.
    pub fn is_binding(self) -> bool {
        matches!(self, Level::Must | Level::MustNot | Level::Required)
    }

    /// Whether a failure of the row is a failure of the run. What is only recommended is shown, and decides
    /// nothing.
    pub fn decides(self) -> bool {
        self.is_binding() || self == Level::Consequence
    }
}

/// One normative statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Stable for ever.
    pub id: &'static str,
    /// What it is about.
    pub area: Area,
    /// How strongly it binds.
    pub level: Level,
    /// Whom it binds: `runtime`, `config`, `both`, or for images `producer`, `consumer`, `document`.
    pub applies: &'static str,
    /// The minor version of the specification that brought it, as the table has it.
    pub since: &'static str,
    /// The group of rows that it is certified with.
    pub profile: &'static str,
    /// Document and anchor within the specification.
    pub link: &'static str,
    /// What it says, in our words.
    pub statement: &'static str,
    /// What other suites do about it; empty for nothing.
    pub others: &'static str,
}

impl Requirement {
    /// Where the statement stands.
    pub fn url(&self) -> String {
        let base = match self.area {
            Area::Image if self.since == "main" => "https://github.com/opencontainers/image-spec/blob/main/",
            Area::Runtime => "https://github.com/opencontainers/runtime-spec/blob/v1.3.0/",
            Area::Image => "https://github.com/opencontainers/image-spec/blob/v1.1.1/",
            Area::Digest => "https://github.com/opencontainers/",
        };
        format!("{base}{}", self.link)
    }

    /// Whether the row is part of `version` of its specification.
    pub fn is_in(&self, version: Version) -> bool {
        Version::since(self.since).is_some_and(|since| since <= version)
    }
}

const TABLES: [(Area, &str); 3] = [
    (Area::Runtime, include_str!("../registry/runtime.tsv")),
    (Area::Image, include_str!("../registry/image.tsv")),
    (Area::Digest, include_str!("../registry/digest.tsv")),
];
const REASONS: &str = include_str!("../registry/reasons.tsv");

/// All rows.
#[derive(Debug)]
pub struct Registry {
    rows: Vec<Requirement>,
    by_id: BTreeMap<&'static str, usize>,
    reasons: BTreeMap<&'static str, &'static str>,
}

impl Registry {
    /// Reads the tables.
    ///
    /// # Errors
    /// [`Kind::Suite`] where a table is malformed, repeats an id, or gives a reason for a row that is not there.
    pub fn load() -> Result<Registry> {
        let mut registry = Registry { rows: Vec::new(), by_id: BTreeMap::new(), reasons: BTreeMap::new() };
        for (area, table) in TABLES {
            for line in table.lines().skip(1) {
                let row = parse(area, line)?;
                if registry.by_id.insert(row.id, registry.rows.len()).is_some() {
                    return Err(Error::new(Kind::Suite, format!("the registry repeats {}", row.id)));
                }
                registry.rows.push(row);
            }
        }
        for line in REASONS.lines().skip(1) {
            let (id, reason) = line
                .split_once('\t')
                .ok_or_else(|| Error::new(Kind::Suite, format!("no reason stands in {line:?}")))?;
            registry.row(id)?;
            registry.reasons.insert(id, reason);
        }
        Ok(registry)
    }

    /// Every row, in the order of the specifications.
    pub fn rows(&self) -> &[Requirement] {
        &self.rows
    }

    /// The row called `id`.
    ///
    /// # Errors
    /// [`Kind::Request`] where there is none.
    pub fn row(&self, id: &str) -> Result<&Requirement> {
        let found = self.by_id.get(id).and_then(|at| self.rows.get(*at));
        found.ok_or_else(|| Error::new(Kind::Request, format!("there is no requirement {id:?}")))
    }

    /// Why no test of row `id` is possible.
    pub fn reason(&self, id: &str) -> Option<&'static str> {
        self.reasons.get(id).copied()
    }

    /// Identifies the tables, so that a result says by which it was judged.
    pub fn digest() -> Digest {
        let mut text = String::new();
        for (area, table) in TABLES {
            text.push_str(area.as_str());
            text.push('\n');
            text.push_str(table);
        }
        text.push_str(REASONS);
        Digest::of(Algorithm::Sha256, text.as_bytes())
    }
}

fn parse(area: Area, line: &'static str) -> Result<Requirement> {
    let malformed = || Error::new(Kind::Suite, format!("malformed line in the registry: {line:?}"));
    let fields: Vec<&'static str> = line.split('\t').collect();
    let [id, level, applies, since, profile, link, statement, others] = fields.as_slice() else {
        return Err(malformed());
    };
    let level = Level::ALL.iter().copied().find(|known| known.as_str() == *level).ok_or_else(malformed)?;
    if [id, applies, since, profile, link, statement].iter().any(|field| field.is_empty())
        || Version::since(since).is_none()
    {
        return Err(malformed());
    }
    Ok(Requirement { id, area, level, applies, since, profile, link, statement, others })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_well_formed() {
        let registry = Registry::load().unwrap();
        assert!(registry.rows().len() >= 488, "{}", registry.rows().len());
        assert_eq!(registry.row("RUN-STATE-02").unwrap().level, Level::Required);
        let error = registry.row("NO-SUCH-1").unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (Kind::Request, "there is no requirement \"NO-SUCH-1\"")
        );
    }

    #[test]
    fn a_row_is_of_the_version_that_first_says_it() {
        let registry = Registry::load().unwrap();
        let first = [
            ("CFG-CAP-02", "1.0.2", "1.1.0"),
            ("CFG-HOOK-20", "1.0.2", "1.1.0"),
            ("CFG-MOPT-ro", "1.0.2", "1.1.0"),
            ("LNX-HUGE-03", "1.0.2", "1.1.0"),
            ("LNX-SEC-16", "1.0.2", "1.1.0"),
            ("CFG-ANN-07", "1.1.0", "1.2.0"),
            ("LNX-RDT-17", "1.2.1", "1.3.0"),
        ];
        for (id, before, version) in first {
            let row = registry.row(id).unwrap();
            let is_in = |text| row.is_in(Version::parse(Area::Runtime, text).unwrap());
            assert!(is_in(version) && !is_in(before), "{id}");
        }
    }

    #[test]
    fn what_is_not_released_is_in_no_release() {
        let registry = Registry::load().unwrap();
        let is_in = |text| registry.row("IMG-X07").unwrap().is_in(Version::parse(Area::Image, text).unwrap());
        assert!(is_in("main") && !is_in("1.1.1"));
    }
}
