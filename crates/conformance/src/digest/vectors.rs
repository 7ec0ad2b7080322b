//! The questions, and which answers hold.

use serde_json::{Value, json};

use crate::case::Case;
use crate::evidence::{Evidence, Judge};
use crate::verdict::{Judgement, Reason};

use super::asked;

/// The hash of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// Those of `abc`, from the standard.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const ABC_512: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
/// That of a million times `a`, from the standard.
const MILLION: &str = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

const VALID: &str = "valid";
const FORMAT: &str = "format";
const LENGTH: &str = "length";
const UNSUPPORTED: &str = "unsupported";
/// Any refusal.
const REFUSED: [&str; 3] = [FORMAT, LENGTH, UNSUPPORTED];

/// A text to parse, what may be said of it for a row of the specification, and what go-digest says.
struct Text {
    name: &'static str,
    text: String,
    row: &'static str,
    allowed: &'static [&'static str],
    order: Option<(&'static str, &'static str)>,
}

fn text(
    name: &'static str,
    text: impl Into<String>,
    row: &'static str,
    allowed: &'static [&'static str],
    order: Option<(&'static str, &'static str)>,
) -> Text {
    Text { name, text: text.into(), row, allowed, order }
}

fn texts() -> Vec<Text> {
    let sha256 = |encoded: &str| format!("sha256:{encoded}");
    let sha512 = |encoded: &str| format!("sha512:{encoded}");
    let supported: &[&str] = &[VALID, UNSUPPORTED];
    let shape = Some(("DIG-ORDER-01", FORMAT));
    let unknown = Some(("DIG-ORDER-02", FORMAT));
    let length = Some(("DIG-ORDER-03", LENGTH));
    let character = Some(("DIG-ORDER-04", FORMAT));
    vec![
        text("sha256", sha256(EMPTY), "DIG-SHA256-01", &[VALID], None),
        text("sha512", sha512(&"0a".repeat(64)), "DIG-SHA512-01", supported, None),
        text("empty", "", "DIG-GRAM-01", &REFUSED, shape),
        text("colon", ":", "DIG-GRAM-01", &REFUSED, shape),
        text("no-colon", "sha256", "DIG-GRAM-01", &REFUSED, shape),
        text("bare-hex", EMPTY, "DIG-GRAM-01", &REFUSED, shape),
        text("no-algorithm", format!(":{EMPTY}"), "DIG-GRAM-01", &REFUSED, shape),
        text("no-encoded", "sha256:", "DIG-GRAM-01", &REFUSED, shape),
        text("unknown-no-encoded", "example:", "DIG-GRAM-01", &REFUSED, shape),
        text("upper-algorithm", format!("SHA256:{EMPTY}"), "DIG-GRAM-02", &REFUSED, unknown),
        text("double-separator", format!("sha256++b64:{EMPTY}"), "DIG-GRAM-02", &REFUSED, unknown),
        text("mixed-separators", format!("sha256.+b64:{EMPTY}"), "DIG-GRAM-02", &REFUSED, unknown),
        text("leading-separator", format!("+sha256:{EMPTY}"), "DIG-GRAM-02", &REFUSED, unknown),
        text("trailing-separator", format!("sha256+:{EMPTY}"), "DIG-GRAM-02", &REFUSED, unknown),
        text("space-before", format!(" sha256:{EMPTY}"), "DIG-GRAM-02", &REFUSED, unknown),
        text("accent", format!("sh\u{e4}:{EMPTY}"), "DIG-GRAM-02", &REFUSED, unknown),
        text("slash", format!("a/b:{EMPTY}"), "DIG-GRAM-02", &REFUSED, unknown),
        text("dots", format!("..:{EMPTY}"), "DIG-GRAM-02", &REFUSED, unknown),
        text("encoded-slash", "example:../../etc", "DIG-GRAM-03", &REFUSED, unknown),
        text("encoded-space", "example:a b", "DIG-GRAM-03", &REFUSED, unknown),
        text("encoded-plus", "example:a+b", "DIG-GRAM-03", &REFUSED, unknown),
        text("encoded-line", "example:ab\n", "DIG-GRAM-03", &REFUSED, unknown),
        text("encoded-accent", "example:\u{e4}", "DIG-GRAM-03", &REFUSED, unknown),
        text("second-colon", "example:a:b", "DIG-GRAM-03", &REFUSED, unknown),
        text("unknown", "example:AbC0", "DIG-GRAM-04", supported, None),
        text("unknown-components", "sha384.foo+bar:abcdef=_-", "DIG-GRAM-04", supported, None),
        text(
            "multihash",
            "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
            "DIG-GRAM-04",
            supported,
            None,
        ),
        text(
            "base64",
            "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564",
            "DIG-GRAM-04",
            supported,
            None,
        ),
        text("short", sha256(&EMPTY[..63]), "DIG-SHA256-01", &REFUSED, length),
        text("long", sha256(&format!("{EMPTY}0")), "DIG-SHA256-01", &REFUSED, length),
        text("short-and-letters", sha256(&"m".repeat(32)), "DIG-SHA256-01", &REFUSED, length),
        text("length-of-sha512", sha256(&"0a".repeat(64)), "DIG-SHA256-01", &REFUSED, length),
        text("colon-within", sha256("ab:cd"), "DIG-SHA256-01", &REFUSED, length),
        text("spaces", sha256(&" ".repeat(64)), "DIG-SHA256-01", &REFUSED, character),
        text("letters", sha256(&"g".repeat(64)), "DIG-SHA256-01", &REFUSED, character),
        text("line-end", sha256(&format!("{}\n", &EMPTY[..63])), "DIG-SHA256-01", &REFUSED, character),
        text("upper", sha256(&EMPTY.to_uppercase()), "DIG-SHA256-02", &REFUSED, character),
        text("one-upper", sha256(&format!("{}A", &EMPTY[..63])), "DIG-SHA256-02", &REFUSED, character),
        text("sha512-short", sha512(EMPTY), "DIG-SHA512-01", &REFUSED, None),
        text("sha512-letters", sha512(&"z".repeat(128)), "DIG-SHA512-01", &REFUSED, None),
        text("sha512-upper", sha512(&"AB".repeat(64)), "DIG-SHA512-02", &REFUSED, None),
    ]
}

/// Verifications: name, row, digest, content, whether it matches.
fn verifications() -> Vec<(&'static str, &'static str, String, Vec<u8>, bool)> {
    let (one, two) = ("DIG-SHA256-03", "DIG-SHA512-03");
    vec![
        ("nothing", one, format!("sha256:{EMPTY}"), Vec::new(), true),
        ("abc", one, format!("sha256:{ABC}"), b"abc".to_vec(), true),
        ("abd", one, format!("sha256:{ABC}"), b"abd".to_vec(), false),
        ("more", one, format!("sha256:{ABC}"), b"abcd".to_vec(), false),
        ("nothing-for-abc", one, format!("sha256:{ABC}"), Vec::new(), false),
        ("sha512", two, format!("sha512:{ABC_512}"), b"abc".to_vec(), true),
        ("sha512-other", two, format!("sha512:{ABC_512}"), b"abd".to_vec(), false),
    ]
}

fn calculations() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        ("nothing", Vec::new(), EMPTY),
        ("abc", b"abc".to_vec(), ABC),
        ("million", vec![b'a'; 1_000_000], MILLION),
    ]
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every question with the name of its case.
pub(super) fn questions() -> Vec<(String, Value)> {
    let parse = texts()
        .into_iter()
        .map(|one| (format!("parse/{}", one.name), json!({"op": "parse", "text": one.text})));
    let verify = verifications().into_iter().map(|(name, _, digest, content, _)| {
        (
            format!("verify/{name}"),
            json!({"op": "verify", "digest": digest, "content": hexadecimal(&content)}),
        )
    });
    let calculate = calculations().into_iter().map(|(name, content, _)| {
        (
            format!("calculate/{name}"),
            json!({"op": "calculate", "algorithm": "sha256", "content": hexadecimal(&content)}),
        )
    });
    parse.chain(verify).chain(calculate).collect()
}

/// Every case, for judging.
pub fn suite() -> Vec<Case<()>> {
    let parse = texts().into_iter().map(|one| {
        let mut case = asked(format!("parse/{}", one.name)).rule(one.row, said(one.allowed));
        if let Some((row, kind)) = one.order {
            case = case.rule(row, error_is(kind));
        }
        if one.allowed == [VALID] {
            let (algorithm, encoded) = one.text.split_once(':').unwrap_or_default();
            case = case.rule("DIG-PARTS-01", parts(algorithm.to_owned(), encoded.to_owned()));
        }
        case
    });
    let verify = verifications()
        .into_iter()
        .map(|(name, row, _, _, matches)| asked(format!("verify/{name}")).rule(row, verified(matches)));
    let calculate = calculations().into_iter().map(|(name, _, hash)| {
        asked(format!("calculate/{name}")).rule("DIG-CALC-01", calculated(format!("sha256:{hash}")))
    });
    parse.chain(verify).chain(calculate).collect()
}

/// The answer in a word; what is no answer is none.
fn outcome(evidence: &Evidence) -> &str {
    match evidence.at("/answer/ok") {
        Some(Value::Bool(true)) => VALID,
        Some(Value::Bool(false)) => {
            evidence.at("/answer/error").and_then(Value::as_str).unwrap_or("refused without a kind")
        }
        _ => "no answer of the form that is due",
    }
}

fn said(allowed: &'static [&'static str]) -> Judge {
    Box::new(move |evidence| {
        let got = outcome(evidence);
        // A refusal is one, whatever its kind is called.
        let refused = evidence.at("/answer/ok") == Some(&Value::Bool(false));
        let holds = allowed.contains(&got) || (refused && allowed == REFUSED);
        Judgement::of(holds, format!("the answer is one of {}", allowed.join(", ")), evidence.show("/answer"))
    })
}

/// The kind of error is as in go-digest; who tells no kinds has no order of them.
fn error_is(kind: &'static str) -> Judge {
    Box::new(move |evidence| {
        let refused = evidence.at("/answer/ok") == Some(&Value::Bool(false));
        if refused && evidence.at("/answer/error").is_none() {
            return Judgement::skip(Reason::Unsupported, "the subject tells no kinds of errors");
        }
        Judgement::of(outcome(evidence) == kind, format!("the error is {kind}"), evidence.show("/answer"))
    })
}

fn parts(algorithm: String, encoded: String) -> Judge {
    Box::new(move |evidence| {
        let is = |pointer: &str, want: &str| evidence.at(pointer).and_then(Value::as_str) == Some(want);
        let holds = is("/answer/algorithm", &algorithm) && is("/answer/encoded", &encoded);
        Judgement::of(holds, format!("the parts are {algorithm} and {encoded}"), evidence.show("/answer"))
    })
}

fn verified(matches: bool) -> Judge {
    Box::new(move |evidence| {
        let got = outcome(evidence);
        let sha512 = evidence
            .at("/question/digest")
            .and_then(Value::as_str)
            .is_some_and(|text| text.starts_with("sha512:"));
        if sha512 && got == UNSUPPORTED {
            return Judgement::skip(Reason::Unsupported, "SHA-512 need not be supported");
        }
        let refused = evidence.at("/answer/ok") == Some(&Value::Bool(false))
            && ![FORMAT, LENGTH, UNSUPPORTED].contains(&got);
        let holds = if matches { got == VALID } else { refused };
        let expected = if matches { "the content is verified" } else { "the content is refused" };
        Judgement::of(holds, expected, evidence.show("/answer"))
    })
}

fn calculated(want: String) -> Judge {
    Box::new(move |evidence| {
        let got = evidence.at("/answer/digest").and_then(Value::as_str);
        Judgement::of(got == Some(want.as_str()), format!("the digest is {want}"), evidence.show("/answer"))
    })
}
