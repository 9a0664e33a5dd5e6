//! Fuzz targets of what strangers write: policies and grants.
//!
//! Owns: one function per parser; each holds what is accepted against rules of its own.
//! Leaves to others: making inputs (`fuzz/` with `cargo fuzz`; on stable the tests, over the kept
//! corpus `fuzz/corpus`).
//! Always: a target may refuse anything, and must not panic, hang, or accept what breaks a rule.

use crate::acl::GRANTS_MAX;
use crate::acl::header::parse_grants;
use crate::document::DOCUMENT_LEN_MAX;
use crate::{
    Account, Acl, Action, Ask, BucketFacts, Caller, Context, Key, Named, ObjectFacts, Ownership,
    Permission, Policy, PublicAccessBlock, Resource, evaluate, public,
};

/// One input for one parser.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const ALL: &[(&str, Target)] = &[
    ("policy_document", document),
    ("policy_grants", grants),
    ("policy_acl", acl),
];

/// Runs one target; for the programs in `fuzz/`.
pub fn run(name: &str, data: &[u8]) {
    let target = ALL.iter().find(|(known, _)| *known == name);
    let (_, target) = target.expect("a target of this name");
    target(data);
}

/// Policies: what is read and printed reads again, prints alike and decides alike; every question
/// has an answer; a policy that is not public allows nothing to strangers from anywhere.
pub fn document(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(policy) = Policy::parse(text, "bucket") else {
        return;
    };
    assert!(text.len() <= DOCUMENT_LEN_MAX && text.starts_with('{'));
    let printed = policy.to_string();
    // A short form may print longer than a document may be.
    let again = match printed.len() {
        ..=DOCUMENT_LEN_MAX => Policy::parse(&printed, "bucket").expect("what was printed reads"),
        _ => policy.clone(),
    };
    if again.text() == printed {
        assert_eq!(again.to_string(), printed);
    }
    assert_eq!(public::policy(&policy), public::policy(&again));
    decide(&policy, &again);
}

fn decide(policy: &Policy, again: &Policy) {
    let account = Account {
        canonical_id: "a".repeat(64),
        number: "123456789012".to_owned(),
        name: "alice".to_owned(),
        arn: "arn:aws:iam::123456789012:user/alice".to_owned(),
        is_admin: false,
    };
    let is_public = public::policy(policy);
    for caller in [
        Caller::Anonymous,
        Caller::Account(&account),
        Caller::Service(crate::LOGGING_SERVICE),
    ] {
        let mut context = Context::of(caller);
        for filled in [false, true] {
            if filled {
                fill(&mut context);
            }
            for (action, resource) in questions() {
                let verdict = answer(caller, action, resource, policy, &context);
                let other = answer(caller, action, resource, again, &context);
                assert_eq!(verdict, other);
                assert!(is_public || !verdict || filled || caller != Caller::Anonymous);
            }
        }
    }
}

fn questions() -> impl Iterator<Item = (Action, Resource<'static>)> {
    let (bucket, key) = ("bucket", "a/b?c*d");
    [
        (Action::ListBucket, Resource::Bucket(bucket)),
        (Action::PutBucketPolicy, Resource::Bucket(bucket)),
        (Action::GetObject, Resource::Object { bucket, key }),
        (Action::PutObject, Resource::Object { bucket, key }),
        (
            Action::DeleteObjectVersion,
            Resource::Object { bucket, key },
        ),
    ]
    .into_iter()
}

fn answer(
    caller: Caller<'_>,
    action: Action,
    resource: Resource<'_>,
    policy: &Policy,
    context: &Context,
) -> bool {
    let bucket = BucketFacts {
        owner: "owner",
        policy: Some(policy),
        acl: None,
        ownership: Ownership::ObjectWriter,
        block: PublicAccessBlock::default(),
    };
    let object = ObjectFacts {
        owner: "owner",
        acl: None,
    };
    let _ = bucket.needs(action);
    let verdict = evaluate(&Ask {
        caller,
        action,
        resource,
        bucket: Some(bucket),
        object: Some(object),
        is_new: false,
        context,
    });
    assert!(!verdict.why.to_string().is_empty());
    verdict.allowed
}

/// A value for every key.
fn fill(context: &mut Context) {
    for key in Key::PLAIN {
        if context.get(key).is_empty() {
            context.set(key.clone(), "1");
        }
    }
    context.set(Key::SourceIp, "10.1.2.3");
    context.set(Key::SourceArn, "arn:aws:s3:::bucket");
    context.set(Key::ExistingObjectTag("k".to_owned()), "v");
    context.set_time(1_700_000_000);
}

/// Headers of grants: as many names as there are commas outside of quotes, and one more; none is
/// empty; what is read and written in the full form reads as the same.
pub fn grants(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(named) = parse_grants(text) else {
        return;
    };
    assert!(!named.is_empty() && named.len() <= text.matches(',').count() + 1);
    let mut written = Vec::new();
    for one in &named {
        let (kind, name) = match one {
            Named::Id(name) => ("id", name),
            Named::Email(name) => ("emailAddress", name),
            Named::Uri(name) => ("uri", name),
        };
        assert!(!name.is_empty() && text.contains(name.as_str()));
        // A name that was not quoted may hold a quote.
        if name.contains('"') {
            return;
        }
        written.push(format!("{kind}=\"{name}\""));
    }
    assert_eq!(parse_grants(&written.join(", ")), Ok(named));
}

/// Stored ACLs: what is read and written reads as the same; it is bounded, and grants a stranger
/// nothing unless it is public.
pub fn acl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(acl) = Acl::from_json(text) else {
        return;
    };
    let json = acl.to_json().expect("an ACL has a lasting form");
    assert_eq!(Acl::from_json(&json).as_ref(), Ok(&acl));
    assert!(acl.grants().len() <= GRANTS_MAX);
    for permission in Permission::ALL {
        let stranger = acl.allows(Caller::Anonymous, permission);
        assert!(stranger.is_none() || acl.is_public());
        assert!(!acl.is_public() || !acl.is_only_for(acl.owner()));
    }
}
