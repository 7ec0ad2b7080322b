//! Mutants that say wrong things of themselves, and then do not do what they say.

use serde_json::{Value, json};

use super::Mutant;
use super::edit::{keep, push, put, remove, replace};

pub(super) fn mutants() -> Vec<Mutant> {
    let output = |(name, breaks, rows, edit): Entry| Mutant::output("features", name, breaks, rows, edit);
    let mut all: Vec<Mutant> = TABLE.map(output).into();
    all.extend(LISTS.map(lists_too_much));
    all.extend(DENIALS.map(denies));
    all.push(Mutant::config(
        "a-capability-that-is-only-listed",
        "a capability that features lists is passed over",
        &["FLX-CAP-01"],
        |config| {
            for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
                let pointer = format!("/process/capabilities/{set}");
                keep(config, &pointer, |name| *name != "CAP_SYS_PTRACE");
            }
        },
    ));
    all.push(Mutant::output(
        "features",
        "features-of-the-moment",
        "features depends on where it is asked",
        &["FEA-GEN-02"],
        |features| {
            if std::env::var_os("XDG_RUNTIME_DIR").is_some() {
                push(features, "/mountOptions", "moment");
            }
        },
    ));
    all
}

type Entry = (&'static str, &'static str, &'static [&'static str], fn(&mut Value));

const TABLE: [Entry; 10] = [
    (
        "features-without-least-version",
        "features lacks ociVersionMin",
        &["FEA-GEN-04", "FEA-VER-03"],
        |features| {
            remove(features, "/ociVersionMin");
        },
    ),
    (
        "features-of-version-0",
        "features names a least version that it refuses",
        &["FEA-VER-01"],
        |features| {
            replace(features, "/ociVersionMin", "0.0");
        },
    ),
    (
        "features-of-version-9",
        "features names a greatest version that it refuses",
        &["FEA-VER-02"],
        |features| {
            replace(features, "/ociVersionMax", "9.0.0");
        },
    ),
    (
        "features-versions-swapped",
        "the greatest version of features is below the least",
        &["FEA-VER-03"],
        |features| {
            let (least, most) =
                (features.get("ociVersionMin").cloned(), features.get("ociVersionMax").cloned());
            replace(features, "/ociVersionMin", most.unwrap_or_default());
            replace(features, "/ociVersionMax", least.unwrap_or_default());
        },
    ),
    ("features-of-its-own", "features has a property of its own", &["FEA-VER-04"], |features| {
        put(features, "/colour", "blue");
    }),
    (
        "features-with-options-of-file-systems",
        "features lists an option of tmpfs",
        &["FEA-MNT-02"],
        |features| {
            push(features, "/mountOptions", "size");
        },
    ),
    (
        "features-with-numbered-annotations",
        "features has an annotation that is no string",
        &["FEA-ANN-01"],
        |features| {
            put(features, "/annotations", json!({"com.example.number": 1}));
        },
    ),
    (
        "features-of-another-mind",
        "features says the opposite of what is so about mapped mounts",
        &["FLX-MEXT-idmap"],
        |features| {
            let said = features.pointer("/linux/mountExtensions/idmap/enabled") == Some(&json!(true));
            put(features, "/linux/mountExtensions", json!({"idmap": {"enabled": !said}}));
        },
    ),
    (
        "features-denies-version-1",
        "features denies the cgroups it works on",
        &["FLX-CG-v1", "FLX-CG-v2"],
        |features| {
            put(features, "/linux/cgroup/v1", false);
            put(features, "/linux/cgroup/v2", false);
        },
    ),
    (
        "features-denies-systemd",
        "features denies systemd's driver, which it has",
        &["FLX-CG-systemd", "FLX-CG-systemdUser"],
        |features| {
            put(features, "/linux/cgroup/systemd", false);
            put(features, "/linux/cgroup/systemdUser", false);
        },
    ),
];

/// A list, an entry that it must not have, and the row.
const LISTS: [(&str, &str, &str); 10] = [
    ("/mountOptions", "nosuchoption", "FEA-MNT-01"),
    ("/linux/namespaces", "nosuchnamespace", "FLX-NS-01"),
    ("/linux/seccomp/actions", "SCMP_ACT_NOSUCH", "FLX-SEC-actions"),
    ("/linux/seccomp/operators", "SCMP_CMP_NOSUCH", "FLX-SEC-operators"),
    ("/linux/seccomp/archs", "SCMP_ARCH_NOSUCH", "FLX-SEC-archs"),
    ("/linux/seccomp/knownFlags", "SECCOMP_FILTER_FLAG_NOSUCH", "FLX-SEC-knownFlags"),
    ("/linux/seccomp/supportedFlags", "SECCOMP_FILTER_FLAG_NOSUCH", "FLX-SEC-supportedFlags"),
    ("/linux/memoryPolicy/modes", "MPOL_NOSUCH", "FLX-MPOL-modes"),
    ("/linux/memoryPolicy/flags", "MPOL_F_NOSUCH", "FLX-MPOL-flags"),
    ("/hooks", "nosuchhook", "FEA-HOOK-01"),
];

fn lists_too_much((pointer, entry, row): (&'static str, &'static str, &'static str)) -> Mutant {
    let what = pointer.rsplit('/').next().unwrap_or_default();
    let breaks = format!("features lists {entry} in {what}");
    Mutant::output("features", format!("features-{what}-too-long"), breaks, &[row], move |features| {
        push(features, pointer, entry);
    })
}

/// What features denies, what is passed over all the same where a configuration has it, and the row.
const DENIALS: [(&str, &str, &str); 7] = [
    ("/linux/seccomp/enabled", "/linux/seccomp", "FLX-SEC-01"),
    ("/linux/apparmor/enabled", "/process/apparmorProfile", "FLX-LSM-apparmor"),
    ("/linux/selinux/enabled", "/process/selinuxLabel", "FLX-LSM-selinux"),
    ("/linux/intelRdt/enabled", "/linux/intelRdt", "FLX-RDT-enabled"),
    ("/linux/intelRdt/schemata", "/linux/intelRdt", "FLX-RDT-schemata"),
    ("/linux/intelRdt/monitoring", "/linux/intelRdt", "FLX-RDT-monitoring"),
    ("/linux/netDevices/enabled", "/linux/netDevices", "FLX-NETDEV-01"),
];

fn denies((claim, property, row): (&'static str, &'static str, &'static str)) -> Mutant {
    let what = claim.trim_start_matches("/linux/").trim_end_matches("/enabled").replace('/', "-");
    let breaks = format!("features denies {what}, and passes it over where it is asked for");
    let name = format!("features-denies-{what}");
    Mutant::output("features", name, breaks, &[row], move |features| put(features, claim, false))
        .and_config(move |config| remove(config, property))
}
