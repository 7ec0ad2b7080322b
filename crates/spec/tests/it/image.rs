//! Image documents: what survives a round trip and what is refused.

use plimsoll_spec::image::{Descriptor, ImageConfig, Index, Manifest};
use plimsoll_spec::json::{from_slice, to_vec};

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

#[test]
fn keeps_what_it_does_not_know_and_writes_equal_bytes() {
    let manifest = format!(
        r#"{{"annotations":{{"a":"b","c":"d"}},"config":{{"data":"e30=","digest":"{DIGEST}","mediaType":"application/vnd.oci.empty.v1+json","size":2}},"future":[1,-2,0.5],"layers":[],"schemaVersion":2}}"#
    );
    let parsed: Manifest = from_slice(manifest.as_bytes()).unwrap();
    assert_eq!(parsed.config.data.as_ref().unwrap().0, b"{}");
    assert_eq!(String::from_utf8(to_vec(&parsed)).unwrap(), manifest);
}

#[test]
fn names_the_place_of_a_fault() {
    let cases = [
        (
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"sha256:00","size":1}]}"#,
            r#"/manifests/0/digest: not a digest: "sha256:00": invalid digest length"#,
        ),
        (
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","digest":"a:b","size":-1}]}"#,
            "/manifests/0/size: expected an integer from 0 to 18446744073709551615",
        ),
        (
            r#"{"schemaVersion":2,"manifests":[{"digest":"a:b","size":1}]}"#,
            "/manifests/0: required member \"mediaType\" is missing",
        ),
        (r#"{"schemaVersion":2}"#, "required member \"manifests\" is missing"),
    ];
    for (text, want) in cases {
        assert_eq!(from_slice::<Index>(text.as_bytes()).unwrap_err().to_string(), want, "{text}");
    }
    let bad = format!(r#"{{"mediaType":"x","digest":"{DIGEST}","size":1,"data":"*"}}"#);
    let error = from_slice::<Descriptor>(bad.as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("/data: not base64: "), "{error}");
}

#[test]
fn reads_a_configuration_of_docker() {
    let text = format!(
        r#"{{"architecture":"amd64","config":{{"Cmd":null,"Env":["A=b"],"Volumes":{{"/data":{{}}}},"OnBuild":null}},"os":"linux","rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}}}}"#
    );
    let config: ImageConfig = from_slice(text.as_bytes()).unwrap();
    let execution = config.config.unwrap();
    assert_eq!(execution.env, ["A=b"]);
    assert!(execution.cmd.is_empty() && execution.volumes.contains_key("/data"));
    assert_eq!(config.rootfs.diff_ids[0].to_string(), DIGEST);
}
