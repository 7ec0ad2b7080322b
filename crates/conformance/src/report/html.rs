//! One HTML file for people: no outside assets, light and dark, readable without script and on a phone.
//!
//! The page's policy allows the one style and the one script that stand in it, by their hashes, and nothing
//! else: should a text ever get past [`markup`], a browser still would not run it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_digest::{Algorithm, Digest};

use crate::certificate::not_tested;
use crate::requirement::Registry;
use crate::results::{Conformance, JudgementRecord, ProfileRecord, Results};
use crate::verdict::Verdict;

use super::escape::markup;
use super::{Row, reproducer, rows};

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/filter.js");
/// The mark on a ship's hull: a circle and the line through it.
const MARK: &str = "<svg viewBox=\"0 0 32 24\" aria-hidden=\"true\"><circle cx=\"16\" cy=\"12\" r=\"9\"/><path d=\"M2 12h28\"/></svg>";
/// Most cases whose script is shown; the others have one by `conformance reproduce`.
const SCRIPTS: usize = 100;
/// Most judgements of a row that holds which are shown at once.
const UNFOLDED: usize = 3;

/// A whole page around `body`.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}<script>{SCRIPT}</script>\n</body>\n</html>\n",
        source_hash(STYLE),
        source_hash(SCRIPT),
        markup(title)
    )
}

/// The hash source of a policy for an element whose text is `text`.
pub(super) fn source_hash(text: &str) -> String {
    let digest = Digest::of(Algorithm::Sha256, text.as_bytes());
    let hex = digest.encoded().as_bytes();
    let digit =
        |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
    let bytes: Vec<u8> =
        hex.chunks(2).map(|pair| pair.iter().fold(0, |sum, byte| sum << 4 | digit(*byte))).collect();
    format!("sha256-{}", STANDARD.encode(bytes))
}

/// The class of a verdict's colour.
pub(super) fn class(verdict: Verdict) -> String {
    verdict.as_str().to_lowercase()
}

pub(super) fn badge(verdict: Verdict) -> String {
    let shown = if verdict == Verdict::NotApplicable { "N/A" } else { verdict.as_str() };
    format!("<span class=\"badge {}\">{shown}</span>", class(verdict))
}

pub(super) fn mark() -> String {
    format!("<p class=\"mark\">{MARK} Plimsoll, the judge of OCI implementations</p>\n")
}

pub(super) fn report(results: &Results, registry: &Registry) -> String {
    let rows = rows(results, registry);
    let scripts = scripts(results, &rows);
    let mut body = header(results, registry);
    body.push_str("<main>\n<section aria-label=\"Profiles\">\n<h2>Profiles <small>binding rows only: a profile conforms when every one passes</small></h2>\n<div class=\"cards\">\n");
    results.profiles.iter().for_each(|profile| body.push_str(&card(profile)));
    body.push_str("</div>\n</section>\n");
    body.push_str(&failures(&rows));
    let verdicts: Vec<Vec<Verdict>> = rows.iter().map(|row| vec![row.record.verdict]).collect();
    body.push_str(&filter(&rows, &verdicts));
    for (section, rows) in by_section(&rows) {
        let failing = rows.iter().filter(|row| row.record.verdict == Verdict::Fail).count();
        let failing = if failing > 0 { format!(", {failing} failing") } else { String::new() };
        body.push_str(&format!(
            "<section data-group>\n<h2>{} <small>{}{failing}</small></h2>\n<div class=\"rows\">\n",
            markup(section),
            many(rows.len(), "row")
        ));
        rows.iter().for_each(|row| body.push_str(&details(*row, &scripts)));
        body.push_str("</div>\n</section>\n");
    }
    body.push_str(&appendix(&scripts));
    body.push_str("</main>\n");
    body.push_str(&footer(results));
    page(&format!("{}: conformance to {}", results.subject.name, results.spec()), &body)
}

/// A number of things.
pub(super) fn many(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// The version of the subject, without the name that stands beside it.
pub(super) fn version(results: &Results) -> &str {
    let version = results.subject.version.as_str();
    let rest = version.strip_prefix(results.subject.name.as_str()).unwrap_or(version).trim_start();
    rest.strip_prefix("version").unwrap_or(rest).trim_start_matches([':', ' '])
}

/// What a reader has come for: the failing rows, each a link to where it is told in full.
fn failures(rows: &[Row<'_>]) -> String {
    let failing: Vec<&Row<'_>> = rows.iter().filter(|row| row.record.verdict == Verdict::Fail).collect();
    if failing.is_empty() {
        return String::new();
    }
    let mut text =
        format!("<section>\n<h2>{}</h2>\n<ul class=\"failures\">\n", many(failing.len(), "failing row"));
    for row in failing {
        text.push_str(&format!(
            "<li><a href=\"#{0}\"><code>{0}</code></a> <span class=\"level\">{1}</span> {2}</li>\n",
            markup(&row.record.id),
            row.level(),
            markup(row.statement())
        ));
    }
    text.push_str("</ul>\n</section>\n");
    text
}

/// Rows by document, in the order in which the documents come first.
pub(super) fn by_section<'a>(rows: &[Row<'a>]) -> Vec<(&'static str, Vec<Row<'a>>)> {
    let mut sections: Vec<(&'static str, Vec<Row<'a>>)> = Vec::new();
    for row in rows {
        match sections.iter_mut().find(|(section, _)| *section == row.section()) {
            Some((_, rows)) => rows.push(*row),
            None => sections.push((row.section(), vec![*row])),
        }
    }
    sections
}

fn header(results: &Results, registry: &Registry) -> String {
    let (class, stamp) = match results.exit_code(registry) {
        0 => ("pass", "conforms"),
        1 => ("fail", "does not conform"),
        3 => ("error", "the harness failed"),
        _ => ("inconclusive", "could not be judged in full"),
    };
    let mut facts = String::new();
    let mut fact = |name: &str, value: &str, wide: &str| {
        if !value.is_empty() {
            facts.push_str(&format!(
                "<div{wide}><dt>{}</dt><dd>{}</dd></div>\n",
                markup(name),
                markup(value)
            ));
        }
    };
    let counts = results.counts();
    let counts: Vec<String> =
        counts.iter().rev().map(|(verdict, count)| format!("{count} {}", verdict.as_str())).collect();
    fact("specification", results.spec(), "");
    fact("day of the run", results.settings.get("started").map_or("", String::as_str), "");
    results.environment.iter().for_each(|(name, value)| fact(name, value, ""));
    fact("selection", results.settings.get("selection").map_or("", String::as_str), "");
    let dialect = results.settings.get("dialect").map_or("", String::as_str);
    fact("dialect", dialect, " class=\"wide\"");
    fact("rows", &format!("{}: {}", results.rows.len(), counts.join(", ")), " class=\"wide\"");
    // A page that says "conforms" says of how much.
    let open = not_tested(results, registry).len();
    if open > 0 {
        let open = format!("{} that could be judged", many(open, "binding row"));
        fact("without a verdict", &open, " class=\"wide\"");
    }
    fact("subject", &results.subject.digest, " class=\"wide\"");
    format!(
        "<header class=\"top\">\n{}<div class=\"headline\"><h1>{} <small>{}</small></h1><span class=\"stamp {class}\">{stamp}</span></div>\n<dl class=\"facts\">\n{facts}</dl>\n</header>\n",
        mark(),
        markup(&results.subject.name),
        markup(version(results))
    )
}

fn card(profile: &ProfileRecord) -> String {
    let (class, word) = match profile.verdict {
        Conformance::Conformant => ("pass", "conforms"),
        Conformance::Inconclusive => ("inconclusive", "inconclusive"),
        Conformance::NonConformant => ("fail", "does not conform"),
    };
    let of = |verdict: Verdict| profile.counts.get(verdict.as_str()).copied().unwrap_or(0);
    let counted: Vec<(Verdict, u64)> = Verdict::ALL
        .iter()
        .rev()
        .map(|verdict| (*verdict, of(*verdict)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let words: Vec<String> = counted.iter().map(counted_word).collect();
    format!(
        "<div class=\"card\"><h3>{} <span class=\"{class}\">{word}</span></h3>{}<p>{}</p></div>\n",
        markup(&profile.name),
        bar(&counted),
        words.join(", ")
    )
}

pub(super) fn counted_word((verdict, count): &(Verdict, u64)) -> String {
    let shown = verdict.as_str().replace('_', " ");
    format!("<span class=\"{}\">{count}&nbsp;{shown}</span>", class(*verdict))
}

/// A bar with a part for every verdict.
pub(super) fn bar(counted: &[(Verdict, u64)]) -> String {
    let all = counted.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count)).max(1);
    let mut at = 0.0;
    let mut parts = String::new();
    for (verdict, count) in counted {
        let width = *count as f64 * 100.0 / all as f64;
        parts.push_str(&format!(
            "<rect class=\"{}\" x=\"{at:.2}\" width=\"{width:.2}\" height=\"8\"/>",
            class(*verdict)
        ));
        at += width;
    }
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{parts}</svg>"
    )
}

/// The controls; hidden until the script that they need has run. `verdicts` are those of each row.
pub(super) fn filter(rows: &[Row<'_>], verdicts: &[Vec<Verdict>]) -> String {
    let mut boxes = String::new();
    for verdict in Verdict::ALL.iter().rev() {
        let count = verdicts.iter().filter(|of| of.contains(verdict)).count();
        if count > 0 {
            boxes.push_str(&format!(
                "<label class=\"chip {}\"><input type=\"checkbox\" name=\"verdict\" value=\"{}\" checked>{} {count}</label>",
                class(*verdict),
                verdict.as_str(),
                verdict.as_str().replace('_', " ")
            ));
        }
    }
    let options = |values: BTreeSet<&str>| -> String {
        values.into_iter().map(|value| format!("<option>{}</option>", markup(value))).collect()
    };
    format!(
        "<form id=\"filter\" hidden>\n<input type=\"search\" name=\"text\" placeholder=\"Search rows ( / )\" aria-label=\"Text\">\n\
         <fieldset aria-label=\"Verdict\">{boxes}</fieldset>\n\
         <select name=\"level\" aria-label=\"Level\"><option value=\"\">every level</option>{}</select>\n\
         <select name=\"section\" aria-label=\"Section\"><option value=\"\">every section</option>{}</select>\n<output></output>\n</form>\n",
        options(rows.iter().map(Row::level).collect()),
        options(rows.iter().map(Row::section).collect()),
    )
}

fn details(row: Row<'_>, scripts: &BTreeMap<String, String>) -> String {
    let record = row.record;
    let open = if record.verdict == Verdict::Fail { " open" } else { "" };
    let mut body = String::new();
    if let Some(url) = row.url() {
        body.push_str(&format!(
            "<p><a href=\"{0}\">{0}</a> <small>profile {1}</small></p>\n",
            markup(&url),
            row.profile()
        ));
    }
    body.push_str(&judgements(row, scripts));
    format!(
        "<details class=\"row\" id=\"{id}\" data-verdict=\"{verdict}\" data-level=\"{level}\" data-section=\"{section}\"{open}>\n\
         <summary><span>{badge}</span><code>{id}</code><span class=\"level\">{level}</span><span class=\"statement\">{statement}</span></summary>\n\
         <div class=\"body\">\n{body}</div>\n</details>\n",
        id = markup(&record.id),
        verdict = record.verdict.as_str(),
        level = row.level(),
        section = markup(row.section()),
        badge = badge(record.verdict),
        statement = markup(row.statement()),
    )
}

/// The judgements that a reader looks for first; those that say the row holds are folded behind them.
fn judgements(row: Row<'_>, scripts: &BTreeMap<String, String>) -> String {
    let quiet =
        |judgement: &&JudgementRecord| matches!(judgement.verdict, Verdict::Pass | Verdict::NotApplicable);
    let (quiet, mut loud): (Vec<_>, Vec<_>) = row.record.judgements.iter().partition(quiet);
    loud.sort_by_key(|judgement| std::cmp::Reverse(judgement.verdict));
    let told = |judgements: &[&JudgementRecord]| -> String {
        judgements.iter().map(|judgement| said(judgement, scripts)).collect()
    };
    if quiet.is_empty() || (loud.is_empty() && quiet.len() <= UNFOLDED) {
        return told(&loud) + &told(&quiet);
    }
    format!(
        "{}<details class=\"folded\"><summary>{} without fault</summary>{}</details>\n",
        told(&loud),
        many(quiet.len(), "judgement"),
        told(&quiet)
    )
}

fn said(judgement: &JudgementRecord, scripts: &BTreeMap<String, String>) -> String {
    let reason = judgement.reason.map_or(String::new(), |reason| format!(" ({})", reason.as_str()));
    let mut pairs = String::new();
    for (label, what) in [("expected", &judgement.expected), ("observed", &judgement.observed)] {
        if !what.is_empty() {
            pairs.push_str(&format!("<dt>{label}</dt><dd><pre>{}</pre></dd>", markup(what)));
        }
    }
    let script = match scripts.contains_key(&judgement.case) {
        true => format!(" <a href=\"#case-{}\">reproduce</a>", markup(&judgement.case)),
        false => String::new(),
    };
    format!(
        "<div class=\"said {}\"><p>{}{reason} by case <code>{}</code>{script}</p><dl class=\"pair\">{pairs}</dl></div>\n",
        class(judgement.verdict),
        badge(judgement.verdict),
        markup(&judgement.case)
    )
}

/// The scripts of the cases that a row which does not pass rests on.
fn scripts(results: &Results, rows: &[Row<'_>]) -> BTreeMap<String, String> {
    let loud = [Verdict::Fail, Verdict::Error, Verdict::Inconclusive];
    let judgements = rows.iter().flat_map(|row| &row.record.judgements);
    let cases: BTreeSet<&str> = judgements
        .filter(|judgement| loud.contains(&judgement.verdict))
        .map(|judgement| judgement.case.as_str())
        .collect();
    let scripts = cases.into_iter().take(SCRIPTS);
    scripts.filter_map(|case| Some((case.to_owned(), reproducer(results, case)?))).collect()
}

fn appendix(scripts: &BTreeMap<String, String>) -> String {
    if scripts.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<section>\n<h2>To run it again <small>a bundle and its command lines; RUNTIME names the runtime, PROBE the probe</small></h2>\n<div class=\"rows\">\n",
    );
    for (case, script) in scripts {
        let case = markup(case);
        text.push_str(&format!(
            "<details class=\"row script\" id=\"case-{case}\"><summary><code>{case}</code></summary><pre>{}</pre></details>\n",
            markup(script)
        ));
    }
    text.push_str("</div>\n</section>\n");
    text
}

fn footer(results: &Results) -> String {
    format!(
        "<footer>\n<p>Suite {}, program <code>{}</code>, registry <code>{}</code>.</p>\n\
         <p>Verdicts follow from stored evidence: <code>plimsoll conformance report --rejudge</code> judges it again.</p>\n</footer>\n",
        markup(&results.suite.version),
        markup(&results.suite.binary),
        markup(&results.suite.registry)
    )
}
