//! The container that everything else builds on.

use crate::case::{Case, Obstacle};
use crate::evidence::judge::{all, nothing_left, succeeds};
use crate::runtime::Stage;

use super::features::features;

pub(super) fn cases() -> Vec<Case<Stage>> {
    let minimal = Case::new("control/minimal", |stage: &mut Stage| {
        let config = stage.config(&["exit:0"]);
        let observed = stage.observe("minimal", &config);
        stage.note_version()?;
        observed?;
        // By which every other case is told what the subject says that it supports.
        match features(stage) {
            Ok(_) | Err(Obstacle::NotApplicable(_) | Obstacle::Inconclusive(_)) => Ok(()),
            Err(other) => Err(other),
        }
    });
    let operations = ["create", "start", "delete"].map(|name| succeeds(&format!("/minimal/{name}")));
    vec![
        minimal
            .rule("RUN-OPS-01", all(operations.into()))
            .rule("RUN-LIFE-17", nothing_left("/minimal"))
            .rule("RUN-DELETE-04", nothing_left("/minimal")),
    ]
}
