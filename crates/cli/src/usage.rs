//! A command line that cannot be understood: what is wrong with it in one line, and in which form to say so.

use std::ffi::OsString;

use clap::CommandFactory as _;

use crate::args::{Arguments, Format};

/// The form that `args` ask for, as far as they can be read.
pub(crate) fn format(args: &[OsString]) -> Format {
    let matches = Arguments::command().ignore_errors(true).try_get_matches_from(args);
    let asked =
        matches.ok().and_then(|matches| matches.try_get_one::<Format>("format").ok().flatten().copied());
    asked.unwrap_or_default()
}

/// What `error` says, without the usage and the hints below it.
pub(crate) fn message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.split_whitespace().collect();
    let line = words.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn both(args: &[&str]) -> (Format, String) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let error = Arguments::try_parse_from(&args).map(drop).unwrap_err();
        (format(&args), message(&error))
    }

    #[test]
    #[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    fn faults_are_one_line_in_the_form_asked_for() {
        let rows: [(&[&str], Format, &str); 6] = [
            (
                &["plimsoll", "--format", "json", "run", "--frob", "x"],
                Format::Json,
                "unexpected argument '--frob' found",
            ),
            (&["plimsoll", "run", "--frob", "x"], Format::Table, "unexpected argument '--frob' found"),
            (
                &["plimsoll", "rm", "--format=json"],
                Format::Json,
                "the following required arguments were not provided: <CONTAINERS>...",
            ),
            (
                &["plimsoll", "run", "--frob", "x", "echo", "--format=json"],
                Format::Table,
                "unexpected argument '--frob' found",
            ),
            (&["plimsoll", "--format", "json", "nope"], Format::Json, "unrecognized subcommand 'nope'"),
            (
                &["plimsoll", "--format", "json", "run", "--memory", "12q", "x"],
                Format::Json,
                "invalid value '12q' for '--memory <BYTES>': unknown suffix \"q\"; use k, m or g",
            ),
        ];
        for (args, form, want) in rows {
            assert_eq!(both(args), (form, want.to_owned()), "{args:?}");
        }
    }
}
