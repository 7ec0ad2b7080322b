//! What can be said about one requirement and one subject.

use plimsoll_spec::json::wire_enum;

wire_enum! {
    /// The outcome for one row.
    ///
    /// The order is that of weight: where several cases judge one row, the last in this order stands.
    pub enum Verdict {
        /// The row does not bind this subject, as for an optional structure that it does not offer.
        NotApplicable = "NOT_APPLICABLE",
        /// The row holds.
        Pass = "PASS",
        /// The row could not be tested, for a [`Reason`].
        Skip = "SKIP",
        /// A precondition failed, so nothing can be said.
        Inconclusive = "INCONCLUSIVE",
        /// The harness failed; this is never the subject's fault.
        Error = "ERROR",
        /// The row does not hold.
        Fail = "FAIL",
    }

    /// Why a row was skipped.
    pub enum Reason {
        /// The running kernel lacks it.
        Kernel = "kernel",
        /// The caller lacks a privilege.
        Privilege = "privilege",
        /// The machine lacks a device.
        Hardware = "hardware",
        /// The security module is not there.
        Lsm = "lsm",
        /// The subject says that it does not support it, and need not.
        Unsupported = "subject-unsupported",
        /// The caller switched it off.
        Configuration = "disabled-by-config",
        /// A program that the test needs is missing.
        Tool = "tool",
    }
}

/// What one rule says about one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The outcome.
    pub verdict: Verdict,
    /// Why it was skipped, for [`Verdict::Skip`].
    pub reason: Option<Reason>,
    /// What the row demands here.
    pub expected: String,
    /// What was seen.
    pub observed: String,
}

impl Judgement {
    /// Passes where `holds`, fails otherwise.
    pub fn of(holds: bool, expected: impl Into<String>, observed: impl Into<String>) -> Judgement {
        let verdict = if holds { Verdict::Pass } else { Verdict::Fail };
        Judgement { verdict, reason: None, expected: expected.into(), observed: observed.into() }
    }

    /// The row cannot be tested here.
    pub fn skip(reason: Reason, why: impl Into<String>) -> Judgement {
        Judgement {
            verdict: Verdict::Skip,
            reason: Some(reason),
            expected: String::new(),
            observed: why.into(),
        }
    }

    /// Nothing can be said.
    pub fn inconclusive(why: impl Into<String>) -> Judgement {
        Judgement {
            verdict: Verdict::Inconclusive,
            reason: None,
            expected: String::new(),
            observed: why.into(),
        }
    }

    /// The row does not bind this subject.
    pub fn not_applicable(why: impl Into<String>) -> Judgement {
        Judgement {
            verdict: Verdict::NotApplicable,
            reason: None,
            expected: String::new(),
            observed: why.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_outweighs_everything() {
        let mut all = Verdict::ALL.to_vec();
        all.sort();
        assert_eq!(all.last(), Some(&Verdict::Fail));
        assert!(Verdict::Skip > Verdict::Pass && Verdict::Pass > Verdict::NotApplicable);
    }
}
