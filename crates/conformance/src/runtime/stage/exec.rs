//! Further processes in a running container: an extension that most runtimes have and no specification asks for.

use serde_json::{Value, json};

use crate::case::Obstacle;
use crate::error::Context as _;
use crate::probe::frames;

use super::{Container, Stage, brief};

impl Stage {
    /// Runs `process`, a `process` object as a configuration has it, in the running container and waits for
    /// its end. Written down as `name`: `exec` and `report` (the probe's first frame).
    ///
    /// # Errors
    /// [`Obstacle::Skip`] where the subject has no such operation.
    pub fn exec(&mut self, name: &str, container: &Container, process: &Value) -> Result<(), Obstacle> {
        self.count += 1;
        let path = self.place.join(format!("process-{}.json", self.count));
        std::fs::write(&path, process.to_string()).context(|| format!("write {}", path.display()))?;
        self.note_beside();
        let place = self.place.clone();
        let values = [("id", container.id.as_str()), ("process", &path.to_string_lossy())];
        let ran = self.call("exec", &values, &place)?;
        let report = frames(&ran.stdout).into_iter().next();
        self.evidence.record(name, json!({"exec": brief(&ran), "report": report}));
        Ok(())
    }
}
