//! A row of results beside the requirement that it is about.

use crate::requirement::{Registry, Requirement};
use crate::results::{JudgementRecord, Results, RowRecord};
use crate::verdict::Verdict;

/// A row, and what is known of it: a hostile or newer document may name rows that this registry lacks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) record: &'a RowRecord,
    pub(super) requirement: Option<&'a Requirement>,
}

/// Every row of `results`, in their order.
pub(super) fn rows<'a>(results: &'a Results, registry: &'a Registry) -> Vec<Row<'a>> {
    let row = |record: &'a RowRecord| Row { record, requirement: registry.row(&record.id).ok() };
    results.rows.iter().map(row).collect()
}

impl<'a> Row<'a> {
    pub(super) fn level(&self) -> &'static str {
        self.requirement.map_or("unknown", |row| row.level.as_str())
    }

    pub(super) fn statement(&self) -> &'static str {
        self.requirement.map_or("not in the registry of this suite", |row| row.statement)
    }

    /// The document of the specification.
    pub(super) fn section(&self) -> &'static str {
        self.requirement.map_or("unknown", |row| row.link.split('#').next().unwrap_or(row.link))
    }

    pub(super) fn url(&self) -> Option<String> {
        self.requirement.map(Requirement::url)
    }

    pub(super) fn profile(&self) -> &'static str {
        self.requirement.map_or("unknown", |row| row.profile)
    }

    /// Whether a failure of it is a failure of the run.
    pub(super) fn decides(&self) -> bool {
        self.requirement.is_some_and(|row| row.level.decides())
    }

    /// Whether a person has to look at it.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.record.verdict, Verdict::Pass | Verdict::NotApplicable)
    }

    /// What the verdict rests on.
    pub(super) fn decisive(&self) -> Option<&'a JudgementRecord> {
        self.record.judgements.iter().find(|judgement| judgement.verdict == self.record.verdict)
    }
}
