//! The bounds of documents, and the last gate before the operations.

use std::sync::Arc;

use s3s::Body;
use s3s::service::{S3Service, S3ServiceBuilder};

use super::memory::Memory;
use crate::auth::{AccountId, Administrator, Caller, Identity, Operation, Secret};
use crate::http::BodyHandle;
use crate::notify::Targets;
use crate::object::Objects;
use crate::s3::asking::{Asking, Came, Signed};
use crate::s3::documents::check;
use crate::s3::gate::Rights;
use crate::s3::prepare::{Gate, NoLookup, Prepared};
use crate::s3::{AnyName, BucketAcls, Gateway};
use crate::settings::Settings;

fn second_pass(memory: Arc<Memory>) -> S3Service {
    let admin = Administrator::new(super::ACCESS, Secret::new(super::SECRET)).unwrap();
    let rights = Rights {
        objects: memory,
        credentials: Arc::new(admin),
    };
    let mut builder = S3ServiceBuilder::new(Gateway {
        objects: rights.objects.clone(),
        rights: rights.clone(),
        region: "eu-test-1".to_owned(),
        bucket_acls: BucketAcls::Off,
        targets: Targets::default(),
    });
    builder.set_auth(NoLookup);
    builder.set_access(Gate(rights));
    builder.set_validation(AnyName);
    builder.build()
}

async fn status(service: &S3Service, target: &str, authorised: Option<Operation>) -> u16 {
    edited(service, target, authorised, |_| {}).await
}

/// The same, after what was authorised became something else.
async fn edited(
    service: &S3Service,
    target: &str,
    authorised: Option<Operation>,
    edit: fn(&mut Asking),
) -> u16 {
    let mut request = http::Request::new(Body::empty());
    *request.uri_mut() = target.parse().unwrap();
    let host = http::HeaderValue::from_static("127.0.0.1");
    request.headers_mut().insert("host", host);
    if let Some(operation) = authorised {
        let path = target.split('?').next().unwrap_or_default();
        let mut names = path.trim_start_matches('/').splitn(2, '/');
        let mut name = || names.next().filter(|name| !name.is_empty());
        let came = Came {
            operation,
            bucket: name().map(str::to_owned),
            key: name().map(str::to_owned),
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            signed: Signed::Header(crate::s3::asking::V4),
            region: "eu-test-1".to_owned(),
        };
        let by = Caller::Known(Arc::new(Identity {
            account: AccountId::new(super::ACCESS),
            number: String::new(),
            name: super::ACCESS.to_owned(),
            email: None,
            access_key: super::ACCESS.to_owned(),
            is_admin: true,
        }));
        let none = http::HeaderMap::new();
        let mut asking = Asking::new(&came, &by, &none, &Arc::default());
        edit(&mut asking);
        let prepared = Prepared {
            asking,
            by,
            headers: http::HeaderMap::new(),
            trailers: None,
            handle: BodyHandle::default(),
        };
        request.extensions_mut().insert(Arc::new(prepared));
    }
    service.call(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn only_the_very_operation_that_was_authorised_is_done() {
    let memory = Arc::new(Memory::default());
    let name = crate::names::BucketName::parse("bkt").unwrap();
    let made = memory.create_bucket(&name, super::ACCESS, Settings::default());
    made.await.unwrap();
    let service = second_pass(memory);
    for (target, wanted) in [
        ("/bkt", Operation::ListObjects),
        ("/bkt?acl", Operation::GetBucketAcl),
        ("/", Operation::ListBuckets),
    ] {
        assert_eq!(
            status(&service, target, Some(wanted)).await,
            200,
            "{target}"
        );
        assert_eq!(status(&service, target, None).await, 403, "{target}");
        for other in Operation::ALL.iter().filter(|other| **other != wanted) {
            assert_eq!(
                status(&service, target, Some(*other)).await,
                403,
                "{target}"
            );
        }
    }
    // Operations that the library knows and we do not are never done.
    for operation in Operation::ALL {
        let renamed = status(&service, "/?x-id=ListDirectoryBuckets", Some(*operation)).await;
        assert_eq!(renamed, 403);
    }
}

#[tokio::test]
async fn only_the_very_bucket_and_key_that_were_authorised_are_reached() {
    let memory = Arc::new(Memory::default());
    for name in ["bkt", "other"] {
        let name = crate::names::BucketName::parse(name).unwrap();
        let made = memory.create_bucket(&name, super::ACCESS, Settings::default());
        made.await.unwrap();
    }
    let service = second_pass(memory);
    let head = Some(Operation::HeadObject);
    let list = Some(Operation::ListObjects);
    assert_eq!(edited(&service, "/bkt", list, |_| {}).await, 200);
    let other = |asking: &mut Asking| asking.bucket = Some("other".to_owned());
    assert_eq!(edited(&service, "/bkt", list, other).await, 403);
    let key = |asking: &mut Asking| asking.key = Some("k".to_owned());
    assert_eq!(edited(&service, "/bkt", list, key).await, 403);
    for edit in [other, |asking: &mut Asking| {
        asking.key = Some("another".to_owned());
    }] {
        assert_eq!(edited(&service, "/bkt/k", head, edit).await, 403);
    }
}

#[test]
fn documents_have_bounds_of_depth_and_elements() {
    let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(check(deep(16).as_bytes()).is_ok());
    assert!(check(deep(17).as_bytes()).is_err());
    let many = |count: usize| format!("<l>{}</l>", "<a/>".repeat(count));
    assert!(check(many(99_999).as_bytes()).is_ok());
    assert!(check(many(100_000).as_bytes()).is_err());
    let siblings = format!("<l>{}</l>", "<a>x</a>".repeat(50_000));
    assert!(check(siblings.as_bytes()).is_ok());
    for fine in ["", "<?xml version=\"1.0\"?><a/>", "<a><!-- <b> --></a>"] {
        assert!(check(fine.as_bytes()).is_ok(), "{fine}");
    }
    for bad in [
        "<!DOCTYPE a><a/>",
        "<!ENTITY a \"b\">",
        "<a",
        "<!-- ",
        "<![CDATA[ ",
        "<a><![CDATA[<b>]]></a>",
    ] {
        assert!(check(bad.as_bytes()).is_err(), "{bad}");
    }
}
