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
    let mut add = |name: &str, row: &str| found.entry(row.to_owned()).or_default().push(name.to_owned());
    for mutant in runtime::mutants::mutants() {
        mutant.rows.iter().for_each(|row| add(&mutant.name, row));
    }
    for mutant in image::mutants::all() {
        std::iter::once(&mutant.row).chain(mutant.also).for_each(|row| add(mutant.name, row));
    }
    for mutants in [image::unpacker::mutants(), image::converter::mutants(), image::copier::mutants()] {
        for mutant in mutants {
            mutant.rows.iter().for_each(|row| add(&mutant.name, row));
        }
    }
    for mutant in digest::mutants() {
        mutant.rows.iter().for_each(|row| add(mutant.name, row));
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
    fn every_binding_row_that_is_tested_has_a_mutant() {
        let registry = Registry::load().unwrap();
        let tested = coverage(&registry).into_iter().filter(|covered| !covered.cases.is_empty());
        let binding = tested.filter(|covered| covered.row.level.is_binding());
        let open: Vec<_> =
            binding.filter(|covered| covered.mutants.is_empty()).map(|covered| covered.row.id).collect();
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
