//! Goal: every operator decides as IAM's does, also about keys that are missing or have several
//! values.
//! Method: tables; a statement of each effect, so that what a condition says is seen both ways.

use proptest::prelude::*;

use super::{conditional, policy, read};
use crate::document::Effect;
use crate::{Action, Caller, Context, Key};

/// Whether a statement with this condition speaks of a request with these values.
fn holds_in(effect: Effect, condition: &str, values: &[(Key, &str)]) -> bool {
    let mut context = Context::default();
    for (key, value) in values {
        context.add(key.clone(), *value);
    }
    let word = match effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    };
    let policy = policy(&conditional(word, condition));
    let (caller, action) = (Caller::Anonymous, Action::GetObject);
    let resource = "arn:aws:s3:::b/k";
    let decided = policy.decide(effect, caller, action, resource, &context);
    decided.is_some()
}

fn holds(condition: &str, values: &[(Key, &str)]) -> bool {
    let holds = holds_in(Effect::Allow, condition, values);
    assert_eq!(
        holds_in(Effect::Deny, condition, values),
        holds,
        "{condition}"
    );
    holds
}

/// One value for one key, and whether the condition holds.
fn table(key: &Key, rows: &[(&str, &str, &str, bool)]) {
    for (operator, wanted, given, expected) in rows {
        let condition = format!(r#"{{"{operator}": {{"{key}": {wanted}}}}}"#);
        let found = holds(&condition, &[(key.clone(), given)]);
        assert_eq!(found, *expected, "{condition} {given}");
    }
}

#[test]
fn texts_are_compared() {
    table(
        &Key::Prefix,
        &[
            ("StringEquals", r#""a""#, "a", true),
            ("StringEquals", r#""a""#, "A", false),
            ("StringEquals", r#""a*""#, "ab", false),
            ("StringEquals", r#"["x", "a"]"#, "a", true),
            ("StringEquals", r#""""#, "", true),
            ("StringNotEquals", r#"["x", "a"]"#, "a", false),
            ("StringNotEquals", r#"["x", "y"]"#, "a", true),
            ("StringEqualsIgnoreCase", r#""hOmE""#, "HoMe", true),
            ("StringNotEqualsIgnoreCase", r#""hOmE""#, "HoMe", false),
            ("StringLike", r#""home/*""#, "home/ann/x", true),
            ("StringLike", r#""home/?""#, "home/ann", false),
            ("StringLike", r#""HOME/*""#, "home/ann", false),
            ("StringNotLike", r#""home/*""#, "home/ann", false),
            ("StringNotLike", r#"["home/*", "etc/*"]"#, "var/x", true),
            ("StringEquals", "true", "true", true),
            ("StringEquals", "10", "10", true),
        ],
    );
}

#[test]
fn numbers_are_compared() {
    table(
        &Key::MaxKeys,
        &[
            ("NumericEquals", r#""10""#, "10.0", true),
            ("NumericEquals", "10", "10", true),
            ("NumericNotEquals", r#"["1", "10"]"#, "10", false),
            ("NumericNotEquals", r#""10""#, "11", true),
            ("NumericLessThan", r#""10""#, "10", false),
            ("NumericLessThan", r#"["10", "20"]"#, "15", true),
            ("NumericLessThanEquals", r#""10""#, "10", true),
            ("NumericGreaterThan", r#""-1.5""#, "-1", true),
            ("NumericGreaterThanEquals", r#""10""#, "9.99", false),
            ("NumericLessThan", r#""10""#, "many", false),
            ("NumericLessThan", r#""10""#, "-inf", false),
            ("NumericNotEquals", r#""10""#, "many", true),
            ("NumericLessThanEquals", r#""1e3""#, "1000", true),
        ],
    );
}

#[test]
fn dates_are_compared() {
    table(
        &Key::CurrentTime,
        &[
            (
                "DateLessThan",
                r#""2026-11-22T00:00:00Z""#,
                "2026-11-21T23:59:59Z",
                true,
            ),
            (
                "DateLessThan",
                r#""2026-11-22""#,
                "2026-11-22T00:00:00Z",
                false,
            ),
            (
                "DateLessThanEquals",
                r#""2026-11-22""#,
                "2026-11-22T00:00:00Z",
                true,
            ),
            (
                "DateGreaterThan",
                r#""2026-11-22T00:00:00+01:00""#,
                "2026-11-21T23:30:00Z",
                true,
            ),
            ("DateGreaterThanEquals", "1795305600", "2026-11-22", true),
            ("DateEquals", r#""2026-11-22""#, "1795305600", true),
            ("DateNotEquals", r#""2026-11-22""#, "2026-11-23", true),
            ("DateNotEquals", r#""2026-11-22""#, "2026-11-22", false),
            ("DateGreaterThan", r#""2000""#, "soon", false),
        ],
    );
}

#[test]
fn addresses_are_looked_for_in_networks() {
    table(
        &Key::SourceIp,
        &[
            ("IpAddress", r#""192.0.2.0/24""#, "192.0.2.200", true),
            ("IpAddress", r#""192.0.2.77/24""#, "192.0.2.200", true),
            ("IpAddress", r#""192.0.2.0/24""#, "192.0.3.1", false),
            ("IpAddress", r#""192.0.2.7""#, "192.0.2.7", true),
            ("IpAddress", r#""192.0.2.7""#, "192.0.2.8", false),
            ("IpAddress", r#""0.0.0.0/0""#, "2001:db8::1", false),
            ("IpAddress", r#""0.0.0.0/0""#, "203.0.113.9", true),
            ("IpAddress", r#""192.0.2.0/24""#, "::ffff:192.0.2.1", true),
            ("IpAddress", r#""::ffff:192.0.2.0/120""#, "192.0.2.1", true),
            (
                "IpAddress",
                r#"["10.0.0.0/8", "2001:DB8::/32"]"#,
                "2001:db8:9::1",
                true,
            ),
            ("IpAddress", r#""2001:db8::/33""#, "2001:db8:8000::1", false),
            ("IpAddress", r#""::/0""#, "192.0.2.1", false),
            ("NotIpAddress", r#""192.0.2.0/24""#, "192.0.2.200", false),
            (
                "NotIpAddress",
                r#"["192.0.2.0/24", "10.0.0.0/8"]"#,
                "10.1.1.1",
                false,
            ),
            ("NotIpAddress", r#""192.0.2.0/24""#, "198.51.100.1", true),
            ("IpAddress", r#""192.0.2.0/24""#, "192.0.2.1:443", false),
            ("NotIpAddress", r#""192.0.2.0/24""#, "unknown", true),
        ],
    );
}

#[test]
fn arns_are_compared_part_by_part() {
    let arn = "arn:aws:iam::111111111111:user/x/ann";
    table(
        &Key::PrincipalArn,
        &[
            (
                "ArnEquals",
                r#""arn:aws:iam::111111111111:user/x/ann""#,
                arn,
                true,
            ),
            (
                "ArnEquals",
                r#""arn:aws:iam::111111111111:user/*""#,
                arn,
                true,
            ),
            ("ArnLike", r#""arn:aws:iam::*:user/*""#, arn, true),
            ("ArnLike", r#""arn:*:*:*:*:*""#, arn, true),
            ("ArnLike", r#""*""#, arn, true),
            ("ArnLike", r#""*""#, "anything", false),
            // A wildcard stays in its part.
            ("ArnLike", r#""arn:aws:s3:*:*:user/x/ann""#, arn, false),
            ("ArnLike", r#""arn:aws:iam:*:*:*""#, arn, true),
            ("ArnNotLike", r#""arn:aws:iam::1*:*""#, arn, false),
            (
                "ArnNotEquals",
                r#""arn:aws:iam::222222222222:*""#,
                arn,
                true,
            ),
            (
                "ArnLike",
                r#""arn:aws:iam::111111111111:user/*""#,
                "arn:aws:iam",
                false,
            ),
        ],
    );
}

#[test]
fn other_values_are_compared() {
    table(
        &Key::SecureTransport,
        &[
            ("Bool", r#""true""#, "true", true),
            ("Bool", "false", "true", false),
            ("Bool", r#""True""#, "TRUE", true),
            ("Bool", r#"["true", "false"]"#, "false", true),
            ("Bool", r#""false""#, "no", false),
        ],
    );
    let key = Key::Referer;
    table(
        &key,
        &[
            ("BinaryEquals", r#""aGk=""#, "hi", true),
            ("BinaryEquals", r#""aGk=""#, "aGk=", false),
            ("Null", "true", "x", false),
            ("Null", r#""false""#, "x", true),
            ("Null", r#"["true", "false"]"#, "x", true),
        ],
    );
    assert!(holds(r#"{"Null": {"aws:Referer": "true"}}"#, &[]));
    assert!(!holds(r#"{"Null": {"aws:Referer": false}}"#, &[]));
}

#[test]
fn a_missing_key_fails_positive_operators_and_satisfies_negated_ones() {
    for (operator, value, negated) in [
        ("StringEquals", "x", false),
        ("StringNotEquals", "x", true),
        ("StringEqualsIgnoreCase", "x", false),
        ("StringNotEqualsIgnoreCase", "x", true),
        ("StringLike", "*", false),
        ("StringNotLike", "*", true),
        ("NumericEquals", "1", false),
        ("NumericNotEquals", "1", true),
        ("NumericLessThan", "1", false),
        ("NumericLessThanEquals", "1", false),
        ("NumericGreaterThan", "1", false),
        ("NumericGreaterThanEquals", "1", false),
        ("DateEquals", "2026", false),
        ("DateNotEquals", "2026", true),
        ("DateLessThan", "2026", false),
        ("DateLessThanEquals", "2026", false),
        ("DateGreaterThan", "2026", false),
        ("DateGreaterThanEquals", "2026", false),
        ("Bool", "false", false),
        ("BinaryEquals", "", false),
        ("IpAddress", "0.0.0.0/0", false),
        ("NotIpAddress", "0.0.0.0/0", true),
        ("ArnEquals", "*", false),
        ("ArnLike", "*", false),
        ("ArnNotEquals", "*", true),
        ("ArnNotLike", "*", true),
    ] {
        for (before, behind, expected) in [
            ("", "", negated),
            ("", "IfExists", true),
            ("ForAllValues:", "", true),
            ("ForAllValues:", "IfExists", true),
            ("ForAnyValue:", "", false),
            ("ForAnyValue:", "IfExists", true),
        ] {
            let name = format!("{before}{operator}{behind}");
            let condition = format!(r#"{{"{name}": {{"aws:UserAgent": "{value}"}}}}"#);
            assert_eq!(holds(&condition, &[]), expected, "{condition}");
        }
    }
}

#[test]
fn keys_of_several_values_are_taken_as_the_operator_says() {
    let given = |values: &[&'static str]| -> Vec<(Key, &'static str)> {
        let key = |value: &&'static str| (Key::RequestObjectTagKeys, *value);
        values.iter().map(key).collect()
    };
    for (operator, values, expected) in [
        ("ForAllValues:StringEquals", &["a", "b"][..], true),
        ("ForAllValues:StringEquals", &["a", "c"], false),
        ("ForAllValues:StringNotEquals", &["c", "d"], true),
        ("ForAllValues:StringNotEquals", &["a", "c"], false),
        ("ForAnyValue:StringEquals", &["a", "c"], true),
        ("ForAnyValue:StringEquals", &["c", "d"], false),
        ("ForAnyValue:StringNotEquals", &["a", "c"], true),
        ("ForAnyValue:StringNotEquals", &["a", "b"], false),
        ("ForAllValues:StringEqualsIfExists", &["c"], false),
        ("StringEquals", &["a", "c"], true),
        ("StringNotEquals", &["a", "c"], false),
        ("StringNotEquals", &["c", "d"], true),
    ] {
        let condition = format!(r#"{{"{operator}": {{"s3:RequestObjectTagKeys": ["a", "b"]}}}}"#);
        assert_eq!(
            holds(&condition, &given(values)),
            expected,
            "{condition} {values:?}"
        );
    }
}

#[test]
fn all_conditions_have_to_hold() {
    let both = r#"{"StringEquals": {"s3:prefix": "a", "s3:delimiter": "/"},
        "Bool": {"aws:securetransport": "true"}}"#;
    let (prefix, delimiter) = ((Key::Prefix, "a"), (Key::Delimiter, "/"));
    let secure = (Key::SecureTransport, "true");
    assert!(holds(
        both,
        &[prefix.clone(), delimiter.clone(), secure.clone()]
    ));
    assert!(!holds(both, &[prefix.clone(), delimiter.clone()]));
    assert!(!holds(both, &[prefix, secure.clone()]));
    assert!(!holds(both, &[delimiter, secure]));
    assert!(holds("{}", &[]));
}

#[test]
fn tags_are_named_with_their_case_and_keys_without() {
    let condition = r#"{"StringEquals": {"S3:existingOBJECTtag/Team/a": "x"}}"#;
    let tag = |name: &str| Key::ExistingObjectTag(name.to_owned());
    assert!(holds(condition, &[(tag("Team/a"), "x")]));
    assert!(!holds(condition, &[(tag("team/a"), "x")]));
    assert!(!holds(
        condition,
        &[(Key::RequestObjectTag("Team/a".to_owned()), "x")]
    ));
}

#[test]
fn what_cannot_be_filled_in_never_widens_what_is_allowed() {
    let known = [(Key::UserName, "ann"), (Key::Prefix, "x")];
    let unknown = [(Key::Prefix, "x")];
    for (condition, allow, deny) in [
        (
            r#"{"StringNotEquals": {"s3:prefix": "${aws:username}"}}"#,
            false,
            true,
        ),
        (
            r#"{"StringNotLike": {"s3:prefix": ["y", "${aws:username}/*"]}}"#,
            false,
            true,
        ),
        (
            r#"{"StringNotEquals": {"s3:prefix": "${aws:username, 'q'}"}}"#,
            true,
            true,
        ),
        (
            r#"{"ArnNotLike": {"aws:SourceArn": "arn:aws:s3:::${aws:username}"}}"#,
            false,
            true,
        ),
        (
            r#"{"StringEquals": {"s3:prefix": ["${aws:username}", "x"]}}"#,
            true,
            true,
        ),
        (
            r#"{"StringEquals": {"s3:prefix": "${aws:username}"}}"#,
            false,
            false,
        ),
        (
            r#"{"StringNotEqualsIfExists": {"aws:Referer": "${aws:username}"}}"#,
            false,
            true,
        ),
    ] {
        assert_eq!(
            holds_in(Effect::Allow, condition, &unknown),
            allow,
            "{condition}"
        );
        assert_eq!(
            holds_in(Effect::Deny, condition, &unknown),
            deny,
            "{condition}"
        );
        // With a value for the variable both effects agree.
        holds(condition, &known);
    }
}

#[test]
fn conditions_that_say_nothing_sensible_are_refused() {
    for condition in [
        r#""x""#,
        "[]",
        "null",
        r#"{"StringEquals": "x"}"#,
        r#"{"StringEquals": {"s3:prefix": []}}"#,
        r#"{"StringEquals": {"s3:prefix": null}}"#,
        r#"{"StringEquals": {"s3:prefix": {}}}"#,
        r#"{"StringEquals": {"s3:prefix": [["x"]]}}"#,
        r#"{"StringEquals": {"s3:nothing": "x"}}"#,
        r#"{"StringEquals": {"aws:nothing": "x"}}"#,
        r#"{"StringEquals": {"prefix": "x"}}"#,
        r#"{"StringEquals": {"s3:ExistingObjectTag": "x"}}"#,
        r#"{"StringEquals": {"s3:ExistingObjectTag/": "x"}}"#,
        r#"{"StringEquals": {"s3:prefix": "${aws:nothing}"}}"#,
        r#"{"stringequals": {"s3:prefix": "x"}}"#,
        r#"{"StringMatches": {"s3:prefix": "x"}}"#,
        r#"{"NullIfExists": {"s3:prefix": "true"}}"#,
        r#"{"ForAnyValue:Null": {"s3:prefix": "true"}}"#,
        r#"{"ForSomeValues:StringEquals": {"s3:prefix": "x"}}"#,
        r#"{"ForAllValues:ForAnyValue:StringEquals": {"s3:prefix": "x"}}"#,
        r#"{"StringEqualsIfExistsIfExists": {"s3:prefix": "x"}}"#,
        r#"{"BoolNot": {"aws:SecureTransport": "true"}}"#,
        r#"{"Bool": {"aws:SecureTransport": "yes"}}"#,
        r#"{"Null": {"aws:SecureTransport": "1"}}"#,
        r#"{"NumericEquals": {"s3:max-keys": "ten"}}"#,
        r#"{"NumericEquals": {"s3:max-keys": "inf"}}"#,
        r#"{"NumericEquals": {"s3:max-keys": "NaN"}}"#,
        r#"{"NumericEquals": {"s3:max-keys": "1e999"}}"#,
        r#"{"NumericEquals": {"s3:max-keys": ""}}"#,
        r#"{"DateEquals": {"aws:CurrentTime": "2026-02-30"}}"#,
        r#"{"IpAddress": {"aws:SourceIp": "192.0.2.0/33"}}"#,
        r#"{"IpAddress": {"aws:SourceIp": "192.0.2"}}"#,
        r#"{"IpAddress": {"aws:SourceIp": "*"}}"#,
        r#"{"IpAddress": {"aws:SourceIp": "::/129"}}"#,
        r#"{"BinaryEquals": {"aws:Referer": "not base64!"}}"#,
        r#"{"ArnLike": {"aws:SourceArn": "arn:aws:s3"}}"#,
        r#"{"ArnLike": {"aws:SourceArn": "b"}}"#,
    ] {
        let statement = conditional("Allow", condition);
        assert!(read(&statement).is_err(), "{condition}");
    }
}

#[test]
fn every_key_is_found_by_its_name_in_either_case() {
    for key in Key::PLAIN {
        let name = key.to_string();
        for name in [name.clone(), name.to_uppercase(), name.to_lowercase()] {
            assert_eq!(Key::parse(&name).as_ref(), Some(key), "{name}");
        }
        assert_eq!(key.tag(), None);
    }
    assert!(Key::SourceIp.is_supplied() && !Key::SourceVpce.is_supplied());
    assert!(Key::parse("s3:ExistingObjectTag/x").unwrap().is_supplied());
    assert!(!Key::parse("aws:PrincipalTag/x").unwrap().is_supplied());
    for name in ["", "s3:", "é", "s3:ExistingObjectTa", "aws:SourceIp "] {
        assert_eq!(Key::parse(name), None, "{name}");
    }
}

/// Operators that are each other's opposite for a key with one value.
const OPPOSITES: [(&str, &str); 6] = [
    ("StringEquals", "StringNotEquals"),
    ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
    ("StringLike", "StringNotLike"),
    ("ArnLike", "ArnNotLike"),
    ("ForAllValues:StringLike", "ForAnyValue:StringNotLike"),
    ("ForAnyValue:StringLike", "ForAllValues:StringNotLike"),
];

proptest! {
    #[test]
    fn a_negated_operator_says_the_opposite(
        wanted in "(arn:a:s::)?[ab:*?]{0,6}",
        given in proptest::collection::vec("(arn:a:s::)?[abAB:]{0,6}", 0..3),
    ) {
        let values: Vec<(Key, &str)> =
            given.iter().map(|value| (Key::SourceArn, value.as_str())).collect();
        for (operator, opposite) in OPPOSITES {
            let name = |operator: &str| {
                format!(r#"{{"{operator}": {{"aws:SourceArn": "{wanted}"}}}}"#)
            };
            if read(&conditional("Allow", &name(operator))).is_err() {
                continue;
            }
            let (one, other) = (holds(&name(operator), &values), holds(&name(opposite), &values));
            prop_assert_ne!(one, other, "{} {} {:?}", operator, wanted, given);
        }
    }
}
