//! The small grammars of the specification, each as one function of text. They know nothing of documents.

/// Whether `text` is `type/subtype` by RFC 6838, section 4.2.
pub fn is_media_type(text: &str) -> bool {
    let name = |part: &str| {
        let first = part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        first && part.len() <= 127 && part.bytes().all(rest)
    };
    text.split_once('/').is_some_and(|(kind, subtype)| name(kind) && name(subtype))
}

/// The algorithm and the encoded part of a digest, where `text` keeps the grammar of digests.
pub fn digest(text: &str) -> Option<(&str, &str)> {
    let (algorithm, encoded) = text.split_once(':')?;
    (is_algorithm(algorithm) && is_encoded(encoded)).then_some((algorithm, encoded))
}

/// Whether `text` is the algorithm of a digest.
pub fn is_algorithm(text: &str) -> bool {
    let component = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    text.split(['+', '.', '_', '-']).all(component)
}

/// Whether `text` is the encoded part of a digest.
pub fn is_encoded(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=_-".contains(&byte))
}

/// The scheme of `text`, where it is a URI by RFC 3986.
pub fn uri_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let first = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    let named = first && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    // Square brackets stand around an address in the authority and nowhere else.
    let authority = before.strip_prefix("//").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let start = authority.map_or(0, |authority| authority.len() + 2);
    let outside = before.get(start..).unwrap_or_default();
    let plain = |text: &str| !text.contains(['[', ']']);
    let whole = is_uri_text(before) && is_uri_text(fragment) && plain(outside) && plain(fragment);
    let host = authority.is_none_or(is_authority);
    (named && whole && host).then_some(scheme)
}

fn is_authority(text: &str) -> bool {
    let (user, host) = text.rsplit_once('@').unwrap_or(("", text));
    let port = |text: &str| {
        text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
    };
    if user.contains(['[', ']', '@']) {
        return false;
    }
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').is_some_and(|(_, after)| port(after)),
        None => {
            let (name, number) = host.find(':').map_or((host, ""), |at| host.split_at(at));
            !name.contains(['[', ']']) && port(number)
        }
    }
}

/// Characters of RFC 3986, percent signs before two hexadecimal digits.
fn is_uri_text(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => {
                [bytes.next(), bytes.next()].iter().flatten().filter(|byte| byte.is_ascii_hexdigit()).count()
                    == 2
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()*+,;=".contains(&byte),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// Whether `text` is a date and time by RFC 3339, section 5.6.
pub fn is_date_time(text: &str) -> bool {
    date_time(text.as_bytes()).is_some()
}

fn date_time(text: &[u8]) -> Option<()> {
    let number = |from: usize, length: usize, low: u32, high: u32| {
        let digits = text.get(from..from + length)?;
        let value = digits
            .iter()
            .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))?;
        (low..=high).contains(&value).then_some(value)
    };
    let sign = |at: usize, signs: &[u8]| text.get(at).filter(|byte| signs.contains(byte)).copied();
    let year = number(0, 4, 0, 9999)?;
    let month = number(5, 2, 1, 12)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    number(8, 2, 1, days)?;
    number(11, 2, 0, 23)?;
    number(14, 2, 0, 59)?;
    number(17, 2, 0, 60)?;
    for (at, signs) in [(4, &b"-"[..]), (7, b"-"), (10, b"Tt"), (13, b":"), (16, b":")] {
        sign(at, signs)?;
    }
    let mut at = 19;
    if text.get(at) == Some(&b'.') {
        let digits = text.get(at + 1..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        at += 1 + Some(digits).filter(|digits| *digits > 0)?;
    }
    if sign(at, b"Zz").is_some() {
        return (text.len() == at + 1).then_some(());
    }
    sign(at, b"+-")?;
    number(at + 1, 2, 0, 23)?;
    sign(at + 3, b":")?;
    number(at + 4, 2, 0, 59)?;
    (text.len() == at + 6).then_some(())
}

/// Whether `text` keeps the grammar of org.opencontainers.image.ref.name.
pub fn is_reference_name(text: &str) -> bool {
    let component = |text: &str| {
        let mut rest = text;
        loop {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (word, separator) = rest.split_at(end);
            if word.is_empty() {
                return false;
            }
            if separator.is_empty() {
                return true;
            }
            match separator
                .strip_prefix("--")
                .or_else(|| separator.strip_prefix(['-', '.', '_', ':', '@', '+']))
            {
                Some(next) => rest = next,
                None => return false,
            }
        }
    };
    text.split('/').all(component)
}

/// Whether `text` is a port as keys of ExposedPorts are.
pub fn is_port(text: &str) -> bool {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    number.parse::<u16>().is_ok() && !number.starts_with('+') && ["tcp", "udp"].contains(&protocol)
}

/// The content of base64 by RFC 4648, section 4, with its padding.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let mut content = Vec::with_capacity(bytes.len() / 4 * 3);
    let groups = bytes.len() / 4;
    for (at, group) in bytes.chunks(4).enumerate() {
        let padded = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if padded > 2 || (padded > 0 && at + 1 != groups) {
            return None;
        }
        let mut bits = 0;
        for byte in &group[..4 - padded] {
            bits = (bits << 6) | value(*byte)?;
        }
        bits <<= 6 * padded;
        let decoded = bits.to_be_bytes();
        let (kept, unused) = decoded[1..].split_at(3 - padded);
        // Bits that no byte takes are zero: otherwise one content would have two texts.
        if unused.iter().any(|byte| *byte != 0) {
            return None;
        }
        content.extend_from_slice(kept);
    }
    Some(content)
}

const ARCHITECTURES: [&str; 30] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "armbe",
    "arm64",
    "arm64be",
    "loong64",
    "mips",
    "mipsle",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
    "alpha",
    "ia64",
    "m68k",
    "nios2",
    "sh",
    "shbe",
];
const SYSTEMS: [&str; 18] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
    "zos",
];

/// Whether Go has a name for the architecture.
pub fn is_goarch(text: &str) -> bool {
    ARCHITECTURES.contains(&text)
}

/// Whether Go has a name for the operating system.
pub fn is_goos(text: &str) -> bool {
    SYSTEMS.contains(&text)
}

/// Whether the table of variants has `variant` for `architecture`; it says nothing of others.
pub fn variant_is_listed(architecture: &str, variant: &str) -> Option<bool> {
    let numbered = |prefix: &str| {
        variant.strip_prefix(prefix).is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
    };
    match architecture {
        "arm" => Some(["v6", "v7", "v8"].contains(&variant)),
        "arm64" | "amd64" => Some(numbered("v")),
        "ppc64le" => Some(numbered("power")),
        "riscv64" => Some(variant.starts_with("rva")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(judge: impl Fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        good.iter().for_each(|text| assert!(judge(text), "{text:?}"));
        bad.iter().for_each(|text| assert!(!judge(text), "{text:?}"));
    }

    #[test]
    fn media_types() {
        let long = format!("a/{}", "b".repeat(128));
        let longest = format!("{}/{}", "a".repeat(127), "b".repeat(127));
        table(
            is_media_type,
            &["application/vnd.oci.image.layer.v1.tar+gzip", "a/b", "1/2", &longest],
            &["", "a", "a/", "/b", "a/b/c", "a/b; c=d", "-a/b", "a/.b", "a b/c", "\u{e4}/b", &long],
        );
    }

    #[test]
    fn digests() {
        table(
            |text| digest(text).is_some(),
            &[
                "sha256:abc",
                "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564",
                "multihash+base58:Qm",
                "a.b_c-d:A=",
            ],
            &[
                "",
                ":",
                "sha256",
                "sha256:",
                ":abc",
                "SHA256:abc",
                "sha256++b:abc",
                "+a:b",
                "a+:b",
                "a:b:c",
                "a:b/c",
                "a: b",
            ],
        );
    }

    #[test]
    fn uris() {
        table(
            |text| uri_scheme(text).is_some(),
            &[
                "https://example.com/a?b=c#d",
                "mailto:a@b",
                "urn:x:y",
                "http://[::1]:80/",
                "a:",
                "file:///x",
                "http://u:p@h:1/%20",
            ],
            &[
                "",
                "example.com/a",
                "1a:b",
                "http://a b",
                "http://a/%2",
                "http://a/%zz",
                "http://a/<b>",
                "http://h:x/",
                "http://a/[b]",
                "http://[::1",
                "//a",
                "\u{e4}:b",
                "a:b#c#d",
            ],
        );
        assert_eq!(uri_scheme("ftp://x"), Some("ftp"));
    }

    #[test]
    fn dates() {
        table(
            is_date_time,
            &["2015-10-31T22:22:56.015925234Z", "2000-02-29t00:00:60z", "1970-01-01T00:00:00+23:59"],
            &[
                "",
                "2015-10-31",
                "2015-10-31 22:22:56Z",
                "2015-02-29T00:00:00Z",
                "2015-13-01T00:00:00Z",
                "2015-10-31T22:22:56",
                "2015-10-31T22:22:56.Z",
                "2015-10-31T24:00:00Z",
                "2015-10-31T22:22:56+2:00",
                "2015-10-31T22:22:56ZZ",
                "+015-10-31T22:22:56Z",
            ],
        );
    }

    #[test]
    fn names_and_ports() {
        table(
            is_reference_name,
            &["v1.0", "a/b--c@d+e", "A_1"],
            &["", "/", "a/", "a..b", "-a", "a-", "a b", "a---b", "../a"],
        );
        table(is_port, &["80", "80/tcp", "65535/udp"], &["", "65536", "80/sctp", "a", "-1", "+80", "80/"]);
    }

    #[test]
    fn base64_is_strict() {
        assert_eq!(base64("e30=").as_deref(), Some(&b"{}"[..]));
        assert_eq!(base64("").as_deref(), Some(&b""[..]));
        assert_eq!(base64("AAEC/+8=").as_deref(), Some(&[0, 1, 2, 0xff, 0xef][..]));
        table(
            |text| base64(text).is_some(),
            &["YQ==", "YWI=", "YWJj"],
            &["e30", "e3=0", "e31=", "YQ==YQ==", "A", "====", "e30=\n", "_-A="],
        );
    }
}
