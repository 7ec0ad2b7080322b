//! Proof that the suite can fail: mutants of a runtime, and the kill matrix of mutants and cases.
//!
//! A mutant stands before any real runtime, breaks one thing, and hands on the rest. It edits `config.json`
//! on the way in or a document on the way out, changes arguments or the exit code, or does something before
//! or after. A row is proven when a case that passes for the runtime itself fails for a mutant of it. A
//! mutant breaks nothing that the minimal container needs: where that does not run, a run says nothing at
//! all, so nothing would be shown.

mod call;
mod cgroups;
mod document;
mod edit;
mod features;
mod files;
mod hooks;
mod lifecycle;
mod matrix;
mod process;
mod seccomp;
mod state;

use std::ffi::OsString;

use serde_json::Value;

use crate::error::{Error, Kind, Result};

use call::Call;
pub use matrix::{Kill, Matrix, Outcome, Proof, prove};

/// Changes a document.
type Edit = Box<dyn Fn(&mut Value) + Send + Sync>;

/// Does something in place of a call; the exit code.
type Act = Box<dyn Fn(&Call) -> Result<i32> + Send + Sync>;

/// How a mutant stands in the way.
enum Fault {
    /// Containers are made from another configuration.
    Configuration(Edit),
    /// What the operation prints is another document.
    Output(&'static str, Edit),
    /// Sees whole calls; what it does not break it passes on.
    Call(Act),
}

/// One way to be wrong.
pub struct Mutant {
    /// What it is called.
    pub name: String,
    /// What it does wrong, in a sentence.
    pub breaks: String,
    /// The rows that have to notice, each by one case at least.
    pub rows: Vec<String>,
    faults: Vec<Fault>,
}

impl Mutant {
    fn new(name: impl Into<String>, breaks: impl Into<String>, rows: &[&str], fault: Fault) -> Mutant {
        Mutant {
            name: name.into(),
            breaks: breaks.into(),
            rows: rows.iter().map(|row| (*row).to_owned()).collect(),
            faults: vec![fault],
        }
    }

    /// One that makes containers from another configuration.
    fn config(
        name: impl Into<String>,
        breaks: impl Into<String>,
        rows: &[&str],
        edit: impl Fn(&mut Value) + Send + Sync + 'static,
    ) -> Mutant {
        Mutant::new(name, breaks, rows, Fault::Configuration(Box::new(edit)))
    }

    /// One that prints another document.
    fn output(
        operation: &'static str,
        name: impl Into<String>,
        breaks: impl Into<String>,
        rows: &[&str],
        edit: impl Fn(&mut Value) + Send + Sync + 'static,
    ) -> Mutant {
        Mutant::new(name, breaks, rows, Fault::Output(operation, Box::new(edit)))
    }

    /// One that sees whole calls.
    fn call(
        name: impl Into<String>,
        breaks: impl Into<String>,
        rows: &[&str],
        act: impl Fn(&Call) -> Result<i32> + Send + Sync + 'static,
    ) -> Mutant {
        Mutant::new(name, breaks, rows, Fault::Call(Box::new(act)))
    }

    /// The same, with containers from another configuration too.
    fn and_config(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Mutant {
        self.faults.push(Fault::Configuration(Box::new(edit)));
        self
    }

    /// Whether it changes anything for a caller who makes containers of `configs` and calls nothing but
    /// `operations`. Where it does not, nobody can notice it.
    pub fn touches(&self, configs: &[Value], operations: &[String]) -> bool {
        let changes = |edit: &Edit| {
            configs.iter().any(|config| {
                let mut edited = config.clone();
                edit(&mut edited);
                edited != *config
            })
        };
        self.faults.iter().any(|fault| match fault {
            Fault::Configuration(edit) => changes(edit),
            Fault::Output(operation, _) => operations.iter().any(|one| one == operation),
            Fault::Call(_) => true,
        })
    }

    fn act(&self, call: &Call) -> Result<i32> {
        for fault in &self.faults {
            match fault {
                Fault::Configuration(edit) if call.creates() => return call.with_config(edit),
                Fault::Output(operation, edit) if call.operation() == *operation => {
                    return call.with_output(edit);
                }
                Fault::Call(act) => return act(call),
                Fault::Configuration(_) | Fault::Output(..) => {}
            }
        }
        call.pass()
    }
}

/// Breaks nothing: what fails for it fails because something stands before the runtime.
pub const NOTHING: &str = "nothing";

/// Every mutant there is, but the one that breaks nothing.
pub fn mutants() -> Vec<Mutant> {
    let families = [
        state::mutants(),
        lifecycle::mutants(),
        hooks::mutants(),
        document::mutants(),
        files::mutants(),
        process::mutants(),
        seccomp::mutants(),
        cgroups::mutants(),
        features::mutants(),
    ];
    families.into_iter().flatten().collect()
}

/// Stands before `runtime` as the mutant `name`, for one call; the exit code.
///
/// # Errors
/// [`Kind::Request`] for an unknown mutant, [`Kind::Environment`] where the runtime cannot be executed.
pub fn play(name: &str, runtime: OsString, arguments: Vec<String>) -> Result<i32> {
    let call = Call::parse(runtime, arguments);
    if name == NOTHING {
        return call.pass();
    }
    let unknown = || Error::new(Kind::Request, format!("there is no mutant {name:?}"));
    mutants().into_iter().find(|mutant| mutant.name == name).ok_or_else(unknown)?.act(&call)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_sound() {
        let tested: BTreeSet<&str> = super::super::suite()
            .iter()
            .flat_map(|case| case.rules.iter().map(|rule| rule.requirement))
            .collect();
        let mut names = BTreeSet::from([NOTHING.to_owned()]);
        let mutants = mutants();
        let broken: BTreeSet<&str> =
            mutants.iter().flat_map(|mutant| &mutant.rows).map(String::as_str).collect();
        let open: Vec<_> = tested.difference(&broken).collect();
        assert!(open.is_empty(), "nothing is made to break {open:?}");
        for mutant in &mutants {
            assert!(!mutant.rows.is_empty() && !mutant.breaks.is_empty(), "{}", mutant.name);
            for row in &mutant.rows {
                assert!(tested.contains(row.as_str()), "{}: no case judges {row}", mutant.name);
            }
            assert!(names.insert(mutant.name.clone()), "{} stands there twice", mutant.name);
        }
    }

    #[test]
    fn unknown_mutants_are_refused() {
        let error = play("no such", "true".into(), Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "there is no mutant \"no such\"");
    }
}
