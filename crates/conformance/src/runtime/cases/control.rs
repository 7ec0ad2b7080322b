//! The container that everything else builds on.

use crate::case::Case;
use crate::evidence::judge::{all, nothing_left, succeeds};
use crate::runtime::Stage;

pub(super) fn cases() -> Vec<Case<Stage>> {
    let minimal = Case::new("control/minimal", |stage: &mut Stage| {
        let config = stage.config(&["exit:0"]);
        stage.observe("minimal", &config)
    });
    let operations = ["create", "start", "delete"].map(|name| succeeds(&format!("/minimal/{name}")));
    vec![
        minimal
            .rule("RUN-OPS-01", all(operations.into()))
            .rule("RUN-LIFE-17", nothing_left("/minimal"))
            .rule("RUN-DELETE-04", nothing_left("/minimal")),
    ]
}
