//! Conditions of reads, writes and deletes, decided against what the key has.
//!
//! Owns: RFC 9110 §13.2.2 for reads, S3's rules for writes and deletes.
//! Leaves to others: parsing headers (`s3`), holding the lock while a write's condition is decided.
//! Always: pure.

use holdfast_protocol::Manifest;

use super::types::{DeleteConditions, ReadConditions, WriteConditions};
use crate::error::GatewayError;

/// Decides a read of an existing object.
///
/// # Errors
/// `Precondition` (If-Match, If-Unmodified-Since) or `NotModified` (If-None-Match,
/// If-Modified-Since).
pub fn check_read(conditions: &ReadConditions, object: &Manifest) -> Result<(), GatewayError> {
    let modified = object.created_ms / 1000;
    if let Some(wanted) = &conditions.if_match {
        if !wanted.matches(&object.etag) {
            return Err(GatewayError::Precondition {
                condition: "If-Match",
            });
        }
    } else if conditions
        .if_unmodified_since
        .is_some_and(|since| modified > since / 1000)
    {
        return Err(GatewayError::Precondition {
            condition: "If-Unmodified-Since",
        });
    }
    let unmodified = match &conditions.if_none_match {
        Some(known) => known.matches(&object.etag),
        None => conditions
            .if_modified_since
            .is_some_and(|since| modified <= since / 1000),
    };
    match unmodified {
        true => Err(GatewayError::NotModified {
            etag: object.etag,
            modified_ms: object.created_ms,
        }),
        false => Ok(()),
    }
}

/// Decides the `x-amz-copy-source-if-*` of a copy: everything that fails is `Precondition`.
///
/// # Errors
/// `Precondition`.
pub fn check_source(conditions: &ReadConditions, object: &Manifest) -> Result<(), GatewayError> {
    check_read(conditions, object).map_err(|error| match error {
        GatewayError::NotModified { .. } => GatewayError::Precondition {
            condition: "x-amz-copy-source-if-none-match",
        },
        other => other,
    })
}

/// Decides the `x-amz-rename-source-if-*` of a rename.
///
/// # Errors
/// `Precondition`.
pub fn check_renamed(conditions: &ReadConditions, object: &Manifest) -> Result<(), GatewayError> {
    let is_by_tag = conditions.if_none_match.is_some();
    check_read(conditions, object).map_err(|error| {
        let condition = match error {
            GatewayError::Precondition {
                condition: "If-Match",
            } => "x-amz-rename-source-if-match",
            GatewayError::Precondition { .. } => "x-amz-rename-source-if-unmodified-since",
            GatewayError::NotModified { .. } if is_by_tag => "x-amz-rename-source-if-none-match",
            GatewayError::NotModified { .. } => "x-amz-rename-source-if-modified-since",
            other => return other,
        };
        GatewayError::Precondition { condition }
    })
}

/// Decides a rename against what the new key has (`None`: nothing, which has no entity tag and was
/// never modified).
///
/// # Errors
/// `Precondition`.
pub fn check_target(
    conditions: &ReadConditions,
    object: Option<&Manifest>,
) -> Result<(), GatewayError> {
    let refuse = |condition| Err(GatewayError::Precondition { condition });
    let Some(object) = object else {
        let by_tag = conditions.if_none_match.is_some();
        return match (conditions.if_match.is_some(), conditions.if_modified_since) {
            (true, _) => refuse("If-Match"),
            (false, Some(_)) if !by_tag => refuse("If-Modified-Since"),
            (false, _) => Ok(()),
        };
    };
    match check_read(conditions, object) {
        Err(GatewayError::NotModified { .. }) if conditions.if_none_match.is_some() => {
            refuse("If-None-Match")
        }
        Err(GatewayError::NotModified { .. }) => refuse("If-Modified-Since"),
        decided => decided,
    }
}

/// Decides a write against the key's current object (`None`: absent or a delete marker).
///
/// # Errors
/// `Precondition`; `NoSuchKey` for If-Match on an absent object, as S3 answers.
pub fn check_write(
    conditions: &WriteConditions,
    key: &str,
    object: Option<&Manifest>,
) -> Result<(), GatewayError> {
    if let Some(wanted) = &conditions.if_match {
        match object {
            None => {
                return Err(GatewayError::NoSuchKey {
                    key: key.to_owned(),
                });
            }
            Some(object) if !wanted.matches(&object.etag) => {
                return Err(GatewayError::Precondition {
                    condition: "If-Match",
                });
            }
            Some(_) => {}
        }
    }
    match (&conditions.if_none_match, object) {
        (Some(known), Some(object)) if known.matches(&object.etag) => {
            Err(GatewayError::Precondition {
                condition: "If-None-Match",
            })
        }
        _ => Ok(()),
    }
}

/// Decides a delete of an existing object.
///
/// # Errors
/// `Precondition`.
pub fn check_delete(conditions: &DeleteConditions, object: &Manifest) -> Result<(), GatewayError> {
    let refuse = |condition| Err(GatewayError::Precondition { condition });
    if conditions
        .if_match
        .as_ref()
        .is_some_and(|wanted| !wanted.matches(&object.etag))
    {
        return refuse("If-Match");
    }
    if conditions.size.is_some_and(|size| size != object.len) {
        return refuse("x-amz-if-match-size");
    }
    let second = object.created_ms / 1000;
    if conditions
        .modified_ms
        .is_some_and(|wanted| wanted / 1000 != second)
    {
        return refuse("x-amz-if-match-last-modified-time");
    }
    Ok(())
}
