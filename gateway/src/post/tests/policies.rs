//! Facts about policies.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{POLICY, fields};
use crate::post::policy::iso8601;
use crate::post::{Policy, PostError};

fn allowed(conditions: &str, form: &[(&str, &str)]) -> Result<(), PostError> {
    let text = format!(r#"{{"expiration":"2030-01-01T00:00:00Z","conditions":[{conditions}]}}"#);
    Policy::parse(&text)?.check(&fields(form), 1)
}

#[test]
fn every_kind_of_condition_holds_what_it_names() {
    for (conditions, form, ok) in [
        (r#"{"key":"k"}"#, &[("key", "k")][..], true),
        (r#"{"KEY":"k"}"#, &[("Key", "k")], true),
        (r#"{"key":"k"}"#, &[("key", "K")], false),
        (r#"["eq","$key","k"]"#, &[("key", "k")], true),
        (r#"["EQ","$Key","k"]"#, &[("key", "kk")], false),
        (r#"["starts-with","$key","a/"]"#, &[("key", "a/b")], true),
        (r#"["starts-with","$key","a/"]"#, &[("key", "b/a/")], false),
        (r#"["starts-with","$key",""]"#, &[("key", "anything")], true),
        // A field that is not there meets nothing.
        (r#"["starts-with","$key",""]"#, &[], false),
        (r#"{"key":""}"#, &[], false),
        // Every field needs a condition, but those that are exempt.
        (r#"{"key":"k"}"#, &[("key", "k"), ("acl", "private")], false),
        (
            r#"{"key":"k"}"#,
            &[
                ("key", "k"),
                ("policy", "p"),
                ("x-amz-signature", "s"),
                ("X-Ignore-this", ""),
                ("x-amz-checksum-sha256", "c"),
            ],
            true,
        ),
        (
            r#"{"key":"k"}"#,
            &[("key", "k"), ("x-amz-credential", "c")],
            false,
        ),
        // All conditions of a field count.
        (
            r#"["starts-with","$key","a"],["starts-with","$key","ab"]"#,
            &[("key", "ac")],
            false,
        ),
        // Each of several content types.
        (
            r#"["starts-with","$Content-Type","image/"]"#,
            &[("content-type", "image/png, image/gif")],
            true,
        ),
        (
            r#"["starts-with","$Content-Type","image/"]"#,
            &[("content-type", "image/png,text/html")],
            false,
        ),
        (
            r#"["starts-with","$key","\$\u0041"]"#,
            &[("key", "$A")],
            true,
        ),
        (r#"["starts-with","$key","\\$A"]"#, &[("key", "\\$A")], true),
        (r#"["eq","$key","a\vb"]"#, &[("key", "a\u{b}b")], true),
    ] {
        let got = allowed(conditions, form);
        match ok {
            true => assert_eq!(got, Ok(()), "{conditions} {form:?}"),
            false => assert!(
                matches!(got, Err(PostError::Denied { .. })),
                "{conditions} {form:?} {got:?}"
            ),
        }
    }
}

#[test]
fn ranges_are_all_met_and_expired_is_expired() {
    let text = r#"{"expiration":"1970-01-01T00:00:01.5Z","conditions":
        [["content-length-range",1,"100"],["Content-Length-Range",10,200]]}"#;
    let policy = Policy::decode(&STANDARD.encode(text)).unwrap();
    assert_eq!(policy.len, 10..=100);
    assert_eq!(policy.check(&fields(&[]), 1499), Ok(()));
    let expired = policy.check(&fields(&[]), 1500).unwrap_err().to_string();
    assert_eq!(expired, "Invalid according to Policy: Policy expired.");
}

#[test]
fn a_policy_that_is_none_is_refused_as_such() {
    let when = r#""expiration":"2030-01-01T00:00:00Z""#;
    for text in [
        "",
        "[]",
        "{}",
        &format!("{{{when}}}"),
        r#"{"conditions":[]}"#,
        r#"{"EXPIRATION":"2030-01-01T00:00:00Z","conditions":[]}"#,
        &format!(r#"{{{when},"CONDITIONS":[]}}"#),
        &format!(r#"{{{when},{when},"conditions":[]}}"#),
        &format!(r#"{{{when},"conditions":[],"more":1}}"#),
        &format!(r#"{{{when},"conditions":{{}}}}"#),
        r#"{"expiration":"2030-01-01 00:00:00","conditions":[]}"#,
        r#"{"expiration":1,"conditions":[]}"#,
    ] {
        let refused = Policy::parse(text);
        assert!(
            matches!(refused, Err(PostError::InvalidPolicy { .. })),
            "{text}"
        );
    }
    for condition in [
        "{}",
        r#"{"acl":"a","key":"k"}"#,
        r#"{"acl":1}"#,
        "[]",
        "1",
        r#"["eq","$key"]"#,
        r#"["eq","key","k"]"#,
        r#"["eq","$key",1]"#,
        r#"["ends-with","$key","k"]"#,
        r#"["content-length-range",0]"#,
        r#"["content-length-range",-1,0]"#,
        r#"["content-length-range",2,1]"#,
        r#"["content-length-range",0,1.5]"#,
        r#"["content-length-range","",1]"#,
    ] {
        let refused = allowed(condition, &[]);
        assert!(
            matches!(refused, Err(PostError::InvalidPolicy { .. })),
            "{condition}"
        );
    }
    for field in ["%%%", "AAA", "/w=="] {
        assert!(matches!(
            Policy::decode(field),
            Err(PostError::InvalidPolicy { .. })
        ));
    }
    assert!(Policy::decode(&POLICY[..40]).is_err());
    assert!(Policy::decode(POLICY).is_ok());
}

#[test]
fn dates_are_read_in_the_one_form() {
    assert_eq!(iso8601("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(iso8601("1970-01-01T00:00:01.25Z"), Some(1250));
    assert_eq!(iso8601("2024-02-29T23:59:59.000Z"), Some(1_709_251_199_000));
    for bad in [
        "",
        "Z",
        "2024-02-29",
        "2024-02-29T23:59:59",
        "2024-02-29 23:59:59Z",
        "2024-02-29T23:59:59+00:00",
        "2024-02-29T23:59:59.Z",
        "2024-02-29T23:59:59.xZ",
        "2024-2-29T23:59:59Z",
        "20240-2-29T23:59:59Z",
        "2024-13-29T23:59:59Z",
        "0000-01-11T00:00:00Z",
    ] {
        assert_eq!(iso8601(bad), None, "{bad}");
    }
}
