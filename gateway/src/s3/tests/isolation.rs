//! Accounts beside each other: each has what is its own, and nothing else.
//!
//! Method: an administrator and two accounts; every operation by whom it does not belong to; what
//! is stored is looked at.

use std::sync::Arc;

use holdfast_protocol::ClusterId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::operations::{REQUESTS, with_body};
use super::post::Form;
use super::reply::Reply;
use super::wire::Req;
use super::{ACCESS, SECRET, Server, reply};
use crate::accounts::Directory;
use crate::auth::{Administrator, Credentials, Operation, Secret};
use crate::http::Limits;
use crate::s3::BucketAcls;

pub(super) const ALICE: &str = "AKALICE";
pub(super) const BOB: &str = "AKBOB";

/// A server with two accounts besides the administrator; `bkt` is Alice's.
pub(super) async fn start() -> (Server, Arc<Directory>) {
    start_with(BucketAcls::Off).await
}

/// The same, where new buckets may have ACLs.
pub(super) async fn start_with(acls: BucketAcls) -> (Server, Arc<Directory>) {
    let root = Administrator::new(ACCESS, Secret::new(SECRET)).unwrap();
    let accounts = [("alice", ALICE, SECRET), ("bob", BOB, SECRET)];
    let directory = Arc::new(Directory::of(&root, ClusterId::new(5), &accounts));
    let server = Server::set_up(Limits::default(), false, acls, directory.clone()).await;
    server
        .send(by(ALICE, Req::new("PUT", "/bkt")))
        .await
        .expect(200);
    let put = Req::new("PUT", "/bkt/k").body(b"as it was");
    server.send(by(ALICE, put)).await.expect(200);
    (server, directory)
}

pub(super) fn by(access: &str, mut request: Req) -> Req {
    request.access = access.to_owned();
    request
}

pub(super) async fn ask(server: &Server, access: &str, method: &str, target: &str) -> Reply {
    server.send(by(access, Req::new(method, target))).await
}

fn owners(server: &Server) -> String {
    format!("{:?}", server.memory.buckets.lock().unwrap())
}

/// What someone may do with what is not his: nothing but see his own.
fn is_free(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::ListBuckets | Operation::CreateBucket | Operation::PostObject
    )
}

#[tokio::test]
async fn no_operation_reaches_into_the_bucket_of_another_account() {
    let (server, _) = start().await;
    let before = owners(&server);
    for what in REQUESTS.iter().filter(|what| !is_free(what.0)) {
        let (operation, method, target) = *what;
        let what = (operation, method, target.replace("/none", "/bkt"));
        let what = (what.0, what.1, what.2.as_str());
        for presigned in [false, true] {
            let request = by(BOB, with_body(&what));
            let request = match presigned {
                true => request.presigned(),
                false => request,
            };
            let reply = server.send(request).await;
            assert_eq!(reply.status, 403, "{what:?}: {}", reply.text());
            if method != "HEAD" {
                reply.refused(403, "AccessDenied");
            }
        }
    }
    assert_eq!(owners(&server), before);
    assert_eq!(server.memory.get_stored("k").unwrap().body, b"as it was");
    assert_eq!(server.memory.count(), 1);
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_told_to_everyone() {
    let (server, _) = start().await;
    for what in REQUESTS.iter().filter(|what| !is_free(what.0)) {
        let (operation, method, target) = *what;
        let target = target.replace("/bkt", "/none");
        let what = (operation, method, target.as_str());
        for request in [with_body(&what).anonymous(), by(BOB, with_body(&what))] {
            let reply = server.send(request).await;
            assert_eq!(reply.status, 404, "{what:?}: {}", reply.text());
            if method != "HEAD" {
                reply.refused(404, "NoSuchBucket");
            }
        }
    }
}

#[tokio::test]
async fn an_account_does_what_it_likes_in_its_own_bucket_and_the_administrator_in_all() {
    let (server, _) = start().await;
    let not_there = [Operation::CreateBucket, Operation::PostObject];
    for access in [ALICE, ACCESS] {
        for what in REQUESTS {
            if not_there.contains(&what.0) || what.2.contains("/none") {
                continue;
            }
            let reply = server.send(by(access, with_body(what))).await;
            assert_ne!(reply.status, 403, "{what:?}: {}", reply.text());
        }
        ask(&server, access, "PUT", "/bkt/k").await.expect(200);
    }
    ask(&server, ALICE, "DELETE", "/bkt/k").await.expect(204);
    ask(&server, ALICE, "DELETE", "/bkt").await.expect(204);
}

#[tokio::test]
async fn a_copy_needs_the_source_too() {
    let (server, _) = start().await;
    ask(&server, BOB, "PUT", "/bobs").await.expect(200);
    let copies = ["/bobs/k", "/bobs/k?partNumber=1&uploadId=u"];
    for target in copies {
        for source in ["/bkt/k", "bkt%2Fk", "/bkt/k?versionId=null"] {
            let copy = || {
                by(
                    BOB,
                    Req::new("PUT", target).header("x-amz-copy-source", source),
                )
            };
            server.send(copy()).await.refused(403, "AccessDenied");
            server
                .send(copy().presigned())
                .await
                .refused(403, "AccessDenied");
        }
        let mut hidden = by(BOB, Req::new("PUT", target));
        let source = ("x-amz-copy-source".to_owned(), "%2Fbkt%2Fk".to_owned());
        hidden.query.push(source);
        let reply = server.send(hidden.presigned()).await;
        assert_ne!(reply.status, 200, "{target}: {}", reply.text());
        let gone = Req::new("PUT", target).header("x-amz-copy-source", "/none/k");
        server
            .send(by(BOB, gone))
            .await
            .refused(404, "NoSuchBucket");
    }
    assert_eq!(server.memory.count(), 1);
    // Nor may one read where one may write.
    let into = Req::new("PUT", "/bkt/k").header("x-amz-copy-source", "/bobs/k");
    server
        .send(by(BOB, into))
        .await
        .refused(403, "AccessDenied");
    ask(&server, BOB, "PUT", "/bobs/own").await.expect(200);
    let own = Req::new("PUT", "/bobs/k").header("x-amz-copy-source", "/bobs/own");
    server.send(by(BOB, own)).await.expect(200);
}

#[tokio::test]
async fn a_form_of_another_account_is_denied() {
    let (server, _) = start().await;
    let form = |access| {
        let mut form = Form::new(b"new");
        form.access = access;
        form
    };
    server
        .send(form(BOB).signed())
        .await
        .refused(403, "AccessDenied");
    assert_eq!(server.memory.get_stored("k").unwrap().body, b"as it was");
    let owner = |expected: &str| form(ALICE).allowed("x-amz-expected-bucket-owner", expected);
    server
        .send(owner("100000000002").signed())
        .await
        .refused(403, "AccessDenied");
    assert_eq!(server.memory.get_stored("k").unwrap().body, b"as it was");
    server
        .send(owner("100000000001").signed())
        .await
        .expect(204);
    assert_eq!(server.memory.get_stored("k").unwrap().body, b"new");
}

#[tokio::test]
async fn owners_are_accounts_and_everyone_lists_his_own_buckets() {
    let (server, directory) = start().await;
    let alice = "01".repeat(32);
    let root = directory.find(ACCESS).unwrap().1.account.to_string();
    ask(&server, BOB, "PUT", "/bobs").await.expect(200);
    ask(&server, ACCESS, "PUT", "/roots").await.expect(200);
    ask(&server, ACCESS, "PUT", "/older").await.expect(200);
    // As before there were accounts.
    let old = |row: &mut holdfast_protocol::BucketRow| row.owner = "an-access-key".to_owned();
    old(server
        .memory
        .buckets
        .lock()
        .unwrap()
        .get_mut("older")
        .unwrap());
    for (access, names, id, name) in [
        (ALICE, vec!["bkt"], &alice, "alice"),
        (BOB, vec!["bobs"], &"02".repeat(32), "bob"),
        (ACCESS, vec!["older", "roots"], &root, "root"),
    ] {
        let listed = ask(&server, access, "GET", "/").await.expect(200);
        assert_eq!(listed.elements("Name"), names);
        assert_eq!(listed.element("ID").as_deref(), Some(id.as_str()));
        assert_eq!(listed.element("DisplayName").as_deref(), Some(name));
    }
    for target in [
        "/bkt?acl",
        "/bkt/k?acl",
        "/bkt",
        "/bkt?versions",
        "/bkt?list-type=2&fetch-owner=true",
    ] {
        for access in [ALICE, ACCESS] {
            let shown = ask(&server, access, "GET", target).await.expect(200);
            assert_eq!(shown.element("ID").as_ref(), Some(&alice), "{target}");
            let name = shown.element("DisplayName");
            assert_eq!(name.as_deref(), Some("alice"), "{target}");
        }
    }
    let taken = [
        (ACCESS, "/older", "BucketAlreadyOwnedByYou"),
        (ALICE, "/bkt", "BucketAlreadyOwnedByYou"),
        (BOB, "/bkt", "BucketAlreadyExists"),
        (ALICE, "/older", "BucketAlreadyExists"),
        (ACCESS, "/bkt", "BucketAlreadyExists"),
    ];
    for (access, target, code) in taken {
        ask(&server, access, "PUT", target).await.refused(409, code);
    }
    ask(&server, ALICE, "GET", "/older")
        .await
        .refused(403, "AccessDenied");
}

#[tokio::test]
async fn the_expected_owner_is_the_buckets() {
    let (server, _) = start().await;
    let (alice, bob) = ("01".repeat(32), "02".repeat(32));
    ask(&server, BOB, "PUT", "/bobs").await.expect(200);
    for (access, owner, status) in [
        (ALICE, "100000000001", 200),
        (ALICE, alice.as_str(), 200),
        (ACCESS, "100000000001", 200),
        (ALICE, "100000000002", 403),
        (ALICE, bob.as_str(), 403),
        (ACCESS, bob.as_str(), 403),
        (ALICE, "", 403),
        (ALICE, "alice", 403),
    ] {
        for (method, target) in [("GET", "/bkt/k"), ("PUT", "/bkt/k2"), ("GET", "/bkt")] {
            let request = Req::new(method, target).header("x-amz-expected-bucket-owner", owner);
            let reply = server.send(by(access, request)).await;
            assert_eq!(reply.status, status, "{owner} {target} {}", reply.text());
        }
        let copy = Req::new("PUT", "/bkt/copy")
            .header("x-amz-copy-source", "/bkt/k")
            .header("x-amz-source-expected-bucket-owner", owner);
        let reply = server.send(by(access, copy)).await;
        assert_eq!(reply.status, status, "{owner} {}", reply.text());
    }
}

#[tokio::test]
async fn a_bucket_that_becomes_anothers_while_a_document_arrives_is_not_changed() {
    let (server, _) = start().await;
    let document = b"<Delete><Object><Key>k</Key></Object></Delete>";
    let request = Req::new("POST", "/bkt?delete")
        .header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")
        .header("expect", "100-continue")
        .body(document);
    // The digest is right, or it would be refused for that.
    let mut request = by(ALICE, request);
    request.headers[0].1 = digest(document);
    let bytes = request.bytes();
    let (head, body) = bytes.split_at(bytes.len() - document.len());
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(head).await.unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    let bobs = |row: &mut holdfast_protocol::BucketRow| row.owner = "02".repeat(32);
    bobs(
        server
            .memory
            .buckets
            .lock()
            .unwrap()
            .get_mut("bkt")
            .unwrap(),
    );
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    reply::parse(&answer).refused(403, "AccessDenied");
    assert_eq!(server.memory.count(), 1);
}

fn digest(document: &[u8]) -> String {
    use base64::Engine;
    use md5::Digest;
    base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(document))
}
