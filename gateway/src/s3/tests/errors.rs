//! What failures of the domain become.

use holdfast_store::StoreError;
use s3s::S3Error;

use crate::error::{BodyError, GatewayError};

fn answer(error: GatewayError) -> (String, u16, Option<String>, String) {
    let error = S3Error::from(error);
    let retry = error
        .headers()
        .and_then(|headers| headers.get("retry-after"));
    (
        error.code().as_str().to_owned(),
        error.status_code().map_or(0, |status| status.as_u16()),
        retry.map(|value| value.to_str().unwrap().to_owned()),
        error.message().unwrap_or_default().to_owned(),
    )
}

#[test]
fn too_few_drives_are_503_with_retry_after() {
    let quorum = |sent, full| {
        GatewayError::Store(StoreError::WriteQuorum {
            acked: 3,
            needed: 5,
            sent,
            full,
        })
    };
    for error in [
        quorum(false, false),
        quorum(true, false),
        quorum(false, true),
        GatewayError::Store(StoreError::ShuttingDown),
        GatewayError::Unavailable {
            why: "starting".to_owned(),
        },
    ] {
        let (code, status, retry, _) = answer(error);
        assert_eq!((code.as_str(), status), ("ServiceUnavailable", 503));
        assert!(retry.is_some());
    }
    let (code, status, retry, _) = answer(GatewayError::Busy { why: "memory" });
    assert_eq!((code.as_str(), status), ("SlowDown", 503));
    assert!(retry.is_some());
    let (.., text) = answer(quorum(false, true));
    assert!(text.contains("full"), "{text}");
}

#[test]
fn our_own_failures_show_nothing_of_the_inside() {
    let (code, status, _, text) = answer(GatewayError::Internal {
        what: "row 17 of /var/lib/secret".to_owned(),
    });
    assert_eq!((code.as_str(), status), ("InternalError", 500));
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn what_went_wrong_with_a_body_is_found_inside_what_carried_it() {
    for (error, code, status) in [
        (BodyError::TooSlow, "RequestTimeout", 400),
        (BodyError::ContentSha256, "XAmzContentSHA256Mismatch", 400),
        (
            BodyError::Signature("x".to_owned()),
            "SignatureDoesNotMatch",
            403,
        ),
        (BodyError::Gone("x".to_owned()), "IncompleteBody", 400),
        (BodyError::Malformed("x".to_owned()), "InvalidRequest", 400),
    ] {
        let carried = GatewayError::Store(StoreError::Body(Box::new(GatewayError::Body(
            error.clone(),
        ))));
        for error in [GatewayError::Body(error), carried] {
            let (found, given, ..) = answer(error);
            assert_eq!((found.as_str(), given), (code, status));
        }
    }
}
