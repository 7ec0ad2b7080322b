//! The command line as Go's programs read it: `-flag`, `--flag value`, `--flag=value`, `--switch=true`.
//!
//! One table a command says which flags there are; whether flags may follow the first operand is the
//! command's choice, because `exec` and `ps` hand on what follows.

use crate::error::{Error, Kind, Result};

/// One flag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    /// Names without dashes, the long one first.
    pub names: &'static [&'static str],
    /// What the value is called in help; `None` for a switch.
    pub value: Option<&'static str>,
    pub help: &'static str,
}

/// A flag with a value.
pub(crate) const fn value(names: &'static [&'static str], value: &'static str, help: &'static str) -> Flag {
    Flag { names, value: Some(value), help }
}

/// A flag without a value.
pub(crate) const fn switch(names: &'static [&'static str], help: &'static str) -> Flag {
    Flag { names, value: None, help }
}

/// What stood on a command line.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    flags: Vec<(&'static str, String)>,
    pub operands: Vec<String>,
}

impl Parsed {
    /// The last value of the flag called `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// Every value of the flag called `name`, in order.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// Whether the switch called `name` is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }

    /// The only operand, which help calls `what`.
    pub(crate) fn only(&self, what: &str) -> Result<&str> {
        match self.operands.as_slice() {
            [one] => Ok(one),
            [] => Err(usage(format!("{what} is missing"))),
            [_, extra, ..] => Err(usage(format!("unexpected argument {extra:?}"))),
        }
    }

    /// The number that the flag called `name` gives.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse =
            |text: &str| text.parse().map_err(|_| usage(format!("invalid value {text:?} for flag -{name}")));
        self.value(name).map(parse).transpose()
    }
}

/// A fault of the command line.
pub(crate) fn usage(why: impl Into<String>) -> Error {
    Error::new(Kind::Input, why)
}

/// Whether flags may stand behind the first operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// They may; `--` ends them.
    Mixed,
    /// The first operand ends them.
    FlagsFirst,
}

/// Reads `args` by the table `flags`.
pub(crate) fn parse(args: &[String], flags: &[Flag], order: Order) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some(text) = arg.strip_prefix('-').filter(|text| !text.is_empty()) else {
            parsed.operands.push(arg.clone());
            if order == Order::FlagsFirst {
                break;
            }
            continue;
        };
        let text = text.strip_prefix('-').unwrap_or(text);
        if text.is_empty() {
            break;
        }
        let (name, given) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let known = flags.iter().find(|flag| flag.names.contains(&name));
        let Some(flag) = known else { return Err(usage(format!("flag provided but not defined: -{name}"))) };
        let value = match (flag.value, given) {
            (Some(_), Some(value)) => value,
            (Some(_), None) => {
                rest.next().cloned().ok_or_else(|| usage(format!("flag needs an argument: -{name}")))?
            }
            (None, None) => "true".to_owned(),
            (None, Some(value)) => boolean(&value)
                .ok_or_else(|| usage(format!("invalid boolean value {value:?} for -{name}")))?
                .to_string(),
        };
        if let Some(name) = flag.names.first() {
            parsed.flags.push((name, value));
        }
    }
    parsed.operands.extend(rest.cloned());
    Ok(parsed)
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[value(&["bundle", "b"], "DIR", ""), switch(&["detach", "d"], "")];

    fn read(args: &[&str], order: Order) -> Result<Parsed> {
        parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>(), FLAGS, order)
    }

    #[test]
    fn every_form_of_a_flag_is_read() {
        for args in [
            ["-b", "x", "id"].as_slice(),
            &["--b=x", "id"],
            &["id", "--bundle", "x"],
            &["-bundle=x", "--", "id"],
            &["--bundle", "y", "--bundle=x", "id"],
        ] {
            let parsed = read(args, Order::Mixed).unwrap();
            assert_eq!((parsed.value("bundle"), parsed.only("ID").unwrap()), (Some("x"), "id"), "{args:?}");
        }
        assert!(read(&["-d=T"], Order::Mixed).unwrap().is_on("detach"));
        assert!(!read(&["--detach=false"], Order::Mixed).unwrap().is_on("detach"));
    }

    #[test]
    fn what_follows_the_first_operand_is_handed_on() {
        let parsed = read(&["-d", "id", "ls", "-b", "--", "-x"], Order::FlagsFirst).unwrap();
        assert_eq!(parsed.operands, ["id", "ls", "-b", "--", "-x"]);
        let parsed = read(&["--", "-id", "-b"], Order::Mixed).unwrap();
        assert_eq!(parsed.operands, ["-id", "-b"]);
    }

    #[test]
    fn faults_are_worded_as_go_words_them() {
        let fault = |args: &[&str]| read(args, Order::Mixed).unwrap_err().to_string();
        assert_eq!(fault(&["--nope"]), "flag provided but not defined: -nope");
        assert_eq!(fault(&["-b"]), "flag needs an argument: -b");
        assert_eq!(fault(&["-d=maybe"]), "invalid boolean value \"maybe\" for -d");
    }
}
