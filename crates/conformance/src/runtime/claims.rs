//! What a runtime says of itself, by its features structure, against what it then refuses. That something is not
//! supported is believed only where the structure says so; where it says nothing, nothing is known.
//!
//! # References
//! - [features.md](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/features.md)
//! - [features-linux.md](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/features-linux.md)

use serde_json::Value;

use crate::evidence::Evidence;
use crate::results::CaseRecord;
use crate::verdict::{Judgement, Reason, Verdict};

/// What the structure says of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Supported,
    Unsupported,
    Nothing,
}

/// Where the structure speaks of a thing.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    /// A list that names it.
    Listed(&'static str, String),
    /// A yes or no.
    Enabled(&'static str),
}

/// The structure of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Claims(Value);

impl Claims {
    /// From the evidence of a run; none where no case has asked for it or the runtime has none.
    pub(crate) fn of(records: &[CaseRecord]) -> Claims {
        let shown = |record: &CaseRecord| {
            Evidence::from_record(&record.evidence).at("/features").filter(|it| it.is_object()).cloned()
        };
        Claims(records.iter().find_map(shown).unwrap_or_default())
    }

    /// `judgement` of the case called `case`; where it believes in a lack, what that comes to.
    pub(crate) fn check(&self, case: &str, judgement: Judgement) -> Judgement {
        if judgement.verdict != Verdict::Skip || judgement.reason != Some(Reason::Unsupported) {
            return judgement;
        }
        let entry = entry(case);
        match (entry.as_ref().map_or(Said::Nothing, |entry| self.says(entry)), entry) {
            (Said::Unsupported, _) => judgement,
            (Said::Supported, Some(entry)) => Judgement::of(
                false,
                format!("what features claims, {}, is supported", entry.name()),
                judgement.observed,
            ),
            _ => Judgement::inconclusive(format!(
                "{}; features does not say whether it is supported",
                judgement.observed
            )),
        }
    }

    fn says(&self, entry: &Entry) -> Said {
        let has = match entry {
            Entry::Enabled(pointer) => self.0.pointer(pointer).and_then(Value::as_bool),
            Entry::Listed(pointer, name) => {
                let list = self.0.pointer(pointer).and_then(Value::as_array);
                list.map(|list| list.iter().any(|one| one == name.as_str()))
            }
        };
        match has {
            Some(true) => Said::Supported,
            Some(false) => Said::Unsupported,
            None => Said::Nothing,
        }
    }
}

impl Entry {
    fn name(&self) -> String {
        match self {
            Entry::Listed(pointer, name) => format!("{pointer}: {name}"),
            Entry::Enabled(pointer) => (*pointer).to_owned(),
        }
    }
}

/// What the case called `case` asks for, where the structure has a place for it.
fn entry(case: &str) -> Option<Entry> {
    use Entry::{Enabled, Listed};
    let (family, what) = case.split_once('/')?;
    let namespace = |kind: &str| Listed("/linux/namespaces", kind.to_owned());
    Some(match (family, what) {
        ("mount-options" | "mounts-recursive", option) => Listed("/mountOptions", option.to_owned()),
        ("mounts-idmap", _) => Enabled("/linux/mountExtensions/idmap/enabled"),
        ("namespaces", what) => namespace(what.rsplit('-').next().unwrap_or(what)),
        ("user-namespace", _) => namespace("user"),
        ("time-namespace", _) => namespace("time"),
        ("network", _) => Enabled("/linux/netDevices/enabled"),
        ("rdt", _) => Enabled("/linux/intelRdt/enabled"),
        ("process", "apparmor") => Enabled("/linux/apparmor/enabled"),
        ("process", "selinux") | ("paths", "label") => Enabled("/linux/selinux/enabled"),
        ("memory-policy", mode) => {
            Listed("/linux/memoryPolicy/modes", format!("MPOL_{}", mode.to_uppercase().replace('-', "_")))
        }
        ("seccomp", "notify") => Listed("/linux/seccomp/actions", "SCMP_ACT_NOTIFY".to_owned()),
        ("seccomp", what) => match (what.strip_prefix("flag-"), what.starts_with("listener-")) {
            (Some(flag), _) => Listed(
                "/linux/seccomp/supportedFlags",
                format!("SECCOMP_FILTER_FLAG_{}", flag.to_uppercase()),
            ),
            (None, true) => Listed("/linux/seccomp/actions", "SCMP_ACT_NOTIFY".to_owned()),
            (None, false) => Enabled("/linux/seccomp/enabled"),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lack_is_believed_where_it_is_admitted() {
        let claims = Claims(json!({
            "mountOptions": ["ratime"],
            "linux": {
                "namespaces": ["pid", "time"],
                "netDevices": {"enabled": false},
                "seccomp": {"enabled": true, "actions": ["SCMP_ACT_NOTIFY"], "supportedFlags": []},
            },
        }));
        let said = |claims: &Claims, case: &str| {
            claims.check(case, Judgement::skip(Reason::Unsupported, "create exited with 1")).verdict
        };
        for case in [
            "mounts-recursive/ratime",
            "namespaces/join-time",
            "namespaces/pid",
            "seccomp/errno",
            "seccomp/notify",
        ] {
            assert_eq!(said(&claims, case), Verdict::Fail, "{case}");
            assert_eq!(said(&Claims::default(), case), Verdict::Inconclusive, "{case}");
        }
        for case in ["mounts-recursive/rro", "user-namespace/mappings", "network/moved", "seccomp/flag-log"] {
            assert_eq!(said(&claims, case), Verdict::Skip, "{case}");
        }
        for case in ["scheduler/batch", "rdt/schemata", "memory-policy/bind"] {
            assert_eq!(said(&claims, case), Verdict::Inconclusive, "{case}");
        }
        let failed = claims.check("namespaces/time", Judgement::skip(Reason::Unsupported, "EPERM"));
        assert_eq!(failed.expected, "what features claims, /linux/namespaces: time, is supported");
        assert_eq!((failed.observed.as_str(), failed.reason), ("EPERM", None));
    }

    #[test]
    fn other_reasons_are_left_alone() {
        let claims = Claims(json!({"mountOptions": ["ratime"]}));
        let skipped = Judgement::skip(Reason::Privilege, "only root may");
        assert_eq!(claims.check("mounts-recursive/ratime", skipped.clone()), skipped);
        let passed = Judgement::of(true, "", "");
        assert_eq!(claims.check("mounts-recursive/ratime", passed.clone()), passed);
    }
}
