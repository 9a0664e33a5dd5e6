//! Goal: a principal means whom it names, and nothing vague is taken.

use super::{OTHER, OWNER, account, policy, user};
use crate::document::Effect;
use crate::json::Json;
use crate::principal::Principals;
use crate::{Action, Caller, Context, LOGGING_SERVICE, PolicyError};

fn parse(json: &str) -> Result<Principals, PolicyError> {
    let json: Json = serde_json::from_str(json).unwrap();
    Principals::parse(&json)
}

/// Whom a principal means: anonymous, the owner, a user of its, another account, the log service.
fn meant(json: &str, effect: Effect) -> String {
    let principals = parse(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    let (owner, ann, other) = (account(OWNER), user(OWNER, "x/ann"), account(OTHER));
    [
        ('n', Caller::Anonymous),
        ('o', Caller::Account(&owner)),
        ('u', Caller::Account(&ann)),
        ('s', Caller::Account(&other)),
        ('l', Caller::Service(LOGGING_SERVICE)),
    ]
    .into_iter()
    .filter(|(_, caller)| principals.mean(*caller, effect))
    .map(|(letter, _)| letter)
    .collect()
}

#[test]
fn principals_mean_whom_they_name() {
    let canonical = format!(r#"{{"CanonicalUser": "{OTHER}"}}"#);
    let as_aws = format!(r#"{{"AWS": ["{OTHER}"]}}"#);
    for (json, allow, deny) in [
        (r#""*""#, "nous", "nousl"),
        (r#"{"AWS": "*"}"#, "nous", "nousl"),
        (r#"{"AWS": ["*"]}"#, "nous", "nousl"),
        (r#"{"AWS": "111111111111"}"#, "ou", "ou"),
        (r#"{"AWS": "arn:aws:iam::111111111111:root"}"#, "ou", "ou"),
        (
            r#"{"AWS": "arn:aws:iam::111111111111:user/x/ann"}"#,
            "u",
            "u",
        ),
        (r#"{"AWS": "arn:aws:iam::111111111111:user/ann"}"#, "", ""),
        (r#"{"AWS": "arn:aws:iam::111111111111:role/ann"}"#, "", ""),
        (r#"{"AWS": "arn:aws:iam::s3tenant1:root"}"#, "", ""),
        (r#"{"AWS": ["222222222222", "111111111111"]}"#, "ous", "ous"),
        (&canonical, "s", "s"),
        (&as_aws, "s", "s"),
        (r#"{"Service": "logging.s3.amazonaws.com"}"#, "l", "l"),
        (r#"{"Service": "logging.s3.amazonaws.comx"}"#, "", ""),
        (r#"{"Federated": "cognito-identity.amazonaws.com"}"#, "", ""),
        (
            r#"{"Service": ["logging.s3.amazonaws.com"], "AWS": "222222222222"}"#,
            "sl",
            "sl",
        ),
        (
            r#"{"AWS": "arn:aws:sts::111111111111:assumed-role/r/s"}"#,
            "",
            "",
        ),
    ] {
        assert_eq!(meant(json, Effect::Allow), allow, "{json}");
        assert_eq!(meant(json, Effect::Deny), deny, "{json}");
    }
}

#[test]
fn vague_principals_are_refused() {
    for json in [
        r#""""#,
        r#""123456789012""#,
        "[]",
        r#"["*"]"#,
        "{}",
        "null",
        r#"{"AWS": []}"#,
        r#"{"AWS": ""}"#,
        r#"{"AWS": 123456789012}"#,
        r#"{"AWS": "12345678901"}"#,
        r#"{"AWS": "arn:aws:iam::111111111111:user/*"}"#,
        r#"{"AWS": "arn:aws:iam::*:root"}"#,
        r#"{"AWS": "arn:aws:iam:::root"}"#,
        r#"{"AWS": "arn:aws:iam::111111111111:group/g"}"#,
        r#"{"AWS": "arn:aws:iam::111111111111:user/"}"#,
        r#"{"AWS": "arn:aws:iam::111111111111"}"#,
        r#"{"AWS": "arn:aws:s3:::b"}"#,
        r#"{"AWS": "arn:aws:sts::111111111111:root"}"#,
        r#"{"AWS": "alice"}"#,
        r#"{"CanonicalUser": "*"}"#,
        r#"{"CanonicalUser": "abc"}"#,
        r#"{"Service": "*"}"#,
        r#"{"Service": "logging"}"#,
        r#"{"Federated": ""}"#,
        r#"{"Everyone": "*"}"#,
        r#"{"aws": "*"}"#,
    ] {
        let error = parse(json).expect_err(json).to_string();
        assert!(
            error.starts_with("Invalid principal in policy"),
            "{json}: {error}"
        );
    }
}

#[test]
fn who_is_spared_has_to_be_listed() {
    let (owner, ann, other) = (account(OWNER), user(OWNER, "x/ann"), account(OTHER));
    let canonical = format!(r#"{{"CanonicalUser": "{OWNER}"}}"#);
    for (json, spared) in [
        (r#"{"AWS": "111111111111"}"#, [false, true, false, false]),
        (canonical.as_str(), [false, true, false, false]),
        (
            r#"{"AWS": "arn:aws:iam::111111111111:user/x/ann"}"#,
            [false, false, true, false],
        ),
        (
            r#"{"AWS": ["111111111111", "arn:aws:iam::111111111111:user/x/ann"]}"#,
            [false, true, true, false],
        ),
        (r#"{"Service": "logging.s3.amazonaws.com"}"#, [false; 4]),
        (r#""*""#, [true; 4]),
    ] {
        let statement = format!(
            r#"{{"Effect": "Deny", "NotPrincipal": {json}, "Action": "s3:*",
                "Resource": "arn:aws:s3:::b/*"}}"#
        );
        let policy = policy(&statement);
        let callers = [
            Caller::Anonymous,
            Caller::Account(&owner),
            Caller::Account(&ann),
            Caller::Account(&other),
        ];
        let (action, resource, context) =
            (Action::GetObject, "arn:aws:s3:::b/k", Context::default());
        let found = callers.map(|caller| {
            let denied = policy.decide(Effect::Deny, caller, action, resource, &context);
            denied.is_none()
        });
        assert_eq!(found, spared, "{json}");
    }
}
