//! Goal: the decision is that of `docs/policies.md`, for every small world.
//! Method: the page said once more, naively and without the code under test: statements are
//! tuples, not documents; rules are collected, not ordered. All policies of up to one statement,
//! and a share of all of two, against all callers, actions, owners, ACLs and flags.

use super::{ADMIN, OTHER, OWNER, account, user};
use crate::{
    Account, Acl, Action, Ask, BucketFacts, Caller, Canned, Context, Grant, LOGGING_SERVICE,
    ObjectFacts, On, Ownership, Policy, PublicAccessBlock, Resource, evaluate,
};

/// Effect, whom, what, on what.
pub(super) type Statement = (&'static str, &'static str, &'static str, &'static str);

const WHOM: [&str; 4] = ["everyone", "owner", "other", "service"];
const WHAT: [&str; 4] = ["s3:*", "s3:GetObject*", "s3:PutObject", "s3:*Bucket*"];
const ON_WHAT: [&str; 3] = ["bucket", "objects", "another key"];

pub(super) fn statements() -> Vec<Statement> {
    let mut all = Vec::new();
    for effect in ["Allow", "Deny"] {
        for whom in WHOM {
            for what in WHAT {
                for on_what in ON_WHAT {
                    let of_bucket = on_what == "bucket";
                    let fits = match what {
                        "s3:*" => true,
                        "s3:*Bucket*" => of_bucket,
                        _ => !of_bucket,
                    };
                    if fits {
                        all.push((effect, whom, what, on_what));
                    }
                }
            }
        }
    }
    all
}

pub(super) fn document(statements: &[Statement]) -> Policy {
    let one = |(effect, whom, what, on_what): &Statement| {
        let whom = match *whom {
            "everyone" => r#""*""#.to_owned(),
            "owner" => r#"{"AWS": "111111111111"}"#.to_owned(),
            "other" => format!(r#"{{"CanonicalUser": "{OTHER}"}}"#),
            _ => format!(r#"{{"Service": "{LOGGING_SERVICE}"}}"#),
        };
        let on_what = match *on_what {
            "bucket" => "b",
            "objects" => "b/*",
            _ => "b/another",
        };
        format!(
            r#"{{"Effect": "{effect}", "Principal": {whom}, "Action": "{what}",
                "Resource": "arn:aws:s3:::{on_what}"}}"#
        )
    };
    let all: Vec<String> = statements.iter().map(one).collect();
    Policy::parse(&format!(r#"{{"Statement": [{}]}}"#, all.join(",")), "b").unwrap()
}

pub(super) const ACTIONS: [Action; 9] = [
    Action::ListBucket,
    Action::PutBucketPolicy,
    Action::CreateBucket,
    Action::GetObject,
    Action::GetObjectAcl,
    Action::GetObjectRetention,
    Action::PutObject,
    Action::DeleteObject,
    Action::AbortMultipartUpload,
];
pub(super) const CALLERS: [&str; 6] = [
    "nobody",
    "owner",
    "owner's user",
    "other",
    "admin",
    "service",
];
pub(super) const OWNERSHIPS: [Ownership; 2] =
    [Ownership::BucketOwnerEnforced, Ownership::ObjectWriter];
pub(super) const FLAGS: [&str; 3] = ["none", "ignore", "restrict"];
pub(super) const BUCKET_ACLS: [&str; 3] = ["private", "public", "other writes"];
pub(super) const OBJECTS: [&str; 5] = [
    "none",
    "owner's",
    "owner's, public",
    "other's",
    "other's, for owner",
];

/// What is said of a world, in words.
#[derive(Clone, Copy, Debug)]
pub(super) struct World<'a> {
    pub(super) statements: &'a [Statement],
    pub(super) caller: &'static str,
    pub(super) action: Action,
    pub(super) ownership: Ownership,
    pub(super) flag: &'static str,
    pub(super) bucket_acl: &'static str,
    pub(super) object: &'static str,
}

/// The page, said once more.
fn expected(world: &World<'_>) -> bool {
    let World { caller, action, .. } = *world;
    let has_key = !["nobody", "service"].contains(&caller);
    if action == Action::CreateBucket {
        return has_key;
    }
    let spoken_of = |effect: &str| {
        let mut all = world.statements.iter();
        all.any(|statement| statement.0 == effect && speaks(statement, caller, action))
    };
    let of_owner = ["owner", "owner's user"].contains(&caller);
    if spoken_of("Deny") {
        return action == Action::PutBucketPolicy && ["owner", "admin"].contains(&caller);
    }
    if caller == "admin" {
        return true;
    }
    let public_policy = world
        .statements
        .iter()
        .any(|s| (s.0, s.1) == ("Allow", "everyone"));
    let stranger = ["nobody", "other"].contains(&caller);
    if world.flag == "restrict" && public_policy && stranger {
        return false;
    }
    let acls = world.ownership == Ownership::ObjectWriter;
    let foreign = acls && world.object.starts_with("other's");
    let in_object = [Action::GetObject, Action::GetObjectAcl].contains(&action);
    let mut reasons = Vec::new();
    if !(foreign && in_object) {
        reasons.push(spoken_of("Allow"));
        reasons.push(of_owner);
    }
    if acls {
        reasons.push(
            foreign
                && caller == "other"
                && matches!(
                    action,
                    Action::GetObject
                        | Action::GetObjectAcl
                        | Action::GetObjectRetention
                        | Action::AbortMultipartUpload
                ),
        );
        reasons.push(granted(world, foreign));
    }
    reasons.contains(&true)
}

fn speaks(statement: &Statement, caller: &str, action: Action) -> bool {
    let (effect, whom, what, on_what) = *statement;
    let whom = match whom {
        "everyone" => caller != "service" || effect == "Deny",
        "owner" => ["owner", "owner's user"].contains(&caller),
        whom => whom == caller,
    };
    let what = match what {
        "s3:*" => true,
        "s3:GetObject*" => action.name().starts_with("s3:GetObject"),
        "s3:PutObject" => action == Action::PutObject,
        _ => [Action::ListBucket, Action::PutBucketPolicy].contains(&action),
    };
    let of_bucket = [Action::ListBucket, Action::PutBucketPolicy].contains(&action);
    let on_what = match on_what {
        "bucket" => of_bucket,
        "objects" => !of_bucket,
        _ => false,
    };
    whom && what && on_what
}

fn granted(world: &World<'_>, foreign: bool) -> bool {
    let World { caller, action, .. } = *world;
    let ignored = world.flag == "ignore";
    let public = world.bucket_acl == "public" && !ignored && caller != "service";
    let writes = public || (world.bucket_acl == "other writes" && caller == "other");
    match action {
        Action::ListBucket => public,
        Action::PutObject => writes,
        Action::DeleteObject => writes && foreign && caller == "other",
        Action::GetObject => {
            let open = world.object == "owner's, public" && !ignored && caller != "service";
            let shared = world.object == "other's, for owner" && caller.starts_with("owner");
            open || shared
        }
        _ => false,
    }
}

pub(super) fn found(world: &World<'_>, policy: Option<&Policy>, accounts: &[Account; 4]) -> bool {
    let [owner, ann, other, admin] = accounts;
    let bucket_acl = match world.bucket_acl {
        "public" => Some(Canned::PublicReadWrite.acl(On::Bucket, OWNER, OWNER)),
        "other writes" => {
            let to = crate::Grantee::Account(OTHER.to_owned());
            let grants = vec![Grant::full(OWNER), Grant::new(to, crate::Permission::Write)];
            Some(Acl::new(OWNER, grants).unwrap())
        }
        _ => None,
    };
    let (object_owner, object_acl) = match world.object {
        "owner's, public" => (
            OWNER,
            Some(Canned::PublicRead.acl(On::Object, OWNER, OWNER)),
        ),
        "other's" => (OTHER, None),
        "other's, for owner" => (
            OTHER,
            Some(Canned::BucketOwnerRead.acl(On::Object, OTHER, OWNER)),
        ),
        _ => (OWNER, None),
    };
    let object = ObjectFacts {
        owner: object_owner,
        acl: object_acl.as_ref(),
    };
    let (bucket, key) = ("b", "k");
    let context = Context::default();
    let verdict = evaluate(&Ask {
        caller: match world.caller {
            "nobody" => Caller::Anonymous,
            "owner" => Caller::Account(owner),
            "owner's user" => Caller::Account(ann),
            "other" => Caller::Account(other),
            "admin" => Caller::Account(admin),
            _ => Caller::Service(LOGGING_SERVICE),
        },
        action: world.action,
        resource: match world.action.on() {
            On::Object => Resource::Object { bucket, key },
            _ => Resource::Bucket(bucket),
        },
        bucket: Some(BucketFacts {
            owner: OWNER,
            policy,
            acl: bucket_acl.as_ref(),
            ownership: world.ownership,
            block: PublicAccessBlock {
                ignore_public_acls: world.flag == "ignore",
                restrict_public_buckets: world.flag == "restrict",
                ..PublicAccessBlock::default()
            },
        }),
        object: Some(object).filter(|_| world.object != "none"),
        is_new: false,
        context: &context,
    });
    verdict.allowed
}

/// The owner, a user of the owner's, another account, the administrator.
pub(super) fn accounts() -> [Account; 4] {
    [
        account(OWNER),
        user(OWNER, "ann"),
        account(OTHER),
        account(ADMIN),
    ]
}

/// Every `stride`th world with these statements, from the `first` one on.
fn compare(statements: &[Statement], first: usize, stride: usize) -> usize {
    let policy = (!statements.is_empty()).then(|| document(statements));
    let accounts = accounts();
    let (mut number, mut allowed) = (0, 0);
    for caller in CALLERS {
        for action in ACTIONS {
            for ownership in OWNERSHIPS {
                for flag in FLAGS {
                    for bucket_acl in BUCKET_ACLS {
                        for object in OBJECTS {
                            number += 1;
                            if number % stride != first % stride {
                                continue;
                            }
                            let world = World {
                                statements,
                                caller,
                                action,
                                ownership,
                                flag,
                                bucket_acl,
                                object,
                            };
                            let found = found(&world, policy.as_ref(), &accounts);
                            assert_eq!(found, expected(&world), "{world:?}");
                            allowed += usize::from(found);
                        }
                    }
                }
            }
        }
    }
    allowed
}

#[test]
fn policies_of_one_statement_decide_as_the_page_says() {
    let without = compare(&[], 0, 1);
    assert!(without > 1000);
    for statement in statements() {
        let allowed = compare(&[statement], 0, 1);
        match statement.0 {
            "Allow" if statement.1 == "everyone" => {}
            "Allow" => assert!(allowed >= without),
            _ => assert!(allowed <= without),
        }
    }
}

#[test]
fn policies_of_two_statements_decide_as_the_page_says() {
    let all = statements();
    for (first, one) in all.iter().enumerate() {
        for (second, other) in all.iter().enumerate() {
            compare(&[*one, *other], first * 7 + second, 101);
        }
    }
}
