//! Text from anywhere, made harmless for where it is shown.
//!
//! Control characters, and those that change the direction of what follows, are shown by their number: a
//! terminal, a browser and a reader all see that they are there, and none obeys them.

/// Whether a character does something instead of being seen.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// On several lines, everything seen.
pub fn lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\r' => {}
            _ if is_unseen(character) => shown.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
            _ => shown.push(character),
        }
    }
    shown
}

/// On one line, everything seen; for terminals, and for forms made of lines.
pub fn line(text: &str) -> String {
    lines(text.trim_end()).replace('\n', "\\n").replace('\t', " ")
}

/// For text and attributes of HTML and XML.
pub fn markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in lines(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A parser makes spaces of them in an attribute; these it leaves alone.
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A code span of Markdown that also stands in a table; nothing within is markup, a mention or a link.
pub fn code(text: &str) -> String {
    let text = line(text).replace('|', "\\|");
    if text.is_empty() {
        return String::new();
    }
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// A string of JSON, which is also one of YAML in double quotes.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(lines(text)).to_string()
}

/// One word of a POSIX shell.
pub fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@+%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\0', "").replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown() {
        assert_eq!(line("a\u{1b}[31mb\n\u{202e}c\n"), "a\\u{1b}[31mb\\n\\u{202e}c");
        assert_eq!(lines("a\r\nb\0"), "a\nb\\u{0}");
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(markup("<script>'\"&\n\u{ffff}"), "&lt;script&gt;&#39;&quot;&amp;&#10;\\u{ffff}");
    }

    #[test]
    fn code_spans_are_longer_than_what_is_in_them() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("``x`|"), "``` ``x`\\| ```");
        assert_eq!(code(""), "");
    }

    #[test]
    fn words_of_a_shell_stay_one() {
        assert_eq!(word("--root"), "--root");
        assert_eq!(word(""), "''");
        assert_eq!(word("a'b $(c)"), "'a'\\''b $(c)'");
    }
}
