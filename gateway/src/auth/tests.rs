//! Facts about identity and permission.

use super::{Administrator, Credentials, Decision, Operation, Principal, Secret, decide};

#[test]
fn a_secret_is_never_printed() {
    let admin = Administrator::new("admin", Secret::new("hunter2-hunter2")).unwrap();
    let text = format!("{admin:?} {:?}", admin.secret("admin"));
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("[redacted]"));
}

#[test]
fn only_the_administrators_own_key_has_a_secret() {
    let admin = Administrator::new("admin", Secret::new("12345678")).unwrap();
    assert!(admin.secret("admin").is_some());
    for other in ["", "admi", "admin2", "ADMIN"] {
        assert!(admin.secret(other).is_none(), "{other}");
    }
}

#[test]
fn keys_and_secrets_have_their_lengths() {
    for (access, secret) in [("ab", "12345678"), ("abc", "1234567"), ("a/c", "12345678")] {
        assert!(
            Administrator::new(access, Secret::new(secret)).is_err(),
            "{access} {secret}"
        );
    }
    assert!(Administrator::new(&"a".repeat(129), Secret::new("12345678")).is_err());
    assert!(Administrator::new("abc", Secret::new("1".repeat(129))).is_err());
    assert!(Administrator::new("abc", Secret::new("1".repeat(128))).is_ok());
}

#[test]
fn nobody_may_do_anything() {
    for operation in Operation::ALL {
        assert_eq!(
            decide(*operation, None),
            Decision::Deny,
            "{}",
            operation.name()
        );
    }
}

#[test]
fn operations_are_found_by_their_names_and_no_others() {
    let who = Principal {
        access_key: "admin".to_owned(),
    };
    for operation in Operation::ALL {
        assert_eq!(Operation::from_name(operation.name()), Some(*operation));
        assert_eq!(decide(*operation, Some(&who)), Decision::Allow);
    }
    for name in [
        "PutBucketPolicy",
        "RenameObject",
        "ListDirectoryBuckets",
        "putobject",
        "",
    ] {
        assert_eq!(Operation::from_name(name), None, "{name}");
    }
}
