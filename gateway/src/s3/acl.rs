//! ACLs and owners: in headers, in documents, with objects.
//!
//! Owns: reading what a request asks for; what a new object is given; how owners and grants are
//! shown.
//! Leaves to others: what grants mean (the crate `policy`), storing them.
//! Always: accounts and addresses are looked up when an ACL is set; what is stored names accounts
//! by canonical id.

use holdfast_policy::acl::header::HEADERS;
use holdfast_policy::{Accounts, Acl, Grant, Grantee, Named, On, Permission, PolicyError, Wanted};
use holdfast_protocol::Metadata;
use holdfast_protocol::manifest::OWNER;
use http::HeaderMap;
use s3s::dto;

use super::asking::Asking;
use super::gate::Rights;
use super::headers::{get, text};
use super::values;
use crate::auth::{Credentials, Owner};
use crate::error::GatewayError;
use crate::names::BucketName;
use crate::object::{Bucket, INITIATOR};

/// Metadata that keeps a version's ACL.
pub(super) const ACL: &str = "@acl";

/// Looks up whom grants name.
struct Known<'a>(&'a dyn Credentials);

impl Accounts for Known<'_> {
    fn by_email(&self, email: &str) -> Option<String> {
        self.0.by_email(email).map(|id| id.to_string())
    }
    fn exists(&self, canonical_id: &str) -> bool {
        self.0.exists(canonical_id)
    }
}

/// The ACL that headers ask for, if any.
pub(super) fn wanted(rights: &Rights, headers: &HeaderMap) -> Result<Option<Wanted>, GatewayError> {
    let canned = get(headers, "x-amz-acl");
    let mut grants: Vec<(Permission, String)> = Vec::new();
    for (name, permission) in HEADERS {
        let values = headers.get_all(name).iter();
        grants.extend(values.map(|value| (permission, text(value))));
    }
    let grants: Vec<(Permission, &str)> = grants
        .iter()
        .map(|(permission, value)| (*permission, value.as_str()))
        .collect();
    let known = Known(&*rights.credentials);
    Ok(Wanted::from_headers(canned.as_deref(), &grants, &known)?)
}

/// What a request that sets an ACL asks for.
pub(super) struct Asked {
    /// The list.
    pub wanted: Wanted,
    /// Whom the document names as the owner.
    owner: Option<String>,
}

impl Asked {
    /// Owners do not change.
    ///
    /// # Errors
    /// `NotAllowed` if the document names another one.
    pub fn check_owner(&self, owner: &str) -> Result<(), GatewayError> {
        match self.owner.as_deref().is_none_or(|named| named == owner) {
            true => Ok(()),
            false => Err(GatewayError::NotAllowed),
        }
    }
}

/// Reads what a request that sets an ACL asks for, in headers or in a document.
///
/// # Errors
/// `InvalidRequest` if there is neither, or both; what is wrong with it.
pub(super) fn asked(
    rights: &Rights,
    headers: &HeaderMap,
    document: Option<dto::AccessControlPolicy>,
) -> Result<Asked, GatewayError> {
    match (wanted(rights, headers)?, document) {
        (Some(wanted), None) => Ok(Asked {
            wanted,
            owner: None,
        }),
        (None, Some(document)) => {
            let malformed = || GatewayError::MalformedAcl {
                why: "an AccessControlPolicy has an Owner with an ID",
            };
            let owner = document.owner.and_then(|owner| owner.id);
            let owner = owner.ok_or_else(malformed)?;
            let known = Known(&*rights.credentials);
            let grants = document.grants.unwrap_or_default().into_iter();
            let grants: Result<Vec<Grant>, GatewayError> =
                grants.map(|grant| read(grant, &known)).collect();
            // Bounds are checked here, whoever will be the owner.
            let acl = Acl::new(owner.as_str(), grants?)?;
            Ok(Asked {
                wanted: Wanted::Grants(acl.grants().to_vec()),
                owner: Some(owner),
            })
        }
        (Some(_), Some(_)) => Err(GatewayError::UnexpectedContent),
        (None, None) => Err(GatewayError::NoAcl),
    }
}

fn read(grant: dto::Grant, known: &Known<'_>) -> Result<Grant, GatewayError> {
    let malformed = || GatewayError::MalformedAcl {
        why: "a Grant has a Permission, and a Grantee with an ID, an EmailAddress or a URI",
    };
    let permission = grant.permission.ok_or_else(malformed)?;
    let permission = Permission::parse(permission.as_str())?;
    let grantee = grant.grantee.ok_or_else(malformed)?;
    let named = match (grantee.id, grantee.email_address, grantee.uri) {
        (Some(id), None, None) => Named::Id(id),
        (None, Some(email), None) => Named::Email(email),
        (None, None, Some(uri)) => Named::Uri(uri),
        _ => return Err(malformed()),
    };
    Ok(Grant::new(named.resolve(known)?, permission))
}

/// The ACL that is kept with a version, if any.
///
/// # Errors
/// `Unreadable`.
pub(super) fn kept(metadata: &Metadata) -> Result<Option<Acl>, GatewayError> {
    Ok(metadata.get(ACL).map(Acl::from_json).transpose()?)
}

/// Gives an object that is to be written its owner, and the ACL that the headers ask for.
///
/// # Errors
/// `AclsOff`; `NotAllowed` if the bucket refuses public ACLs; what is wrong with the headers.
pub(super) async fn give(
    rights: &Rights,
    asking: &Asking,
    bucket: &BucketName,
    headers: &HeaderMap,
    metadata: &mut Metadata,
) -> Result<(), GatewayError> {
    let row = rights.objects.bucket(bucket).await?;
    let of_bucket = rights.owner(&row.owner).id;
    let (of_bucket, ownership) = (of_bucket.as_str(), row.settings().ownership());
    let wanted = wanted(rights, headers);
    if !ownership.acls_count() {
        return match wanted.map_err(|_| PolicyError::AclsOff)? {
            Some(wanted) => Ok(ownership.check(&wanted, of_bucket)?),
            None => Ok(()),
        };
    }
    let wanted = wanted?;
    let owner = ownership.owner_of_new(of_bucket, asking.asker(), wanted.as_ref());
    if owner != of_bucket {
        metadata.set(OWNER, owner);
    }
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let acl = wanted.acl(On::Object, owner, of_bucket)?;
    if row.settings().block().refuses_acl(&acl) {
        return Err(GatewayError::NotAllowed);
    }
    metadata.set(ACL, acl.to_json()?);
    Ok(())
}

/// Keeps with an upload who began it, if that is not the bucket's owner.
pub(super) fn sign(rights: &Rights, asking: &Asking, row: &Bucket, metadata: &mut Metadata) {
    if let Some(account) = &asking.account
        && account.canonical_id != rights.owner(&row.owner).id.as_str()
    {
        metadata.set(INITIATOR, &account.canonical_id);
    }
}

/// Whose things in a bucket are.
pub(super) struct Owners<'a> {
    rights: &'a Rights,
    /// The bucket's.
    pub of_bucket: Owner,
    /// Whether others own what they wrote.
    others: bool,
}

impl<'a> Owners<'a> {
    /// In that bucket.
    pub fn of(rights: &'a Rights, bucket: &Bucket) -> Self {
        Self {
            rights,
            of_bucket: rights.owner(&bucket.owner),
            others: bucket.settings().ownership().acls_count(),
        }
    }

    /// The owner of something that names one, or does not.
    pub fn shown(&self, kept: Option<&str>) -> Owner {
        match kept.filter(|_| self.others) {
            Some(id) => self.rights.owner(id),
            None => self.of_bucket.clone(),
        }
    }

    /// Who began an upload.
    pub fn initiator(&self, kept: Option<&str>) -> Owner {
        kept.map_or_else(|| self.of_bucket.clone(), |id| self.rights.owner(id))
    }
}

/// An ACL as it is shown.
pub(super) struct Shown {
    pub owner: dto::Owner,
    pub grants: Vec<dto::Grant>,
}

impl Shown {
    /// Without a list everything is the owner's. Groups come first, as in canned lists.
    pub fn of(rights: &Rights, owner: &Owner, acl: Option<&Acl>) -> Self {
        let private = Acl::private(owner.id.as_str());
        let acl = acl.unwrap_or(&private);
        let is_account = |grant: &&Grant| matches!(grant.to, Grantee::Account(_));
        let (accounts, groups): (Vec<&Grant>, Vec<&Grant>) =
            acl.grants().iter().partition(is_account);
        let all = groups.into_iter().chain(accounts);
        Self {
            owner: values::owner(owner),
            grants: all.map(|grant| shown_grant(rights, grant)).collect(),
        }
    }
}

fn shown_grant(rights: &Rights, grant: &Grant) -> dto::Grant {
    let grantee = match &grant.to {
        Grantee::Account(id) => {
            let account = rights.owner(id);
            dto::Grantee {
                display_name: Some(account.name),
                email_address: None,
                id: Some(account.id.to_string()),
                type_: dto::Type::from_static(dto::Type::CANONICAL_USER),
                uri: None,
            }
        }
        Grantee::Group(group) => dto::Grantee {
            display_name: None,
            email_address: None,
            id: None,
            type_: dto::Type::from_static(dto::Type::GROUP),
            uri: Some(group.uri().to_owned()),
        },
    };
    dto::Grant {
        grantee: Some(grantee),
        permission: Some(dto::Permission::from_static(grant.permission.name())),
    }
}
