//! Facts about forms in browsers.
//!
//! Method: forms that are right but for one thing, signed here; what is stored is looked at.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::reply::Reply;
use super::wire::{Req, hmac as hmac_sha256, stamp};
use super::{ACCESS, SECRET, Server};
use crate::http::Limits;

const ALL: &str = r#"["starts-with","$key",""],{"bucket":"bkt"},["starts-with","$x-amz-date",""],
    ["starts-with","$x-amz-credential",""],{"x-amz-algorithm":"AWS4-HMAC-SHA256"}"#;

/// A form to be.
pub(super) struct Form {
    pub secret: &'static str,
    pub access: &'static str,
    region: &'static str,
    /// Besides those of key, bucket and signature.
    conditions: String,
    expires: &'static str,
    fields: Vec<(String, String)>,
    filename: &'static str,
    file: Vec<u8>,
    target: &'static str,
}

impl Form {
    pub fn new(file: &[u8]) -> Self {
        Self {
            secret: SECRET,
            access: ACCESS,
            region: "eu-test-1",
            conditions: String::new(),
            expires: "2999-01-01T00:00:00Z",
            fields: vec![("key".to_owned(), "k".to_owned())],
            filename: "f.txt",
            file: file.to_vec(),
            target: "/bkt",
        }
    }

    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A field with a condition for it.
    pub fn allowed(mut self, name: &str, value: &str) -> Self {
        self.conditions += &format!(r#",["starts-with","${name}",""]"#);
        self.field(name, value)
    }

    fn policy(&self) -> String {
        STANDARD.encode(format!(
            r#"{{"expiration":"{}","conditions":[{ALL}{}]}}"#,
            self.expires, self.conditions
        ))
    }

    /// Signed by version 4.
    pub fn signed(mut self) -> Req {
        let date = stamp(0);
        let scope = format!("{}/{}/s3/aws4_request", &date[..8], self.region);
        let policy = self.policy();
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for step in scope.split('/') {
            key = hmac_sha256(&key, step.as_bytes());
        }
        let signature = hex::encode(hmac_sha256(&key, policy.as_bytes()));
        let credential = format!("{}/{scope}", self.access);
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", &date),
            ("Policy", &policy),
            ("X-Amz-Signature", &signature),
        ] {
            self.fields.push((name.to_owned(), value.to_owned()));
        }
        self.unsigned()
    }

    /// Signed by version 2.
    fn signed_v2(mut self) -> Req {
        self.conditions = String::new();
        let policy = STANDARD.encode(format!(
            r#"{{"expiration":"{}","conditions":[{{"bucket":"bkt"}},{{"key":"k"}}]}}"#,
            self.expires
        ));
        let mut mac = Hmac::<Sha1>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(policy.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let access = self.access;
        self.field("AWSAccessKeyId", access)
            .field("policy", &policy)
            .field("signature", &signature)
            .unsigned()
    }

    pub fn unsigned(self) -> Req {
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            body.extend(format!("{head}{value}\r\n").into_bytes());
        }
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\
             Content-Type: text/html\r\n\r\n",
            self.filename
        );
        body.extend(head.into_bytes());
        body.extend(self.file);
        body.extend(b"\r\n--b--\r\n");
        Req::new("POST", self.target)
            .anonymous()
            .header("content-type", "multipart/form-data; boundary=b")
            .body(&body)
    }
}

fn stored(server: &Server, key: &str) -> Option<Vec<u8>> {
    server.memory.get_stored(key).map(|object| object.body)
}

#[tokio::test]
async fn a_signed_form_stores_its_file_and_what_its_fields_say() {
    let server = Server::with_bucket().await;
    let file = vec![7; 300_000];
    let sha = STANDARD.encode(Sha256::digest(&file));
    let mut form = Form::new(&file)
        .allowed("Content-Type", "image/png")
        .allowed("x-amz-meta-Who", "é")
        .allowed("acl", "bucket-owner-full-control")
        .allowed("x-amz-checksum-sha256", &sha)
        .allowed(
            "tagging",
            "<Tagging><TagSet><Tag><Key>a b</Key><Value>c:d</Value></Tag></TagSet></Tagging>",
        )
        .field("x-ignore-me", "whatever");
    form.fields[0].1 = "dir/${filename}".to_owned();
    let reply = server.send(form.signed()).await.expect(204);
    assert_eq!(reply.body, b"");
    assert_eq!(
        reply.get("location"),
        Some("http://127.0.0.1:9000/bkt/dir/f.txt")
    );
    assert_eq!(reply.get("x-amz-checksum-sha256"), Some(sha.as_str()));
    let object = server.memory.get_stored("dir/f.txt").unwrap();
    assert_eq!(object.body, file);
    assert_eq!(object.metadata.get("content-type"), Some("image/png"));
    assert_eq!(object.metadata.get("x-amz-meta-who"), Some("é"));
    assert_eq!(object.metadata.get("x-amz-tagging"), Some("a+b=c%3Ad"));
    assert!(server.metric("holdfast_s3_requests_total", &[("op", "PostObject")]) > 0.0);
}

#[tokio::test]
async fn a_form_is_answered_as_it_asks() {
    let server = Server::with_bucket().await;
    let form = Form::new(b"x").allowed("success_action_status", "201");
    let made = server.send(form.signed()).await.expect(201);
    assert_eq!(made.get("content-type"), Some("application/xml"));
    assert_eq!(made.element("Bucket").as_deref(), Some("bkt"));
    assert_eq!(made.element("Key").as_deref(), Some("k"));
    let form = Form::new(b"x").allowed("success_action_redirect", "http://a.example/?x");
    let sent = server.send(form.signed()).await.expect(303);
    let to = sent.get("location").unwrap();
    assert!(to.starts_with("http://a.example/?x&bucket=bkt&key=k&etag=%22"));
    let mut request = Form::new(b"x").signed();
    (request.host, request.path) = ("bkt.s3.test".to_owned(), "/".to_owned());
    let sent = server.send(request).await.expect(204);
    assert_eq!(sent.get("location"), Some("http://bkt.s3.test/k"));
}

async fn refused(server: &Server, request: Req, status: u16, code: &str) -> Reply {
    let reply = server.send(request).await.refused(status, code);
    assert_eq!(server.memory.count(), 0, "{code}");
    reply
}

#[tokio::test]
async fn a_form_that_is_not_allowed_stores_nothing() {
    let server = Server::with_bucket().await;
    let s = &server;
    let form = || Form::new(b"some bytes");
    refused(s, form().unsigned(), 403, "AccessDenied").await;
    let secret = "another-secret";
    let forged = Form { secret, ..form() };
    refused(s, forged.signed(), 403, "SignatureDoesNotMatch").await;
    let stranger = Form {
        access: "AKOTHER",
        ..form()
    };
    refused(s, stranger.signed(), 403, "InvalidAccessKeyId").await;
    let region = "eu-west-1";
    let abroad = Form { region, ..form() };
    let reply = refused(s, abroad.signed(), 400, "AuthorizationQueryParametersError").await;
    assert_eq!(reply.element("Region").as_deref(), Some("eu-test-1"));
    let expires = "2020-01-01T00:00:00Z";
    refused(s, Form { expires, ..form() }.signed(), 403, "AccessDenied").await;
    let expires = "tomorrow";
    let none = Form { expires, ..form() };
    refused(s, none.signed(), 400, "InvalidPolicyDocument").await;
    // A field without a condition; a condition without its field; a condition not met.
    let extra = form().field("x-amz-meta-a", "b");
    let reply = refused(s, extra.signed(), 403, "AccessDenied").await;
    assert!(reply.text().contains("Extra input fields: x-amz-meta-a"));
    for condition in [
        r#",["eq","$acl","private"]"#,
        r#",["starts-with","$key","a"]"#,
    ] {
        let mut failed = form();
        failed.conditions.push_str(condition);
        refused(s, failed.signed(), 403, "AccessDenied").await;
    }
    for (range, code) in [("0,9", "EntityTooLarge"), ("11,20", "EntityTooSmall")] {
        let mut form = form();
        form.conditions = format!(r#",["content-length-range",{range}]"#);
        refused(s, form.signed(), 400, code).await;
    }
    refused(s, form().signed_v2(), 400, "InvalidRequest").await;
    let token = form().allowed("x-amz-security-token", "t");
    refused(s, token.signed(), 400, "InvalidToken").await;
}

#[tokio::test]
async fn what_a_put_refuses_a_form_is_refused() {
    let server = Server::with_bucket().await;
    for (name, value, status, code) in [
        (
            "x-amz-server-side-encryption",
            "AES256",
            501,
            "NotImplemented",
        ),
        ("acl", "public-read", 400, "AccessControlListNotSupported"),
        ("x-amz-storage-class", "PAPER", 400, "InvalidStorageClass"),
        (
            "x-amz-object-lock-mode",
            "COMPLIANCE",
            400,
            "InvalidArgument",
        ),
        ("x-amz-object-lock-legal-hold", "on", 400, "InvalidArgument"),
        ("x-amz-checksum-sha512", "AAAA", 501, "NotImplemented"),
        ("x-amz-checksum-crc32", "AAAAAA==", 400, "BadDigest"),
        ("x-amz-checksum-crc32", "sailor", 400, "InvalidRequest"),
        ("Content-MD5", "sailor", 400, "InvalidDigest"),
        ("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==", 400, "BadDigest"),
        ("tagging", "a=b", 400, "MalformedXML"),
        ("x-amz-meta-a", "two\r\nlines", 400, "InvalidArgument"),
        ("if-match", "\"0\"", 412, "PreconditionFailed"),
    ] {
        let form = Form::new(b"some bytes").allowed(name, value);
        let reply = server.send(form.signed()).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
        assert_eq!(reply.element("Code").as_deref(), Some(code), "{name}");
        assert_eq!(stored(&server, "k"), None, "{name}");
    }
    let mut long = Form::new(b"x");
    long.fields[0].1 = "k".repeat(1025);
    refused(&server, long.signed(), 400, "KeyTooLongError").await;
    let mut none = Form::new(b"x");
    none.fields.remove(0);
    none.conditions = String::new();
    refused(&server, none.signed(), 400, "UserKeyMustBeSpecified").await;
    let twice = Form::new(b"x").field("KEY", "other");
    refused(&server, twice.signed(), 400, "InvalidArgument").await;
}

#[tokio::test]
async fn a_body_that_is_no_form_stores_nothing() {
    let server = Server::with_bucket().await;
    let whole = Form::new(b"some bytes").signed().body;
    let send = |kind: &str, body: &[u8]| {
        Req::new("POST", "/bkt")
            .anonymous()
            .header("content-type", kind)
            .body(body)
    };
    let form = "multipart/form-data; boundary=b";
    let bad = "MalformedPOSTRequest";
    for (kind, body, status, code) in [
        ("multipart/form-data", &whole[..], 400, bad),
        ("multipart/form-data; boundary=c", &whole, 400, bad),
        (form, &whole[..whole.len() - 6], 400, bad),
        (form, &whole[..10], 400, bad),
        (
            form,
            b"--b--\r\n",
            400,
            "IncorrectNumberOfFilesInPostRequest",
        ),
        (
            form,
            &[b'x'; 30_000],
            400,
            "MaxPostPreDataLengthExceededError",
        ),
        ("text/plain", &whole, 412, "PreconditionFailed"),
        (
            "multipart/mixed; boundary=b",
            &whole,
            412,
            "PreconditionFailed",
        ),
    ] {
        refused(&server, send(kind, body), status, code).await;
    }
    let mut both = Form::new(b"x").signed();
    both.auth = super::wire::Auth::Header;
    refused(&server, both, 400, "InvalidArgument").await;
    // As far as it goes, but cut before its end.
    let mut cut = send(form, &whole).bytes();
    cut.truncate(cut.len() - 8);
    let _ = super::reply::exchange_cut(server.addr, &cut).await;
    assert_eq!(server.memory.count(), 0);
    server.send(send(form, &whole)).await.expect(204);
}

#[tokio::test]
async fn forms_of_version_2_are_taken_where_the_operator_says_so() {
    let server = Server::made(Limits::default(), true).await;
    server.send(Req::new("PUT", "/bkt")).await.expect(200);
    let forged = Form {
        secret: "another-secret",
        ..Form::new(b"x")
    };
    refused(&server, forged.signed_v2(), 403, "SignatureDoesNotMatch").await;
    let expired = Form {
        expires: "2020-01-01T00:00:00Z",
        ..Form::new(b"x")
    };
    refused(&server, expired.signed_v2(), 403, "AccessDenied").await;
    let form = Form::new(b"x").signed_v2();
    server.send(form).await.expect(204);
    assert_eq!(stored(&server, "k"), Some(b"x".to_vec()));
}

#[tokio::test]
async fn conditions_of_the_request_itself_are_kept() {
    let server = Server::with_bucket().await;
    server.put("k", b"as it was").await;
    let form = Form::new(b"x").signed().header("if-none-match", "*");
    server.send(form).await.refused(412, "PreconditionFailed");
    assert_eq!(stored(&server, "k"), Some(b"as it was".to_vec()));
}
