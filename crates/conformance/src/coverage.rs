//! Which cases of all suites judge which row.

use std::collections::BTreeMap;

use crate::case::Case;
use crate::{digest, image, runtime};

/// The names of the cases that judge each row; rows that none does are absent.
pub fn coverage() -> BTreeMap<&'static str, Vec<String>> {
    let mut found = BTreeMap::new();
    add(&mut found, runtime::suite());
    add(&mut found, image::suite());
    for suite in [image::unpacker::suite(), image::converter::suite(), image::copier::suite()] {
        add(&mut found, suite);
    }
    add(&mut found, digest::suite());
    found
}

fn add<S>(found: &mut BTreeMap<&'static str, Vec<String>>, suite: Vec<Case<S>>) {
    for case in suite {
        for rule in &case.rules {
            let names = found.entry(rule.requirement).or_default();
            if names.last() != Some(&case.name) {
                names.push(case.name.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::requirement::{Area, Registry};

    #[test]
    fn every_binding_row_of_images_and_digests_has_a_case_or_a_reason() {
        let registry = Registry::load().unwrap();
        let coverage = coverage();
        let tested: BTreeSet<&str> = coverage.keys().copied().collect();
        let open: Vec<_> = registry
            .uncovered(&tested)
            .into_iter()
            .filter(|id| registry.row(id).unwrap().area != Area::Runtime)
            .collect();
        assert!(open.is_empty(), "{open:?}");
        for id in tested {
            registry.row(id).unwrap();
        }
    }
}
