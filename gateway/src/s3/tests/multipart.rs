//! Multipart uploads.

use super::Server;
use super::wire::{Mode, Req};

async fn begin(server: &Server, request: Req) -> String {
    server
        .send(request)
        .await
        .expect(200)
        .element("UploadId")
        .unwrap()
}

fn part(id: &str, number: &str, body: &[u8]) -> Req {
    Req::new("PUT", &format!("/bkt/mp?partNumber={number}&uploadId={id}")).body(body)
}

fn complete(id: &str, parts: &[(u32, &str)]) -> Req {
    let mut body = String::from("<CompleteMultipartUpload>");
    for (number, etag) in parts {
        body.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        ));
    }
    body.push_str("</CompleteMultipartUpload>");
    Req::new("POST", &format!("/bkt/mp?uploadId={id}")).body(body.as_bytes())
}

#[tokio::test]
async fn an_object_is_made_of_its_parts() {
    let server = Server::with_bucket().await;
    let create = Req::new("POST", "/bkt/mp?uploads")
        .header("content-type", "text/x")
        .header("x-amz-meta-a", "1")
        .header("x-amz-checksum-algorithm", "CRC64NVME");
    let id = begin(&server, create).await;
    let one = server
        .send(part(&id, "1", b"hello ").mode(Mode::UnsignedTrailer))
        .await
        .expect(200);
    let two = server.send(part(&id, "2", b"world")).await.expect(200);
    let (one, two) = (one.get("etag").unwrap(), two.get("etag").unwrap());
    let listed = Req::new("GET", &format!("/bkt/mp?uploadId={id}&max-parts=1"));
    let listed = server.send(listed).await.expect(200);
    assert_eq!(listed.elements("PartNumber"), ["1"]);
    assert_eq!(listed.element("NextPartNumberMarker").as_deref(), Some("1"));
    let rest = Req::new(
        "GET",
        &format!("/bkt/mp?uploadId={id}&part-number-marker=1"),
    );
    assert_eq!(
        server.send(rest).await.expect(200).elements("PartNumber"),
        ["2"]
    );
    let open = server
        .send(Req::new("GET", "/bkt?uploads"))
        .await
        .expect(200);
    assert_eq!(open.elements("UploadId"), [id.as_str()]);
    let done = server
        .send(complete(&id, &[(1, one), (2, two)]))
        .await
        .expect(200);
    assert!(
        done.element("ETag").unwrap().contains("-2"),
        "{}",
        done.text()
    );
    assert!(done.element("ChecksumCRC64NVME").is_some());
    assert!(done.element("Location").unwrap().ends_with("/bkt/mp"));
    let get = server.send(Req::new("GET", "/bkt/mp")).await.expect(200);
    assert_eq!(
        (get.text().as_str(), get.get("content-type")),
        ("hello world", Some("text/x"))
    );
    let second = server
        .send(Req::new("GET", "/bkt/mp?partNumber=2"))
        .await
        .expect(206);
    assert_eq!(second.text(), "world");
    assert_eq!(second.get("content-range"), Some("bytes 6-10/11"));
    assert_eq!(second.get("x-amz-mp-parts-count"), Some("2"));
    let head = server
        .send(Req::new("HEAD", "/bkt/mp?partNumber=1"))
        .await
        .expect(206);
    assert_eq!(head.get("content-length"), Some("6"));
    let third = server.send(Req::new("GET", "/bkt/mp?partNumber=3")).await;
    third.refused(416, "InvalidPartNumber");
    let both = Req::new("GET", "/bkt/mp?partNumber=1").header("range", "bytes=0-1");
    server.send(both).await.refused(400, "InvalidRequest");
}

#[tokio::test]
async fn a_part_can_be_copied_from_a_range() {
    let server = Server::with_bucket().await;
    server.put("src", b"0123456789").await;
    let id = begin(&server, Req::new("POST", "/bkt/mp?uploads")).await;
    let copy = |range: &str| {
        part(&id, "1", b"")
            .header("x-amz-copy-source", "/bkt/src")
            .header("x-amz-copy-source-range", range)
    };
    for bad in ["bytes=2-", "bytes=-3", "2-4", "bytes=4-2"] {
        server.send(copy(bad)).await.refused(400, "InvalidArgument");
    }
    let copied = server.send(copy("bytes=2-4")).await.expect(200);
    let etag = copied.element("ETag").unwrap();
    server.send(complete(&id, &[(1, &etag)])).await.expect(200);
    assert_eq!(server.memory.get_stored("mp").unwrap().body, b"234");
}

#[tokio::test]
async fn part_numbers_uploads_and_documents_are_checked() {
    let server = Server::with_bucket().await;
    let id = begin(&server, Req::new("POST", "/bkt/mp?uploads")).await;
    for number in ["0", "10001", "-1", "70000", "x"] {
        server
            .send(part(&id, number, b"x"))
            .await
            .refused(400, "InvalidArgument");
    }
    server
        .send(part("other", "1", b"x"))
        .await
        .refused(404, "NoSuchUpload");
    let empty =
        Req::new("POST", &format!("/bkt/mp?uploadId={id}")).body(b"<CompleteMultipartUpload/>");
    server.send(empty).await.refused(400, "MalformedXML");
    let nothing = Req::new("POST", &format!("/bkt/mp?uploadId={id}"));
    assert_eq!(server.send(nothing).await.status, 400);
    let missing = server.send(complete(&id, &[(7, "&quot;00&quot;")])).await;
    missing.refused(400, "InvalidPart");
    let abort = || Req::new("DELETE", &format!("/bkt/mp?uploadId={id}"));
    server.send(abort()).await.expect(204);
    server.send(abort()).await.refused(404, "NoSuchUpload");
}

#[tokio::test]
async fn a_complete_keeps_its_conditions() {
    let server = Server::with_bucket().await;
    server.put("mp", b"there already").await;
    let id = begin(&server, Req::new("POST", "/bkt/mp?uploads")).await;
    let etag = server.send(part(&id, "1", b"x")).await.expect(200);
    let etag = etag.get("etag").unwrap();
    let done = complete(&id, &[(1, etag)]).header("if-none-match", "*");
    server.send(done).await.refused(412, "PreconditionFailed");
    let wrong = complete(&id, &[(1, etag)]).header("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==");
    server.send(wrong).await.refused(400, "BadDigest");
    // This one is the checksum of the object to be, not of the document.
    let done = complete(&id, &[(1, etag)]).header("x-amz-checksum-crc32", "jNxyFw==");
    server.send(done).await.expect(200);
}

#[tokio::test]
async fn the_table_of_checksum_algorithms_and_types_is_kept() {
    let server = Server::with_bucket().await;
    for (kind, covers, given) in [
        ("CRC32", "", Some("COMPOSITE")),
        ("CRC32C", "FULL_OBJECT", Some("FULL_OBJECT")),
        ("CRC64NVME", "", Some("FULL_OBJECT")),
        ("CRC64NVME", "COMPOSITE", None),
        ("SHA256", "", Some("COMPOSITE")),
        ("SHA1", "FULL_OBJECT", None),
        ("", "COMPOSITE", None),
        ("MD4", "", None),
        ("CRC32", "PARTIAL", None),
    ] {
        let mut create = Req::new("POST", "/bkt/mp?uploads");
        for (name, value) in [
            ("x-amz-checksum-algorithm", kind),
            ("x-amz-checksum-type", covers),
        ] {
            if !value.is_empty() {
                create = create.header(name, value);
            }
        }
        let reply = server.send(create).await;
        match given {
            Some(covers) => {
                assert_eq!(
                    reply.expect(200).get("x-amz-checksum-type"),
                    Some(covers),
                    "{kind}"
                );
            }
            None => drop(reply.refused(400, "InvalidRequest")),
        }
    }
}
