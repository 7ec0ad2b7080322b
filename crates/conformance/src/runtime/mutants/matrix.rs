//! The kill matrix: which row of which mutant is noticed, and by which case.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::case::Case;
use crate::error::{Error, Kind, Result};
use crate::evidence::Evidence;
use crate::results::CaseRecord;
use crate::runtime::run::{CONTROL, Pool, Progress, Request, Task, control_failure, prepare, version_of};
use crate::runtime::settings::Settings;
use crate::runtime::{Stage, suite};
use crate::verdict::{Judgement, Verdict};

use super::{Mutant, NOTHING, mutants};

/// Most milliseconds of one operation: a mutant that waits for ever shows it sooner than a slow runtime.
const PATIENCE: u64 = 5_000;

/// What is to be proven.
#[derive(Debug, Clone)]
pub struct Proof {
    /// How cases are run; the subject is what the mutants stand before, and `only` is not looked at.
    pub request: Request,
    /// Program and arguments that make a mutant; its name and the subject's command line are added.
    pub wrapper: Vec<String>,
    /// Names of mutants or their beginnings; every one where empty.
    pub only: Vec<String>,
}

/// A row that has noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// The row.
    pub row: String,
    /// The case that judged it.
    pub case: String,
    /// What it saw.
    pub observed: String,
}

/// What became of one mutant.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Its name.
    pub mutant: String,
    /// What it breaks.
    pub breaks: String,
    /// Its rows that have noticed.
    pub killed: Vec<Kill>,
    /// Its rows that pass although it is there.
    pub survived: Vec<String>,
    /// Its rows that the subject itself does not pass here, with the reason.
    pub left_out: Vec<(String, String)>,
    /// Other rows that have noticed.
    pub also: Vec<Kill>,
    /// Why a run would say nothing about it: it breaks the minimal container.
    pub stillborn: Option<String>,
}

/// The whole matrix.
#[derive(Debug, Clone, Default)]
pub struct Matrix {
    /// What the mutants stood before, as it calls itself.
    pub subject: String,
    /// A row each.
    pub outcomes: Vec<Outcome>,
    /// Rows, with the case, that the subject itself fails; left out of account.
    pub failing: Vec<Kill>,
    /// Rows, with the case, that fail only because something stands before the subject.
    pub disturbed: Vec<Kill>,
    /// Rows with a rule that no mutant has made fail; empty where only some mutants were tried.
    pub unproven: Vec<String>,
    /// How many cases were run.
    pub runs: usize,
}

/// Makes the matrix.
///
/// Every row of every mutant is tried with one case after the other until one has noticed; a case counts only
/// where the subject itself does not fail it.
///
/// # Errors
/// [`Kind::Request`] where no mutant is selected or the subject does not run the minimal container, and what
/// [`crate::runtime::run`] meets.
pub fn prove(proof: &Proof, progress: Progress<'_>) -> Result<Matrix> {
    let wanted = |mutant: &Mutant| {
        proof.only.is_empty() || proof.only.iter().any(|only| mutant.name.starts_with(only.as_str()))
    };
    let chosen: Vec<Mutant> = mutants().into_iter().filter(|mutant| wanted(mutant)).collect();
    if chosen.is_empty() {
        let why = format!("no mutant is selected by {}", proof.only.join(" "));
        return Err(Error::new(Kind::Request, why));
    }
    let (_place, mut settings) = prepare(&proof.request)?;
    settings.patience = PATIENCE;
    let suite = suite();
    let mut prover = Prover {
        pool: Pool::new(&proof.request)?,
        suite: &suite,
        own: Column::new(settings.clone()),
        wrapped: Column::new(mutated(&settings, &proof.wrapper, NOTHING)),
        runs: 0,
        progress,
    };
    let mut trials: Vec<Trial> =
        chosen.into_iter().map(|mutant| Trial::new(mutant, &settings, proof)).collect();
    prover.control(&mut trials)?;
    while prover.round(&mut trials)? {}
    let mut matrix = Matrix {
        subject: version_of(prover.own.seen.values()),
        failing: prover.own.failures(&suite, &BTreeSet::new()),
        disturbed: Vec::new(),
        runs: prover.runs,
        outcomes: trials.into_iter().map(|trial| trial.outcome(&suite, &prover.own)).collect(),
        unproven: Vec::new(),
    };
    let known: BTreeSet<(String, String)> =
        matrix.failing.iter().map(|kill| (kill.row.clone(), kill.case.clone())).collect();
    matrix.disturbed = prover.wrapped.failures(&suite, &known);
    if proof.only.is_empty() {
        matrix.unproven = matrix.unproven(&suite);
    }
    Ok(matrix)
}

fn mutated(settings: &Settings, wrapper: &[String], name: &str) -> Settings {
    let mut settings = settings.clone();
    settings.subject.wrapper = wrapper.iter().cloned().chain([name.to_owned()]).collect();
    settings
}

/// What was seen of one subject, by the number of the case.
struct Column {
    settings: Settings,
    seen: BTreeMap<usize, CaseRecord>,
}

impl Column {
    fn new(settings: Settings) -> Column {
        Column { settings, seen: BTreeMap::new() }
    }

    /// What the rules of `case` for `row` say together; `None` where the case was not run.
    fn judgement(&self, suite: &[Case<Stage>], case: usize, row: &str) -> Option<Judgement> {
        let (record, case) = (self.seen.get(&case)?, suite.get(case)?);
        if let Some(obstacle) = &record.obstacle {
            let (verdict, reason) = (obstacle.verdict, obstacle.reason);
            return Some(Judgement {
                verdict,
                reason,
                expected: String::new(),
                observed: obstacle.observed.clone(),
            });
        }
        let evidence = Evidence::from_record(&record.evidence);
        let rules = case.rules.iter().filter(|rule| rule.requirement == row);
        rules.map(|rule| (rule.judge)(&evidence)).max_by_key(|judgement| judgement.verdict)
    }

    /// Every row that fails, but those in `known`.
    fn failures(&self, suite: &[Case<Stage>], known: &BTreeSet<(String, String)>) -> Vec<Kill> {
        let mut found = Vec::new();
        for at in self.seen.keys() {
            let Some(case) = suite.get(*at) else { continue };
            let rows: BTreeSet<&str> = case.rules.iter().map(|rule| rule.requirement).collect();
            for row in rows {
                let said = self.judgement(suite, *at, row);
                if let Some(said) = said.filter(|said| said.verdict == Verdict::Fail)
                    && !known.contains(&(row.to_owned(), case.name.clone()))
                {
                    found.push(Kill {
                        row: row.to_owned(),
                        case: case.name.clone(),
                        observed: said.observed,
                    });
                }
            }
        }
        found
    }
}

/// One mutant on trial.
struct Trial {
    mutant: Mutant,
    column: Column,
    /// Rows that have not noticed yet.
    open: BTreeSet<String>,
    stillborn: Option<String>,
}

impl Trial {
    fn new(mutant: Mutant, settings: &Settings, proof: &Proof) -> Trial {
        let column = Column::new(mutated(settings, &proof.wrapper, &mutant.name));
        let open = mutant.rows.iter().cloned().collect();
        Trial { mutant, column, open, stillborn: None }
    }

    /// The cases to try next: few that together judge every open row, as far as there are cases left.
    fn next(&self, suite: &[Case<Stage>]) -> Vec<usize> {
        let mut open = self.open.clone();
        let mut picked = Vec::new();
        loop {
            let judged = |case: &Case<Stage>| -> BTreeSet<&str> {
                case.rules.iter().map(|rule| rule.requirement).filter(|row| open.contains(*row)).collect()
            };
            let untried = suite.iter().enumerate().filter(|(at, _)| !self.column.seen.contains_key(at));
            let untried = untried.filter(|(at, _)| !picked.contains(at)).map(|(at, case)| (at, judged(case)));
            // Of equals the first, so that two runs try the same.
            let best = untried.rev().max_by_key(|(_, rows)| rows.len());
            match best {
                Some((at, rows)) if !rows.is_empty() => {
                    picked.push(at);
                    open.retain(|row| !rows.contains(row.as_str()));
                }
                _ => return picked,
            }
        }
    }

    fn outcome(self, suite: &[Case<Stage>], own: &Column) -> Outcome {
        let mut outcome = Outcome {
            mutant: self.mutant.name.clone(),
            breaks: self.mutant.breaks.clone(),
            stillborn: self.stillborn,
            ..Outcome::default()
        };
        let passes = |kill: &Kill| {
            let case = suite.iter().position(|case| case.name == kill.case);
            let said = case.and_then(|case| own.judgement(suite, case, &kill.row));
            said.is_some_and(|said| is_sound(said.verdict))
        };
        let noticed = self.column.failures(suite, &BTreeSet::new()).into_iter().filter(passes);
        (outcome.killed, outcome.also) = noticed.partition(|kill| self.mutant.rows.contains(&kill.row));
        for row in self.open {
            let cases = suite
                .iter()
                .enumerate()
                .filter(|(_, case)| case.rules.iter().any(|rule| rule.requirement == row));
            let said: Vec<Judgement> = cases.filter_map(|(at, _)| own.judgement(suite, at, &row)).collect();
            // It may be just the case that would notice in which the subject itself is at fault.
            let faulty =
                said.iter().find(|said| matches!(said.verdict, Verdict::Fail | Verdict::Inconclusive));
            let passes = said.iter().any(|said| said.verdict == Verdict::Pass);
            match faulty.or(said.first().filter(|_| !passes)) {
                Some(other) => {
                    let why = format!("{}: {}", other.verdict.as_str(), other.observed);
                    outcome.left_out.push((row, why));
                }
                None => outcome.survived.push(row),
            }
        }
        outcome
    }
}

/// Whether a failure of a mutant is one of the mutant's own where the subject itself gets `verdict`.
fn is_sound(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::NotApplicable | Verdict::Skip)
}

/// Runs cases, each once for each subject.
struct Prover<'a, 'p> {
    pool: Pool<'a>,
    suite: &'a [Case<Stage>],
    own: Column,
    wrapped: Column,
    runs: usize,
    progress: Progress<'p>,
}

impl Prover<'_, '_> {
    /// The minimal container, which everything builds on: of the subject, and of every mutant.
    fn control(&mut self, trials: &mut [Trial]) -> Result<()> {
        let control = self.suite.iter().position(|case| case.name == CONTROL);
        let control = control.ok_or_else(|| Error::new(Kind::Suite, "the suite has no control"))?;
        self.base(&BTreeSet::from([control]))?;
        if let Some(why) = self.own.seen.get(&control).and_then(control_failure) {
            return Err(Error::new(Kind::Request, why));
        }
        let wanted: Vec<(usize, usize)> = (0..trials.len()).map(|trial| (trial, control)).collect();
        self.run(trials, &wanted)?;
        for trial in trials {
            trial.stillborn = trial.column.seen.get(&control).and_then(control_failure);
        }
        Ok(())
    }

    /// Tries every mutant that has open rows with its next cases; whether there was anything to try.
    fn round(&mut self, trials: &mut [Trial]) -> Result<bool> {
        let alive = |trial: &&mut Trial| trial.stillborn.is_none() && !trial.open.is_empty();
        let next: Vec<(usize, usize)> = trials
            .iter_mut()
            .enumerate()
            .filter(|(_, trial)| alive(trial))
            .flat_map(|(at, trial)| trial.next(self.suite).into_iter().map(move |case| (at, case)))
            .collect();
        let cases = next.iter().map(|(_, case)| *case).filter(|case| !self.own.seen.contains_key(case));
        self.base(&cases.collect())?;
        // A case that cannot show anything of the mutant here is done with.
        let (useful, useless): (Vec<_>, Vec<_>) = next.iter().partition(|(at, case)| {
            let open = trials.get(*at).map(|trial| trial.open.clone()).unwrap_or_default();
            let verdicts = open.iter().filter_map(|row| self.own.judgement(self.suite, *case, row));
            verdicts.into_iter().any(|said| is_sound(said.verdict))
                && self.own.seen.get(case).is_some_and(|record| record.obstacle.is_none())
        });
        for (at, case) in useless {
            if let (Some(trial), Some(record)) = (trials.get_mut(at), self.own.seen.get(&case)) {
                trial.column.seen.insert(case, record.clone());
            }
        }
        self.run(trials, &useful)?;
        for trial in trials.iter_mut() {
            let own = &self.own;
            let kills = trial.column.failures(self.suite, &BTreeSet::new());
            let sound = |kill: &&Kill| {
                let case = self.suite.iter().position(|case| case.name == kill.case);
                let said = case.and_then(|case| own.judgement(self.suite, case, &kill.row));
                said.is_some_and(|said| is_sound(said.verdict))
            };
            let dead: BTreeSet<&str> = kills.iter().filter(sound).map(|kill| kill.row.as_str()).collect();
            trial.open.retain(|row| !dead.contains(row.as_str()));
        }
        Ok(!next.is_empty())
    }

    /// Runs `cases` for the subject itself, and for it behind the mutant that breaks nothing.
    fn base(&mut self, cases: &BTreeSet<usize>) -> Result<()> {
        let suite = self.suite;
        let named = |settings| {
            let case = |at: &usize| suite.get(*at).map(|case| (*at, Task { name: &case.name, settings }));
            cases.iter().filter_map(case).collect::<Vec<_>>()
        };
        let (own, wrapped) = (self.own.settings.clone(), self.wrapped.settings.clone());
        let all: Vec<(usize, Task<'_>)> = named(&own).into_iter().chain(named(&wrapped)).collect();
        let tasks: Vec<Task<'_>> = all.iter().map(|(_, task)| *task).collect();
        let records = self.pool.run(&tasks, self.runs, self.runs + tasks.len(), self.progress)?;
        self.runs += tasks.len();
        for (task, record) in records {
            let column = if task < cases.len() { &mut self.own } else { &mut self.wrapped };
            if let Some((at, _)) = all.get(task) {
                column.seen.insert(*at, record);
            }
        }
        Ok(())
    }

    /// Runs pairs of a mutant and a case.
    fn run(&mut self, trials: &mut [Trial], wanted: &[(usize, usize)]) -> Result<()> {
        let settings: Vec<Settings> = trials.iter().map(|trial| trial.column.settings.clone()).collect();
        let task = |(trial, case): &(usize, usize)| {
            Some(Task { name: &self.suite.get(*case)?.name, settings: settings.get(*trial)? })
        };
        let tasks: Vec<Task<'_>> = wanted.iter().filter_map(task).collect();
        let records = self.pool.run(&tasks, self.runs, self.runs + tasks.len(), self.progress)?;
        self.runs += tasks.len();
        for (task, record) in records {
            if let Some((trial, case)) = wanted.get(task)
                && let Some(trial) = trials.get_mut(*trial)
            {
                trial.column.seen.insert(*case, record);
            }
        }
        Ok(())
    }
}

impl Matrix {
    /// Whether every mutant is dead, as far as the subject itself allows to say, and by its own doing.
    pub fn holds(&self) -> bool {
        self.disturbed.is_empty()
            && self.outcomes.iter().all(|one| one.survived.is_empty() && one.stillborn.is_none())
    }

    fn unproven(&self, suite: &[Case<Stage>]) -> Vec<String> {
        let kills = self.outcomes.iter().flat_map(|outcome| outcome.killed.iter().chain(&outcome.also));
        let proven: BTreeSet<&str> = kills.map(|kill| kill.row.as_str()).collect();
        let tested = suite.iter().flat_map(|case| case.rules.iter().map(|rule| rule.requirement));
        let tested: BTreeSet<&str> = tested.collect();
        tested.into_iter().filter(|row| !proven.contains(row)).map(str::to_owned).collect()
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let kills = |kills: &[Kill]| -> Vec<Value> {
            let kill = |kill: &Kill| json!({"row": kill.row, "case": kill.case, "observed": kill.observed});
            kills.iter().map(kill).collect()
        };
        let outcome = |outcome: &Outcome| {
            let left_out = outcome.left_out.iter().map(|(row, why)| json!({"row": row, "why": why}));
            json!({
                "mutant": outcome.mutant,
                "breaks": outcome.breaks,
                "killed": kills(&outcome.killed),
                "survived": outcome.survived,
                "leftOut": left_out.collect::<Vec<_>>(),
                "also": kills(&outcome.also),
                "stillborn": outcome.stillborn,
            })
        };
        json!({
            "subject": self.subject,
            "mutants": self.outcomes.iter().map(outcome).collect::<Vec<_>>(),
            "failing": kills(&self.failing),
            "disturbed": kills(&self.disturbed),
            "unproven": self.unproven,
            "runs": self.runs,
        })
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for outcome in &self.outcomes {
            let survived = !outcome.survived.is_empty() || outcome.stillborn.is_some();
            let word = match (survived, outcome.killed.is_empty()) {
                (true, _) => "SURVIVED",
                (false, true) => "left out",
                (false, false) => "killed",
            };
            text.push_str(&format!("{word:<9} {}: {}\n", outcome.mutant, outcome.breaks));
            for kill in &outcome.killed {
                text.push_str(&format!("    {:<26} killed by {}\n", kill.row, kill.case));
            }
            for row in &outcome.survived {
                text.push_str(&format!("    {row:<26} has not noticed\n"));
            }
            for (row, why) in &outcome.left_out {
                text.push_str(&format!("    {row:<26} left out, the subject itself: {why}\n"));
            }
            if let Some(why) = &outcome.stillborn {
                text.push_str(&format!("    shows nothing: {why}\n"));
            }
        }
        for (label, kills) in [
            ("fails without a mutant, left out of account", &self.failing),
            ("fails because something stands before the subject", &self.disturbed),
        ] {
            for kill in kills {
                text.push_str(&format!("{label}: {} ({}): {}\n", kill.row, kill.case, kill.observed));
            }
        }
        if !self.unproven.is_empty() {
            text.push_str(&format!("unproven: {}\n", self.unproven.join(" ")));
        }
        text.push_str(&format!("{}\n{}\n", self.subject, self.totals()));
        text
    }

    fn totals(&self) -> String {
        let survivors =
            self.outcomes.iter().filter(|one| !one.survived.is_empty() || one.stillborn.is_some());
        let left_out = self
            .outcomes
            .iter()
            .filter(|one| one.killed.is_empty() && one.survived.is_empty() && one.stillborn.is_none());
        let (survivors, left_out) = (survivors.count(), left_out.count());
        let kills = self.outcomes.iter().flat_map(|one| one.killed.iter().map(|kill| kill.row.as_str()));
        let rows: BTreeSet<&str> = kills.collect();
        format!(
            "{} mutants: {} killed, {survivors} survived, {left_out} left out; {} rows proven, {} unproven; {} cases run",
            self.outcomes.len(),
            self.outcomes.len() - survivors - left_out,
            rows.len(),
            self.unproven.len(),
            self.runs
        )
    }
}
