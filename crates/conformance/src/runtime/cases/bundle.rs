//! The bundle and its document: where it has to be, and what of its text has no meaning.

use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::Context as _;
use crate::evidence::judge::{all, refused, same, unchanged};
use crate::evidence::{Evidence, Judge};
use crate::runtime::Stage;
use crate::verdict::Judgement;

pub(super) fn cases() -> Vec<Case<Stage>> {
    vec![
        misplaced("bundle/no-config", "BDL-FMT-01", None),
        misplaced("bundle/config-in-folder", "BDL-FMT-01", Some("folder/config.json")),
        misplaced("bundle/config-in-rootfs", "BDL-FMT-01", Some("rootfs/config.json")),
        misplaced("bundle/capital-name", "BDL-FMT-02", Some("Config.json")),
        misplaced("bundle/longer-name", "BDL-FMT-02", Some("config.json.txt")),
        order_of_names(),
    ]
}

/// A good configuration at the wrong place is none.
fn misplaced(name: &str, row: &'static str, place: Option<&'static str>) -> Case<Stage> {
    let run = move |stage: &mut Stage| -> Result<(), Obstacle> {
        let config = stage.config(&["exit:0"]);
        let container = stage.bundle_as(&format!("{}-misplaced", stage.mark()), "misplaced")?;
        if let Some(place) = place {
            let path = container.bundle.join(place);
            let context = || format!("write {}", path.display());
            std::fs::create_dir_all(path.parent().unwrap_or(&container.bundle)).context(context)?;
            std::fs::write(&path, config.to_string()).context(context)?;
        }
        stage.attempt_in("attempt", container)
    };
    Case::new(name, run).rule(row, refused("/attempt")).rule("RUN-ERR-01", unchanged("/attempt"))
}

/// What of a report has to be the same whatever the order of names was.
const FACTS: [&str; 13] = [
    "argv",
    "env",
    "cwd",
    "umask",
    "hostname",
    "uids",
    "gids",
    "groups",
    "capabilities",
    "rlimits",
    "noNewPrivileges",
    "seccomp",
    "oomScoreAdj",
];

fn order_of_names() -> Case<Stage> {
    let run = |stage: &mut Stage| -> Result<(), Obstacle> {
        let mut config = stage.config(&["exit:0"]);
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}]);
        config["process"]["noNewPrivileges"] = json!(true);
        for (name, order) in [("forward", Order::Forward), ("backward", Order::Backward)] {
            let container = stage.bundle(&config)?;
            stage.write_config(&container, write(&config, order).as_bytes())?;
            stage.observe_in(name, container)?;
        }
        Ok(())
    };
    let mut judges: Vec<Judge> = FACTS
        .iter()
        .map(|fact| same(&format!("/forward/report/{fact}"), &format!("/backward/report/{fact}")))
        .collect();
    judges.push(Box::new(|evidence| {
        let (forward, backward) = (mounts(evidence, "forward"), mounts(evidence, "backward"));
        let holds = !forward.is_empty() && forward == backward;
        Judgement::of(holds, "both have the same mounts", format!("{forward:?} and {backward:?}"))
    }));
    Case::new("bundle/order-of-names", run).rule("GLO-JSON-03", all(judges))
}

/// The mounts of a container as far as they can be compared with another's.
fn mounts(evidence: &Evidence, name: &str) -> Vec<String> {
    let table = evidence.at(&format!("/{name}/report/mounts")).and_then(Value::as_array);
    let line = |mount: &Value| format!("{} {} {}", mount["target"], mount["type"], mount["options"]);
    table.into_iter().flatten().map(line).collect()
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Forward,
    Backward,
}

/// JSON with the names of every object in the order of the alphabet, or in the reverse.
fn write(value: &Value, order: Order) -> String {
    match value {
        Value::Object(members) => {
            let mut written: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{}:{}", json!(name), write(value, order)))
                .collect();
            written.sort();
            if matches!(order, Order::Backward) {
                written.reverse();
            }
            format!("{{{}}}", written.join(","))
        }
        Value::Array(values) => {
            let written: Vec<_> = values.iter().map(|value| write(value, order)).collect();
            format!("[{}]", written.join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_change_their_order() {
        let value = json!({"b": [2, 1], "a": {"x": 1, "y": "\n"}});
        assert_eq!(write(&value, Order::Forward), r#"{"a":{"x":1,"y":"\n"},"b":[2,1]}"#);
        assert_eq!(write(&value, Order::Backward), r#"{"b":[2,1],"a":{"y":"\n","x":1}}"#);
    }
}
