//! Which cases of all suites judge which row, and what proves that they can fail.

use std::collections::BTreeMap;

use crate::case::Case;
use crate::requirement::{Registry, Requirement};
use crate::{digest, image, runtime};

/// A row, and what is done about it.
#[derive(Debug)]
pub struct Covered<'a> {
    /// The row.
    pub row: &'a Requirement,
    /// The names of the cases that judge it.
    pub cases: Vec<String>,
    /// Why no test is possible, for a row without cases.
    pub reason: Option<&'static str>,
    /// The names of the mutants that are made to break it.
    pub mutants: Vec<String>,
}

/// Every row of `registry`, in its order.
pub fn coverage<'a>(registry: &'a Registry) -> Vec<Covered<'a>> {
    let (mut cases, mut mutants) = (cases(), mutants());
    let covered = |row: &'a Requirement| Covered {
        row,
        cases: cases.remove(row.id).unwrap_or_default(),
        reason: registry.reason(row.id),
        mutants: mutants.remove(row.id).unwrap_or_default(),
    };
    registry.rows().iter().map(covered).collect()
}

/// What is done about each row, by its id.
type ByRow = BTreeMap<String, Vec<String>>;

fn cases() -> ByRow {
    let mut found = BTreeMap::new();
    add(&mut found, runtime::suite());
    add(&mut found, image::suite());
    for suite in [image::unpacker::suite(), image::converter::suite(), image::copier::suite()] {
        add(&mut found, suite);
    }
    add(&mut found, digest::suite());
    found
}

fn add<S>(found: &mut ByRow, suite: Vec<Case<S>>) {
    for case in suite {
        for rule in &case.rules {
            let names = found.entry(rule.requirement.to_owned()).or_default();
            if names.last() != Some(&case.name) {
                names.push(case.name.clone());
            }
        }
    }
}

fn mutants() -> ByRow {
    let mut found = ByRow::new();
    for mutant in runtime::mutants::mutants() {
        for row in mutant.rows {
            found.entry(row).or_default().push(mutant.name.clone());
        }
    }
    for mutant in image::mutants::all() {
        for row in std::iter::once(&mutant.row).chain(mutant.also) {
            found.entry((*row).to_owned()).or_default().push(mutant.name.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirement::Area;

    #[test]
    fn every_binding_row_of_images_and_digests_has_a_case_or_a_reason() {
        let registry = Registry::load().unwrap();
        let open: Vec<_> = coverage(&registry)
            .into_iter()
            .filter(|covered| covered.row.area != Area::Runtime && covered.row.level.is_binding())
            .filter(|covered| covered.cases.is_empty() && covered.reason.is_none())
            .map(|covered| covered.row.id)
            .collect();
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn cases_and_mutants_are_about_rows_that_there_are() {
        let registry = Registry::load().unwrap();
        for id in cases().into_keys().chain(mutants().into_keys()) {
            registry.row(&id).unwrap();
        }
    }
}
