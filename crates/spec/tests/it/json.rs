//! Refusals carry the kind, the pointer and what was expected; output is deterministic.

use plimsoll_spec::json::{Kind, Limits, from_slice, from_slice_within, to_vec};
use plimsoll_spec::runtime::{Config, Mount};

fn refused(text: &str) -> (Kind, String) {
    let error = from_slice::<Config>(text.as_bytes()).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn faults_name_their_place() {
    let nested =
        |depth: usize| format!(r#"{{"ociVersion":"1.0.0","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    for (text, kind, message) in [
        ("", Kind::Syntax, "EOF while parsing a value at line 1 column 0"),
        ("{} x", Kind::Syntax, "trailing characters at line 1 column 4"),
        ("[]", Kind::Type, "expected an object, found an array"),
        ("{}", Kind::Missing, r#"required member "ociVersion" is missing"#),
        (
            r#"{"ociVersion":"1","ociVersion":"2"}"#,
            Kind::Duplicate,
            r#"/ociVersion: member "ociVersion" stands twice"#,
        ),
        (
            r#"{"ociVersion":"1.0.0","x":{"a/b":{"~":1,"~":2}}}"#,
            Kind::Duplicate,
            r#"/x/a~1b/~0: member "~" stands twice"#,
        ),
        (
            r#"{"ociVersion":"1.0.0","mounts":[{"destination":"/"},{"destination":7}]}"#,
            Kind::Type,
            "/mounts/1/destination: expected a string, found a number",
        ),
        (
            r#"{"ociVersion":"1.0.0","process":{"cwd":"/","user":{"uid":-1,"gid":0}}}"#,
            Kind::Type,
            "/process/user/uid: expected an integer from 0 to 4294967295",
        ),
        (
            r#"{"ociVersion":"1.0.0","linux":{"namespaces":[{"type":"pod"}]}}"#,
            Kind::Value,
            r#"/linux/namespaces/0/type: unknown value "pod", expected one of pid, network, mount, ipc, uts, user, cgroup, time"#,
        ),
    ] {
        assert_eq!(refused(text), (kind, message.to_owned()), "{text}");
    }
    assert_eq!(refused(&nested(64)).0, Kind::TooDeep);
    assert!(from_slice::<Config>(nested(63).as_bytes()).is_ok());
    assert_eq!(refused(&nested(1000)).0, Kind::TooDeep);
}

#[test]
fn bytes_beyond_the_limits_are_refused() {
    let error = from_slice::<Config>(b"{\"ociVersion\":\"\xff\"}").unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Utf8, "invalid UTF-8 at byte 15"));
    let limits = Limits { size: 10, ..Limits::DEFAULT };
    let error = from_slice_within::<Config>(br#"{"ociVersion":"1.0.0"}"#, limits).unwrap_err();
    assert_eq!(error.to_string(), "document of 22 bytes is over the limit of 10");
}

#[test]
fn unknown_members_survive_and_output_is_sorted() {
    let text = br#"{"x-b":{"z":1,"a":-2.5},"source":"s","destination":"/d","options":[],"type":null,"x-a":18446744073709551615}"#;
    let mount: Mount = from_slice(text).unwrap();
    assert_eq!(mount.source.as_deref(), Some("s"));
    let written = to_vec(&mount);
    assert_eq!(
        String::from_utf8(written.clone()).unwrap(),
        r#"{"destination":"/d","source":"s","x-a":18446744073709551615,"x-b":{"a":-2.5,"z":1}}"#
    );
    assert_eq!(from_slice::<Mount>(&written).unwrap(), mount);
}
