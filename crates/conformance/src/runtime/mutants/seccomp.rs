//! Mutants whose filters of system calls let through, refuse or tell something else.

use serde_json::{Value, json};

use super::Mutant;
use super::edit::{each, keep, put, remove};

pub(super) fn mutants() -> Vec<Mutant> {
    TABLE.map(|(name, breaks, rows, edit)| Mutant::config(name, breaks, rows, edit)).into()
}

type Entry = (&'static str, &'static str, &'static [&'static str], fn(&mut Value));

const TABLE: [Entry; 15] = [
    (
        "no-seccomp",
        "the filter of system calls is passed over",
        &["LNX-SEC-01", "LNX-SEC-05", "LNX-SEC-15", "LNX-SEC-17", "LNX-SEC-19"],
        |config| remove(config, "/linux/seccomp"),
    ),
    (
        "filter-allows-by-default",
        "what no rule is about is allowed",
        &["LNX-SEC-01", "LNX-SEC-03"],
        |config| {
            put(config, "/linux/seccomp/defaultAction", "SCMP_ACT_ALLOW");
            remove(config, "/linux/seccomp/defaultErrnoRet");
        },
    ),
    (
        "filter-without-default-error",
        "defaultErrnoRet is passed over",
        &["LNX-SEC-02", "LNX-SEC-03"],
        |config| {
            remove(config, "/linux/seccomp/defaultErrnoRet");
        },
    ),
    ("filter-without-error", "errnoRet is passed over", &["LNX-SEC-16", "LNX-SEC-17"], |config| {
        rules(config, |rule| remove(rule, "/errnoRet"));
    }),
    (
        "unknown-architectures-are-passed-over",
        "an architecture that it does not know is passed over",
        &["LNX-SEC-04"],
        |config| keep(config, "/linux/seccomp/architectures", |one| *one != "SCMP_ARCH_TEST"),
    ),
    ("filter-with-flags-does-nothing", "a filter with flags is passed over", &["LNX-SEC-05"], |config| {
        if config.pointer("/linux/seccomp/flags").is_some() {
            remove(config, "/linux/seccomp");
        }
    }),
    ("filter-always-refuses", "whatever a rule says, the call fails", &["LNX-SEC-15"], |config| {
        rules(config, |rule| {
            if rule.get("action") != Some(&json!("SCMP_ACT_ALLOW")) {
                put(rule, "/action", "SCMP_ACT_ERRNO");
            }
        });
    }),
    ("filter-with-one-comparison", "every comparison is one of equality", &["LNX-SEC-19"], |config| {
        rules(config, |rule| each(rule, "/args", |argument| put(argument, "/op", "SCMP_CMP_EQ")));
    }),
    ("rules-about-nothing", "a rule without names is passed over", &["LNX-SEC-14"], |config| {
        keep(config, "/linux/seccomp/syscalls", |rule| {
            rule.get("names").and_then(Value::as_array).is_some_and(|names| !names.is_empty())
        });
    }),
    (
        "rules-without-action",
        "a rule without an action that it knows is passed over",
        &["LNX-SEC-15"],
        |config| {
            keep(config, "/linux/seccomp/syscalls", |rule| {
                rule.get("action").and_then(Value::as_str).is_some_and(|action| !action.contains("TEST"))
            });
        },
    ),
    (
        "comparisons-that-cannot-be-are-passed-over",
        "a comparison with an unknown operator or index is passed over",
        &["LNX-SEC-18"],
        |config| {
            rules(config, |rule| {
                keep(rule, "/args", |argument| {
                    argument.get("op") != Some(&json!("SCMP_CMP_TEST"))
                        && argument.get("index").and_then(Value::as_u64).is_some_and(|index| index < 6)
                });
            });
        },
    ),
    ("agents-are-not-told", "calls that an agent is to decide on fail", &AGENT, |config| {
        rules(config, |rule| {
            if rule.get("action") == Some(&json!("SCMP_ACT_NOTIFY")) {
                put(rule, "/action", "SCMP_ACT_ERRNO");
            }
        });
    }),
    ("agents-without-metadata", "the agent is not given listenerMetadata", &["LNX-SEC-12"], |config| {
        remove(config, "/linux/seccomp/listenerMetadata");
    }),
    (
        "metadata-for-nobody",
        "listenerMetadata without a listenerPath is passed over",
        &["LNX-SEC-13"],
        |config| {
            if config.pointer("/linux/seccomp/listenerPath").is_none() {
                remove(config, "/linux/seccomp/listenerMetadata");
                // Without a path nobody is there to decide.
                rules(config, refuse_instead);
            }
        },
    ),
    ("agents-for-nothing", "a listenerPath needs an agent where none is asked", &["LNX-SEC-10"], |config| {
        let path = config.pointer("/linux/seccomp/listenerPath").and_then(Value::as_str);
        if path.is_some_and(|path| std::os::unix::net::UnixStream::connect(path).is_err()) {
            // No filter of this default can be loaded.
            put(config, "/linux/seccomp/defaultAction", "SCMP_ACT_PLIMSOLL");
        }
    }),
];

/// What shows only where an agent is told.
const AGENT: [&str; 12] = [
    "LNX-SEC-06",
    "LNX-SEC-07",
    "LNX-SEC-08",
    "LNX-SEC-09",
    "LNX-SEC-11",
    "LNX-SEC-12",
    "LNX-CPS-01",
    "LNX-CPS-02",
    "LNX-CPS-03",
    "LNX-CPS-04",
    "LNX-CPS-05",
    "LNX-CPS-06",
];

/// Lets a call fail on which an agent was to decide.
fn refuse_instead(rule: &mut Value) {
    if rule.get("action") == Some(&json!("SCMP_ACT_NOTIFY")) {
        put(rule, "/action", "SCMP_ACT_ERRNO");
    }
}

fn rules(config: &mut Value, change: impl FnMut(&mut Value)) {
    each(config, "/linux/seccomp/syscalls", change);
}
