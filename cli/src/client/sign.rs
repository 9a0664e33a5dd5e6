//! Signing admin requests.
//!
//! Owns: the headers that prove who asks.
//! Leaves to others: the signature itself (`aws-sigv4`), sending.
//! Always: the body's digest is signed.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;

use crate::error::Cause;

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The whole URL.
    pub url: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// The headers to send.
///
/// # Errors
/// The request cannot be signed (a URL that is none).
pub fn headers(
    asked: Asked<'_>,
    access_key: &str,
    secret_key: &str,
    region: &str,
    now: SystemTime,
) -> Result<Vec<(String, String)>, Cause> {
    let identity = Credentials::new(access_key, secret_key, None, None, "holdfast").into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let body = SignableBody::Bytes(asked.body);
    let request = SignableRequest::new(asked.method, asked.url, std::iter::empty(), body)?;
    let (instructions, _) = sign(request, &params)?.into_parts();
    let headers = instructions.headers();
    Ok(headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use crate::admin::Access;
    use crate::admin::access::{Denied, SKEW_MAX};
    use holdfast_gateway::auth::{Administrator, Secret};
    use http::Request;

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn access() -> Access {
        Access {
            credentials: Arc::new(Administrator::new("ADMIN", Secret::new(SECRET)).unwrap()),
            token: None,
            region: "us-east-1".to_owned(),
            metrics_closed: false,
        }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_195_320)
    }

    fn head(method: &str, path: &str, headers: &[(String, String)]) -> http::request::Parts {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "gw:9001");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn signed(
        method: &str,
        path: &str,
        body: &[u8],
        key: &str,
        region: &str,
    ) -> Vec<(String, String)> {
        let url = format!("http://gw:9001{path}");
        let asked = Asked {
            method,
            url: &url,
            body,
        };
        headers(asked, key, SECRET, region, now()).unwrap()
    }

    #[test]
    fn the_admin_listener_accepts_what_the_aws_signer_signs() {
        for (method, path) in [
            ("GET", "/admin/v1/heal"),
            ("POST", "/admin/v1/drives/12ab/replace"),
            ("GET", "/admin/v1/heal?b=2&a=1&c=%2Fx%20y&d"),
            ("GET", "/admin/v1/a%20b~c"),
        ] {
            for body in [&b""[..], b"{\"a\": 1}"] {
                let headers = signed(method, path, body, "ADMIN", "us-east-1");
                let head = head(method, path, &headers);
                assert_eq!(access().administrator(&head, body, now()), Ok(()), "{path}");
            }
        }
    }

    #[test]
    fn nothing_that_was_signed_may_be_changed() {
        let headers = signed(
            "POST",
            "/admin/v1/index/check",
            b"body",
            "ADMIN",
            "us-east-1",
        );
        let verify = |method: &str, path: &str, body: &[u8], at| {
            access().administrator(&head(method, path, &headers), body, at)
        };
        let path = "/admin/v1/index/check";
        assert_eq!(verify("POST", path, b"body", now()), Ok(()));
        assert_eq!(verify("GET", path, b"body", now()), Err(Denied::Wrong));
        assert_eq!(
            verify("POST", "/admin/v1/heal", b"body", now()),
            Err(Denied::Wrong)
        );
        assert_eq!(
            verify("POST", "/admin/v1/index/check?x", b"body", now()),
            Err(Denied::Wrong)
        );
        assert_eq!(verify("POST", path, b"b0dy", now()), Err(Denied::Body));
        for late in [now() + SKEW_MAX, now() - SKEW_MAX] {
            assert_eq!(verify("POST", path, b"body", late), Ok(()));
        }
        let second = Duration::from_secs(1);
        for late in [now() + SKEW_MAX + second, now() - SKEW_MAX - second] {
            assert_eq!(verify("POST", path, b"body", late), Err(Denied::Skewed));
        }
    }

    #[test]
    fn other_keys_regions_and_unsigned_headers_are_denied() {
        let path = "/admin/v1/heal";
        let stranger = signed("GET", path, b"", "STRANGER", "us-east-1");
        let denied = access().administrator(&head("GET", path, &stranger), b"", now());
        assert_eq!(denied, Err(Denied::Wrong));
        let elsewhere = signed("GET", path, b"", "ADMIN", "eu-central-1");
        let denied = access().administrator(&head("GET", path, &elsewhere), b"", now());
        assert!(matches!(denied, Err(Denied::Region { .. })), "{denied:?}");
        let mut more = signed("GET", path, b"", "ADMIN", "us-east-1");
        more.push(("x-amz-security-token".to_owned(), "x".to_owned()));
        let denied = access().administrator(&head("GET", path, &more), b"", now());
        assert!(matches!(denied, Err(Denied::Malformed(_))), "{denied:?}");
    }
}
