//! The program of a container: how it is found, with what arguments, variables, terminal, user and names.

use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::judge::{
    all, each_refused_by_start, equals, is_not, or_refused, refusals_leave_nothing, refused_by_start,
    satisfies, where_supported,
};
use crate::evidence::{Evidence, Judge};
use crate::runtime::Stage;
use crate::verdict::Judgement;

use super::edit::{drop_namespace, remove};

/// The parts of the process family.
pub(super) fn cases() -> Vec<Case<Stage>> {
    [program(), terminal(), user(), names()].into_iter().flatten().collect()
}

fn program() -> Vec<Case<Stage>> {
    vec![
        Case::new("process/absent", |stage: &mut Stage| {
            let mut config = stage.config(&["exit:0"]);
            remove(&mut config, "/process");
            stage.attempt("attempt", &config)
        })
        .rule("RUN-ERR-01", refusals_leave_nothing())
        // By create as well, which may validate everything.
        .rule("CFG-PROC-01", refused_by_start("/attempt")),
        Case::new("process/cwd", |stage: &mut Stage| {
            let mut config = stage.config(&["exit:0"]);
            config["process"]["cwd"] = json!("/mnt");
            stage.observe("life", &config)?;
            for (name, cwd) in [("relative", "mnt"), ("dot", "./mnt"), ("empty", "")] {
                config["process"]["cwd"] = json!(cwd);
                stage.attempt(name, &config)?;
            }
            Ok(())
        })
        .rule("RUN-ERR-01", refusals_leave_nothing())
        .rule("CFG-PROC-05", each_refused_by_start(&["/relative", "/dot", "/empty"]))
        .rule("CFG-PROC-06", equals("/life/report/cwd", "/mnt")),
        Case::new("process/environment", |stage: &mut Stage| {
            stage.environment.push(("PLIMSOLL_CANARY".to_owned(), "leaked".to_owned()));
            let mut config = stage.config(&["exit:0"]);
            config["process"]["env"] = variables();
            stage.observe("life", &config)
        })
        .rule("CFG-PROC-07", same_variables("/life/report/env")),
        Case::new("process/arguments", |stage: &mut Stage| {
            let mut config = stage.config(&["exit:0"]);
            for (name, args) in [("empty", json!([])), ("null", Value::Null)] {
                config["process"]["args"] = args;
                stage.attempt(name, &config)?;
            }
            remove(&mut config, "/process/args");
            stage.attempt("missing", &config)
        })
        .rule("RUN-ERR-01", refusals_leave_nothing())
        .rule("CFG-PROC-08", each_refused_by_start(&["/empty", "/null", "/missing"])),
        Case::new("process/file", |stage: &mut Stage| {
            let mut config = stage.config(&["exit:0"]);
            config["process"]["env"] = json!(["PATH=/nowhere:/bin"]);
            config["process"]["args"] = json!(["second-name", "do", "", "two words", "exit:0"]);
            let container = stage.bundle(&config)?;
            let (probe, link) =
                (container.rootfs().join("probe"), container.rootfs().join("bin/second-name"));
            std::fs::hard_link(probe, link).context(|| "link the probe")?;
            stage.observe_in("path", container)?;
            config["process"]["args"] = json!(["./probe", "do", "exit:0"]);
            stage.observe("relative", &config)
        })
        .rule(
            "CFG-PROC-09",
            all(vec![
                equals("/path/report/argv", json!(["second-name", "do", "", "two words", "exit:0"])),
                equals("/relative/report/argv", json!(["./probe", "do", "exit:0"])),
            ]),
        ),
    ]
}

/// HOME is among them, for runtimes are used to add it where it is missing, which nothing forbids.
fn variables() -> Value {
    json!(["PATH=/bin:/", "HOME=/mnt", "ONE=1", "EMPTY=", "EQUALS=a=b", "SPACES= two  words ", "LINES=a\nb"])
}

fn same_variables(pointer: &str) -> Judge {
    let pointer = pointer.to_owned();
    Box::new(move |evidence: &Evidence| {
        let sorted = |list: &Value| {
            let list = list.as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
            let mut list: Vec<String> = list.collect::<Option<_>>()?;
            list.sort();
            Some(list)
        };
        let holds = evidence.at(&pointer).and_then(sorted) == sorted(&variables());
        Judgement::of(
            holds,
            format!("{pointer} has exactly the variables that were configured"),
            evidence.show(&pointer),
        )
    })
}

fn terminal() -> Vec<Case<Stage>> {
    vec![
        Case::new("process/terminal", |stage: &mut Stage| {
            let mut config = stage.config(&["exit:0"]);
            stage.observe("default", &config)?;
            config["process"]["consoleSize"] = json!({"height": 31, "width": 97});
            stage.observe("unset", &config)?;
            config["process"]["terminal"] = json!(false);
            stage.observe("without", &config)?;
            config["process"]["terminal"] = json!(true);
            stage.observe_terminal("with", &config)
        })
        .rule(
            "CFG-PROC-02",
            all(vec![
                equals("/default/report/terminal/streams", json!([false, false, false])),
                equals("/without/report/terminal/streams", json!([false, false, false])),
                equals("/with/report/terminal/streams", json!([true, true, true])),
                equals("/with/terminal/isTerminal", true),
            ]),
        )
        .rule(
            "CFG-PROC-03",
            all(vec![
                equals("/unset/exit/code", 0),
                equals("/unset/report/pid", 1),
                equals("/without/exit/code", 0),
                equals("/without/report/pid", 1),
            ]),
        )
        .rule(
            "CFG-PROC-04",
            all(vec![equals("/with/report/terminal/rows", 31), equals("/with/report/terminal/columns", 97)]),
        ),
    ]
}

/// Supplementary groups that the caller has and that nobody has asked for.
const FOREIGN_GROUP: u32 = 4242;

fn user() -> Vec<Case<Stage>> {
    vec![
        Case::new("user/ids", |stage: &mut Stage| {
            stage.caller.must_have_ids(60_000)?;
            let mut config = stage.config(&["exit:0"]);
            config["process"]["capabilities"] = json!({});
            config["process"]["user"] = json!({"uid": 1234, "gid": 5678, "umask": 0o077});
            stage.observe("user", &config)?;
            config["process"]["user"]["additionalGids"] = json!([7, 2000, 60_000]);
            stage.observe("groups", &config)?;
            config["process"]["user"] = json!({"uid": 0, "gid": 9, "umask": 0});
            stage.observe("root", &config)
        })
        .rule(
            "CFG-USER-01",
            all(vec![
                equals("/user/report/uids", json!([1234, 1234, 1234, 1234])),
                equals("/root/report/uids", json!([0, 0, 0, 0])),
            ]),
        )
        .rule(
            "CFG-USER-02",
            all(vec![
                equals("/user/report/gids", json!([5678, 5678, 5678, 5678])),
                equals("/root/report/gids", json!([9, 9, 9, 9])),
            ]),
        )
        .rule(
            "CFG-USER-03",
            all(vec![equals("/user/report/umask", "0077"), equals("/root/report/umask", "0000")]),
        )
        .rule(
            "CFG-USER-04",
            where_supported("/groups", groups("/groups/report/groups", &[7, 2000, 60_000], &[5678])),
        ),
        // More than 16 bits hold.
        Case::new("user/large-ids", |stage: &mut Stage| {
            // Fewer are no obstacle: with what there is, the rows are judged above.
            let few = |_| Obstacle::NotApplicable("the caller is lent no ids as large".to_owned());
            stage.caller.must_have_ids(4_000_000).map_err(few)?;
            let mut config = stage.config(&["exit:0"]);
            config["process"]["user"] =
                json!({"uid": 1_000_001, "gid": 2_000_002, "additionalGids": [7, 4_000_000]});
            stage.observe("user", &config)
        })
        .rule("CFG-USER-01", equals("/user/report/uids/0", 1_000_001))
        .rule("CFG-USER-02", equals("/user/report/gids/0", 2_000_002))
        .rule(
            "CFG-USER-04",
            where_supported("/user", groups("/user/report/groups", &[7, 4_000_000], &[2_000_002])),
        )
        .where_it_applies(),
        Case::new("user/inherited", |stage: &mut Stage| {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
            stage.note_command(&["umask", "0027"]);
            let groups = [rustix::process::Gid::from_raw(FOREIGN_GROUP)];
            rustix::thread::set_thread_groups(&groups)
                .map_err(|errno| Obstacle::of("become a member of a group", errno))?;
            stage.note_caller(&["setpriv", "--groups", &FOREIGN_GROUP.to_string()]);
            let mut config = stage.config(&["exit:0"]);
            stage.observe("unset", &config)?;
            config["process"]["user"]["additionalGids"] = json!([7]);
            stage.observe("groups", &config)
        })
        .rule("CFG-USER-05", equals("/unset/report/umask", "0027"))
        .rule("CFG-USER-04", groups("/groups/report/groups", &[7], &[0, FOREIGN_GROUP])),
    ]
}

/// Every one of `wanted` is among the groups, and besides them none but those that are `allowed`: the text
/// says that groups are added, not to what.
fn groups(pointer: &str, wanted: &'static [u32], allowed: &'static [u32]) -> Judge {
    let expected = format!("has {wanted:?} and at most {allowed:?} besides");
    satisfies(pointer, &expected, move |value| {
        let Some(found) = value.as_array() else { return false };
        let found: Vec<u64> = found.iter().filter_map(Value::as_u64).collect();
        wanted.iter().all(|group| found.contains(&u64::from(*group)))
            && found.iter().all(|group| wanted.iter().chain(allowed).any(|known| u64::from(*known) == *group))
    })
}

fn names() -> Vec<Case<Stage>> {
    vec![
        Case::new("names/own", |stage: &mut Stage| {
            let mut config = stage.config(&["exit:0"]);
            config["hostname"] = json!("conformance-host");
            config["domainname"] = json!("conformance.example");
            stage.observe("life", &config)?;
            let own = rustix::system::uname();
            stage.evidence.record("nodename", own.nodename().to_string_lossy().into_owned());
            Ok(())
        })
        .rule(
            "CFG-HOST-01",
            all(vec![
                equals("/life/report/hostname", "conformance-host"),
                is_not("/nodename", "conformance-host"),
            ]),
        )
        .rule("CFG-DOM-01", equals("/life/report/domainname", "conformance.example")),
        // The runtime's own namespace may be changed, says the text; here that is one of the worker alone.
        Case::new("names/shared", |stage: &mut Stage| {
            let unshared = plimsoll_sys::process::unshare(plimsoll_sys::process::CloneFlags::NEWUTS);
            unshared.map_err(|errno| Obstacle::of("make a namespace of names", errno))?;
            stage.note_own("uts");
            let mut config = stage.config(&["exit:0"]);
            config["hostname"] = json!("conformance-host");
            drop_namespace(&mut config, "uts");
            stage.observe("life", &config)
        })
        .rule("CFG-HOST-01", or_refused("/life", equals("/life/report/hostname", "conformance-host"))),
    ]
}
