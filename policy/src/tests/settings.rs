//! Goal: ownership, the public access block and what is public are S3's.

use super::{OTHER, OWNER, account, conditional, policy};
use crate::{
    Acl, Caller, Canned, Grant, Grantee, Group, LOGGING_SERVICE, On, Ownership, OwnershipControls,
    Permission, PolicyError, PublicAccessBlock, Wanted, public,
};

fn canned(canned: Canned) -> Wanted {
    Wanted::Canned(canned)
}

#[test]
fn new_objects_belong_to_whom_the_setting_says() {
    let (owner, other) = (account(OWNER), account(OTHER));
    let given = canned(Canned::BucketOwnerFullControl);
    let private = canned(Canned::Private);
    for (ownership, plain, with_acl) in [
        (Ownership::BucketOwnerEnforced, OWNER, OWNER),
        (Ownership::BucketOwnerPreferred, OTHER, OWNER),
        (Ownership::ObjectWriter, OTHER, OTHER),
    ] {
        let of = |writer, wanted| ownership.owner_of_new(OWNER, writer, wanted);
        assert_eq!(of(Caller::Account(&other), None), plain, "{ownership:?}");
        assert_eq!(
            of(Caller::Account(&other), Some(&private)),
            plain,
            "{ownership:?}"
        );
        assert_eq!(
            of(Caller::Account(&other), Some(&given)),
            with_acl,
            "{ownership:?}"
        );
        assert_eq!(of(Caller::Account(&owner), None), OWNER);
        assert_eq!(of(Caller::Anonymous, None), OWNER);
        assert_eq!(of(Caller::Service(LOGGING_SERVICE), None), OWNER);
        assert_eq!(Ownership::parse(ownership.name()), Ok(ownership));
    }
    assert_eq!(Ownership::default(), Ownership::BucketOwnerEnforced);
    assert!(Ownership::parse("objectwriter").is_err());
}

#[test]
fn where_acls_are_off_only_the_owners_full_control_may_be_asked_for() {
    let grant = |id: &str, permission| Grant::new(Grantee::Account(id.to_owned()), permission);
    let grants = |grants: &[Grant]| Wanted::Grants(grants.to_vec());
    let full = Permission::FullControl;
    for (wanted, taken) in [
        (canned(Canned::BucketOwnerFullControl), true),
        (canned(Canned::Private), false),
        (canned(Canned::PublicRead), false),
        (canned(Canned::BucketOwnerRead), false),
        (grants(&[Grant::full(OWNER)]), true),
        (grants(&[grant(OWNER, Permission::Read)]), false),
        (grants(&[Grant::full(OWNER), grant(OTHER, full)]), false),
        (grants(&[]), false),
    ] {
        let off = Ownership::BucketOwnerEnforced.check(&wanted, OWNER);
        let expected = if taken {
            Ok(())
        } else {
            Err(PolicyError::AclsOff)
        };
        assert_eq!(off, expected, "{wanted:?}");
        for on in [Ownership::BucketOwnerPreferred, Ownership::ObjectWriter] {
            assert_eq!(on.check(&wanted, OWNER), Ok(()), "{wanted:?}");
        }
    }
}

#[test]
fn acls_go_off_only_when_none_grants_something_to_others() {
    let off = Ownership::BucketOwnerEnforced;
    for (given, fits) in [
        (Canned::Private, true),
        (Canned::BucketOwnerFullControl, true),
        (Canned::PublicRead, false),
        (Canned::AuthenticatedRead, false),
        (Canned::LogDeliveryWrite, false),
    ] {
        let acl = given.acl(On::Bucket, OWNER, OWNER);
        assert_eq!(off.fits(&acl, OWNER), fits, "{given:?}");
        assert!(Ownership::ObjectWriter.fits(&acl, OWNER));
    }
    let other = Acl::new(OWNER, vec![Grant::full(OTHER)]).unwrap();
    assert!(!off.fits(&other, OWNER));
}

#[test]
fn settings_last_as_json_with_a_version() {
    let controls = OwnershipControls {
        rule: Ownership::BucketOwnerPreferred,
    };
    let golden = r#"{"rule":"BucketOwnerPreferred","v":1}"#;
    assert_eq!(controls.to_json().unwrap(), golden);
    assert_eq!(OwnershipControls::from_json(golden), Ok(controls));
    assert!(OwnershipControls::from_json(&golden.replace('1', "2")).is_err());
    assert!(OwnershipControls::from_json(&golden.replace("BucketOwnerP", "P")).is_err());

    let block = PublicAccessBlock {
        ignore_public_acls: true,
        ..PublicAccessBlock::default()
    };
    let golden = concat!(
        r#"{"block_public_acls":false,"block_public_policy":false,"#,
        r#""ignore_public_acls":true,"restrict_public_buckets":false,"v":1}"#
    );
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&block.to_json().unwrap()), value(golden));
    assert_eq!(PublicAccessBlock::from_json(golden), Ok(block));
    let missing = golden.replace(r#""block_public_acls":false,"#, "");
    assert!(PublicAccessBlock::from_json(&missing).is_err());
}

#[test]
fn each_flag_refuses_or_ignores_its_own() {
    let none = PublicAccessBlock::default();
    let open = policy(&conditional("Allow", "{}"));
    let closed = policy(&conditional("Deny", "{}"));
    let public_acl = Canned::AuthenticatedRead.acl(On::Bucket, OWNER, OWNER);
    let private_acl = Canned::LogDeliveryWrite.acl(On::Bucket, OWNER, OWNER);
    let block_acls = PublicAccessBlock {
        block_public_acls: true,
        ..none
    };
    let ignore = PublicAccessBlock {
        ignore_public_acls: true,
        ..none
    };
    let block_policy = PublicAccessBlock {
        block_public_policy: true,
        ..none
    };
    let restrict = PublicAccessBlock {
        restrict_public_buckets: true,
        ..none
    };
    for (block, refuses_acl, ignores, refuses_policy, restricts) in [
        (none, false, false, false, false),
        (block_acls, true, false, false, false),
        (ignore, false, true, false, false),
        (block_policy, false, false, true, false),
        (restrict, false, false, false, true),
        (PublicAccessBlock::ALL, true, true, true, true),
    ] {
        assert_eq!(block.refuses_acl(&public_acl), refuses_acl, "{block:?}");
        assert_eq!(block.ignores(&public_acl), ignores, "{block:?}");
        assert_eq!(block.refuses_policy(&open), refuses_policy, "{block:?}");
        assert_eq!(block.restricts(Some(&open)), restricts, "{block:?}");
        assert!(!block.refuses_acl(&private_acl) && !block.ignores(&private_acl));
        assert!(!block.refuses_policy(&closed));
        assert!(!block.restricts(Some(&closed)) && !block.restricts(None));
    }
}

/// Conditions of a statement that allows everyone, and whether it is public.
const CONDITIONS: &[(&str, bool)] = &[
    ("{}", true),
    (r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/32"}}"#, false),
    (
        r#"{"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}}"#,
        false,
    ),
    (
        r#"{"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}}"#,
        true,
    ),
    (r#"{"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}"#, true),
    (r#"{"IpAddress": {"aws:SourceIp": "128.0.0.0/7"}}"#, true),
    (r#"{"IpAddress": {"aws:SourceIp": "2001:db8::/31"}}"#, true),
    (r#"{"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#, true),
    (
        r#"{"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}}"#,
        true,
    ),
    (
        r#"{"ForAllValues:IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#,
        true,
    ),
    (
        r#"{"ForAnyValue:IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#,
        false,
    ),
    (r#"{"StringEquals": {"aws:SourceIp": "10.0.0.1"}}"#, true),
    (
        r#"{"StringEquals": {"aws:SourceVpc": "vpc-91237329"}}"#,
        false,
    ),
    (
        r#"{"StringLike": {"aws:SourceVpc": "vpc-91237329"}}"#,
        false,
    ),
    (r#"{"StringLike": {"aws:SourceVpc": "vpc-*"}}"#, true),
    (r#"{"StringEquals": {"aws:SourceVpc": "vpc-*"}}"#, false),
    (
        r#"{"StringEquals": {"aws:SourceVpc": "${aws:SourceVpc}"}}"#,
        true,
    ),
    (
        r#"{"StringNotEquals": {"aws:SourceVpc": "vpc-91237329"}}"#,
        true,
    ),
    (r#"{"ArnLike": {"aws:SourceArn": "arn:aws:s3:::c"}}"#, false),
    (r#"{"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}"#, true),
    (r#"{"ArnLike": {"aws:SourceArn": "*"}}"#, true),
    (
        r#"{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::1:root"}}"#,
        false,
    ),
    (
        r#"{"StringEquals": {"aws:PrincipalAccount": ["1", "2"]}}"#,
        false,
    ),
    (r#"{"StringEquals": {"aws:SourceAccount": "1"}}"#, false),
    (r#"{"StringEquals": {"aws:PrincipalOrgID": "o-1"}}"#, false),
    (r#"{"StringEquals": {"aws:userid": "AIDA1"}}"#, false),
    (r#"{"StringLike": {"aws:userid": "AROA1:*"}}"#, true),
    (r#"{"StringEquals": {"aws:userid": "anonymous"}}"#, true),
    (
        r#"{"StringEqualsIgnoreCase": {"aws:userid": ["x", "ANONYMOUS"]}}"#,
        true,
    ),
    (r#"{"Null": {"aws:PrincipalArn": "false"}}"#, true),
    (
        r#"{"StringEquals": {"aws:Referer": "http://example.com"}}"#,
        true,
    ),
    (r#"{"StringEquals": {"s3:prefix": "x"}}"#, true),
    (r#"{"Bool": {"aws:SecureTransport": "true"}}"#, true),
    (
        r#"{"Bool": {"aws:SecureTransport": "true"},
                "IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}"#,
        false,
    ),
];

#[test]
fn a_policy_is_public_unless_conditions_fix_who_may_come() {
    for (condition, is_public) in CONDITIONS {
        let found = public::policy(&policy(&conditional("Allow", condition)));
        assert_eq!(found, *is_public, "{condition}");
        assert!(!public::policy(&policy(&conditional("Deny", condition))));
    }
}

#[test]
fn one_public_statement_makes_a_policy_public() {
    let named =
        |principal: &str| conditional("Allow", "{}").replace(r#""Principal": "*""#, principal);
    let account = named(r#""Principal": {"AWS": "111111111111"}"#);
    let service = named(r#""Principal": {"Service": "logging.s3.amazonaws.com"}"#);
    let everyone = named(r#""Principal": {"AWS": ["111111111111", "*"]}"#);
    assert!(!public::policy(&policy(&account)));
    assert!(!public::policy(&policy(&format!("{account}, {service}"))));
    assert!(public::policy(&policy(&format!("{account}, {everyone}"))));
    let deny = conditional("Deny", "{}");
    assert!(public::policy(&policy(&format!("{deny}, {everyone}"))));
}

#[test]
fn a_bucket_is_public_by_policy_or_by_acl() {
    let open = policy(&conditional("Allow", "{}"));
    let group = Grant::new(Grantee::Group(Group::AllUsers), Permission::ReadAcp);
    let acl = Acl::new(OWNER, vec![group]).unwrap();
    assert!(!public::bucket(None, None));
    assert!(public::bucket(Some(&open), None));
    assert!(public::bucket(None, Some(&acl)));
    assert!(!public::bucket(None, Some(&Acl::private(OWNER))));
}
