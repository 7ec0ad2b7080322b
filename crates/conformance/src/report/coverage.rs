//! The page that says how much of the specifications is tested, and how well.

use std::collections::BTreeMap;

use crate::coverage::Covered;
use crate::requirement::Area;

/// Above the rows that nothing proves, where there are any.
const UNPROVEN: &str =
    "\n## Tested, with no mutant\n\n| requirement | level | what it says | cases |\n|---|---|---|---|\n";

/// What is counted of the binding rows of one document.
#[derive(Debug, Default)]
struct Count {
    rows: usize,
    binding: usize,
    tested: usize,
    proven: usize,
    impossible: usize,
}

impl Count {
    fn add(&mut self, covered: &Covered<'_>) {
        self.rows += 1;
        if !covered.row.level.is_binding() || covered.row.applies == "config" {
            return;
        }
        self.binding += 1;
        match covered.cases.is_empty() {
            true => self.impossible += usize::from(covered.reason.is_some()),
            false => {
                self.tested += 1;
                self.proven += usize::from(!covered.mutants.is_empty());
            }
        }
    }

    fn line(&self, name: &str) -> String {
        let Count { rows, binding, tested, proven, impossible } = self;
        let share = match binding {
            0 => String::new(),
            _ => format!("{} %", tested * 100 / binding),
        };
        format!("| {name} | {rows} | {binding} | {tested} | {share} | {proven} | {impossible} |\n")
    }
}

/// Markdown: a table of the documents, then every row that is not tested, and every one that is tested and that no
/// mutant is made to break.
pub fn page(all: &[Covered<'_>]) -> String {
    let mut text = "# How much is tested\n\nWritten by `plimsoll conformance list --to markdown`. A row is one \
        statement of a specification. Binding are those with MUST, MUST NOT or REQUIRED, but for rows of the runtime \
        specification that bind only who writes a configuration. One is proven where a mutant is made to break \
        it.\n\n| document | rows | binding | tested | | proven | no test possible |\n\
        |---|---|---|---|---|---|---|\n"
        .to_owned();
    let mut total = Count::default();
    for (document, count) in documents(all) {
        text.push_str(&count.line(&document));
    }
    all.iter().for_each(|covered| total.add(covered));
    text.push_str(&total.line("all"));
    let untested: Vec<&Covered<'_>> = all.iter().filter(|covered| covered.cases.is_empty()).collect();
    text.push_str("\n## Not tested\n\n| requirement | level | what it says | why there is no test |\n|---|---|---|---|\n");
    for Covered { row, reason, .. } in untested {
        let why = reason.unwrap_or("It binds nobody.");
        text.push_str(&format!(
            "{} | {} | {why} |\n",
            link(row.id, &row.url()),
            cells(row.level.as_str(), row.statement)
        ));
    }
    let unproven = |covered: &&Covered<'_>| !covered.cases.is_empty() && covered.mutants.is_empty();
    let unproven: Vec<&Covered<'_>> = all.iter().filter(unproven).collect();
    if !unproven.is_empty() {
        text.push_str(UNPROVEN);
    }
    for Covered { row, cases: tests, .. } in unproven {
        let cases = cells(row.level.as_str(), row.statement);
        text.push_str(&format!("{} | {cases} | {} |\n", link(row.id, &row.url()), few(tests)));
    }
    text
}

fn link(id: &str, url: &str) -> String {
    format!("| [`{id}`]({url})")
}

fn cells(level: &str, statement: &str) -> String {
    format!("{level} | {}", statement.replace('|', "\\|"))
}

/// The first cases by name, and how many more there are.
fn few(cases: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = cases.iter().take(SHOWN).map(String::as_str).collect();
    match cases.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The counts of each document, in the order of the registry.
fn documents(all: &[Covered<'_>]) -> Vec<(String, Count)> {
    let mut order: Vec<String> = Vec::new();
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for covered in all {
        let specification = match covered.row.area {
            Area::Runtime => "runtime-spec",
            Area::Image => "image-spec",
            Area::Digest => "digests",
        };
        let document = covered.row.link.split('#').next().unwrap_or_default();
        let document = document.rsplit('/').next().unwrap_or(document);
        let name = format!("{specification}, {document}");
        if !counts.contains_key(&name) {
            order.push(name.clone());
        }
        counts.entry(name).or_default().add(covered);
    }
    order.into_iter().filter_map(|name| counts.remove(&name).map(|count| (name, count))).collect()
}

#[cfg(test)]
mod tests {
    use crate::{Registry, coverage};

    #[test]
    fn the_page_in_the_documents_is_this_one() {
        let registry = Registry::load().unwrap();
        let page = super::page(&coverage(&registry));
        let written =
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility/coverage.md"));
        let why = "write it again: plimsoll conformance list --to markdown > docs/compatibility/coverage.md";
        assert!(written == page, "{why}");
    }
}
