//! The table of steps and engines, and what was said where something failed.

/// How a step went with one runtime.
pub(super) enum Verdict {
    Done,
    /// Why not.
    Failed(String),
}

/// What a cell of the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Done,
    Failed,
    /// The control fails as well: the engine cannot do it on this machine.
    Limit,
}

/// One engine's journey.
pub(super) struct Column {
    engine: &'static str,
    cells: Vec<(&'static str, Cell)>,
    notes: Vec<String>,
}

impl Column {
    pub(super) fn new(engine: &'static str) -> Column {
        Column { engine, cells: Vec::new(), notes: Vec::new() }
    }

    /// Adds a step: how it went with our runtime, and with the control where there is one.
    pub(super) fn add(&mut self, step: &'static str, verdicts: Vec<Verdict>) {
        let mut verdicts = verdicts.into_iter();
        let (ours, control) = (verdicts.next().unwrap_or(Verdict::Done), verdicts.next());
        let mut note =
            |kind: &str, why: &str| self.notes.push(format!("{kind}: {} {step}: {why}", self.engine));
        let cell = match (ours, control) {
            (Verdict::Done, None | Some(Verdict::Done)) => Cell::Done,
            (Verdict::Done, Some(Verdict::Failed(why))) => {
                note("control failed", &why);
                Cell::Done
            }
            (Verdict::Failed(why), Some(Verdict::Failed(control))) => {
                note("limit of the engine here", &format!("{control}\n  with ours: {why}"));
                Cell::Limit
            }
            (Verdict::Failed(why), _) => {
                note("FAILED", &why);
                Cell::Failed
            }
        };
        self.cells.push((step, cell));
    }
}

/// Every engine's journey.
#[derive(Default)]
pub(super) struct Report {
    pub columns: Vec<Column>,
}

impl Report {
    /// Whether a step failed that the control does.
    pub(super) fn failed(&self) -> bool {
        self.columns.iter().flat_map(|column| &column.cells).any(|(_, cell)| *cell == Cell::Failed)
    }

    /// Prints notes and table.
    pub(super) fn print(&self) {
        for note in self.columns.iter().flat_map(|column| &column.notes) {
            println!("{note}");
        }
        print!("{}", self.table());
    }

    fn table(&self) -> String {
        let mut steps: Vec<&str> = Vec::new();
        for (step, _) in self.columns.iter().flat_map(|column| &column.cells) {
            if !steps.contains(step) {
                steps.push(step);
            }
        }
        let row = |first: &str, cells: Vec<&str>| {
            let cells: String = cells.iter().map(|cell| format!("  {cell:<10}")).collect();
            format!("{}\n", format!("{first:<28}{cells}").trim_end())
        };
        let mut table = row("", self.columns.iter().map(|column| column.engine).collect());
        for step in steps {
            let cell = |column: &Column| match column.cells.iter().find(|(name, _)| *name == step) {
                None => "-",
                Some((_, Cell::Done)) => "ok",
                Some((_, Cell::Failed)) => "FAILED",
                Some((_, Cell::Limit)) => "limit",
            };
            table.push_str(&row(step, self.columns.iter().map(cell).collect()));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdicts: Vec<Verdict>) -> Report {
        let mut column = Column::new("engine");
        column.add("step", verdicts);
        Report { columns: vec![column, Column::new("other")] }
    }

    #[test]
    fn a_step_that_the_control_cannot_do_is_no_failure() {
        let failed = || Verdict::Failed("no".to_owned());
        for (verdicts, cell, fails) in [
            (vec![Verdict::Done, Verdict::Done], "ok", false),
            (vec![Verdict::Done, failed()], "ok", false),
            (vec![failed(), Verdict::Done], "FAILED", true),
            (vec![failed(), failed()], "limit", false),
            (vec![failed()], "FAILED", true),
        ] {
            let report = report(verdicts);
            assert_eq!(report.failed(), fails);
            let want = format!("{:<28}  {:<10}  other\n{:<28}  {cell:<10}  -\n", "", "engine", "step");
            assert_eq!(report.table(), want);
        }
    }
}
