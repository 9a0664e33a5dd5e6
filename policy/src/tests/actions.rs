//! Goal: actions have S3's names, and patterns mean those they match.

use crate::action::Actions;
use crate::{Action, On, Side};

fn named(pattern: &str) -> Vec<&'static str> {
    let set = Actions::matching(pattern).map(|set| set.iter().map(Action::name).collect());
    set.unwrap_or_default()
}

#[test]
fn patterns_match_names_in_either_case() {
    for (pattern, expected) in [
        ("s3:GetObject", &["s3:GetObject"][..]),
        ("S3:getobject", &["s3:GetObject"]),
        (
            "s3:GetObject*Tagging",
            &["s3:GetObjectTagging", "s3:GetObjectVersionTagging"],
        ),
        ("s3:?utObject", &["s3:PutObject"]),
        (
            "s3:ListBucket*",
            &[
                "s3:ListBucket",
                "s3:ListBucketMultipartUploads",
                "s3:ListBucketVersions",
            ],
        ),
        ("s3:DeleteObjectVersion", &["s3:DeleteObjectVersion"]),
        ("s3:bypassgovernance*", &["s3:BypassGovernanceRetention"]),
    ] {
        assert_eq!(named(pattern), expected, "{pattern}");
    }
    assert_eq!(named("*").len(), Action::ALL.len());
    assert_eq!(named("s3:*").len(), Action::ALL.len());
}

#[test]
fn names_that_are_not_s3s_are_refused() {
    for pattern in [
        "",
        "s3",
        "s3:",
        "GetObject",
        "s3:HeadObject",
        "s3:GetObjects",
        "sqs:SendMessage",
        "*:GetObject",
        "s3:Get Object",
        "s*:GetObject",
        "iam:*",
        " s3:GetObject",
    ] {
        assert!(Actions::matching(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn every_action_is_found_by_its_name_and_is_in_its_own_set_only() {
    for action in Action::ALL {
        assert_eq!(Action::from_name(action.name()), Some(*action));
        assert_eq!(
            Action::from_name(&action.name().to_uppercase()),
            Some(*action)
        );
        assert_eq!(named(action.name()), [action.name()]);
        assert_eq!(action.to_string(), action.name());
    }
    assert_eq!(Action::from_name("s3:Nothing"), None);
}

#[test]
fn what_an_action_is_done_to_shows_in_its_name() {
    for action in Action::ALL {
        let name = action.name();
        let of_object = ["Object", "Multipart", "Replicate", "Bypass", "InitiateRepl"];
        let of_bucket = ["Bucket", "Configuration", "Resource"];
        match action.on() {
            On::Object => assert!(of_object.iter().any(|word| name.contains(word)), "{name}"),
            On::Bucket => assert!(of_bucket.iter().any(|word| name.contains(word)), "{name}"),
            On::Service => assert!(name.contains("Account") || name.contains("AllMy"), "{name}"),
        }
        if action.side() == Side::Object {
            assert_eq!(action.on(), On::Object, "{name}");
            assert!(
                !name.contains("Retention") && !name.contains("LegalHold"),
                "{name}"
            );
            assert_ne!(name, "s3:PutObject");
        }
        // Reading what is in an object is its owner's to give, whatever the action is called.
        if name.starts_with("s3:GetObject") && !name.contains("Retention") {
            let lock = name.contains("LegalHold");
            assert_eq!(action.side() == Side::Object, !lock, "{name}");
        }
    }
}
