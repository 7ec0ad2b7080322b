//! Which platform suits which.

use plimsoll_image::platform::PlatformSpec;
use plimsoll_spec::image::Platform;

use crate::sample::failure;

fn platform(text: &str) -> Platform {
    let mut parts = text.splitn(3, '/').map(str::to_owned);
    let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
    Platform { os, architecture, variant: parts.next(), ..Platform::default() }
}

#[test]
fn names_have_one_form() {
    let cases = [
        ("linux/amd64", "linux/amd64"),
        ("Linux/x86_64", "linux/amd64"),
        ("linux/x86-64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/i386", "linux/386"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("macos/arm64", "darwin/arm64"),
        ("linux/riscv64", "linux/riscv64"),
    ];
    for (text, want) in cases {
        assert_eq!(PlatformSpec::parse(text).unwrap().to_string(), want, "{text}");
    }
    for text in ["", "linux", "linux/", "/amd64", "linux/amd64/v2/x", "linux/a b"] {
        let want = format!("platform {text:?} is not OS/ARCHITECTURE[/VARIANT]");
        assert_eq!(failure(PlatformSpec::parse(text)).1, want);
    }
    assert!(PlatformSpec::host().rank(&platform(&PlatformSpec::host().to_string())) == Some(0));
}

#[test]
fn newer_variants_take_older_images() {
    // What is wanted, and what is taken for it, the best first.
    let cases: [(&str, &[&str]); 7] = [
        ("linux/amd64", &["linux/amd64", "linux/386"]),
        ("linux/amd64/v3", &["linux/amd64/v3", "linux/amd64/v2", "linux/amd64/v1", "linux/386"]),
        ("linux/arm/v7", &["linux/arm", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v5", &["linux/arm/v5"]),
        ("linux/arm64", &["linux/arm64/v8", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm64/v9", &["linux/arm64/v9", "linux/arm64", "linux/arm/v8"]),
        ("linux/386", &["linux/386"]),
    ];
    for (want, taken) in cases {
        let spec = PlatformSpec::parse(want).unwrap();
        let ranks: Vec<_> = taken.iter().map(|offer| spec.rank(&platform(offer))).collect();
        assert_eq!(ranks, (0..taken.len()).map(Some).collect::<Vec<_>>(), "{want}");
    }
    let refused = [
        ("linux/amd64", "linux/amd64/v2"),
        ("linux/amd64", "linux/arm64"),
        ("linux/amd64", "windows/amd64"),
        ("linux/amd64", "unknown/unknown"),
        ("linux/arm/v6", "linux/arm/v7"),
        ("linux/386", "linux/amd64"),
    ];
    for (want, offer) in refused {
        assert_eq!(PlatformSpec::parse(want).unwrap().rank(&platform(offer)), None, "{want} {offer}");
    }
}

#[test]
fn unknown_features_of_the_system_are_not_met() {
    let mut offer = platform("linux/amd64");
    offer.os_features = vec!["future".into()];
    assert_eq!(PlatformSpec::parse("linux/amd64").unwrap().rank(&offer), None);
}
