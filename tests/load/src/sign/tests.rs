//! Signatures against `aws-sigv4` and AWS's published S3 example.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;

use super::{Credentials, Signable, Signer, UNSIGNED_PAYLOAD, UNSIGNED_TRAILER, payload_sha256};

/// The Authorization header as `aws-sigv4` computes it, with S3's settings.
fn oracle(request: &Signable<'_>, pair: (&str, &str), region: &str, now: SystemTime) -> String {
    let identity =
        aws_credential_types::Credentials::new(pair.0, pair.1, None, None, "test").into();
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
        .build()
        .unwrap()
        .into();
    let given = request
        .headers
        .iter()
        .copied()
        .filter(|(name, _)| !matches!(*name, "host" | "x-amz-date" | "x-amz-content-sha256"));
    let host = request
        .headers
        .iter()
        .find(|(name, _)| *name == "host")
        .unwrap()
        .1;
    let query = if request.query.is_empty() { "" } else { "?" };
    let uri = format!("http://{host}{}{query}{}", request.path, request.query);
    let body = SignableBody::Precomputed(request.payload_hash.to_owned());
    let signable = SignableRequest::new(request.method, uri, given, body).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut found = instructions
        .headers()
        .filter(|(name, _)| *name == "authorization");
    found.next().unwrap().1.to_owned()
}

#[test]
fn signatures_equal_those_of_aws_sigv4() {
    let mut rng = fastrand::Rng::with_seed(7);
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    for region in ["us-east-1", "eu-central-1"] {
        let mut signer = Signer::new(Credentials::new("AKIDEXAMPLE", secret), region);
        for _ in 0..200 {
            let now = UNIX_EPOCH + Duration::from_secs(rng.u64(1_000_000_000..4_000_000_000));
            let date = signer.set_time(now).to_owned();
            let path = format!("/bucket/load-{}/{:06}", rng.u32(..), rng.u32(..1_000_000));
            let query = [
                "",
                "list-type=2&max-keys=1000&prefix=get%2F4096%2F",
                "uploads=",
            ][rng.usize(..3)];
            let hashed = payload_sha256([&b"body"[..], &path.as_bytes()[..7]].into_iter());
            let payload = [UNSIGNED_PAYLOAD, UNSIGNED_TRAILER, &hashed][rng.usize(..3)];
            let mut headers = vec![
                ("host", "127.0.0.1:9000"),
                ("x-amz-content-sha256", payload),
                ("x-amz-date", date.as_str()),
            ];
            if payload == UNSIGNED_TRAILER {
                headers.push(("x-amz-decoded-content-length", "4096"));
                headers.push(("x-amz-trailer", "x-amz-checksum-crc64nvme"));
            }
            let request = Signable {
                method: ["GET", "PUT", "DELETE", "POST"][rng.usize(..4)],
                path: &path,
                query,
                headers: &headers,
                payload_hash: payload,
            };
            let ours = signer.authorization(&request);
            assert_eq!(ours, oracle(&request, ("AKIDEXAMPLE", secret), region, now));
        }
    }
}

/// AWS documentation, "Authenticating Requests: Using the Authorization Header", GET Object.
#[test]
fn the_published_example_of_a_ranged_get_has_the_published_signature() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let mut signer = Signer::new(
        Credentials::new("AKIAIOSFODNN7EXAMPLE", secret),
        "us-east-1",
    );
    let date = signer
        .set_time(UNIX_EPOCH + Duration::from_secs(1_369_353_600))
        .to_owned();
    assert_eq!(date, "20130524T000000Z");
    let empty = payload_sha256(std::iter::empty());
    let headers = [
        ("host", "examplebucket.s3.amazonaws.com"),
        ("range", "bytes=0-9"),
        ("x-amz-content-sha256", empty.as_str()),
        ("x-amz-date", date.as_str()),
    ];
    let request = Signable {
        method: "GET",
        path: "/test.txt",
        query: "",
        headers: &headers,
        payload_hash: &empty,
    };
    assert_eq!(
        signer.authorization(&request),
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
         Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    );
}

#[test]
fn the_secret_is_not_printed() {
    let printed = format!("{:?}", Credentials::new("id", "very-secret"));
    assert!(
        printed.contains("id") && !printed.contains("very-secret"),
        "{printed}"
    );
}
