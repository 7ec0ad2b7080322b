//! `process.rlimits`.

use rustix::process::getrlimit;
use serde_json::{Value, json};

use crate::case::Case;
use crate::evidence::judge::{
    each_refused_by_start, refusals_leave_nothing, refused_by_start, where_supported,
};
use crate::evidence::{Evidence, Judge};
use crate::rlimits::{LIMITS, Limit};
use crate::runtime::Stage;
use crate::verdict::Judgement;

pub(super) fn cases() -> Vec<Case<Stage>> {
    vec![
        Case::new("rlimits/all", |stage: &mut Stage| {
            stage.caller.must_have_ids(1000)?;
            let mut config = stage.config(&["exit:0"]);
            let limits = configured();
            stage.evidence.record("configured", limits.clone());
            config["process"]["rlimits"] = limits;
            stage.observe("root", &config)?;
            config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
            config["process"]["capabilities"] = json!({});
            stage.observe("user", &config)
        })
        // Every type that is configured has reached the kernel, whichever of the two numbers shows it.
        .rule(
            "CFG-RLIM-03",
            where_supported(
                "/root",
                limits_hold(|found, wanted| {
                    found["soft"] == wanted["soft"] || found["hard"] == wanted["hard"]
                }),
            ),
        )
        .rule(
            "CFG-RLIM-04",
            where_supported("/root", limits_hold(|found, wanted| found["soft"] == wanted["soft"])),
        )
        .rule(
            "CFG-RLIM-05",
            where_supported("/root", limits_hold(|found, wanted| found["hard"] == wanted["hard"])),
        ),
        Case::new("rlimits/refused", |stage: &mut Stage| {
            let mut config = stage.config(&["exit:0"]);
            let limit = |kind: &str, value: u64| json!({"type": kind, "soft": value, "hard": value});
            for (name, limits) in [
                ("unknown", json!([limit("RLIMIT_TEST", 100)])),
                ("lower-case", json!([limit("rlimit_nothing", 100)])),
                ("same", json!([limit("RLIMIT_NOFILE", 300), limit("RLIMIT_NOFILE", 300)])),
                (
                    "other",
                    json!([
                        limit("RLIMIT_NOFILE", 300),
                        limit("RLIMIT_CORE", 0),
                        limit("RLIMIT_NOFILE", 200)
                    ]),
                ),
            ] {
                config["process"]["rlimits"] = limits;
                stage.attempt(name, &config)?;
            }
            Ok(())
        })
        .rule("RUN-ERR-01", refusals_leave_nothing())
        .rule("CFG-RLIM-02", each_refused_by_start(&["/unknown", "/lower-case"]))
        .rule("CFG-RLIM-06", refused_by_start("/other"))
        .rule("CFG-RLIM-06", refused_by_start("/same")),
    ]
}

/// Where the caller has less, less is asked for: only CAP_SYS_RESOURCE raises a hard limit.
fn configured() -> Value {
    let limit = |limit: &Limit| {
        let most = getrlimit(limit.resource).maximum.unwrap_or(u64::MAX);
        json!({"type": limit.name, "soft": limit.soft.min(most), "hard": limit.hard.min(most)})
    };
    LIMITS.iter().map(limit).collect()
}

/// `test` holds for what the probe found and what was configured, for every type and both users.
fn limits_hold(test: fn(&Value, &Value) -> bool) -> Judge {
    Box::new(move |evidence: &Evidence| {
        let wanted = evidence.at("/configured").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut wrong = Vec::new();
        for life in ["root", "user"] {
            for limit in &wanted {
                let pointer =
                    format!("/{life}/report/rlimits/{}", limit["type"].as_str().unwrap_or_default());
                if !evidence.at(&pointer).is_some_and(|found| test(found, limit)) {
                    wrong.push(format!("{limit} became {} ({life})", evidence.show(&pointer)));
                }
            }
        }
        let holds = wrong.is_empty() && wanted.len() == LIMITS.len();
        let observed = if holds { "all of them".to_owned() } else { wrong.join("; ") };
        Judgement::of(holds, "every limit is as configured", observed)
    })
}
