//! Goal: owners of objects, and grants, have their place in the decision.
//! Method: questions that differ in one fact.

use super::world::{CLOSED, OPEN, World, why};
use super::{ADMIN, OTHER, OWNER, account, conditional};
use crate::{
    Acl, Action, Caller, Canned, Grant, Grantee, Group, LOGGING_SERVICE, On, Permission,
    PublicAccessBlock,
};

#[test]
fn what_another_account_wrote_is_its_own() {
    let mut world = World::with_policy(&conditional(OPEN, "{}"));
    world.object = Some((OTHER, None));
    let (owner, other, admin) = (account(OWNER), account(OTHER), account(ADMIN));
    for action in Action::ALL.iter().copied().filter(|a| a.on() == On::Object) {
        let of_object = action.side() == crate::Side::Object;
        // Neither the bucket's owner nor its policy gives what is in the object.
        assert_eq!(world.allows(&owner, action), !of_object, "{action}");
        assert_eq!(
            world.ask(Caller::Anonymous, action).0,
            !of_object,
            "{action}"
        );
        assert!(world.allows(&admin, action));
    }
    world.policy = None;
    let own = why(true, "object owner");
    for (action, allowed) in [
        (Action::GetObject, true),
        (Action::GetObjectVersion, true),
        (Action::PutObjectAcl, true),
        (Action::PutObjectTagging, true),
        (Action::GetObjectRetention, true),
        (Action::AbortMultipartUpload, true),
        (Action::ListMultipartUploadParts, true),
        (Action::PutObject, false),
        (Action::DeleteObject, false),
        (Action::DeleteObjectVersion, false),
        (Action::PutObjectRetention, false),
        (Action::BypassGovernanceRetention, false),
    ] {
        let (found, reason) = world.ask(Caller::Account(&other), action);
        assert_eq!(found, allowed, "{action}");
        assert!(!found || reason == own.1, "{action}");
    }
    for action in [
        Action::DeleteObject,
        Action::DeleteObjectVersion,
        Action::PutObject,
    ] {
        assert!(world.allows(&owner, action), "{action}");
    }
    let private = Canned::BucketOwnerRead.acl(On::Object, OTHER, OWNER);
    world.object = Some((OTHER, Some(private)));
    assert!(world.allows(&owner, Action::GetObject));
    assert!(!world.allows(&owner, Action::GetObjectAcl));
    // Once the setting says so, it is the bucket owner's, whatever is written at it.
    world.enforced = true;
    assert!(world.allows(&owner, Action::GetObjectAcl));
    assert!(!world.allows(&other, Action::GetObject));
}

#[test]
fn a_denial_holds_for_what_others_own_too() {
    let mut world = World::with_policy(&conditional(CLOSED, "{}"));
    world.object = Some((
        OTHER,
        Some(Canned::PublicRead.acl(On::Object, OTHER, OWNER)),
    ));
    assert!(!world.allows(&account(OTHER), Action::GetObject));
    assert!(!world.ask(Caller::Anonymous, Action::GetObject).0);
}

#[test]
fn grants_give_what_they_name() {
    let to = |grantee: Grantee, permission| {
        Acl::new(OWNER, vec![Grant::new(grantee, permission)]).unwrap()
    };
    let everyone = || Grantee::Group(Group::AllUsers);
    let by_id = || Grantee::Account(OTHER.to_owned());
    let other = account(OTHER);
    for permission in Permission::ALL {
        for list in [On::Bucket, On::Object] {
            for (grantee, is_stranger) in [(everyone(), true), (by_id(), false)] {
                let acl = Some(to(grantee, permission));
                let mut world = World::default();
                match list {
                    On::Bucket => world.bucket_acl = acl,
                    _ => world.object = Some((OWNER, acl)),
                }
                for action in Action::ALL.iter().copied() {
                    if action.on() == On::Service || action == Action::CreateBucket {
                        continue;
                    }
                    let wanted = Permission::for_action(action, list);
                    let full = permission == Permission::FullControl;
                    let given = wanted.is_some_and(|w| w == permission || full);
                    // What is there is another's: to delete it takes more than WRITE.
                    let given = given && action != Action::DeleteObject;
                    assert_eq!(world.allows(&other, action), given, "{action} {permission}");
                    let anonymous = world.ask(Caller::Anonymous, action).0;
                    assert_eq!(anonymous, given && is_stranger, "{action} {permission}");
                    world.enforced = true;
                    assert!(!world.allows(&other, action), "{action} {permission}");
                    world.enforced = false;
                    world.block.ignore_public_acls = true;
                    let ignored = given && !is_stranger;
                    assert_eq!(
                        world.allows(&other, action),
                        ignored,
                        "{action} {permission}"
                    );
                    world.block.ignore_public_acls = false;
                }
            }
        }
    }
}

#[test]
fn who_may_write_into_a_bucket_may_delete_what_is_theirs() {
    let mut world = World {
        bucket_acl: Some(Canned::PublicReadWrite.acl(On::Bucket, OWNER, OWNER)),
        ..World::default()
    };
    let other = account(OTHER);
    for (object, deletes) in [
        (None, false),
        (Some((OWNER, None)), false),
        (Some((OTHER, None)), true),
    ] {
        world.object = object;
        assert_eq!(world.allows(&other, Action::DeleteObject), deletes);
        assert!(world.allows(&other, Action::PutObject));
        assert!(!world.allows(&other, Action::DeleteObjectVersion));
        assert!(!world.ask(Caller::Anonymous, Action::DeleteObject).0);
    }
    let (_, reason) = world.ask(Caller::Account(&other), Action::DeleteObject);
    assert_eq!(reason, "bucket ACL: WRITE to AllUsers");
}

#[test]
fn owners_keep_their_rights_when_they_revoke_all_grants() {
    let none = || Some(Acl::new(OWNER, Vec::new()).unwrap());
    let world = World {
        bucket_acl: none(),
        object: Some((OWNER, none())),
        ..World::default()
    };
    let owner = account(OWNER);
    for action in [
        Action::GetBucketAcl,
        Action::PutBucketAcl,
        Action::PutObjectAcl,
    ] {
        assert!(world.allows(&owner, action), "{action}");
    }
}

#[test]
fn logs_are_delivered_where_the_service_is_named() {
    let service = Caller::Service(LOGGING_SERVICE);
    let named = conditional(
        OPEN,
        r#"{"ArnLike": {"aws:SourceArn": "arn:aws:s3:::source"}}"#,
    )
    .replace(r#""*""#, r#"{"Service": "logging.s3.amazonaws.com"}"#);
    let mut world = World::with_policy(&named);
    world.block = PublicAccessBlock::ALL;
    world
        .context
        .set(crate::Key::SourceArn, "arn:aws:s3:::source");
    assert!(world.ask(service, Action::PutObject).0);
    world
        .context
        .set(crate::Key::SourceArn, "arn:aws:s3:::other");
    assert!(!world.ask(service, Action::PutObject).0);
    // Everyone is not a service.
    let everyone = World::with_policy(&conditional(OPEN, "{}"));
    assert!(!everyone.ask(service, Action::PutObject).0);
    let by_acl = World {
        bucket_acl: Some(Canned::LogDeliveryWrite.acl(On::Bucket, OWNER, OWNER)),
        ..World::default()
    };
    assert!(by_acl.ask(service, Action::PutObject).0);
    assert!(by_acl.ask(service, Action::GetBucketAcl).0);
    assert!(!by_acl.ask(service, Action::ListBucket).0);
    assert!(!by_acl.ask(Caller::Service("x.y"), Action::PutObject).0);
}
