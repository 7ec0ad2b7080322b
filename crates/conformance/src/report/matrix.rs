//! Many results side by side: rows are requirements, columns subjects where they were judged.

use plimsoll_spec::json::{self, wire_object};

use crate::error::{Error, Kind, Result};
use crate::requirement::Registry;
use crate::results::{Results, RowRecord};
use crate::verdict::Verdict;

use super::diff::title;
use super::escape::{code, line, markup};
use super::html::{badge, bar, by_section, counted_word, filter, many, mark, page, version};
use super::{Row, markdown};

/// Most columns: more is no table for anybody.
const COLUMNS: usize = 64;

/// A table of verdicts.
pub struct Matrix<'a> {
    registry: &'a Registry,
    columns: &'a [Results],
    ids: Vec<&'a str>,
}

wire_object! {
    /// A table of verdicts for programs.
    pub struct Table {
        /// A column each.
        pub columns: Vec<Column> = "columns" always,
        /// A requirement each.
        pub rows: Vec<TableRow> = "rows" always,
    }

    /// A subject and where it was judged.
    pub struct Column {
        /// For people.
        pub title: String = "title" required,
        /// The subject's name.
        pub subject: String = "subject" required,
        /// The subject's version.
        pub version: String = "version" required,
        /// The subject's digest.
        pub digest: String = "digest" required,
        /// Where.
        pub environment: std::collections::BTreeMap<String, String> = "environment",
    }

    /// A requirement.
    pub struct TableRow {
        /// Its id.
        pub id: String = "id" required,
        /// Its level.
        pub level: String = "level" required,
        /// What it says.
        pub statement: String = "statement" required,
        /// A verdict for each column, `null` where the column has no such row.
        pub verdicts: Vec<Option<Verdict>> = "verdicts" always,
    }
}

impl<'a> Matrix<'a> {
    /// A table of `columns`; its rows are all that any column has, in the order of the registry, what that
    /// does not know at the end.
    ///
    /// # Errors
    /// [`Kind::Request`] for no columns and for more than 64.
    pub fn new(columns: &'a [Results], registry: &'a Registry) -> Result<Matrix<'a>> {
        if columns.is_empty() || columns.len() > COLUMNS {
            let why = format!("make a table of {} results: from 1 to {COLUMNS} are possible", columns.len());
            return Err(Error::new(Kind::Request, why));
        }
        let mut there: std::collections::BTreeSet<&str> =
            columns.iter().flat_map(|results| &results.rows).map(|row| row.id.as_str()).collect();
        let mut ids: Vec<&str> =
            registry.rows().iter().map(|row| row.id).filter(|id| there.remove(id)).collect();
        ids.extend(there);
        Ok(Matrix { registry, columns, ids })
    }

    fn cells(&self, id: &str) -> Vec<Option<&'a RowRecord>> {
        self.columns.iter().map(|results| results.row(id)).collect()
    }

    /// A row of the first column that has it, for what is known of the requirement.
    fn rows(&self) -> Vec<Row<'a>> {
        let row = |id: &&'a str| {
            let record = self.columns.iter().find_map(|results| results.row(id))?;
            Some(Row { record, requirement: self.registry.row(id).ok() })
        };
        self.ids.iter().filter_map(row).collect()
    }

    /// For programs.
    pub fn json(&self) -> String {
        let column = |results: &Results| Column {
            title: title(results),
            subject: results.subject.name.clone(),
            version: results.subject.version.clone(),
            digest: results.subject.digest.clone(),
            environment: results.environment.clone(),
            extra: json::Object::new(),
        };
        let row = |row: &Row<'_>| TableRow {
            id: row.record.id.clone(),
            level: row.level().to_owned(),
            statement: row.statement().to_owned(),
            verdicts: self.cells(&row.record.id).iter().map(|cell| cell.map(|row| row.verdict)).collect(),
            extra: json::Object::new(),
        };
        let table = Table {
            columns: self.columns.iter().map(column).collect(),
            rows: self.rows().iter().map(row).collect(),
            extra: json::Object::new(),
        };
        String::from_utf8_lossy(&json::to_vec_pretty(&table)).into_owned()
    }

    /// For a forge.
    pub fn markdown(&self) -> String {
        let titles: Vec<String> = self.columns.iter().map(|results| code(&title(results))).collect();
        let mut text = format!(
            "| requirement | level | {} |\n|---|---|{}\n",
            titles.join(" | "),
            "---|".repeat(titles.len())
        );
        for row in self.rows() {
            let cells: Vec<String> = self
                .cells(&row.record.id)
                .iter()
                .map(|cell| match cell {
                    Some(row) if row.verdict == Verdict::Fail => "**FAIL**".to_owned(),
                    Some(row) => row.verdict.as_str().to_owned(),
                    None => String::new(),
                })
                .collect();
            text.push_str(&format!(
                "| {} | {} | {} |\n",
                markdown::link(row),
                row.level(),
                cells.join(" | ")
            ));
        }
        text
    }

    /// For other programs, and for what the suite knows of peers: a line for each requirement.
    pub fn tsv(&self) -> String {
        let titles: Vec<String> = self.columns.iter().map(|results| line(&title(results))).collect();
        let mut text = format!("id\t{}\n", titles.join("\t"));
        for id in &self.ids {
            let cells: Vec<&str> =
                self.cells(id).iter().map(|cell| cell.map_or("", |row| row.verdict.as_str())).collect();
            text.push_str(&format!("{}\t{}\n", line(id), cells.join("\t")));
        }
        text
    }

    /// The same table without the requirements on which all columns that have them say [`Verdict::Pass`].
    #[must_use]
    pub fn differing(mut self) -> Matrix<'a> {
        let ids = std::mem::take(&mut self.ids);
        let differs = |id: &&str| self.cells(id).iter().flatten().any(|row| row.verdict != Verdict::Pass);
        self.ids = ids.into_iter().filter(differs).collect();
        self
    }

    /// For people: what can be used where.
    pub fn html(&self) -> String {
        let rows = self.rows();
        let verdicts: Vec<Vec<Verdict>> = rows
            .iter()
            .map(|row| {
                let mut all: Vec<Verdict> =
                    self.cells(&row.record.id).iter().flatten().map(|cell| cell.verdict).collect();
                all.sort_unstable();
                all.dedup();
                all
            })
            .collect();
        let mut body = format!(
            "<header class=\"top\">\n{}<h1>What holds where <small>{}, {}</small></h1>\n</header>\n<main>\n",
            mark(),
            many(rows.len(), "requirement"),
            many(self.columns.len(), "subject")
        );
        body.push_str("<div class=\"cards\">\n");
        self.columns.iter().for_each(|results| body.push_str(&summary(results)));
        body.push_str("</div>\n");
        body.push_str(&filter(&rows, &verdicts));
        for (section, rows) in by_section(&rows) {
            body.push_str(&format!(
                "<section data-group>\n<h2>{} <small>{}</small></h2>\n<div class=\"scroll\">\n<table>\n<thead><tr><th scope=\"col\">requirement</th>",
                markup(section),
                many(rows.len(), "row")
            ));
            for results in self.columns {
                body.push_str(&format!("<th scope=\"col\">{}</th>", heading(results)));
            }
            body.push_str("</tr></thead>\n<tbody>\n");
            rows.iter().for_each(|row| body.push_str(&self.line(*row)));
            body.push_str("</tbody>\n</table>\n</div>\n</section>\n");
        }
        body.push_str("</main>\n<footer></footer>\n");
        page("Conformance: what holds where", &body)
    }

    fn line(&self, row: Row<'_>) -> String {
        let id = &row.record.id;
        let cells = self.cells(id);
        let verdicts: Vec<&str> = cells.iter().flatten().map(|cell| cell.verdict.as_str()).collect();
        let name = match row.url() {
            Some(url) => format!("<a href=\"{}\"><code>{}</code></a>", markup(&url), markup(id)),
            None => format!("<code>{}</code>", markup(id)),
        };
        let mut text = format!(
            "<tr id=\"{}\" data-verdict=\"{}\" data-level=\"{}\" data-section=\"{}\"><th scope=\"row\">{name} <small>{}</small><br>{}</th>",
            markup(id),
            verdicts.join(" "),
            row.level(),
            markup(row.section()),
            row.level(),
            markup(row.statement())
        );
        cells.iter().for_each(|found| text.push_str(&cell(*found)));
        text.push_str("</tr>\n");
        text
    }
}

fn cell(found: Option<&RowRecord>) -> String {
    let Some(row) = found else { return "<td></td>".to_owned() };
    let why = row.judgements.iter().find(|judgement| judgement.verdict == row.verdict);
    let said = match (row.verdict, why) {
        (Verdict::Pass, _) | (_, None) => String::new(),
        (_, Some(judgement)) => {
            let reason = row.reason.map_or("", |reason| reason.as_str());
            format!(
                "<small title=\"{}\">{}</small>",
                markup(&judgement.observed),
                clip(reason, &judgement.observed)
            )
        }
    };
    format!("<td>{}{said}</td>", badge(row.verdict))
}

/// Enough to be recognised; the whole stands in the title.
fn clip(reason: &str, observed: &str) -> String {
    let text = if reason.is_empty() { observed } else { reason };
    let start: String = text.chars().take(60).collect();
    markup(&if start.len() < text.len() { format!("{start}...") } else { start })
}

fn heading(results: &Results) -> String {
    let of = |name: &str| results.environment.get(name).map_or("", String::as_str);
    format!(
        "{} <small>{}</small><small>{}</small>",
        markup(&results.subject.name),
        markup(version(results)),
        markup(&format!("{} cgroup {} {}", of("kernel"), of("cgroup"), of("user")))
    )
}

fn summary(results: &Results) -> String {
    let counts = results.counts();
    let counted: Vec<(Verdict, u64)> =
        counts.iter().rev().map(|(verdict, count)| (*verdict, *count as u64)).collect();
    let words: Vec<String> = counted.iter().map(counted_word).collect();
    format!(
        "<div class=\"card\"><h3>{} <small>{}</small></h3>{}<p>{}</p></div>\n",
        markup(&results.subject.name),
        markup(version(results)),
        bar(&counted),
        words.join(", ")
    )
}
