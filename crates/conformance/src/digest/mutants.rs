//! Implementations of digests that are wrong in one way each: a right one, whose answers are changed.

use serde_json::{Value, json};

/// One way to be wrong.
pub struct Mutant {
    /// What it is called.
    pub name: &'static str,
    /// What it does wrong, in a sentence.
    pub breaks: &'static str,
    /// The rows that notice, and no other.
    pub rows: &'static [&'static str],
    when: fn(&Asked<'_>) -> bool,
    says: Says,
}

/// What is answered where it is wrong.
#[derive(Clone, Copy)]
enum Says {
    /// That all is well.
    Yes,
    /// An error of this kind.
    Error(&'static str),
    /// The right answer, changed.
    Changed(fn(&mut Value)),
}

impl std::fmt::Debug for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Mutant {
    /// Changes `answer`, where it is wrong about `question`.
    pub(super) fn answer(&self, question: &Value, answer: &mut Value) {
        if (self.when)(&Asked::new(question, answer)) {
            match self.says {
                Says::Yes => *answer = json!({"ok": true}),
                Says::Error(kind) => *answer = json!({"ok": false, "error": kind}),
                Says::Changed(change) => change(answer),
            }
        }
    }
}

/// A question, and what a right implementation says.
struct Asked<'a> {
    operation: &'a str,
    /// What is parsed, or the digest that is verified.
    text: &'a str,
    error: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn new(question: &'a Value, answer: &'a Value) -> Asked<'a> {
        let member = |name: &str| question.get(name).and_then(Value::as_str);
        Asked {
            operation: member("op").unwrap_or_default(),
            text: member("text").or_else(|| member("digest")).unwrap_or_default(),
            error: answer.get("error").and_then(Value::as_str),
        }
    }

    fn parses(&self) -> bool {
        self.operation == "parse"
    }

    fn verifies(&self, algorithm: &str) -> bool {
        self.operation == "verify" && self.algorithm() == algorithm
    }

    fn algorithm(&self) -> &'a str {
        self.text.split_once(':').unwrap_or_default().0
    }

    fn encoded(&self) -> &'a str {
        self.text.split_once(':').unwrap_or_default().1
    }

    /// Whether a part, or the colon between them, is missing.
    fn lacks(&self) -> bool {
        self.algorithm().is_empty() || self.encoded().is_empty()
    }

    /// Whether both parts of the text are there, of an algorithm that nobody knows, and one breaks the grammar.
    fn has_malformed_parts(&self) -> bool {
        self.parses() && !self.lacks() && !self.is_known() && self.error == Some("format")
    }

    fn is_known(&self) -> bool {
        ["sha256", "sha512"].contains(&self.algorithm())
    }

    /// Whether the text that is parsed has this algorithm and as many characters as its digests.
    fn has_length_of(&self, algorithm: &str) -> bool {
        let length = if algorithm == "sha512" { 128 } else { 64 };
        self.parses() && self.algorithm() == algorithm && self.encoded().len() == length
    }

    fn is_upper(&self) -> bool {
        self.encoded().bytes().any(|byte| byte.is_ascii_uppercase())
            && self.encoded().bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// Every mutant.
pub fn mutants() -> Vec<Mutant> {
    [grammar(), lengths(), verification(), order(), rest()].into_iter().flatten().collect()
}

fn grammar() -> Vec<Mutant> {
    vec![
        Mutant {
            name: "digest/a-part-is-enough",
            breaks: "It parses what lacks a part.",
            rows: &["DIG-GRAM-01", "DIG-ORDER-01"],
            when: |asked| asked.parses() && asked.lacks(),
            says: Says::Yes,
        },
        Mutant {
            name: "digest/algorithm-of-anything",
            breaks: "It parses whatever stands before the colon.",
            rows: &["DIG-GRAM-02", "DIG-ORDER-02"],
            when: |asked| asked.has_malformed_parts() && asked.algorithm() != "example",
            says: Says::Yes,
        },
        Mutant {
            name: "digest/encoded-of-anything",
            breaks: "It parses whatever stands behind the colon.",
            rows: &["DIG-GRAM-03", "DIG-ORDER-02"],
            when: |asked| asked.has_malformed_parts() && asked.algorithm() == "example",
            says: Says::Yes,
        },
        Mutant {
            name: "digest/unknown-is-malformed",
            breaks: "It calls digests of algorithms malformed that it does not know.",
            rows: &["DIG-GRAM-04"],
            when: |asked| asked.parses() && !asked.is_known() && asked.error == Some("unsupported"),
            says: Says::Error("format"),
        },
    ]
}

fn lengths() -> Vec<Mutant> {
    vec![
        Mutant {
            name: "digest/sha256-of-any-length",
            breaks: "It does not count the digits of SHA-256.",
            rows: &["DIG-ORDER-03", "DIG-SHA256-01"],
            when: |asked| asked.parses() && asked.algorithm() == "sha256" && asked.error == Some("length"),
            says: Says::Yes,
        },
        Mutant {
            name: "digest/sha256-of-any-character",
            breaks: "It takes any character for a digit of SHA-256.",
            rows: &["DIG-ORDER-04", "DIG-SHA256-01"],
            when: |asked| asked.has_length_of("sha256") && asked.error.is_some() && !asked.is_upper(),
            says: Says::Yes,
        },
        Mutant {
            name: "digest/sha256-in-capitals",
            breaks: "It takes digits of SHA-256 in upper case.",
            rows: &["DIG-ORDER-04", "DIG-SHA256-02"],
            when: |asked| asked.has_length_of("sha256") && asked.is_upper(),
            says: Says::Yes,
        },
        Mutant {
            name: "digest/no-sha256",
            breaks: "It does not know SHA-256.",
            rows: &["DIG-PARTS-01", "DIG-SHA256-01"],
            when: |asked| asked.has_length_of("sha256") && asked.error.is_none(),
            says: Says::Error("unsupported"),
        },
        Mutant {
            name: "digest/sha512-of-any-length",
            breaks: "It does not count the digits of SHA-512.",
            rows: &["DIG-SHA512-01"],
            when: |asked| asked.parses() && asked.algorithm() == "sha512" && asked.error == Some("length"),
            says: Says::Yes,
        },
        Mutant {
            name: "digest/sha512-of-any-character",
            breaks: "It takes any character for a digit of SHA-512.",
            rows: &["DIG-SHA512-01"],
            when: |asked| asked.has_length_of("sha512") && asked.error.is_some() && !asked.is_upper(),
            says: Says::Yes,
        },
        Mutant {
            name: "digest/sha512-in-capitals",
            breaks: "It takes digits of SHA-512 in upper case.",
            rows: &["DIG-SHA512-02"],
            when: |asked| asked.has_length_of("sha512") && asked.is_upper(),
            says: Says::Yes,
        },
    ]
}

fn verification() -> Vec<Mutant> {
    vec![
        Mutant {
            name: "digest/sha256-of-anything",
            breaks: "Any content is that of a SHA-256.",
            rows: &["DIG-SHA256-03"],
            when: |asked| asked.verifies("sha256"),
            says: Says::Yes,
        },
        Mutant {
            name: "digest/sha256-of-nothing",
            breaks: "No content is that of a SHA-256.",
            rows: &["DIG-SHA256-03"],
            when: |asked| asked.verifies("sha256"),
            says: Says::Error("mismatch"),
        },
        Mutant {
            name: "digest/sha256-unverified",
            breaks: "It calls a SHA-256 malformed that the content does not have.",
            rows: &["DIG-SHA256-03"],
            when: |asked| asked.verifies("sha256") && asked.error.is_some(),
            says: Says::Error("format"),
        },
        Mutant {
            name: "digest/sha512-of-anything",
            breaks: "Any content is that of a SHA-512.",
            rows: &["DIG-SHA512-03"],
            when: |asked| asked.verifies("sha512"),
            says: Says::Yes,
        },
        Mutant {
            name: "digest/sha512-of-nothing",
            breaks: "No content is that of a SHA-512.",
            rows: &["DIG-SHA512-03"],
            when: |asked| asked.verifies("sha512"),
            says: Says::Error("mismatch"),
        },
    ]
}

fn order() -> Vec<Mutant> {
    vec![
        Mutant {
            name: "digest/length-before-shape",
            breaks: "It counts characters before it looks for the parts.",
            rows: &["DIG-ORDER-01"],
            when: |asked| asked.parses() && asked.lacks(),
            says: Says::Error("length"),
        },
        Mutant {
            name: "digest/support-before-grammar",
            breaks: "It asks whether it knows the algorithm before it looks at the grammar.",
            rows: &["DIG-ORDER-02"],
            when: |asked| asked.parses() && !asked.lacks() && !asked.is_known(),
            says: Says::Error("unsupported"),
        },
        Mutant {
            name: "digest/characters-before-length",
            breaks: "It looks at the characters before it counts them.",
            rows: &["DIG-ORDER-03"],
            when: |asked| asked.parses() && asked.error == Some("length"),
            says: Says::Error("format"),
        },
        Mutant {
            name: "digest/characters-are-a-length",
            breaks: "It counts the characters that are digits.",
            rows: &["DIG-ORDER-04"],
            when: |asked| asked.has_length_of("sha256") && asked.error == Some("format"),
            says: Says::Error("length"),
        },
    ]
}

fn rest() -> Vec<Mutant> {
    vec![
        Mutant {
            name: "digest/parts-exchanged",
            breaks: "It exchanges the parts of a digest.",
            rows: &["DIG-PARTS-01"],
            when: |asked| asked.parses() && asked.error.is_none(),
            says: Says::Changed(|answer| {
                let algorithm = answer["algorithm"].take();
                answer["algorithm"] = answer["encoded"].take();
                answer["encoded"] = algorithm;
            }),
        },
        Mutant {
            name: "digest/calculates-in-capitals",
            breaks: "It writes the digests that it calculates in upper case.",
            rows: &["DIG-CALC-01"],
            when: |asked| asked.operation == "calculate",
            says: Says::Changed(|answer| {
                let upper = answer["digest"].as_str().map(str::to_uppercase);
                answer["digest"] = json!(upper);
            }),
        },
        Mutant {
            name: "digest/calculates-bare-digits",
            breaks: "It calculates digests without their algorithm.",
            rows: &["DIG-CALC-01"],
            when: |asked| asked.operation == "calculate",
            says: Says::Changed(|answer| {
                let encoded = answer["digest"].as_str().and_then(|digest| digest.split_once(':'));
                answer["digest"] = json!(encoded.map(|(_, encoded)| encoded));
            }),
        },
    ]
}
