//! The decision: may this caller do that?
//!
//! Owns: [`evaluate`], the only place that allows anything, and the order of its rules.
//! Leaves to others: finding the facts (`gateway`); policies, ACLs, settings (their own modules).
//! Always: pure; what nothing allows is denied; the reason never reaches the client.

use std::fmt;

use crate::acl::{Acl, Grant, Permission};
use crate::action::{Action, On, Side};
use crate::block::PublicAccessBlock;
use crate::caller::Caller;
use crate::context::Context;
use crate::document::{Decided, Effect, Needs, Policy};
use crate::ownership::Ownership;

/// What something is to be done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The account.
    Service,
    /// A bucket, by name.
    Bucket(&'a str),
    /// A key in a bucket, whether or not there is an object.
    Object {
        /// The bucket's name.
        bucket: &'a str,
        /// The key.
        key: &'a str,
    },
}

impl Resource<'_> {
    /// Its name in policies.
    pub fn arn(&self) -> String {
        match self {
            Self::Service => "*".to_owned(),
            Self::Bucket(bucket) => format!("arn:aws:s3:::{bucket}"),
            Self::Object { bucket, key } => format!("arn:aws:s3:::{bucket}/{key}"),
        }
    }
    const fn on(&self) -> On {
        match self {
            Self::Service => On::Service,
            Self::Bucket(_) => On::Bucket,
            Self::Object { .. } => On::Object,
        }
    }
}

/// What is known of a bucket.
#[derive(Clone, Copy, Debug)]
pub struct BucketFacts<'a> {
    /// The owner's canonical id.
    pub owner: &'a str,
    /// The policy, if there is one.
    pub policy: Option<&'a Policy>,
    /// The ACL; without one it is private.
    pub acl: Option<&'a Acl>,
    /// Who owns what others write, and whether ACLs count.
    pub ownership: Ownership,
    /// The public access block; without one no flag is set.
    pub block: PublicAccessBlock,
}

impl BucketFacts<'_> {
    /// What has to be found out before `action` can be decided, beyond what the request says.
    pub fn needs(&self, action: Action) -> Needs {
        let of_object = action.on() == On::Object && self.ownership.acls_count();
        let whose = matches!(
            action,
            Action::DeleteObject | Action::AbortMultipartUpload | Action::ListMultipartUploadParts
        );
        Needs {
            existing_tags: self.policy.is_some_and(|p| p.looks_at_tags(action)),
            object: of_object && (action.side() == Side::Object || whose || is_lock_read(action)),
        }
    }
}

/// What is known of the object (or the version, or the upload) that something is done to.
#[derive(Clone, Copy, Debug)]
pub struct ObjectFacts<'a> {
    /// The canonical id of who owns it; of an upload: of who began it.
    pub owner: &'a str,
    /// The ACL; without one it is private.
    pub acl: Option<&'a Acl>,
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub caller: Caller<'a>,
    /// What has to be allowed.
    pub action: Action,
    /// On what.
    pub resource: Resource<'a>,
    /// The bucket, if there is one.
    pub bucket: Option<BucketFacts<'a>>,
    /// The object, if there is one. Leaving it out where [`BucketFacts::needs`] asks for it says
    /// that there is none: then nothing of another account's can be at stake.
    pub object: Option<ObjectFacts<'a>>,
    /// Whether the object is one that the request makes; that the caller may write it was asked
    /// before.
    pub is_new: bool,
    /// What else is known of the request.
    pub context: &'a Context,
}

/// Why a question was answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<'a> {
    /// A statement of the bucket's policy denies it.
    Denied(Decided<'a>),
    /// The policy is public, and only the owner's account is served while it is.
    Restricted,
    /// A statement of the bucket's policy allows it.
    Allowed(Decided<'a>),
    /// Everything is allowed to an administrator.
    Administrator,
    /// The bucket's owner may always see and change its policy.
    OwnPolicy,
    /// What is in a bucket, and is its owner's, is allowed to its owner.
    BucketOwner,
    /// The object is the caller's own.
    ObjectOwner,
    /// Who may write an object may give it this.
    Writer,
    /// A grant of the bucket's ACL, or of the object's.
    Granted(On, &'a Grant),
    /// Every account has its buckets and may make more.
    OwnAccount,
    /// The action is not one on such a resource.
    Mismatch,
    /// Nothing allows it.
    NothingAllows,
}

impl Why<'_> {
    const fn allows(&self) -> bool {
        match self {
            Self::Allowed(_)
            | Self::Administrator
            | Self::OwnPolicy
            | Self::BucketOwner
            | Self::ObjectOwner
            | Self::Writer
            | Self::Granted(..)
            | Self::OwnAccount => true,
            Self::Denied(_) | Self::Restricted | Self::Mismatch | Self::NothingAllows => false,
        }
    }
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statement = |f: &mut fmt::Formatter<'_>, what, decided: &Decided<'_>| {
            write!(f, "{what} by statement {}", decided.index + 1)?;
            decided.sid.map_or(Ok(()), |sid| write!(f, " ({sid})"))
        };
        match self {
            Self::Denied(decided) => statement(f, "denied", decided),
            Self::Allowed(decided) => statement(f, "allowed", decided),
            Self::Granted(On::Bucket, grant) => write!(f, "bucket ACL: {grant}"),
            Self::Granted(_, grant) => write!(f, "object ACL: {grant}"),
            Self::Restricted => f.write_str("public access block: restrict public buckets"),
            Self::Administrator => f.write_str("administrator"),
            Self::OwnPolicy => f.write_str("bucket owner's own policy"),
            Self::BucketOwner => f.write_str("bucket owner"),
            Self::ObjectOwner => f.write_str("object owner"),
            Self::Writer => f.write_str("writer of a new object"),
            Self::OwnAccount => f.write_str("own account"),
            Self::Mismatch => f.write_str("action and resource do not fit"),
            Self::NothingAllows => f.write_str("nothing allows it"),
        }
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why; for logs.
    pub why: Why<'a>,
}

/// Answers `ask`.
///
/// # Examples
/// ```
/// use holdfast_policy::{Action, Ask, Caller, Context, Resource, evaluate};
///
/// let ask = Ask {
///     caller: Caller::Anonymous,
///     action: Action::ListAllMyBuckets,
///     resource: Resource::Service,
///     bucket: None,
///     object: None,
///     is_new: false,
///     context: &Context::default(),
/// };
/// assert!(!evaluate(&ask).allowed);
/// ```
pub fn evaluate<'a>(ask: &Ask<'a>) -> Verdict<'a> {
    let why = why(ask);
    Verdict {
        allowed: why.allows(),
        why,
    }
}

fn why<'a>(ask: &Ask<'a>) -> Why<'a> {
    let (caller, action) = (ask.caller, ask.action);
    if action.on() != ask.resource.on() {
        return Why::Mismatch;
    }
    let is_admin = caller.account().is_some_and(|account| account.is_admin);
    if action.on() == On::Service || action == Action::CreateBucket {
        return match caller.account() {
            Some(_) if is_admin => Why::Administrator,
            Some(_) => Why::OwnAccount,
            None => Why::NothingAllows,
        };
    }
    let Some(bucket) = ask.bucket else {
        return match is_admin {
            true => Why::Administrator,
            false => Why::NothingAllows,
        };
    };
    let is_owner = caller.is(bucket.owner);
    let arn = ask.resource.arn();
    let decide = |effect| {
        let policy = bucket.policy?;
        policy.decide(effect, caller, action, &arn, ask.context)
    };
    if let Some(denied) = decide(Effect::Deny) {
        return match may_repair(caller, action, is_owner) {
            true => Why::OwnPolicy,
            false => Why::Denied(denied),
        };
    }
    let is_service = matches!(caller, Caller::Service(_));
    if !is_owner && !is_admin && !is_service && bucket.block.restricts(bucket.policy) {
        return Why::Restricted;
    }
    if ask.is_new && comes_with_writing(action, bucket.ownership) {
        return Why::Writer;
    }
    // What is another's in the bucket is not the bucket owner's to give.
    let given_by_bucket = action.side() == Side::Bucket || !is_foreign(ask, &bucket);
    if let Some(allowed) = decide(Effect::Allow).filter(|_| given_by_bucket) {
        return Why::Allowed(allowed);
    }
    match () {
        () if is_admin => Why::Administrator,
        () if is_owner && given_by_bucket => Why::BucketOwner,
        () => by_acl(ask, &bucket).unwrap_or(Why::NothingAllows),
    }
}

/// No statement locks out who has to be able to take it back: the account that owns the bucket, and
/// the administrator.
fn may_repair(caller: Caller<'_>, action: Action, is_owner: bool) -> bool {
    let policy = matches!(
        action,
        Action::GetBucketPolicy | Action::PutBucketPolicy | Action::DeleteBucketPolicy
    );
    let account = caller.account();
    policy && account.is_some_and(|a| a.is_admin || (is_owner && a.is_root()))
}

/// What who writes an object may give it with it: where ACLs are off, the one ACL that may be asked
/// for is what every object has; where they count, writers own what they write, and who has no key
/// does so while it is written.
fn comes_with_writing(action: Action, ownership: Ownership) -> bool {
    match action {
        Action::PutObjectAcl => true,
        Action::PutObjectTagging => ownership.acls_count(),
        _ => false,
    }
}

/// Whether the object is not the bucket owner's.
fn is_foreign(ask: &Ask<'_>, bucket: &BucketFacts<'_>) -> bool {
    let other = |object: ObjectFacts<'_>| object.owner != bucket.owner;
    bucket.ownership.acls_count() && ask.object.is_some_and(other)
}

/// What an object's owner may see of its lock, though only the bucket's side may change it.
const fn is_lock_read(action: Action) -> bool {
    matches!(
        action,
        Action::GetObjectRetention | Action::GetObjectLegalHold
    )
}

/// Where ACLs count: owners of objects, and grants.
fn by_acl<'a>(ask: &Ask<'a>, bucket: &BucketFacts<'a>) -> Option<Why<'a>> {
    if !bucket.ownership.acls_count() {
        return None;
    }
    let (caller, action) = (ask.caller, ask.action);
    let is_own = ask.object.is_some_and(|object| caller.is(object.owner));
    let of_owner = action.side() == Side::Object
        || is_lock_read(action)
        || matches!(
            action,
            Action::AbortMultipartUpload | Action::ListMultipartUploadParts
        );
    if is_own && of_owner {
        return Some(Why::ObjectOwner);
    }
    let granted = |list, acl: Option<&'a Acl>| {
        let acl = acl.filter(|acl| !bucket.block.ignores(acl))?;
        let grant = acl.allows(caller, Permission::for_action(action, list)?)?;
        Some(Why::Granted(list, grant))
    };
    // Who may write into a bucket may delete what is theirs, and not what is others'.
    let in_bucket = action != Action::DeleteObject || is_own;
    let by_bucket = granted(On::Bucket, bucket.acl.filter(|_| in_bucket));
    by_bucket.or_else(|| {
        let object = ask.object.filter(|_| action.on() == On::Object)?;
        granted(On::Object, object.acl)
    })
}
