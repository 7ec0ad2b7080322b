//! `PRODUCT.yaml`: what a product is called and where more is said of it.
//!
//! The file is a flat mapping of strings, so of YAML only that is read: plain, quoted and block scalars.
//! Anchors, aliases, tags, flow collections and nesting are refused by name; a file that needs them is no such
//! file, and one that hides something in them gets nowhere.

use std::collections::BTreeMap;

use crate::error::{Error, Kind, Result};

/// Most bytes of the file, and of one value.
pub(super) const SIZE: usize = 64 << 10;
const VALUE: usize = 4 << 10;

/// What a field must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Name,
    Version,
    Url,
    Logo,
    Type,
}

/// Every field, whether it must be there, and what it must be.
const FIELDS: [(&str, bool, Form); 9] = [
    ("vendor", true, Form::Text),
    ("name", true, Form::Name),
    ("version", true, Form::Version),
    ("website_url", true, Form::Url),
    ("repo_url", false, Form::Url),
    ("documentation_url", true, Form::Url),
    ("product_logo_url", false, Form::Logo),
    ("type", true, Form::Type),
    ("description", true, Form::Text),
];

/// The program's own words for registries, and the kinds of subjects that it has no words for yet.
const TYPES: [&str; 7] =
    ["distribution", "hosted platform", "installer", "runtime", "image", "unpacker", "converter"];

/// A product as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    fields: BTreeMap<String, String>,
}

impl Product {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`Kind::Document`] with the number of the line that is no mapping of strings.
    pub fn parse(text: &[u8]) -> Result<Product> {
        let wrong = |why: &str| Error::new(Kind::Document, format!("parse a product: {why}"));
        if text.len() > SIZE {
            return Err(wrong(&format!("it has more than {SIZE} bytes")));
        }
        let text = std::str::from_utf8(text).map_err(|_| wrong("it is not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text.lines().enumerate().peekable();
        let mut fields = BTreeMap::new();
        while let Some((number, line)) = lines.next() {
            let at = |why: String| wrong(&format!("line {}: {why}", number + 1));
            let blank = line.trim().is_empty() || line.trim_start().starts_with('#');
            if blank || (line.trim_end() == "---" && fields.is_empty()) {
                continue;
            }
            let (name, value) = entry(line).ok_or_else(|| at("it is no `name: value`".to_owned()))?;
            let mut below = Vec::new();
            while let Some((_, next)) = lines.peek() {
                if !(next.trim().is_empty() || next.starts_with(' ')) {
                    break;
                }
                below.push(lines.next().map_or("", |(_, line)| line));
            }
            let value = scalar(value, &below).map_err(at)?;
            if fields.insert(name.to_owned(), value).is_some() {
                return Err(at(format!("{name} stands twice")));
            }
        }
        Ok(Product { fields })
    }

    /// The field `name`; empty where it is not there.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The name of the product's folder: lower-case letters, digits and dashes.
    pub fn slug(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = self.field("name").chars().map(plain).collect();
        let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
        let slug: String = words.join("-").chars().take(100).collect();
        if slug.is_empty() { "product".to_owned() } else { slug }
    }

    /// A sentence for everything that is wrong with it.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, required, form) in FIELDS {
            match self.fields.get(name).map(String::as_str) {
                None | Some("") if required => faults.push(format!("{name} is missing")),
                None | Some("") => {}
                Some(value) => faults.extend(form.fault(value).map(|fault| format!("{name} {fault}"))),
            }
        }
        let unknown = self.fields.keys().filter(|name| FIELDS.iter().all(|(known, ..)| known != name));
        faults.extend(unknown.map(|name| format!("there is no field {name:?}")));
        faults
    }
}

impl Form {
    fn fault(self, value: &str) -> Option<String> {
        if value.len() > VALUE {
            return Some(format!("has more than {VALUE} bytes"));
        }
        if self != Form::Text && value.chars().any(char::is_control) {
            return Some("has a control character".to_owned());
        }
        let fault = match self {
            Form::Text => None,
            Form::Name => {
                let named = value.contains("OCI")
                    || value
                        .split(|c: char| !c.is_alphanumeric())
                        .any(|word| word.eq_ignore_ascii_case("oci"));
                named.then_some("holds \"OCI\", which the program's terms forbid")
            }
            Form::Version => {
                (!value.bytes().any(|byte| byte.is_ascii_digit())).then_some("is no version: it has no digit")
            }
            Form::Url => (!is_url(value)).then_some("is no https:// or http:// address"),
            Form::Logo => {
                let kinds = [".svg", ".ai", ".eps"];
                let path = value.split(['?', '#']).next().unwrap_or(value).to_ascii_lowercase();
                let drawn = is_url(value) && kinds.iter().any(|kind| path.ends_with(kind));
                (!drawn).then_some("is no address of an SVG, AI or EPS file")
            }
            Form::Type => {
                if TYPES.contains(&value) {
                    return None;
                }
                return Some(format!("is {value:?}, and not one of {}", TYPES.join(", ")));
            }
        };
        fault.map(str::to_owned)
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    host.is_some_and(|host| !host.is_empty() && !host.contains('@')) && !text.contains(char::is_whitespace)
}

/// Name and value of a line that begins with a plain name.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let separated = value.is_empty() || value.starts_with(' ');
    (!name.is_empty() && name.bytes().all(plain) && separated).then(|| (name, value.trim()))
}

/// The value that begins with `first` and goes on in the indented lines `below`.
fn scalar(first: &str, below: &[&str]) -> std::result::Result<String, String> {
    match first.chars().next() {
        Some('|' | '>') => block(first, below),
        Some('"' | '\'') => quoted(&joined(first, below)),
        Some(sign @ ('&' | '*' | '!' | '{' | '[' | '%' | '@' | '`')) => {
            Err(format!("a value that begins with {sign} is no string"))
        }
        _ => {
            let lines = std::iter::once(first).chain(below.iter().copied()).map(uncommented);
            let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
            match text.contains(": ") || text.ends_with(':') || text.starts_with("- ") {
                true => Err("a mapping or a list within a value is no string".to_owned()),
                false => Ok(text),
            }
        }
    }
}

/// A line of a plain scalar without what a comment says.
fn uncommented(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') { "" } else { line.split(" #").next().unwrap_or(line).trim_end() }
}

fn joined(first: &str, below: &[&str]) -> String {
    let lines = std::iter::once(first).chain(below.iter().copied()).map(str::trim);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn block(first: &str, below: &[&str]) -> std::result::Result<String, String> {
    let separator = match uncommented(first) {
        "|" | "|-" | "|+" => "\n",
        ">" | ">-" | ">+" => " ",
        other => return Err(format!("the header {other:?} of a block is not understood")),
    };
    Ok(below.iter().map(|line| line.trim()).collect::<Vec<_>>().join(separator).trim().to_owned())
}

fn quoted(text: &str) -> std::result::Result<String, String> {
    let unended = || "a quoted value does not end, or goes on behind its end".to_owned();
    let text = text.trim_end();
    if let Some(rest) = text.strip_prefix('\'') {
        let inner = rest.strip_suffix('\'').ok_or_else(unended)?;
        let plain = inner.replace("''", "");
        return if plain.contains('\'') { Err(unended()) } else { Ok(inner.replace("''", "'")) };
    }
    // The escapes of JSON are among those of YAML; the others are not needed for such a file.
    serde_json::from_str(text).map_err(|_| unended())
}
