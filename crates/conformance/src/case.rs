//! Cases and rules: what is done with a subject, and what is then said about which row.

use crate::error::Error;
use crate::evidence::{Evidence, Judge};
use crate::verdict::{Judgement, Reason, Verdict};

/// Why a case yields no evidence for its rules.
#[derive(Debug)]
pub enum Obstacle {
    /// It cannot be run here.
    Skip(Reason, String),
    /// What it builds on did not come about.
    Inconclusive(String),
    /// The rows do not bind this subject; only for a case [`where_it_applies`](Case::where_it_applies).
    NotApplicable(String),
    /// The harness failed.
    Harness(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Obstacle {
        Obstacle::Harness(error)
    }
}

impl Obstacle {
    /// For what the kernel has said to `operation` of the harness: what it does not permit is no fault of the
    /// harness.
    pub(crate) fn of(operation: &str, errno: rustix::io::Errno) -> Obstacle {
        use rustix::io::Errno;
        match errno {
            Errno::PERM | Errno::ACCESS => {
                Obstacle::Skip(Reason::Privilege, format!("the caller may not {operation}"))
            }
            _ => Obstacle::Harness(Error::because(crate::Kind::Environment, operation, errno)),
        }
    }

    /// What the rules of the case say because of it.
    pub fn judgement(&self) -> Judgement {
        match self {
            Obstacle::Skip(reason, why) => Judgement::skip(*reason, why),
            Obstacle::Inconclusive(why) => Judgement::inconclusive(why),
            Obstacle::NotApplicable(why) => Judgement::not_applicable(why),
            Obstacle::Harness(error) => Judgement {
                verdict: Verdict::Error,
                reason: None,
                expected: String::new(),
                observed: error.chain(),
            },
        }
    }
}

/// What is said about one row, from the evidence of one case.
pub struct Rule {
    /// The row.
    pub requirement: &'static str,
    /// Looks at the evidence.
    pub judge: Judge,
}

/// One experiment with a subject: `S` is the stage on which it is done.
pub struct Case<S> {
    /// Unique in its suite: `family/what`.
    pub name: String,
    /// What its evidence is good for.
    pub rules: Vec<Rule>,
    /// Whether its rows may not bind a subject or a caller, so that it may say so instead of trying.
    pub conditional: bool,
    /// Does it.
    pub run: Run<S>,
}

/// What a case does on its stage.
pub type Run<S> = Box<dyn Fn(&mut S) -> Result<(), Obstacle> + Send + Sync>;

impl<S> Case<S> {
    /// A case without rules yet.
    pub fn new(
        name: impl Into<String>,
        run: impl Fn(&mut S) -> Result<(), Obstacle> + Send + Sync + 'static,
    ) -> Case<S> {
        Case { name: name.into(), rules: Vec::new(), conditional: false, run: Box::new(run) }
    }

    /// Adds what `judge` says about the row `requirement`.
    #[must_use]
    pub fn rule(mut self, requirement: &'static str, judge: Judge) -> Case<S> {
        self.rules.push(Rule { requirement, judge });
        self
    }

    /// For a case that [`Obstacle::NotApplicable`] may keep from being run.
    #[must_use]
    pub fn where_it_applies(mut self) -> Case<S> {
        self.conditional = true;
        self
    }

    /// Judges `evidence` by every rule.
    pub fn judge(&self, evidence: &Evidence) -> Vec<(&'static str, Judgement)> {
        self.rules.iter().map(|rule| (rule.requirement, (rule.judge)(evidence))).collect()
    }
}
