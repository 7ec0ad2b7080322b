//! What the published runs have shown of each row: the table is made by `matrix --to tsv` from their results.

use std::collections::BTreeMap;

use crate::verdict::Verdict;

const TABLE: &str = include_str!("../registry/seen.tsv");

/// Whom each verdict on row `id` was given; nothing for a row that no published run had.
pub fn seen(id: &str) -> BTreeMap<Verdict, Vec<&'static str>> {
    let mut lines = TABLE.lines();
    let subjects = lines.next().unwrap_or_default().split('\t').skip(1);
    let cells = lines.find_map(|line| line.strip_prefix(id)?.strip_prefix('\t')).unwrap_or_default();
    let mut found: BTreeMap<Verdict, Vec<&'static str>> = BTreeMap::new();
    for (subject, cell) in subjects.zip(cells.split('\t')) {
        if let Some(verdict) = Verdict::ALL.iter().find(|verdict| verdict.as_str() == cell) {
            found.entry(*verdict).or_default().push(subject);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    #[test]
    fn the_table_is_about_rows_that_there_are() {
        let registry = Registry::load().unwrap();
        let columns = TABLE.lines().next().unwrap().split('\t').count();
        assert!(columns > 1);
        for line in TABLE.lines().skip(1) {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), columns, "{line}");
            registry.row(cells[0]).unwrap();
            for cell in &cells[1..] {
                let known = Verdict::ALL.iter().any(|verdict| verdict.as_str() == *cell);
                assert!(cell.is_empty() || known, "{line}");
            }
        }
        assert!(seen("RUN-CREATE-05").contains_key(&Verdict::Pass));
        assert!(seen("nothing").is_empty());
    }
}
