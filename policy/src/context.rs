//! What is known of a request when conditions are decided.
//!
//! Owns: the closed list of condition keys; their values for one request.
//! Leaves to others: finding the values (`gateway`); comparing them ([`crate::condition`]).
//! Always: names of keys are compared without case, names of tags behind them with it; a key that
//! has no value here is missing, as IAM means it.

use std::collections::BTreeMap;
use std::fmt;

use crate::caller::Caller;
use crate::dates;

macro_rules! keys {
    (
        $($kind:ident { $($variant:ident $name:literal)* })* ;
        tags { $($tag:ident $prefix:literal)* }
    ) => {
        /// A condition key.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each is S3's or IAM's own name")]
        pub enum Key {
            $($($variant,)*)*
            $($tag(String),)*
        }
        impl Key {
            /// All but those that name a tag.
            pub const PLAIN: &'static [Self] = &[$($(Self::$variant,)*)*];

            /// The key of this name.
            pub fn parse(text: &str) -> Option<Self> {
                $($(if text.eq_ignore_ascii_case($name) {
                    return Some(Self::$variant);
                })*)*
                $(if let Some(tag) = strip_prefix_ignoring_case(text, $prefix) {
                    return (!tag.is_empty()).then(|| Self::$tag(tag.to_owned()));
                })*
                None
            }
            /// Its name, or what stands before the tag's.
            const fn name(&self) -> &'static str {
                match self {
                    $($(Self::$variant => $name,)*)*
                    $(Self::$tag(_) => $prefix,)*
                }
            }
            /// The tag that is named.
            pub fn tag(&self) -> Option<&str> {
                match self {
                    $(Self::$tag(tag) => Some(tag),)*
                    _ => None,
                }
            }
            /// Whether a gateway can know it. The others are of services that are not here: they
            /// are missing in every request, as they are on AWS where that service has no part.
            pub fn is_supplied(&self) -> bool {
                match self {
                    $($(Self::$variant => stringify!($kind) == "given",)*)*
                    Self::ExistingObjectTag(_) | Self::RequestObjectTag(_) => true,
                    _ => false,
                }
            }
        }
    };
}

keys! {
    given {
        CurrentTime "aws:CurrentTime"
        EpochTime "aws:EpochTime"
        PrincipalAccount "aws:PrincipalAccount"
        PrincipalArn "aws:PrincipalArn"
        PrincipalIsAwsService "aws:PrincipalIsAWSService"
        PrincipalServiceName "aws:PrincipalServiceName"
        PrincipalType "aws:PrincipalType"
        Referer "aws:Referer"
        RequestedRegion "aws:RequestedRegion"
        GlobalResourceAccount "aws:ResourceAccount"
        SecureTransport "aws:SecureTransport"
        SourceAccount "aws:SourceAccount"
        SourceArn "aws:SourceArn"
        SourceIp "aws:SourceIp"
        UserAgent "aws:UserAgent"
        UserId "aws:userid"
        UserName "aws:username"
        AuthType "s3:authType"
        Delimiter "s3:delimiter"
        IfMatch "s3:if-match"
        IfNoneMatch "s3:if-none-match"
        LocationConstraint "s3:LocationConstraint"
        LockLegalHold "s3:object-lock-legal-hold"
        LockMode "s3:object-lock-mode"
        LockRemainingDays "s3:object-lock-remaining-retention-days"
        LockRetainUntil "s3:object-lock-retain-until-date"
        MaxKeys "s3:max-keys"
        ObjectCreationOperation "s3:ObjectCreationOperation"
        Prefix "s3:prefix"
        RequestObjectTagKeys "s3:RequestObjectTagKeys"
        ResourceAccount "s3:ResourceAccount"
        SignatureAge "s3:signatureAge"
        SignatureVersion "s3:signatureversion"
        TlsVersion "s3:TlsVersion"
        VersionId "s3:VersionId"
        Acl "s3:x-amz-acl"
        ContentSha256 "s3:x-amz-content-sha256"
        CopySource "s3:x-amz-copy-source"
        GrantFullControl "s3:x-amz-grant-full-control"
        GrantRead "s3:x-amz-grant-read"
        GrantReadAcp "s3:x-amz-grant-read-acp"
        GrantWrite "s3:x-amz-grant-write"
        GrantWriteAcp "s3:x-amz-grant-write-acp"
        MetadataDirective "s3:x-amz-metadata-directive"
        ObjectOwnership "s3:x-amz-object-ownership"
        Encryption "s3:x-amz-server-side-encryption"
        EncryptionKeyId "s3:x-amz-server-side-encryption-aws-kms-key-id"
        CustomerAlgorithm "s3:x-amz-server-side-encryption-customer-algorithm"
        StorageClass "s3:x-amz-storage-class"
        RedirectLocation "s3:x-amz-website-redirect-location"
    }
    elsewhere {
        CalledVia "aws:CalledVia"
        MultiFactorAuthAge "aws:MultiFactorAuthAge"
        MultiFactorAuthPresent "aws:MultiFactorAuthPresent"
        PrincipalOrgId "aws:PrincipalOrgID"
        PrincipalOrgPaths "aws:PrincipalOrgPaths"
        SourceOrgId "aws:SourceOrgID"
        SourceOrgPaths "aws:SourceOrgPaths"
        SourceOwner "aws:SourceOwner"
        SourceVpc "aws:SourceVpc"
        SourceVpcArn "aws:SourceVpcArn"
        SourceVpce "aws:SourceVpce"
        TagKeys "aws:TagKeys"
        TokenIssueTime "aws:TokenIssueTime"
        ViaAwsService "aws:ViaAWSService"
        VpcSourceIp "aws:VpcSourceIp"
        AccessPointNetworkOrigin "s3:AccessPointNetworkOrigin"
        DataAccessPointAccount "s3:DataAccessPointAccount"
        DataAccessPointArn "s3:DataAccessPointArn"
        InventoryAccessibleOptionalFields "s3:InventoryAccessibleOptionalFields"
    }
    ;
    tags {
        ExistingObjectTag "s3:ExistingObjectTag/"
        RequestObjectTag "s3:RequestObjectTag/"
        BucketTag "s3:BucketTag/"
        PrincipalTag "aws:PrincipalTag/"
        RequestTag "aws:RequestTag/"
        ResourceTag "aws:ResourceTag/"
    }
}

fn strip_prefix_ignoring_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name(), self.tag().unwrap_or_default())
    }
}

/// The values of condition keys for one request.
///
/// # Examples
/// ```
/// use holdfast_policy::{Context, Key};
///
/// let mut context = Context::default();
/// context.set(Key::SourceIp, "192.0.2.7");
/// assert_eq!(context.get(&Key::SourceIp), ["192.0.2.7"]);
/// assert!(context.get(&Key::Referer).is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    values: BTreeMap<Key, Vec<String>>,
}

impl Context {
    /// What is known of the caller itself.
    pub fn of(caller: Caller<'_>) -> Self {
        let mut context = Self::default();
        let mut set = |key, value: &str| context.set(key, value);
        set(Key::PrincipalIsAwsService, "false");
        match caller {
            Caller::Anonymous => {
                set(Key::PrincipalType, "Anonymous");
                set(Key::UserId, "anonymous");
            }
            Caller::Account(account) => {
                set(Key::PrincipalAccount, &account.number);
                set(Key::PrincipalArn, &account.arn);
                match account.user_name() {
                    None => {
                        set(Key::PrincipalType, "Account");
                        set(Key::UserId, &account.number);
                    }
                    Some(name) => {
                        set(Key::PrincipalType, "User");
                        set(Key::UserName, name);
                    }
                }
            }
            Caller::Service(service) => {
                set(Key::PrincipalIsAwsService, "true");
                set(Key::PrincipalServiceName, service);
            }
        }
        context
    }

    /// Sets the time of the request, in seconds since 1970.
    pub fn set_time(&mut self, unix_s: i64) {
        self.set(Key::EpochTime, unix_s.to_string());
        if let Some(text) = dates::format(unix_s) {
            self.set(Key::CurrentTime, text);
        }
    }

    /// Gives a key its only value.
    pub fn set(&mut self, key: Key, value: impl Into<String>) {
        self.values.insert(key, vec![value.into()]);
    }

    /// Gives a key one more value.
    pub fn add(&mut self, key: Key, value: impl Into<String>) {
        self.values.entry(key).or_default().push(value.into());
    }

    /// The key's values; none if it is missing.
    pub fn get(&self, key: &Key) -> &[String] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    /// The key's value if it has just one.
    pub fn one(&self, key: &Key) -> Option<&str> {
        match self.get(key) {
            [one] => Some(one),
            _ => None,
        }
    }
}
