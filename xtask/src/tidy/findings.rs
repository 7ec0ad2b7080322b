//! Whether the page of findings and the verdicts of the published runs tell the same: every failure of a runtime
//! that has a section is explained there, and nothing is explained that no run has shown.

use std::collections::BTreeSet;

/// The page that explains.
pub(super) const PAGE: &str = "docs/compatibility/runtimes.md";
/// The verdicts.
pub(super) const SEEN: &str = "crates/conformance/registry/seen.tsv";

/// The section of what no runtime gets right, and the beginning of that of what one alone gets right.
const ALL: &str = "All of them";
const ALL_BUT: &str = "All but ";

/// A requirement that a section of the page explains.
type Explained<'a> = BTreeSet<(&'a str, String)>;

/// Failures without a sentence.
pub(super) fn unexplained(page: &str, seen: &str) -> Vec<String> {
    let explained = explained(page);
    let says = |section: &str, id: &str| explained.contains(&(section, id.to_owned()));
    let sections: BTreeSet<&str> = explained.iter().map(|(section, _)| *section).collect();
    let silent = |(subject, id): &(&str, &str)| {
        let but = sections.iter().filter_map(|section| Some((section, section.strip_prefix(ALL_BUT)?)));
        let of_many = but.filter(|(_, exception)| !is_version_of(subject, exception));
        let mut names = of_many.map(|(section, _)| *section).chain([*subject, ALL]);
        sections.contains(subject) && !names.any(|section| says(section, id))
    };
    let fault = |(subject, id): (&str, &str)| format!("{PAGE}: does not explain why {subject} fails {id}");
    failures(seen).into_iter().filter(silent).map(fault).collect()
}

/// Sentences about what has not failed.
pub(super) fn unfounded(page: &str, seen: &str) -> Vec<String> {
    let failures = failures(seen);
    let of_many = |section: &str| section == ALL || section.starts_with(ALL_BUT);
    let founded = |(section, id): &&(&str, String)| {
        failures.iter().any(|(subject, failed)| failed == id && (subject == section || of_many(section)))
    };
    let fault = |(section, id): &(&str, String)| format!("{PAGE}: no run shows {id} of \"{section}\"");
    explained(page).iter().filter(|one| !founded(one)).map(fault).collect()
}

fn is_version_of(subject: &str, name: &str) -> bool {
    subject.split_once(' ').is_some_and(|(own, _)| own == name)
}

/// Who fails what, wherever it was run.
fn failures(seen: &str) -> BTreeSet<(&str, &str)> {
    let mut lines = seen.lines();
    let titles = lines.next().unwrap_or_default().split('\t').skip(1);
    let subjects: Vec<&str> = titles.filter_map(|title| title.split(" (").next()).collect();
    let mut failures = BTreeSet::new();
    for line in lines {
        let mut cells = line.split('\t');
        let id = cells.next().unwrap_or_default();
        let failed = std::iter::zip(&subjects, cells).filter(|(_, cell)| *cell == "FAIL");
        failures.extend(failed.map(|(subject, _)| (*subject, id)));
    }
    failures
}

/// The first cells of the tables in sections: ids, of which one may leave out what it shares with the one before.
fn explained(page: &str) -> Explained<'_> {
    let mut explained = Explained::new();
    let mut section = "";
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let cell = line.strip_prefix("| ").and_then(|line| line.split(" | ").next());
        let mut before = String::new();
        for word in cell.filter(|_| !section.is_empty()).into_iter().flat_map(|cell| cell.split(", ")) {
            let whole = match (word.strip_prefix('-'), before.rsplit_once('-')) {
                (Some(end), Some((start, _))) => format!("{start}-{end}"),
                _ => word.to_owned(),
            };
            before.clone_from(&whole);
            if whole.contains('-') {
                explained.insert((section, whole));
            }
        }
    }
    explained
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN_HERE: &str =
        "id\trunc 1.5.2 (cgroup v2)\tours 0.1 (cgroup v2)\nA-B-01\tFAIL\tPASS\nA-B-02\tFAIL\tFAIL\n";
    const TABLE: &str = "| requirement | case | finding |\n|---|---|---|\n";

    #[test]
    fn a_failure_and_a_sentence_belong_together() {
        let whole = format!("## All of them\n\n{TABLE}| A-B-02 | a | b |\n\n## All but ours\n\n{TABLE}");
        let good = format!("{whole}| A-B-01 | a | b |\n\n## runc 1.5.2\n\n{TABLE}| A-B-01, -02 | a | b |\n");
        assert_eq!(unexplained(&good, SEEN_HERE), [""; 0]);
        assert_eq!(unfounded(&good, SEEN_HERE), [""; 0]);
        let want = ["docs/compatibility/runtimes.md: does not explain why runc 1.5.2 fails A-B-01"];
        let silent = format!("## runc 1.5.2\n\n{TABLE}| A-B-02 | a | b |\n");
        assert_eq!(unexplained(&silent, SEEN_HERE), want);
        let want = ["docs/compatibility/runtimes.md: no run shows A-B-01 of \"ours 0.1\""];
        let wrong = format!("## ours 0.1\n\n{TABLE}| A-B-01, -02 | a | b |\n");
        assert_eq!(unfounded(&wrong, SEEN_HERE), want);
    }

    #[test]
    fn what_one_alone_gets_right_is_explained_for_the_others() {
        let page = format!(
            "## All but ours\n\n{TABLE}| A-B-01, -02 | a | b |\n\n## ours 0.1\n\n{TABLE}| A-B-03 | a | b |\n"
        );
        let want = ["docs/compatibility/runtimes.md: does not explain why ours 0.1 fails A-B-02"];
        assert_eq!(unexplained(&page, SEEN_HERE), want);
    }
}
