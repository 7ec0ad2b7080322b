//! A case as a shell script: the bundles it made and the command lines it ran, for anybody to run again with
//! a runtime of their choice.
//!
//! The script comes from evidence that anybody may have written, so every text in it is a quoted word or part
//! of a quoted here-document. What it runs are still the commands of whoever wrote the evidence: it says so.

mod props;

use serde_json::Value;

use crate::evidence::Evidence;
use crate::results::Results;

use super::escape::{line, word};
use props::Props;

/// A script is for reading: beyond this it is cut, and says so.
const LIMIT: usize = 256 << 10;
/// Directories of every root file system; the same list as the stage's.
const USUAL: &str = "dev etc proc sys tmp bin mnt";

/// Between `start` and what follows, and before `delete`, a case awaits the end of the program; one that does not
/// end is given time.
const SETTLE: &str = "settle() {
  for try in 1 2 3 4 5 6 7 8 9 10; do
    alive=
    for file in \"$here\"/*/pid; do
      grep -s '^State:' \"/proc/$(cat \"$file\" 2>/dev/null)/status\" | grep -qv Z && alive=yes
    done
    [ -z \"$alive\" ] && return
    sleep 0.2
  done
}
";

/// Says where an operation ends otherwise than it did in the case.
const ENDED: &str = "differs=
ended() {
  code=$?
  [ \"$code\" = \"$1\" ] && return
  echo \"$2 exited with $code, and in the case with $1\" >&2
  differs=yes
}
";

/// The script of the case called `name`; `None` where its evidence holds no bundle.
pub fn script(results: &Results, name: &str) -> Option<String> {
    let record = results.cases.iter().find(|case| case.name == name)?;
    let evidence = Evidence::from_record(&record.evidence);
    let bundles = evidence.0.get("bundles")?.as_object().filter(|bundles| !bundles.is_empty())?;
    let place = bundles.values().find_map(|bundle| bundle.get("path")?.as_str()?.rsplit_once('/'))?.0;
    let program = results.settings.get("program").map_or("", String::as_str);
    let props = Props::of(&evidence);
    let at = Place { place, program, holders: props.holders().map(|(_, pid)| pid).collect() };
    let mut text = format!(
        "#!/bin/sh\n# The case {} with {}.\n# It runs what the evidence says was run: read it first. {}\n{}\
         [ -n \"$RUNTIME\" ] || RUNTIME={}\n: \"${{PROBE:?name the file that 'plimsoll conformance probe FILE' writes}}\"\nhere=$(mktemp -d) && chmod 755 \"$here\"\n{SETTLE}{ENDED}{}",
        line(name),
        line(&results.subject.version),
        caller(results),
        props.own(),
        word(program),
        props.beginning(),
    );
    if let Some(beside) = evidence.0.get("beside").and_then(Value::as_array) {
        text.push_str("\ncd \"$here\" || exit\n");
        let made = beside.iter().filter(|file| !props.listens_at(file, place));
        made.for_each(|file| at.file(file, &mut text));
    }
    for (name, bundle) in bundles {
        at.bundle(name, bundle, &mut text);
    }
    let operations = evidence.0.get("operations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (done, ran) in operations.iter().enumerate() {
        text.push_str(&props.at(done, &at));
        at.operation(ran, &props.caller(done, &at), &mut text);
    }
    text.push_str(&props.at(operations.len(), &at));
    if text.len() > LIMIT {
        let end = (0..=LIMIT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(text.get(..end).and_then(|text| text.rfind('\n')).map_or(0, |at| at + 1));
        text.push_str("# The rest is too long to be shown.\n");
    }
    text.push_str("\necho \"What is left lies in $here\" >&2\n[ -z \"$differs\" ]\n");
    Some(text)
}

/// Who has to run the script.
fn caller(results: &Results) -> &'static str {
    match results.environment.get("user").map(String::as_str) {
        Some("rootless") => {
            "Run it as the ordinary user whose id, and the ids lent to whom, its configurations map."
        }
        _ => "It needs root where the case did.",
    }
}

/// What the case had that the script has elsewhere: its folder in that of the run, where the probe lay too,
/// the subject's program, and processes that held namespaces.
struct Place<'a> {
    place: &'a str,
    program: &'a str,
    holders: Vec<u64>,
}

impl Place<'_> {
    /// What stands in texts of the case, and what stands for it in the script.
    fn moved(&self) -> Vec<(String, String)> {
        let folder = (self.place.to_owned(), "\"$here\"".to_owned());
        let holder = |pid: &u64| (format!("/proc/{pid}/ns/"), format!("/proc/\"$held_{pid}\"/ns/"));
        let run = self.place.rsplit_once('/').map_or("", |(run, _)| run);
        let probe = if run.is_empty() { String::new() } else { format!("{run}/probe") };
        let all =
            [folder, (probe, "\"$PROBE\"".to_owned())].into_iter().chain(self.holders.iter().map(holder));
        all.filter(|(text, _)| !text.is_empty()).collect()
    }

    /// A word in which everything is the script's.
    fn word(&self, text: &str) -> String {
        if !self.program.is_empty() && text == self.program {
            return "\"$RUNTIME\"".to_owned();
        }
        let moved = self.moved();
        let (mut rest, mut joined) = (text, String::new());
        while let Some((at, (found, stand_in))) =
            moved.iter().filter_map(|pair| Some((rest.find(&pair.0)?, pair))).min_by_key(|(at, _)| *at)
        {
            let (before, after) = rest.split_at(at);
            joined.push_str(&part(before));
            joined.push_str(stand_in);
            rest = after.get(found.len()..).unwrap_or_default();
        }
        joined.push_str(&part(rest));
        if joined.is_empty() { "''".to_owned() } else { joined }
    }

    /// A list of words.
    fn words(&self, list: &Value) -> String {
        let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        words.map(|text| self.word(text)).collect::<Vec<_>>().join(" ")
    }

    fn bundle(&self, name: &str, bundle: &Value, text: &mut String) {
        let name = word(name);
        text.push_str(&format!(
            "\nmkdir -p \"$here\"/{name}/rootfs && cd \"$here\"/{name}/rootfs && mkdir {USUAL} && cp \"$PROBE\" probe && chmod 755 probe\n"
        ));
        for file in bundle.get("files").and_then(Value::as_array).into_iter().flatten() {
            self.file(file, text);
        }
        if let Some(beside) = bundle.get("beside").and_then(Value::as_array) {
            text.push_str("cd .. || exit\n");
            beside.iter().for_each(|file| self.file(file, text));
            text.push_str("cd rootfs || exit\n");
        }
        let config = match bundle.get("config") {
            Some(config) => serde_json::to_string_pretty(config).unwrap_or_default(),
            None => bundle.get("text").and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        text.push_str(&format!("cat > ../config.json <<{END}\n", END = self.here(&config)));
        for (owner, path) in [("rootOwner", "."), ("owner", "..")] {
            if let Some((user, group)) = ids(bundle.get(owner)) {
                text.push_str(&format!("chown {user}:{group} {path}\n"));
            }
        }
    }

    /// The body of a here-document whose end does not stand in it, in which the folder is filled in later.
    fn here(&self, body: &str) -> String {
        let mut end = "END".to_owned();
        while body.lines().any(|line| line == end) {
            end.push('_');
        }
        let moved = self.moved().into_iter().filter(|(text, _)| body.contains(text));
        let moved: String = moved
            .map(|(text, stand_in)| {
                format!("\nsed -i \"s|{}|{}|g\" ../config.json", pattern(&text), stand_in.replace('"', ""))
            })
            .collect();
        format!("'{end}'\n{body}\n{end}{moved}")
    }

    fn file(&self, file: &Value, text: &mut String) {
        let Some(path) = file.get("path").and_then(Value::as_str) else { return };
        // A path that leaves the root file system is none that a case has made.
        if !path.starts_with('/') || path.split('/').any(|name| name == "..") {
            return;
        }
        let seen = line(path);
        let path = word(&format!(".{path}"));
        let mode = file.get("mode").and_then(Value::as_u64).unwrap_or(0o755) & 0o7777;
        let of = |member: &str| file.get(member).and_then(Value::as_str);
        let made = if file.get("mounted").is_some() {
            format!("mkdir -p {path} # something was mounted on {seen}")
        } else if file.get("directory").is_some() {
            format!("mkdir -p {path} && chmod {mode:o} {path}")
        } else if let Some(target) = of("link") {
            format!("ln -s {} {path}", self.word(target))
        } else if let Some(node) = of("node").and_then(node) {
            format!("mknod {path} {node} && chmod {mode:o} {path}")
        } else if file.get("probe").is_some() {
            format!("cp \"$PROBE\" {path} && chmod {mode:o} {path}")
        } else if let Some(content) = of("text") {
            format!("printf %s {} > {path} && chmod {mode:o} {path}", self.word(content))
        } else {
            let size = file.get("size").and_then(Value::as_u64).unwrap_or(0);
            format!("# {seen} was a file of {size} bytes, which are not recorded")
        };
        text.push_str(&made);
        if let Some((user, group)) = ids(file.get("owner")) {
            text.push_str(&format!("\nchown -h {user}:{group} {path}"));
            if file.get("link").is_none() {
                // A change of owner takes the bits of set-id away.
                text.push_str(&format!(" && chmod {mode:o} {path}"));
            }
        }
        text.push('\n');
    }

    /// One operation; `caller` stands before its command line.
    fn operation(&self, ran: &Value, caller: &str, text: &mut String) {
        let words = self.words(ran.get("command").unwrap_or(&Value::Null));
        if words.is_empty() {
            return;
        }
        let folder = ran.get("folder").and_then(Value::as_str).unwrap_or(self.place);
        let variables = ran.get("environment").and_then(Value::as_array).into_iter().flatten();
        let variables: String = variables
            .filter_map(|pair| Some((pair.get(0)?.as_str()?, pair.get(1)?.as_str()?)))
            .filter(|(name, _)| {
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                    && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            })
            .map(|(name, value)| format!("{name}={} ", self.word(value)))
            .collect();
        let ended = match (ran.get("timedOut"), ran.get("exit").and_then(Value::as_i64)) {
            (Some(Value::Bool(true)), _) => "did not return in time".to_owned(),
            (_, Some(code)) => format!("exited with {code}"),
            (_, None) => "was killed by a signal".to_owned(),
        };
        let operation = ran.get("operation").and_then(Value::as_str).unwrap_or("operation");
        let exit = ran.get("exit").and_then(Value::as_i64);
        let checked = exit.map_or(String::new(), |code| format!("ended {code} {}\n", word(operation)));
        let settle = |now: bool| if now { "settle\n" } else { "" };
        // Only what has ended is deleted.
        let (before, after) =
            (settle(operation == "delete" && exit == Some(0)), settle(operation == "start"));
        text.push_str(&format!(
            "\n{before}# {} {ended}\ncd {} && {variables}{caller}{words}\n{checked}{after}",
            line(operation),
            self.word(folder),
        ));
    }
}

/// Part of a word; nothing of one that is empty.
fn part(text: &str) -> String {
    if text.is_empty() { String::new() } else { word(text) }
}

/// A user and a group.
fn ids(pair: Option<&Value>) -> Option<(u64, u64)> {
    let id = |at: usize| pair?.get(at)?.as_u64();
    Some((id(0)?, id(1)?))
}

/// What `mknod` is told, made again from its parts so that it is nothing else.
fn node(text: &str) -> Option<String> {
    let mut words = text.split(' ');
    let kind = words.next().filter(|kind| ["b", "c", "p"].contains(kind))?;
    let numbers = words.map(str::parse::<u32>).collect::<Result<Vec<_>, _>>().ok()?;
    let numbers: Vec<String> = numbers.iter().map(|number| format!(" {number}")).collect();
    Some(format!("{kind}{}", numbers.concat()))
}

/// A pattern of `sed` between bars that is `text`; a place with other characters is none of ours.
fn pattern(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "/-_".contains(c) { c } else { '.' }).collect()
}
