//! Digests against go-digest's table of cases, known vectors and properties.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use plimsoll_digest::{
    Algorithm, Digest, DigestReader, DigestSet, Digester, LookupError, Mismatch, MultiDigester,
    ParseErrorKind, Verifier, chain_id, chain_ids,
};
use proptest::prelude::*;
use std::io::Read;

const HEX256: &str = "e58fcf7418d4390dec8e8fb69d88c06ec07039d651fedd3aa72af9972e7d046b";
const HEX384: &str =
    "d3fc7881460b7e22e3d172954463dddd7866d17597e7248453c48b3e9d26d9596bf9c4a9cf8072c9d5bad76e19af801d";

/// The seventeen shapes that go-digest is tested with; `Ok` is (algorithm, encoded).
#[test]
fn parses_as_go_digest_does() {
    use ParseErrorKind::{Format, Length, Unsupported};
    let with = |name: &str, encoded: &str| format!("{name}:{encoded}");
    let upper = HEX256.to_uppercase();
    let rows: [(String, Result<(), ParseErrorKind>); 17] = [
        (with("sha256", HEX256), Ok(())),
        (with("sha384", HEX384), Ok(())),
        (String::new(), Err(Format)),
        ("sha256: ".into(), Err(Length)),
        ("sha256:".into(), Err(Format)),
        (":".into(), Err(Format)),
        ("d41d8cd98f00b204e9800998ecf8427e".into(), Err(Format)),
        ("sha256:d41d8cd98f00b204e9800m98ecf8427e".into(), Err(Length)),
        ("sha256:abcdef0123456789".into(), Err(Length)),
        (with("sha512", HEX256), Err(Length)),
        ("foo:d41d8cd98f00b204e9800998ecf8427e".into(), Err(Unsupported)),
        (with("sha384__foo+bar", HEX384), Err(Format)),
        (with("sha384.foo+bar", HEX384), Err(Unsupported)),
        (with("sha384_foo+bar", HEX384), Err(Unsupported)),
        ("sha256+b64:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564".into(), Err(Unsupported)),
        (with("sha256", &upper), Err(Format)),
        (format!(" {}", with("sha256", HEX256)), Err(Format)),
    ];
    for (text, want) in rows {
        let got = Digest::parse_known(&text).map(|digest| assert_eq!(digest.as_str(), text));
        assert_eq!(got.map_err(|e| e.kind()), want, "{text:?}");
        let any = Digest::parse(&text).map(|digest| assert_eq!(digest.to_string(), text));
        let want = if want == Err(Unsupported) { Ok(()) } else { want };
        assert_eq!(any.map_err(|e| e.kind()), want, "{text:?}");
    }
}

#[test]
fn says_where_the_fault_is() {
    let fault = |text: &str| Digest::parse(text).unwrap_err().to_string();
    assert_eq!(fault("sha256"), "invalid digest format at byte 6");
    assert_eq!(fault("a..b:c"), "invalid digest format at byte 2");
    assert_eq!(fault("a.:c"), "invalid digest format at byte 2");
    assert_eq!(fault("a:b/c"), "invalid digest format at byte 3");
    assert_eq!(fault("a:b:c"), "invalid digest format at byte 3");
    assert_eq!(fault("sha256:00"), "invalid digest length");
    assert_eq!(Digest::parse_known("a:b").unwrap_err().to_string(), "unsupported digest algorithm");
}

#[test]
fn hashes_the_published_vectors() {
    let rows = [
        (Algorithm::Sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (
            Algorithm::Sha384,
            "abc",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Algorithm::Sha512,
            "abc",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (Algorithm::Blake3, "", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (
            Algorithm::Blake3,
            "\0\u{1}\u{2}\u{3}",
            "f30f5ab28fe047904037f77b6da4fea1e27241c5d132638d8bedce9d40494f32",
        ),
    ];
    for (algorithm, content, want) in rows {
        let digest = Digest::of(algorithm, content.as_bytes());
        assert_eq!(digest.to_string(), format!("{}:{want}", algorithm.name()));
        assert_eq!(digest.algorithm(), Some(algorithm));
        assert_eq!(digest.short(), &want[..12]);
    }
}

#[test]
fn verifies_the_size_before_the_digest() {
    let want = Digest::of(Algorithm::Sha256, b"hello");
    let check = |size, pieces: &[&[u8]]| {
        let mut verifier = Verifier::new(&want, size);
        pieces.iter().try_for_each(|piece| verifier.update(piece))?;
        verifier.finish()
    };
    assert_eq!(check(Some(5), &[b"hel", b"lo"]), Ok(()));
    assert_eq!(check(None, &[b"hello"]), Ok(()));
    assert_eq!(check(Some(5), &[b"hell"]), Err(Mismatch::TooShort { want: 5, got: 4 }));
    assert_eq!(check(Some(5), &[b"hello", b"!"]), Err(Mismatch::TooLong { want: 5 }));
    assert_eq!(check(Some(4), &[b"hello"]), Err(Mismatch::TooLong { want: 4 }));
    let got = Digest::of(Algorithm::Sha256, b"hallo");
    let mismatch = check(Some(5), &[b"hallo"]).unwrap_err();
    assert_eq!(mismatch.to_string(), format!("digest mismatch: got {got}, want {want}"));
    let unknown = Digest::parse("crc:00").unwrap();
    assert_eq!(Verifier::new(&unknown, None).finish(), Err(Mismatch::Unsupported { want: unknown }));
}

#[test]
fn chains_layers_as_the_specification_does() {
    let a = Digest::of(Algorithm::Sha256, b"a");
    let b = Digest::of(Algorithm::Sha256, b"b");
    let ab = Digest::of(Algorithm::Sha256, format!("{a} {b}").as_bytes());
    let aba = Digest::of(Algorithm::Sha256, format!("{ab} {a}").as_bytes());
    assert_eq!(chain_id(&[]), None);
    assert_eq!(chain_ids(&[a.clone(), b, a.clone()]), [a, ab, aba]);
}

#[test]
fn finds_by_prefix() {
    let mut set = DigestSet::default();
    let digest = |text| Digest::parse(text).unwrap();
    set.extend(["x:1234511111", "x:1234111111", "y:1234511111", "x:9999"].map(digest));
    assert_eq!(set.lookup("99"), Ok(&digest("x:9999")));
    assert_eq!(set.lookup("x:12345"), Ok(&digest("x:1234511111")));
    assert_eq!(set.lookup("12345"), Err(LookupError::Ambiguous));
    assert_eq!(set.lookup("x:1234"), Err(LookupError::Ambiguous));
    assert_eq!(set.lookup("12340"), Err(LookupError::NotFound));
    assert_eq!(set.lookup(""), Err(LookupError::NotFound));
    assert_eq!(set.short(&digest("x:1234111111"), 2), "12341");
}

#[test]
fn refuses_a_state_that_is_none() {
    assert!(Digester::resume(Algorithm::Sha256, b"short").is_err());
    assert!(Digester::resume(Algorithm::Blake3, &[]).is_err());
    assert!(Digester::new(Algorithm::Blake3).save().is_none());
}

proptest! {
    #[test]
    fn never_panics_and_round_trips(text in "\\PC{0,80}|[a-z0-9+._-]{0,8}:[a-zA-Z0-9=_/.-]{0,70}") {
        if let Ok(digest) = Digest::parse(&text) {
            prop_assert_eq!(digest.as_str(), &text);
            let parts = [digest.algorithm_name(), digest.encoded()];
            prop_assert_eq!(parts.join(":"), text);
            for part in parts {
                prop_assert!(!part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\0']));
            }
        }
    }

    #[test]
    fn pieces_do_not_matter(content in prop::collection::vec(any::<u8>(), 0..5000), cut in 0usize..5000) {
        let cut = cut.min(content.len());
        let many = {
            let mut many = MultiDigester::new(Algorithm::ALL);
            many.update(&content[..cut]);
            many.update(&content[cut..]);
            many.finish()
        };
        for (algorithm, digest) in Algorithm::ALL.into_iter().zip(many) {
            prop_assert_eq!(&digest, &Digest::of(algorithm, &content));
            let mut first = Digester::new(algorithm);
            first.update(&content[..cut]);
            if let Some(state) = first.save() {
                let mut second = Digester::resume(algorithm, &state).unwrap();
                second.update(&content[cut..]);
                prop_assert_eq!(&second.finish(), &digest);
            }
            let mut reader = DigestReader::new(&content[..], algorithm);
            reader.read_to_end(&mut Vec::new()).unwrap();
            prop_assert_eq!(reader.finish(), (digest, content.len() as u64));
        }
    }
}
