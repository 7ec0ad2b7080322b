//! Calling an engine's client as a user does, and holding what it said against what is wanted.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Seconds after which a call is taken to hang.
const PATIENCE: &str = "90";

/// A program, and the words that every call of it starts with.
#[derive(Clone)]
pub(super) struct Client {
    pub words: Vec<String>,
    pub env: Vec<(String, String)>,
}

/// What a call came to.
pub(super) struct Said {
    shown: String,
    pub code: i32,
    /// Standard output, or all that a terminal showed; without carriage returns.
    pub out: String,
    pub err: String,
}

impl Client {
    /// Calls the client with nothing to read.
    pub(super) fn call(&self, args: &[&str]) -> Result<Said> {
        self.feed(args, "")
    }

    /// Calls the client with `input` to read.
    pub(super) fn feed(&self, args: &[&str], input: &str) -> Result<Said> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).chain(args.iter().copied()).collect();
        self.execute(&words, input, &args.join(" "))
    }

    /// Calls the client on a terminal of 33 rows and 77 columns, where `input` is typed.
    pub(super) fn on_terminal(&self, args: &[&str], input: &str) -> Result<Said> {
        let quoted = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
        let words = self.words.iter().map(String::as_str).chain(args.iter().copied());
        let line: Vec<String> = words.map(quoted).collect();
        let script = format!("stty rows 33 cols 77; exec {}", line.join(" "));
        let mut said = self.execute(&["script", "-qec", &script, "/dev/null"], input, &args.join(" "))?;
        // The terminal's echo of the end of the input.
        said.out = said.out.replace("^@", "").replace("^D\u{8}\u{8}", "");
        Ok(said)
    }

    fn execute(&self, words: &[&str], input: &str, shown: &str) -> Result<Said> {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", PATIENCE]).args(words).envs(self.env.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("execute timeout")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A client that does not read is no fault of the call.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().with_context(|| format!("read from {shown}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "");
        let code = output.status.code().unwrap_or(-1);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        Ok(Said { shown: shown.to_owned(), code, out, err })
    }
}

impl Said {
    /// The call must have succeeded; its output.
    pub(super) fn done(self) -> Result<String> {
        self.ended(0).map(|said| said.out)
    }

    /// The call must have ended with `code`.
    pub(super) fn ended(self, code: i32) -> Result<Said> {
        if self.code == code { Ok(self) } else { bail!("{} ended with {}, not {code}", self, self.code) }
    }

    /// The call must have succeeded and printed `out`.
    pub(super) fn printed(self, out: &str) -> Result<()> {
        let said = self.ended(0)?;
        if said.out == out { Ok(()) } else { bail!("{said}: wanted {out:?}") }
    }

    /// The call must have ended with `code` and told `why` on standard error.
    pub(super) fn refused(self, code: i32, why: &str) -> Result<()> {
        let said = self.ended(code)?;
        if said.err.contains(why) { Ok(()) } else { bail!("{said}: wanted {why:?}") }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: printed {:?}", short(&self.shown), short(&self.out))?;
        if self.err.is_empty() { Ok(()) } else { write!(f, ", said {:?}", short(self.err.trim())) }
    }
}

/// The start of `text`, which is enough to know it by.
fn short(text: &str) -> &str {
    const ENOUGH: usize = 600;
    text.char_indices().nth(ENOUGH).map_or(text, |(end, _)| &text[..end])
}
