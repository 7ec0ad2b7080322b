//! The container that everything else builds on.

use crate::case::Case;
use crate::evidence::judge::{all, equals, satisfies};
use crate::runtime::Stage;

pub(super) fn cases() -> Vec<Case<Stage>> {
    vec![
        Case::new("control/minimal", |stage: &mut Stage| {
            let config = stage.config(&["exit:0"]);
            stage.observe("minimal", &config)
        })
        .rule(
            "RUN-OPS-01",
            all(["create", "start", "delete"].map(|name| equals(&format!("/minimal/{name}/exit"), 0)).into()),
        )
        .rule(
            "RUN-LIFE-17",
            satisfies("/minimal/left", "is empty", |left| left.as_array().is_some_and(Vec::is_empty)),
        ),
    ]
}
