//! What a process may do: capabilities, no_new_privs, security labels, and its weight for the OOM killer.

use std::os::unix::fs::PermissionsExt as _;

use rustix::thread::CapabilitySet;
use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::{Context as _, Result};
use crate::evidence::judge::{
    all, each_refused_by_start, equals, is_not, provided, refused_by_start, same, satisfies, where_supported,
};
use crate::evidence::{Evidence, Judge};
use crate::runtime::Stage;
use crate::verdict::{Judgement, Reason};

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases: Vec<_> = SETS.iter().map(capabilities).collect();
    cases.extend([ungrantable(), no_new_privileges(), oom_score(), oom_score_inherited()]);
    cases.extend([apparmor(), selinux()]);
    cases
}

/// The five sets of a thread, with the row of each.
const ROWS: [(&str, &str); 5] = [
    ("effective", "CFG-CAP-03"),
    ("bounding", "CFG-CAP-04"),
    ("inheritable", "CFG-CAP-05"),
    ("permitted", "CFG-CAP-06"),
    ("ambient", "CFG-CAP-07"),
];

/// One configuration: a name, a user, and its sets in the order of [`ROWS`].
type Sets = (&'static str, u32, [&'static [&'static str]; 5]);

const FEW: &[&str] = &["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
const ONE: &[&str] = &["CAP_KILL"];
const TWO: &[&str] = &["CAP_KILL", "CAP_NET_RAW"];

/// Only what execve(2) can leave alone: it gives root all of its bounding set, and others what is ambient.
const SETS: [Sets; 6] = [
    ("root", 0, [FEW, FEW, &[], FEW, &[]]),
    ("root-inheritable", 0, [FEW, FEW, ONE, FEW, &[]]),
    ("root-ambient", 0, [FEW, FEW, ONE, FEW, ONE]),
    ("root-none", 0, [&[], &[], &[], &[], &[]]),
    ("user", 1000, [TWO, TWO, TWO, TWO, TWO]),
    ("user-bounding", 1000, [&[], FEW, &[], &[], &[]]),
];

fn capabilities((name, uid, sets): &'static Sets) -> Case<Stage> {
    let case = Case::new(format!("capabilities/{name}"), move |stage: &mut Stage| {
        stage.caller.must_have_ids(*uid)?;
        let mut config = stage.config(&["exit:0"]);
        config["process"]["user"] = json!({"uid": uid, "gid": uid});
        let members = ROWS.iter().zip(sets).map(|((set, _), names)| ((*set).to_owned(), json!(names)));
        config["process"]["capabilities"] = Value::Object(members.collect());
        stage.observe("life", &config)
    });
    ROWS.iter().zip(sets).fold(case, |case, ((set, row), names)| {
        case.rule(row, equals(&format!("/life/report/capabilities/{set}"), mask(names)))
    })
}

/// A set as the kernel prints it.
fn mask(names: &[&str]) -> String {
    let bit = |name: &&str| plimsoll_sys::capability::NAMES.iter().position(|known| known == name);
    let mask = names.iter().filter_map(bit).fold(0u64, |mask, bit| mask | 1 << bit);
    format!("{mask:016x}")
}

/// One capability that no kernel knows, and one that the runtime itself does not have.
fn ungrantable() -> Case<Stage> {
    Case::new("capabilities/ungrantable", |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        for (life, name) in [("unknown", "CAP_TEST"), ("lacking", "CAP_SYS_TIME")] {
            let names = [FEW, &[name]].concat();
            config["process"]["capabilities"] =
                json!({"bounding": names, "effective": names, "permitted": names});
            if life == "lacking" {
                give_up(CapabilitySet::SYS_TIME)?;
                stage.note_caller(&["setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time"]);
            }
            stage.observe(life, &config)?;
        }
        Ok(())
    })
    .rule(
        "CFG-CAP-02",
        all(["unknown", "lacking"]
            .iter()
            .flat_map(|life| {
                ["bounding", "effective", "permitted"]
                    .map(|set| equals(&format!("/{life}/report/capabilities/{set}"), mask(FEW)))
            })
            .collect()),
    )
}

/// Takes a capability from this worker and all that it will start.
fn give_up(capability: CapabilitySet) -> Result<(), Obstacle> {
    let obstacle = |errno| Obstacle::of("give up a capability", errno);
    rustix::thread::remove_capability_from_bounding_set(capability).map_err(obstacle)?;
    let mut sets = rustix::thread::capabilities(None).map_err(obstacle)?;
    for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
        set.remove(capability);
    }
    rustix::thread::set_capabilities(None, sets).map_err(obstacle)
}

/// Whether this worker, and with it the subject, has `capability`.
pub(super) fn has(capability: CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

/// A program of root's with the set-user-ID bit is the way to more privileges that has to be closed.
fn no_new_privileges() -> Case<Stage> {
    Case::new("process/no-new-privileges", |stage: &mut Stage| {
        stage.caller.must_have_ids(1000)?;
        let flags =
            rustix::fs::statvfs(&stage.place).context(|| "look at the file system of bundles")?.f_flag;
        if flags.contains(rustix::fs::StatVfsMountFlags::NOSUID) {
            let why = "bundles stand on a file system that is mounted nosuid";
            return Err(Obstacle::Skip(Reason::Configuration, why.to_owned()));
        }
        let mut config = stage.config(&["run:/bin/raise:whoami", "exit:0"]);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        for (life, value) in [("without", json!(false)), ("with", json!(true))] {
            config["process"]["noNewPrivileges"] = value;
            let container = stage.bundle(&config)?;
            // A copy, for the probe itself is linked into every bundle.
            let program = container.rootfs().join("bin/raise");
            std::fs::copy(&stage.settings.probe, &program).context(|| "copy the probe")?;
            let mode = std::fs::Permissions::from_mode(0o4755);
            std::fs::set_permissions(&program, mode).context(|| "set the set-user-ID bit")?;
            stage.observe_in(life, container)?;
        }
        Ok(())
    })
    .rule("CFG-LPROC-02", equals("/with/report/noNewPrivileges", true))
    .rule(
        "CFG-LPROC-02",
        provided(
            equals("/without/report/results/0/value/frames/0/uids/1", 0),
            equals("/with/report/results/0/value/frames/0/uids/1", 1000),
        ),
    )
}

const OOM_SCORE: &str = "/proc/self/oom_score_adj";

fn own_score() -> Result<i64> {
    let text = std::fs::read_to_string(OOM_SCORE).context(|| format!("read {OOM_SCORE}"))?;
    Ok(text.trim().parse().unwrap_or_default())
}

/// Lowering the value takes CAP_SYS_RESOURCE, so that is tried only by those who have it.
fn oom_score() -> Case<Stage> {
    Case::new("process/oom-score", |stage: &mut Stage| {
        let own = own_score()?;
        let mut values = vec![own, 100, 999, 1000];
        values.retain(|value| *value >= own);
        if has(CapabilitySet::SYS_RESOURCE) {
            values.extend([-500, -1000]);
        }
        let mut config = stage.config(&["exit:0"]);
        for (at, value) in values.iter().enumerate() {
            config["process"]["oomScoreAdj"] = json!(value);
            stage.observe(&format!("life-{at}"), &config)?;
        }
        stage.evidence.record("configured", values);
        Ok(())
    })
    .rule("CFG-LPROC-03", scores())
}

fn scores() -> Judge {
    Box::new(|evidence: &Evidence| {
        let wanted = evidence.at("/configured").and_then(Value::as_array).cloned().unwrap_or_default();
        let places: Vec<String> =
            (0..wanted.len()).map(|at| format!("/life-{at}/report/oomScoreAdj")).collect();
        let holds = !wanted.is_empty()
            && wanted.iter().zip(&places).all(|(value, place)| evidence.at(place) == Some(value));
        let observed: Vec<String> = places.iter().map(|place| evidence.show(place)).collect();
        let expected = format!("the scores are {}", Value::from(wanted));
        Judgement::of(holds, expected, observed.join(", "))
    })
}

fn oom_score_inherited() -> Case<Stage> {
    Case::new("process/oom-score-unset", |stage: &mut Stage| {
        // Another than that of whoever has started this, and no lower: anybody may raise it.
        let score = (own_score()? + 17).min(1000);
        std::fs::write(OOM_SCORE, score.to_string()).context(|| format!("write {OOM_SCORE}"))?;
        stage.note_caller(&["choom", "--adjust", &score.to_string(), "--"]);
        stage.evidence.record("score", score);
        let config = stage.config(&["exit:0"]);
        stage.observe("life", &config)
    })
    .rule("CFG-LPROC-04", same("/life/report/oomScoreAdj", "/score"))
}

fn apparmor() -> Case<Stage> {
    Case::new("process/apparmor", |stage: &mut Stage| {
        let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
        if enabled.trim() != "Y" {
            return Err(Obstacle::Skip(Reason::Lsm, "AppArmor is not enabled".to_owned()));
        }
        let mut config = stage.config(&["exit:0"]);
        config["process"]["apparmorProfile"] = json!("unconfined");
        stage.observe("life", &config)?;
        config["process"]["apparmorProfile"] = json!("plimsoll-no-such-profile");
        stage.attempt("unknown", &config)
    })
    .rule(
        "CFG-LPROC-01",
        where_supported(
            "/life",
            all(vec![
                satisfies("/life/report/apparmor", "is unconfined", |label| {
                    label.as_str().is_some_and(|label| label.starts_with("unconfined"))
                }),
                refused_by_start("/unknown"),
            ]),
        ),
    )
}

fn selinux() -> Case<Stage> {
    Case::new("process/selinux", |stage: &mut Stage| {
        if !std::path::Path::new("/sys/fs/selinux/enforce").exists() {
            return Err(Obstacle::Skip(Reason::Lsm, "SELinux is not enabled".to_owned()));
        }
        let own = std::fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
        // Another category than that of the worker, which any policy with categories has.
        let label = format!("{}:s0:c1,c2", own.split(':').take(3).collect::<Vec<_>>().join(":"));
        let mut config = stage.config(&["exit:0"]);
        config["process"]["selinuxLabel"] = json!(label);
        stage.observe("life", &config)?;
        stage.evidence.record("label", label);
        config["process"]["selinuxLabel"] = json!("no:such:label");
        stage.attempt("unknown", &config)
    })
    .rule(
        "CFG-LPROC-05",
        where_supported(
            "/life",
            all(vec![
                is_not("/life/report/selinux", ""),
                Box::new(|evidence: &Evidence| {
                    let text = |pointer: &str| evidence.at(pointer).and_then(Value::as_str);
                    let found =
                        text("/life/report/selinux").map(|label| label.trim_end_matches(['\0', '\n']));
                    let expected = format!("the label is {}", evidence.show("/label"));
                    Judgement::of(found == text("/label"), expected, evidence.show("/life/report/selinux"))
                }),
                each_refused_by_start(&["/unknown"]),
            ]),
        ),
    )
}
