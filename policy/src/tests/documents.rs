//! Goal: documents that S3 takes are taken, what it refuses is refused with its reason, and what
//! is printed reads as the same.

use proptest::prelude::*;

use super::{policy, read};
use crate::document::DOCUMENT_LEN_MAX;
use crate::{Action, Caller, Context, Effect, Key, Needs, Policy};

fn reason(text: &str) -> String {
    match Policy::parse(text, "b") {
        Ok(_) => panic!("taken: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn documents_that_s3_takes_are_taken() {
    for statement in [
        r#""Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*""#,
        r#""Principal": "*", "Action": "*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]"#,
        r#""Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b""#,
        r#""Principal": "*", "Action": ["s3:ListBucket"],
           "Resource": ["arn:aws:s3:::*", "arn:aws:s3:::*/*"]"#,
        r#""Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::?""#,
        r#""Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b*""#,
        r#""Principal": "*", "Action": "s3:GetObject",
           "Resource": "arn:aws:s3:::b/${aws:username}/*""#,
        r#""Principal": "*", "NotAction": "s3:GetObject", "Resource": "arn:aws:s3:::b/*""#,
        r#""Principal": "*", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::b/private/*""#,
        r#""Sid": "with spaces and é", "Principal": {"AWS": "111111111111"},
           "Action": "s3:Put*", "Resource": "arn:aws:s3:::b/k", "Condition": {}"#,
    ] {
        let statement = format!(r#"{{"Effect": "Allow", {statement}}}"#);
        read(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    read(
        r#"{"Effect": "Deny", "NotPrincipal": {"AWS": "111111111111"},
            "Action": "s3:*", "Resource": "arn:aws:s3:::b/*"}"#,
    )
    .unwrap();
    let one =
        r#"{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::b"}"#;
    for head in [
        "",
        r#""Version": "2008-10-17","#,
        r#""Id": "x", "Version": "2012-10-17","#,
    ] {
        let text = format!(r#"{{{head} "Statement": {one}}}"#);
        let policy = Policy::parse(&text, "b").unwrap();
        assert_eq!((policy.text(), policy.bucket()), (text.as_str(), "b"));
    }
}

#[test]
fn what_is_not_a_document_is_refused() {
    let deep = format!(r#"{{"Id": {}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let long = format!(r#"{{"Id": "{}"}}"#, "x".repeat(DOCUMENT_LEN_MAX));
    for (text, expected) in [
        (
            "",
            "Policies must be valid JSON and the first byte must be '{'",
        ),
        (
            " {}",
            "Policies must be valid JSON and the first byte must be '{'",
        ),
        (
            "[]",
            "Policies must be valid JSON and the first byte must be '{'",
        ),
        (
            "{",
            "Policies must be valid JSON and the first byte must be '{'",
        ),
        (
            "{} x",
            "Policies must be valid JSON and the first byte must be '{'",
        ),
        (
            "{'a': 1}",
            "Policies must be valid JSON and the first byte must be '{'",
        ),
        (
            deep.as_str(),
            "Policies must be valid JSON and the first byte must be '{'",
        ),
        (
            long.as_str(),
            "Policy exceeds the maximum allowed document size",
        ),
        ("{}", "Missing required field Statement"),
        (
            r#"{"Version": "2012-10-17"}"#,
            "Missing required field Statement",
        ),
        (
            r#"{"Statement": []}"#,
            "Could not parse the policy: Statement is empty!",
        ),
        (
            r#"{"Statement": "x"}"#,
            "A statement must be an object (statement 1)",
        ),
        (
            r#"{"Statement": [], "statement": []}"#,
            "Unknown field statement",
        ),
        (
            r#"{"Version": "2012-10-18", "Statement": []}"#,
            "The policy must contain a valid version string",
        ),
        (
            r#"{"Version": 1, "Statement": []}"#,
            "The policy must contain a valid version string",
        ),
        (r#"{"Id": 1, "Statement": []}"#, "Id must be text"),
        (r#"{"Id": "1", "Id": "2"}"#, "Policies must be valid JSON"),
    ] {
        let found = reason(text);
        assert!(found.starts_with(expected), "{text:.100}: {found}");
    }
    assert!(reason(r#"{"Id": "1", "Id": "2"}"#).contains(r#""Id" is there twice at line 1"#));
}

/// A good statement, to be spoilt.
const GOOD: [(&str, &str); 4] = [
    ("Effect", r#""Allow""#),
    ("Principal", r#""*""#),
    ("Action", r#""s3:GetObject""#),
    ("Resource", r#""arn:aws:s3:::b/*""#),
];

fn spoilt(name: &str, replacement: &str) -> String {
    let fields = GOOD
        .iter()
        .filter_map(|(field, value)| match *field == name {
            true if replacement.is_empty() => None,
            true => Some(replacement.to_owned()),
            false => Some(format!(r#""{field}": {value}"#)),
        });
    let fields: Vec<String> = fields.collect();
    let good = r#"{"Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": "arn:aws:s3:::b"}"#;
    format!("{good}, {{{}}}", fields.join(", "))
}

const INVALID: &str = "Policy has invalid resource";
const APPLIES: &str = "Action does not apply to any resource(s) in statement";

/// An element of a good statement, what replaces it, and what is said then.
const SPOILT: &[(&str, &str, &str)] = &[
    ("Effect", "", "Missing required field Effect"),
    ("Principal", "", "Missing required field Principal"),
    ("Action", "", "Missing required field Action"),
    ("Resource", "", "Missing required field Resource"),
    ("Effect", r#""Effect": "allow""#, "Invalid effect: allow"),
    ("Effect", r#""Effect": []"#, "Invalid effect: "),
    (
        "Effect",
        r#""Effect": "Allow", "Sid": 1"#,
        "Sid must be text",
    ),
    (
        "Effect",
        r#""Effect": "Allow", "effect": "Deny""#,
        "Unknown field effect",
    ),
    (
        "Principal",
        r#""Principal": "x""#,
        "Invalid principal in policy",
    ),
    (
        "Principal",
        r#""NotPrincipal": {"AWS": "111111111111"}"#,
        "Invalid principal in policy",
    ),
    (
        "Principal",
        r#""Principal": "*", "NotPrincipal": "*""#,
        "A statement cannot have both Principal and NotPrincipal",
    ),
    (
        "Action",
        r#""Action": "s3:*", "NotAction": "s3:*""#,
        "A statement cannot have both Action and NotAction",
    ),
    (
        "Action",
        r#""Action": "s3:GetNothing""#,
        "Policy has invalid action",
    ),
    (
        "Action",
        r#""Action": ["s3:GetObject", "iam:*"]"#,
        "Policy has invalid action",
    ),
    (
        "Action",
        r#""Action": []"#,
        "Action must be text, or a list of texts",
    ),
    (
        "Action",
        r#""Action": [1]"#,
        "Action must be text, or a list of texts",
    ),
    (
        "Action",
        r#""NotAction": "ec2:*""#,
        "Policy has invalid action",
    ),
    ("Action", r#""Action": "s3:ListBucket""#, APPLIES),
    (
        "Action",
        r#""Action": ["s3:GetObject", "s3:ListBucket"]"#,
        APPLIES,
    ),
    ("Action", r#""Action": "s3:ListAllMyBuckets""#, APPLIES),
    ("Resource", r#""Resource": "arn:aws:s3:::b""#, APPLIES),
    (
        "Resource",
        r#""Resource": []"#,
        "Resource must be text, or a list of texts",
    ),
    ("Resource", r#""Resource": "*""#, INVALID),
    ("Resource", r#""Resource": """#, INVALID),
    ("Resource", r#""Resource": "b/*""#, INVALID),
    ("Resource", r#""Resource": "arn:aws:s3:::c/*""#, INVALID),
    ("Resource", r#""Resource": "arn:aws:s3:::bb/*""#, INVALID),
    ("Resource", r#""Resource": "arn:aws:s3:::b/""#, INVALID),
    (
        "Resource",
        r#""Resource": ["arn:aws:s3:::b/*", "arn:aws:s3:::c/*"]"#,
        INVALID,
    ),
    ("Resource", r#""Resource": "arn:aws:s3:eu::b/*""#, INVALID),
    ("Resource", r#""Resource": "arn:aws:sqs:::b/*""#, INVALID),
    ("Resource", r#""Resource": "arn:*:s3:::b/*""#, INVALID),
    ("Resource", r#""NotResource": "arn:aws:s3:::c/*""#, INVALID),
    (
        "Resource",
        r#""Resource": "arn:aws:s3:::b/${x}""#,
        "Policy has an invalid variable",
    ),
    (
        "Resource",
        r#""Resource": "arn:aws:s3:::b/*", "Condition": 1"#,
        "Condition must be an object",
    ),
];

#[test]
fn statements_that_s3_refuses_are_refused() {
    for (name, replacement, expected) in SPOILT {
        let error = read(&spoilt(name, replacement))
            .expect_err(replacement)
            .to_string();
        assert!(error.starts_with(expected), "{replacement}: {error}");
        assert!(error.ends_with("(statement 2)"), "{error}");
    }
    assert!(read(&spoilt("", "")).is_ok());
}

#[test]
fn statement_ids_are_unique_unless_empty() {
    let statement = |sid: &str| {
        format!(
            r#"{{"Sid": "{sid}", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
                "Resource": "arn:aws:s3:::b"}}"#
        )
    };
    let pair = |a: &str, b: &str| format!("{}, {}", statement(a), statement(b));
    assert!(read(&pair("a", "b")).is_ok());
    assert!(read(&pair("", "")).is_ok());
    let error = read(&pair("a", "a")).unwrap_err().to_string();
    assert!(error.starts_with("Statement IDs (SID) in a single policy must be unique"));
}

#[test]
fn policies_last_as_their_text() {
    let policy = policy(&spoilt("", ""));
    let stored = serde_json::to_string(&policy).unwrap();
    let again: Policy = serde_json::from_str(&stored).unwrap();
    assert_eq!(again, policy);
    assert_eq!(again.text(), policy.text());
    let of_another = stored.replace(r#""bucket":"b""#, r#""bucket":"c""#);
    assert!(serde_json::from_str::<Policy>(&of_another).is_err());
    let more = stored.replacen('{', r#"{"more": 1, "#, 1);
    assert!(serde_json::from_str::<Policy>(&more).is_err());
}

#[test]
fn tags_are_needed_only_where_a_statement_looks_at_them() {
    let about = |action: &str, rest: &str| {
        let text =
            format!(r#"{{"Effect": "Allow", "Principal": "*", "Action": "{action}", {rest}}}"#);
        policy(&text)
    };
    let plain = r#""Resource": "arn:aws:s3:::b/*""#;
    let tag = r#""Resource": "arn:aws:s3:::b/*",
        "Condition": {"StringLikeIfExists": {"s3:existingobjecttag/a": "x"}}"#;
    let in_resource = r#""Resource": "arn:aws:s3:::b/${s3:ExistingObjectTag/a}/*""#;
    let in_value = r#""Resource": "arn:aws:s3:::b/*",
        "Condition": {"StringEquals": {"aws:username": "${s3:ExistingObjectTag/a}"}}"#;
    let of_request = r#""Resource": "arn:aws:s3:::b/*",
        "Condition": {"StringEquals": {"s3:RequestObjectTag/a": "x"}}"#;
    for (rest, expected) in [
        (plain, false),
        (tag, true),
        (in_resource, true),
        (in_value, true),
        (of_request, false),
    ] {
        let policy = about("s3:GetObject", rest);
        assert_eq!(policy.looks_at_tags(Action::GetObject), expected, "{rest}");
        assert!(!policy.looks_at_tags(Action::PutObject), "{rest}");
    }
    assert_eq!(
        Needs::default(),
        Needs {
            existing_tags: false,
            object: false
        }
    );
}

#[test]
fn not_resource_covers_all_else_and_never_more_for_want_of_a_value() {
    let statement = |effect: &str| {
        format!(
            r#"{{"Effect": "{effect}", "Principal": "*", "Action": "s3:GetObject",
                "NotResource": ["arn:aws:s3:::b/x/*", "arn:aws:s3:::b/${{aws:username}}/*"]}}"#
        )
    };
    let mut named = Context::default();
    named.set(Key::UserName, "ann");
    for (key, context, allow, deny) in [
        ("x/1", &named, false, false),
        ("ann/1", &named, false, false),
        ("y/1", &named, true, true),
        ("x/1", &Context::default(), false, false),
        ("ann/1", &Context::default(), false, true),
        ("y/1", &Context::default(), false, true),
    ] {
        let resource = format!("arn:aws:s3:::b/{key}");
        for (effect, word, expected) in [
            (Effect::Allow, "Allow", allow),
            (Effect::Deny, "Deny", deny),
        ] {
            let policy = policy(&statement(word));
            let (caller, action) = (Caller::Anonymous, Action::GetObject);
            let decided = policy.decide(effect, caller, action, &resource, context);
            assert_eq!(decided.is_some(), expected, "{word} {key}");
        }
    }
}

#[test]
fn what_is_printed_reads_as_the_same() {
    for statements in [
        spoilt("", ""),
        r#"{"Sid": "", "Effect": "Deny", "NotPrincipal": {"AWS": ["111111111111"],
            "Service": "logging.s3.amazonaws.com"}, "NotAction": ["s3:Get*", "s3:ListBucket"],
            "NotResource": "arn:aws:s3:::b/x", "Condition": {
              "StringEquals": {"s3:prefix": ["a", ""], "S3:PREFIX": "a"},
              "NumericLessThan": {"s3:max-keys": 10.5}, "Bool": {"aws:SecureTransport": false}}}"#
            .to_owned(),
    ] {
        let one = policy(&statements);
        let printed = one.to_string();
        let again = Policy::parse(&printed, "b").unwrap();
        assert_eq!(again.to_string(), printed);
        assert_eq!(again.statements().len(), one.statements().len());
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(
        text in r#"\{("(Version|Statement|Id)":|[\[\]{}",:]|s3:\*|\PC){0,40}"#,
    ) {
        let _ = Policy::parse(&text, "b");
    }
}
