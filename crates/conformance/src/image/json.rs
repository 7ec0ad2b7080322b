//! JSON as bytes: where everything stands, and what a lenient reader would hide.
//!
//! Others may decode what they like; the judge has to see names that stand twice, bytes that are not UTF-8,
//! halves of surrogate pairs, and numbers that do not survive a double. Every value knows its offset. It
//! refuses, by a fault that ends the reading, what is no JSON and what is beyond the limits.
//!
//! # References
//! - [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259), [RFC 7493](https://www.rfc-editor.org/rfc/rfc7493)

use std::collections::BTreeSet;

/// Deepest nesting that is read.
pub const DEPTH: usize = 64;
/// Most values in one document: each costs some 64 bytes of memory.
pub const VALUES: usize = 1 << 20;
/// Most faults that are kept of one document.
const FAULTS: usize = 64;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Offset of its first byte.
    pub at: usize,
    /// What it is.
    pub value: Value,
}

/// What a value can be.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A string, decoded.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object: its members in order, those whose name stands twice as well.
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its name, decoded.
    pub name: String,
    /// Its value.
    pub node: Node,
}

/// Something that a careful reader objects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Offset of the byte.
    pub at: usize,
}

/// The kinds of [`Fault`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// No JSON; the reading ends here.
    Syntax(&'static str),
    /// Nested deeper than [`DEPTH`], or of more than [`VALUES`] values; the reading ends here.
    Limit(&'static str),
    /// Bytes that are not UTF-8.
    Utf8,
    /// Half of a surrogate pair.
    Surrogate,
    /// A name that stands in its object already.
    Duplicate(String),
    /// A number that a double cannot hold.
    Number,
}

/// What was read of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The value, unless a fault ended the reading.
    pub root: Option<Node>,
    /// What is wrong, in the order of the bytes.
    pub faults: Vec<Fault>,
}

impl Node {
    /// The members, where it is an object.
    pub fn members(&self) -> Option<&[Member]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The value of the first member called `name`.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.members()?.iter().find(|member| member.name == name).map(|member| &member.node)
    }

    /// The elements, where it is an array.
    pub fn elements(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The text, where it is a string.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, where it is one without a fraction that fits.
    pub fn integer(&self) -> Option<i64> {
        match &self.value {
            Value::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// Reads one document; nothing but white space may stand around its value.
pub fn scan(bytes: &[u8]) -> Document {
    let mut scanner = Scanner { bytes, at: 0, values: 0, faults: Vec::new() };
    let root = scanner.document();
    let mut faults = scanner.faults;
    let root = match root {
        Ok(node) => Some(node),
        Err(fault) => {
            faults.push(fault);
            None
        }
    };
    faults.sort_by_key(|fault| fault.at);
    Document { root, faults }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
    faults: Vec<Fault>,
}

type Scan<T> = Result<T, Fault>;

impl Scanner<'_> {
    fn document(&mut self) -> Scan<Node> {
        self.space();
        let node = self.value(0)?;
        self.space();
        if self.at < self.bytes.len() { self.syntax("something follows the value") } else { Ok(node) }
    }

    fn syntax<T>(&self, what: &'static str) -> Scan<T> {
        Err(Fault { kind: FaultKind::Syntax(what), at: self.at })
    }

    fn note(&mut self, kind: FaultKind, at: usize) {
        if self.faults.len() < FAULTS {
            self.faults.push(Fault { kind, at });
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Scan<Node> {
        let at = self.at;
        self.values += 1;
        if depth > DEPTH {
            return Err(Fault { kind: FaultKind::Limit("nested too deep"), at });
        }
        if self.values > VALUES {
            return Err(Fault { kind: FaultKind::Limit("too many values"), at });
        }
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(0xef) => return self.syntax("a byte order mark, or another character that begins no value"),
            Some(_) => return self.syntax("no value begins so"),
            None => return self.syntax("the text ends where a value is due"),
        };
        Ok(Node { at, value })
    }

    fn word(&mut self, word: &str, value: Value) -> Scan<Value> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            return Ok(value);
        }
        self.syntax("no value begins so")
    }

    fn object(&mut self, depth: usize) -> Scan<Value> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        let mut places = Vec::new();
        self.space();
        if !self.take(b'}') {
            loop {
                self.space();
                places.push(self.at);
                if self.peek() != Some(b'"') {
                    return self.syntax("a member begins with its name");
                }
                let name = self.string()?;
                self.space();
                if !self.take(b':') {
                    return self.syntax("a colon follows the name");
                }
                self.space();
                let node = self.value(depth + 1)?;
                members.push(Member { name, node });
                self.space();
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return self.syntax("a comma or the end of the object is due");
                }
            }
        }
        let mut seen = BTreeSet::new();
        for (member, at) in members.iter().zip(places) {
            if !seen.insert(member.name.as_str()) {
                self.note(FaultKind::Duplicate(member.name.clone()), at);
            }
        }
        Ok(Value::Object(members))
    }

    fn array(&mut self, depth: usize) -> Scan<Value> {
        self.at += 1;
        let mut elements = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::Array(elements));
        }
        loop {
            self.space();
            elements.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::Array(elements));
            }
            if !self.take(b',') {
                return self.syntax("a comma or the end of the array is due");
            }
        }
    }

    fn number(&mut self) -> Scan<Value> {
        let start = self.at;
        self.take(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let digits = self.digits();
        if digits == 0 || (leading_zero && digits > 1) {
            return self.syntax("no number is written so");
        }
        if self.take(b'.') && self.digits() == 0 {
            return self.syntax("no number is written so");
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if !self.take(b'+') {
                self.take(b'-');
            }
            if self.digits() == 0 {
                return self.syntax("no number is written so");
            }
        }
        let text = String::from_utf8_lossy(self.bytes.get(start..self.at).unwrap_or_default()).into_owned();
        if !fits_double(&text) {
            self.note(FaultKind::Number, start);
        }
        Ok(Value::Number(text))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> Scan<String> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            let run = self.bytes.get(start..self.at).unwrap_or_default();
            if let Err(e) = std::str::from_utf8(run) {
                self.note(FaultKind::Utf8, start + e.valid_up_to());
            }
            text.extend_from_slice(run);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(String::from_utf8_lossy(&text).into_owned());
                }
                Some(b'\\') => self.escape(&mut text)?,
                Some(_) => return self.syntax("a control character stands in a string"),
                None => return self.syntax("a string does not end"),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Scan<()> {
        let start = self.at;
        self.at += 1;
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let character = self.unicode(start)?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return self.syntax("there is no such escape"),
        };
        self.at += 1;
        text.push(plain);
        Ok(())
    }

    /// The character of a `\u`, or of two for a pair; a half alone is noted and replaced.
    fn unicode(&mut self, start: usize) -> Scan<char> {
        let first = self.hexadecimal()?;
        if (0xd800..0xdc00).contains(&first) && self.bytes.get(self.at..self.at + 2) == Some(b"\\u") {
            let before = self.at;
            self.at += 1;
            let second = self.hexadecimal()?;
            if (0xdc00..0xe000).contains(&second) {
                let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        self.note(FaultKind::Surrogate, start);
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hexadecimal(&mut self) -> Scan<u32> {
        self.at += 1;
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        let value = std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match value.and_then(|text| u32::from_str_radix(text, 16).ok()) {
            Some(value) => {
                self.at += 4;
                Ok(value)
            }
            None => self.syntax("four hexadecimal digits are due"),
        }
    }
}

/// Whether a double holds the number: whole ones up to 2^53, others of at most 17 digits and finite.
fn fits_double(text: &str) -> bool {
    if let Ok(whole) = text.parse::<i128>() {
        return whole.unsigned_abs() <= 1 << 53;
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).skip_while(|byte| *byte == b'0').count();
    digits <= 17 && text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &[u8]) -> Vec<(FaultKind, usize)> {
        scan(text).faults.into_iter().map(|fault| (fault.kind, fault.at)).collect()
    }

    #[test]
    fn values_know_where_they_stand() {
        let document = scan(br#" {"a": [1, "x\u00e9\ud83d\ude00"], "b": null}"#);
        let root = document.root.unwrap();
        assert_eq!(root.at, 1);
        let a = root.get("a").unwrap();
        assert_eq!((a.at, a.elements().unwrap()[1].at), (7, 11));
        assert_eq!(a.elements().unwrap()[1].text(), Some("x\u{e9}\u{1f600}"));
        assert!(root.get("b").unwrap().is_null());
        assert!(document.faults.is_empty());
    }

    #[test]
    fn what_readers_hide_is_seen() {
        assert_eq!(faults(br#"{"a":1,"\u0061":2}"#), [(FaultKind::Duplicate("a".into()), 7)]);
        assert_eq!(faults(b"\"a\xffb\""), [(FaultKind::Utf8, 2)]);
        assert_eq!(faults(br#"["\ud800", "\udc00\ud800"]"#).len(), 3);
        assert_eq!(faults(b"[9007199254740993]"), [(FaultKind::Number, 1)]);
        assert_eq!(faults(b"[9007199254740992, 1e400, 0.1]"), [(FaultKind::Number, 19)]);
    }

    #[test]
    fn what_is_no_json_ends_the_reading() {
        for text in [
            &b""[..],
            b"{",
            b"[1,]",
            b"{\"a\":1,}",
            b"01",
            b"1.",
            b"1e",
            b"+1",
            b"nul",
            b"'a'",
            b"\"\\x\"",
            b"\"\x01\"",
            b"{} {}",
            b"\xef\xbb\xbf{}",
            b"\"\\u12\"",
            b"{\"a\" 1}",
            b"{1:2}",
            b"-",
            b"\"",
        ] {
            let document = scan(text);
            assert!(document.root.is_none(), "{text:?}");
            assert!(matches!(document.faults.last().unwrap().kind, FaultKind::Syntax(_)), "{text:?}");
        }
    }

    #[test]
    fn depth_and_number_of_values_have_limits() {
        let deep = "[".repeat(100_000);
        assert!(matches!(faults(deep.as_bytes())[0].0, FaultKind::Limit(_)));
        let many = format!("[{}0]", "0,".repeat(VALUES));
        assert!(matches!(faults(many.as_bytes())[0].0, FaultKind::Limit(_)));
        let fine = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
        assert!(faults(fine.as_bytes()).is_empty());
    }
}
