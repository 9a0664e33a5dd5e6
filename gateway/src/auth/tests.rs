//! Facts about identity and permission.

use std::collections::HashSet;

use holdfast_policy::On;

use super::{Action, Administrator, Credentials, Operation, Resource, Secret};

#[test]
fn a_secret_is_never_printed() {
    let admin = Administrator::new("admin", Secret::new("hunter2-hunter2")).unwrap();
    let text = format!("{admin:?} {:?}", admin.find("admin"));
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("[redacted]"));
}

#[test]
fn only_the_administrators_own_key_has_a_secret() {
    let admin = Administrator::new("admin", Secret::new("12345678")).unwrap();
    assert!(admin.find("admin").is_some());
    for other in ["", "admi", "admin2", "ADMIN"] {
        assert!(admin.find(other).is_none(), "{other}");
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
fn operations_are_found_by_their_names_and_no_others() {
    let mut names = HashSet::new();
    for operation in Operation::ALL {
        assert_eq!(Operation::from_name(operation.name()), Some(*operation));
        assert!(
            names.insert(operation.name()),
            "{operation:?} is there twice"
        );
    }
    for name in [
        "WriteGetObjectResponse",
        "ListDirectoryBuckets",
        "putobject",
        "",
    ] {
        assert_eq!(Operation::from_name(name), None, "{name}");
    }
}

#[test]
fn only_what_is_done_to_one_version_has_another_action_for_versions() {
    for operation in Operation::ALL {
        let (plain, version) = (operation.action(), operation.version_action());
        assert!(Action::ALL.contains(&plain) && Action::ALL.contains(&version));
        if plain == version {
            continue;
        }
        assert!(version.name().contains("Version"), "{operation:?}");
        let on = operation.resource();
        assert!(
            matches!(on, Resource::Object | Resource::Named),
            "{operation:?}"
        );
    }
}

#[test]
fn an_operation_is_done_to_what_its_action_is_about() {
    for operation in Operation::ALL {
        let on = match operation.resource() {
            Resource::Service => On::Service,
            Resource::Bucket => On::Bucket,
            Resource::Object | Resource::Named => On::Object,
        };
        assert_eq!(operation.action().on(), on, "{operation:?}");
        assert_eq!(operation.version_action().on(), on, "{operation:?}");
    }
}

#[test]
fn no_reading_operation_needs_a_writing_action_nor_the_other_way_round() {
    for operation in Operation::ALL {
        let name = operation.name();
        let reads = ["Get", "Head", "List", "Select"]
            .iter()
            .any(|verb| name.starts_with(verb));
        for action in [operation.action(), operation.version_action()] {
            let verb = action.name().trim_start_matches("s3:");
            let read = ["Get", "List"].iter().any(|start| verb.starts_with(start));
            assert_eq!(read, reads, "{name} needs {verb}");
        }
    }
}
