//! Goal: each rule of the decision holds, in its place in the order.
//! Method: questions that differ in one fact.

use super::world::{CLOSED, OPEN, World, why};
use super::{ADMIN, OTHER, OWNER, account, conditional, user};
use crate::{Action, Ask, Caller, Canned, Context, LOGGING_SERVICE, Needs, On, Resource, evaluate};

#[test]
fn nothing_is_allowed_to_strangers_and_all_to_owner_and_administrator() {
    let world = World::default();
    let (owner, other, admin) = (account(OWNER), account(OTHER), account(ADMIN));
    for action in Action::ALL.iter().copied() {
        if action.on() == On::Service || action == Action::CreateBucket {
            assert_eq!(
                world.ask(Caller::Account(&other), action),
                why(true, "own account")
            );
            assert_eq!(
                world.ask(Caller::Account(&admin), action),
                why(true, "administrator")
            );
            for nobody in [Caller::Anonymous, Caller::Service(LOGGING_SERVICE)] {
                assert_eq!(world.ask(nobody, action), why(false, "nothing allows it"));
            }
            continue;
        }
        assert_eq!(
            world.ask(Caller::Account(&owner), action),
            why(true, "bucket owner")
        );
        assert_eq!(
            world.ask(Caller::Account(&admin), action),
            why(true, "administrator")
        );
        for stranger in [
            Caller::Anonymous,
            Caller::Account(&other),
            Caller::Service(LOGGING_SERVICE),
        ] {
            assert_eq!(world.ask(stranger, action), why(false, "nothing allows it"));
        }
    }
}

#[test]
fn a_denial_wins_over_everything() {
    let both = format!("{}, {}", conditional(OPEN, "{}"), conditional(CLOSED, "{}"));
    let mut world = World::with_policy(&both);
    world.bucket_acl = Some(Canned::PublicReadWrite.acl(On::Bucket, OWNER, OWNER));
    world.object = Some((
        OTHER,
        Some(Canned::PublicRead.acl(On::Object, OTHER, OWNER)),
    ));
    let callers = [
        account(OWNER),
        account(OTHER),
        account(ADMIN),
        user(OWNER, "ann"),
    ];
    let denied = why(false, "denied by statement 2");
    for action in [
        Action::ListBucket,
        Action::GetObject,
        Action::PutObject,
        Action::PutBucketAcl,
    ] {
        assert_eq!(world.ask(Caller::Anonymous, action), denied);
        assert_eq!(world.ask(Caller::Service(LOGGING_SERVICE), action), denied);
        for caller in &callers {
            assert_eq!(
                world.ask(Caller::Account(caller), action),
                denied,
                "{action}"
            );
        }
    }
}

#[test]
fn nobody_locks_the_account_out_of_its_own_policy() {
    let world = World::with_policy(&conditional(CLOSED, "{}"));
    for action in [
        Action::GetBucketPolicy,
        Action::PutBucketPolicy,
        Action::DeleteBucketPolicy,
    ] {
        let own = why(true, "bucket owner's own policy");
        let denied = why(false, "denied by statement 1");
        for (caller, expected) in [
            (account(OWNER), &own),
            (account(ADMIN), &own),
            (user(OWNER, "ann"), &denied),
            (account(OTHER), &denied),
        ] {
            assert_eq!(
                world.ask(Caller::Account(&caller), action),
                *expected,
                "{action}"
            );
        }
    }
    let status = world.ask(
        Caller::Account(&account(OWNER)),
        Action::GetBucketPolicyStatus,
    );
    assert_eq!(status, why(false, "denied by statement 1"));
}

#[test]
fn a_policy_allows_what_it_names() {
    let world = World::with_policy(
        r#"{"Sid": "Read", "Effect": "Allow", "Principal": {"AWS": "222222222222"},
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/k*"]}"#,
    );
    let other = account(OTHER);
    let read = why(true, "allowed by statement 1 (Read)");
    assert_eq!(world.ask(Caller::Account(&other), Action::GetObject), read);
    assert_eq!(world.ask(Caller::Account(&other), Action::ListBucket), read);
    assert!(!world.allows(&other, Action::GetObjectVersion));
    assert!(!world.allows(&other, Action::PutObject));
    assert!(!world.ask(Caller::Anonymous, Action::GetObject).0);
}

#[test]
fn conditions_decide_with_the_request() {
    let allow = r#"{"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}"#;
    let mut world = World::with_policy(&conditional(OPEN, allow));
    assert!(!world.ask(Caller::Anonymous, Action::GetObject).0);
    world.context.set(crate::Key::SourceIp, "192.0.2.1");
    assert!(world.ask(Caller::Anonymous, Action::GetObject).0);
    let tls = r#"{"Bool": {"aws:SecureTransport": "false"}}"#;
    let mut world = World::with_policy(&conditional(CLOSED, tls));
    world.context.set(crate::Key::SecureTransport, "true");
    assert!(world.allows(&account(OWNER), Action::GetObject));
    world.context.set(crate::Key::SecureTransport, "false");
    assert!(!world.allows(&account(OWNER), Action::GetObject));
}

#[test]
fn callers_describe_themselves_for_conditions() {
    use crate::Key;
    let (root, ann) = (account(OWNER), user(OWNER, "staff/ann"));
    for (caller, key, expected) in [
        (Caller::Anonymous, Key::PrincipalType, Some("Anonymous")),
        (Caller::Anonymous, Key::PrincipalArn, None),
        (Caller::Account(&root), Key::PrincipalType, Some("Account")),
        (Caller::Account(&root), Key::UserName, None),
        (Caller::Account(&root), Key::UserId, Some("111111111111")),
        (Caller::Account(&ann), Key::PrincipalType, Some("User")),
        (Caller::Account(&ann), Key::UserName, Some("ann")),
        (
            Caller::Account(&ann),
            Key::PrincipalAccount,
            Some("111111111111"),
        ),
        (
            Caller::Account(&ann),
            Key::PrincipalArn,
            Some(ann.arn.as_str()),
        ),
        (
            Caller::Service("x.y"),
            Key::PrincipalServiceName,
            Some("x.y"),
        ),
        (
            Caller::Service("x.y"),
            Key::PrincipalIsAwsService,
            Some("true"),
        ),
    ] {
        assert_eq!(Context::of(caller).one(&key), expected, "{caller:?} {key}");
    }
    let mut context = Context::default();
    context.set_time(951_827_415);
    assert_eq!(context.one(&Key::CurrentTime), Some("2000-02-29T12:30:15Z"));
    assert_eq!(context.one(&Key::EpochTime), Some("951827415"));
}

#[test]
fn restricting_public_buckets_serves_the_owners_account_and_services_only() {
    let mut world = World::with_policy(&conditional(OPEN, "{}"));
    world.bucket_acl = Some(Canned::PublicRead.acl(On::Bucket, OWNER, OWNER));
    world.block.restrict_public_buckets = true;
    let (owner, other, admin) = (account(OWNER), account(OTHER), account(ADMIN));
    let restricted = why(false, "public access block: restrict public buckets");
    for action in [Action::ListBucket, Action::GetObject] {
        assert_eq!(world.ask(Caller::Anonymous, action), restricted);
        assert_eq!(world.ask(Caller::Account(&other), action), restricted);
        assert!(world.allows(&owner, action) && world.allows(&admin, action));
        assert!(world.allows(&user(OWNER, "ann"), action));
    }
    // The flag is about public policies: one that names who may come stays as it is.
    let mut named = World::with_policy(
        &conditional(OPEN, "{}").replace(r#""*""#, r#"{"AWS": "222222222222"}"#),
    );
    named.block.restrict_public_buckets = true;
    assert!(named.allows(&other, Action::GetObject));
    assert!(!named.ask(Caller::Anonymous, Action::GetObject).0);
}

#[test]
fn questions_that_do_not_fit_are_denied() {
    let admin = account(ADMIN);
    let context = Context::default();
    let world = World::default();
    for action in Action::ALL.iter().copied() {
        for (resource, on) in [
            (Resource::Service, On::Service),
            (Resource::Bucket("b"), On::Bucket),
            (
                Resource::Object {
                    bucket: "b",
                    key: "",
                },
                On::Object,
            ),
        ] {
            let verdict = evaluate(&Ask {
                caller: Caller::Account(&admin),
                action,
                resource,
                bucket: Some(world.bucket()),
                object: None,
                is_new: false,
                context: &context,
            });
            assert_eq!(verdict.allowed, action.on() == on, "{action}");
        }
    }
}

#[test]
fn without_facts_only_the_administrator_gets_on() {
    let context = Context::default();
    for (id, allowed) in [(OWNER, false), (OTHER, false), (ADMIN, true)] {
        let account = account(id);
        for action in [Action::GetObject, Action::DeleteObject] {
            let verdict = evaluate(&Ask {
                caller: Caller::Account(&account),
                action,
                resource: Resource::Object {
                    bucket: "b",
                    key: "k",
                },
                bucket: None,
                object: None,
                is_new: false,
                context: &context,
            });
            assert_eq!(verdict.allowed, allowed, "{id}");
        }
    }
}

#[test]
fn who_may_write_an_object_gives_it_its_acl_and_where_acls_count_its_tags() {
    let other = account(OTHER);
    let denied = r#"{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObjectAcl",
        "Resource": "arn:aws:s3:::b/*"}"#;
    for (enforced, caller) in [
        (false, Caller::Anonymous),
        (false, Caller::Account(&other)),
        (true, Caller::Anonymous),
        (true, Caller::Account(&other)),
    ] {
        for statements in [None, Some(denied)] {
            let mut world = match statements {
                None => World::default(),
                Some(text) => World::with_policy(text),
            };
            world.enforced = enforced;
            for action in [
                Action::PutObjectAcl,
                Action::PutObjectTagging,
                Action::PutObjectRetention,
                Action::GetObject,
            ] {
                let verdict = evaluate(&Ask {
                    caller,
                    action,
                    resource: Resource::Object {
                        bucket: "b",
                        key: "k",
                    },
                    bucket: Some(world.bucket()),
                    object: None,
                    is_new: true,
                    context: &world.context,
                });
                let expected = match action {
                    Action::PutObjectAcl => statements.is_none(),
                    Action::PutObjectTagging => !enforced,
                    _ => false,
                };
                assert_eq!(verdict.allowed, expected, "{action} enforced: {enforced}");
            }
        }
    }
}

#[test]
fn facts_are_asked_for_where_they_can_matter() {
    let tags = r#"{"StringEquals": {"s3:ExistingObjectTag/a": "b"}}"#;
    let mut world = World::with_policy(&conditional(OPEN, tags));
    let needs = |existing_tags, object| Needs {
        existing_tags,
        object,
    };
    assert_eq!(world.bucket().needs(Action::GetObject), needs(true, true));
    assert_eq!(world.bucket().needs(Action::ListBucket), needs(true, false));
    world.policy = None;
    assert_eq!(world.bucket().needs(Action::GetObject), needs(false, true));
    assert_eq!(world.bucket().needs(Action::PutObject), needs(false, false));
    assert_eq!(
        world.bucket().needs(Action::DeleteObject),
        needs(false, true)
    );
    world.enforced = true;
    for action in Action::ALL {
        assert_eq!(world.bucket().needs(*action), Needs::default(), "{action}");
    }
}

/// Whether the facts that [`BucketFacts::needs`] does not ask for can change no answer.
#[test]
fn facts_that_are_not_asked_for_change_nothing() {
    let public = Some(Canned::PublicReadWrite.acl(On::Object, OTHER, OWNER));
    let callers = [account(OWNER), account(OTHER), user(OWNER, "ann")];
    for enforced in [false, true] {
        for acl in [
            None,
            Some(Canned::PublicReadWrite.acl(On::Bucket, OWNER, OWNER)),
        ] {
            for action in Action::ALL.iter().copied() {
                let mut world = World {
                    bucket_acl: acl.clone(),
                    enforced,
                    ..World::with_policy(&conditional(OPEN, r#"{"Null": {"aws:Referer": false}}"#))
                };
                if world.bucket().needs(action).object {
                    continue;
                }
                for caller in &callers {
                    let (mut answers, caller) = (Vec::new(), Caller::Account(caller));
                    for object in [None, Some((OWNER, None)), Some((OTHER, public.clone()))] {
                        world.object = object;
                        answers.push(world.ask(caller, action));
                    }
                    answers.dedup();
                    assert_eq!(answers.len(), 1, "{action}: {answers:?}");
                }
            }
        }
    }
}
