//! Goal: ACLs grant what S3's grant: canned ones, grants in headers, stored ones.

use proptest::prelude::*;

use super::{ADMIN, Directory, OTHER, OWNER, account};
use crate::acl::GRANTS_MAX;
use crate::acl::header::{HEADERS, parse_grants};
use crate::{
    Accounts, Acl, Action, Caller, Canned, Grant, Grantee, Group, LOGGING_SERVICE, Named, On,
    Permission, PolicyError, Wanted,
};

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";

fn shown(acl: &Acl) -> String {
    let grants: Vec<String> = acl.grants().iter().map(Grant::to_string).collect();
    grants
        .join(", ")
        .replace(OWNER, "bucket owner")
        .replace(OTHER, "writer")
}

#[test]
fn canned_acls_grant_what_their_names_say() {
    let full = "FULL_CONTROL to writer";
    for (canned, on_bucket, on_object) in [
        (Canned::Private, "", ""),
        (
            Canned::PublicRead,
            "READ to AllUsers, ",
            "READ to AllUsers, ",
        ),
        (
            Canned::PublicReadWrite,
            "READ to AllUsers, WRITE to AllUsers, ",
            "READ to AllUsers, WRITE to AllUsers, ",
        ),
        (
            Canned::AuthenticatedRead,
            "READ to AuthenticatedUsers, ",
            "READ to AuthenticatedUsers, ",
        ),
        (
            Canned::LogDeliveryWrite,
            "WRITE to LogDelivery, READ_ACP to LogDelivery, ",
            "",
        ),
        (Canned::BucketOwnerRead, "", ""),
        (Canned::BucketOwnerFullControl, "", ""),
    ] {
        let behind = match canned {
            Canned::BucketOwnerRead => ", READ to bucket owner",
            Canned::BucketOwnerFullControl => ", FULL_CONTROL to bucket owner",
            _ => "",
        };
        let bucket = canned.acl(On::Bucket, OTHER, OWNER);
        let object = canned.acl(On::Object, OTHER, OWNER);
        assert_eq!(shown(&bucket), format!("{on_bucket}{full}"), "{canned:?}");
        assert_eq!(
            shown(&object),
            format!("{on_object}{full}{behind}"),
            "{canned:?}"
        );
        let own = canned.acl(On::Object, OWNER, OWNER);
        assert!(!shown(&own).ends_with("READ to bucket owner"), "{canned:?}");
        assert_eq!(own.owner(), OWNER);
        assert_eq!(Canned::parse(canned.name()), Ok(canned));
        let public = ["public-read", "public-read-write", "authenticated-read"];
        assert_eq!(object.is_public(), public.contains(&canned.name()));
    }
    assert_eq!(
        Canned::Private.acl(On::Object, OTHER, OWNER),
        Acl::private(OTHER)
    );
}

#[test]
fn other_names_are_no_canned_acls() {
    for name in ["", "Private", "public", "public-write", "log-delivery"] {
        let unknown = PolicyError::UnknownCanned {
            given: name.to_owned(),
        };
        assert_eq!(Canned::parse(name), Err(unknown));
    }
    let ec2 = Canned::parse("aws-exec-read");
    assert!(matches!(ec2, Err(PolicyError::UnsupportedCanned { .. })));
}

#[test]
fn grants_in_headers_are_read() {
    let id = |name: &str| Named::Id(name.to_owned());
    for (value, expected) in [
        ("id=abc", vec![id("abc")]),
        (r#"id="abc""#, vec![id("abc")]),
        (r#" ID = "abc" , id= def "#, vec![id("abc"), id("def")]),
        (r#"id="a,b", id="c=d""#, vec![id("a,b"), id("c=d")]),
        (
            r#"emailAddress="x@example.com",uri=http://x/y?z=1"#,
            vec![
                Named::Email("x@example.com".to_owned()),
                Named::Uri("http://x/y?z=1".to_owned()),
            ],
        ),
    ] {
        assert_eq!(parse_grants(value), Ok(expected), "{value}");
    }
    for value in [
        "",
        "abc",
        "id=",
        r#"id="""#,
        "id=,id=b",
        "id=a,",
        ",id=a",
        "id=a,,id=b",
        r#"id="a"#,
        r#"id="a"b"#,
        r#"id="a" id="b""#,
        "name=a",
        "=a",
        "i d=a",
    ] {
        let bad = parse_grants(value);
        assert!(matches!(bad, Err(PolicyError::BadGrant { .. })), "{value}");
    }
}

#[test]
fn requests_ask_for_a_canned_acl_or_for_grants() {
    let ask =
        |canned, grants: &[(Permission, &str)]| Wanted::from_headers(canned, grants, &Directory);
    assert_eq!(ask(None, &[]), Ok(None));
    let private = Some(Wanted::Canned(Canned::Private));
    assert_eq!(ask(Some("private"), &[]), Ok(private));
    let own = format!("id={OWNER}");
    let both = ask(Some("private"), &[(Permission::Read, &own)]);
    assert_eq!(both, Err(PolicyError::CannedAndGrants));

    let read = format!(r#"uri="{ALL_USERS}", emailAddress=other@example.com"#);
    let grants = [
        (Permission::Read, read.as_str()),
        (Permission::FullControl, &own),
    ];
    let wanted = ask(None, &grants).unwrap().unwrap();
    let acl = wanted.acl(On::Bucket, OWNER, OWNER).unwrap();
    let expected = "READ to AllUsers, READ to writer, FULL_CONTROL to bucket owner";
    assert_eq!(shown(&acl), expected);
    // The owner has no grant that was not asked for.
    let other = format!("id={OTHER}");
    let wanted = ask(None, &[(Permission::Write, &other)]).unwrap().unwrap();
    let acl = wanted.acl(On::Bucket, OWNER, OWNER).unwrap();
    assert_eq!(shown(&acl), "WRITE to writer");

    for (value, expected) in [
        ("id=nobody", "Invalid id: \"nobody\""),
        ("uri=http://x", "Invalid group uri: \"http://x\""),
        (
            "emailAddress=x@y",
            "the e-mail address you provided does not match",
        ),
    ] {
        let error = ask(None, &[(Permission::Read, value)])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let names: Vec<&str> = HEADERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names[4], "x-amz-grant-full-control");
}

#[test]
fn a_list_has_at_most_a_hundred_grants() {
    let grants = |count| vec![Grant::full(OTHER); count];
    assert!(Acl::new(OWNER, grants(GRANTS_MAX)).is_ok());
    let too_many = Acl::new(OWNER, grants(GRANTS_MAX + 1));
    assert!(matches!(
        too_many,
        Err(PolicyError::TooManyGrants {
            count: 101,
            max: 100
        })
    ));
    let header = vec![format!("id={OTHER}"); 51].join(",");
    let both = [
        (Permission::Read, header.as_str()),
        (Permission::Write, &header),
    ];
    let too_many = Wanted::from_headers(None, &both, &Directory);
    assert!(matches!(
        too_many,
        Err(PolicyError::TooManyGrants { count: 102, .. })
    ));
    let json = format!(
        r#"{{"owner":"o","grants":[{}],"v":1}}"#,
        vec![r#"{"to":{"account":"x"},"permission":"READ"}"#; 101].join(",")
    );
    assert!(Acl::from_json(&json).is_err());
}

#[test]
fn acls_last_as_json_with_a_version() {
    let acl = Acl::new(
        "o",
        vec![
            Grant::new(Grantee::Account("x".to_owned()), Permission::ReadAcp),
            Grant::new(
                Grantee::Group(Group::AuthenticatedUsers),
                Permission::FullControl,
            ),
        ],
    )
    .unwrap();
    let json = acl.to_json().unwrap();
    // What is stored must stay readable: this text is never changed.
    let golden = concat!(
        r#"{"grants":[{"permission":"READ_ACP","to":{"account":"x"}},"#,
        r#"{"permission":"FULL_CONTROL","to":{"group":"authenticated-users"}}],"#,
        r#""owner":"o","v":1}"#
    );
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&json), value(golden));
    assert_eq!(Acl::from_json(golden).as_ref(), Ok(&acl));
    for (from, to) in [
        (r#""v":1"#, r#""v":2"#),
        (r#","v":1"#, ""),
        (r#""v":1"#, r#""v":1,"more":1"#),
        ("READ_ACP", "READ_ACL"),
        ("authenticated-users", "users"),
        (r#""owner":"o","#, ""),
        (
            r#"{"account":"x"}"#,
            r#"{"account":"x","group":"all-users"}"#,
        ),
    ] {
        let broken = golden.replace(from, to);
        assert_ne!(broken, golden);
        assert!(Acl::from_json(&broken).is_err(), "{broken}");
    }
    for text in ["", "1", "[]", "{}", r#"{"v":1}"#] {
        assert!(Acl::from_json(text).is_err(), "{text}");
    }
}

#[test]
fn groups_mean_their_members() {
    let (owner, admin) = (account(OWNER), account(ADMIN));
    let to_owner = Grantee::Account(OWNER.to_owned());
    let log = Caller::Service(LOGGING_SERVICE);
    for (grantee, expected) in [
        (
            Grantee::Group(Group::AllUsers),
            [true, true, true, false, false],
        ),
        (
            Grantee::Group(Group::AuthenticatedUsers),
            [false, true, true, false, false],
        ),
        (
            Grantee::Group(Group::LogDelivery),
            [false, false, false, true, false],
        ),
        (to_owner, [false, true, false, false, false]),
    ] {
        let callers = [
            Caller::Anonymous,
            Caller::Account(&owner),
            Caller::Account(&admin),
            log,
            Caller::Service("other.amazonaws.com"),
        ];
        let found = callers.map(|caller| grantee.means(caller));
        assert_eq!(found, expected, "{grantee:?}");
    }
    for group in [
        Group::AllUsers,
        Group::AuthenticatedUsers,
        Group::LogDelivery,
    ] {
        assert_eq!(Group::parse(group.uri()), Ok(group));
        assert_eq!(group.is_public(), group != Group::LogDelivery);
    }
}

#[test]
fn permissions_give_the_actions_that_s3_maps_them_to() {
    let mapped = |permission, list| -> Vec<&str> {
        let actions = Action::ALL.iter();
        let gives = |action: &&Action| Permission::for_action(**action, list) == Some(permission);
        actions.filter(gives).map(|action| action.name()).collect()
    };
    for (permission, on_bucket, on_object) in [
        (
            Permission::Read,
            &[
                "s3:ListBucket",
                "s3:ListBucketMultipartUploads",
                "s3:ListBucketVersions",
            ][..],
            &[
                "s3:GetObject",
                "s3:GetObjectTorrent",
                "s3:GetObjectVersion",
                "s3:GetObjectVersionTorrent",
            ][..],
        ),
        (Permission::Write, &["s3:DeleteObject", "s3:PutObject"], &[]),
        (
            Permission::ReadAcp,
            &["s3:GetBucketAcl"],
            &["s3:GetObjectAcl", "s3:GetObjectVersionAcl"],
        ),
        (
            Permission::WriteAcp,
            &["s3:PutBucketAcl"],
            &["s3:PutObjectAcl", "s3:PutObjectVersionAcl"],
        ),
        (Permission::FullControl, &[], &[]),
    ] {
        assert_eq!(mapped(permission, On::Bucket), on_bucket, "{permission}");
        assert_eq!(mapped(permission, On::Object), on_object, "{permission}");
        assert!(mapped(permission, On::Service).is_empty());
        let grant = Grant::new(Grantee::Group(Group::AllUsers), permission);
        for wanted in Permission::ALL {
            let gives = wanted == permission || permission == Permission::FullControl;
            assert_eq!(grant.gives(wanted), gives, "{permission} {wanted}");
        }
        assert_eq!(Permission::parse(permission.name()), Ok(permission));
    }
    assert!(Permission::parse("read").is_err());
}

/// Knows everyone.
struct Everyone;

impl Accounts for Everyone {
    fn by_email(&self, email: &str) -> Option<String> {
        Some(format!("id of {email}"))
    }
    fn exists(&self, _: &str) -> bool {
        true
    }
}

proptest! {
    #[test]
    fn no_header_breaks_the_parser(value in r#"((id|uri|emailAddress|x)=|[",= ]|\PC){0,20}"#) {
        if let Ok(named) = parse_grants(&value) {
            prop_assert!(!named.is_empty());
        }
    }

    #[test]
    fn what_is_granted_lasts(names in proptest::collection::vec("[a-z,= ]{1,8}[a-z]", 1..20)) {
        let value: Vec<String> = names.iter().map(|n| format!("id=\"{n}\"")).collect();
        let header = value.join(", ");
        let wanted = Wanted::from_headers(None, &[(Permission::Read, &header)], &Everyone);
        let acl = wanted.unwrap().unwrap().acl(On::Bucket, "o", "o").unwrap();
        prop_assert_eq!(acl.grants().len(), names.len());
        for (grant, name) in acl.grants().iter().zip(&names) {
            prop_assert_eq!(&grant.to, &Grantee::Account(name.trim().to_owned()));
        }
        prop_assert_eq!(Acl::from_json(&acl.to_json().unwrap()), Ok(acl));
    }
}
