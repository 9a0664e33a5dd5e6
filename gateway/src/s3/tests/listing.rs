//! Listings.

use super::Server;
use super::wire::Req;

async fn filled() -> Server {
    let server = Server::with_bucket().await;
    for key in [
        "a",
        "dir/1",
        "dir/2",
        "dir2/x",
        "foo%2B1/bar",
        "quux%20ab",
        "z",
    ] {
        server.put(key, b"x").await;
    }
    server
}

#[tokio::test]
async fn version_2_continues_where_it_ended() {
    let server = filled().await;
    let mut keys = Vec::new();
    let mut token = String::new();
    let mut pages = 0;
    loop {
        let more = match token.is_empty() {
            true => String::new(),
            false => format!("&continuation-token={token}"),
        };
        let page = Req::new("GET", &format!("/bkt?list-type=2&max-keys=3{more}"));
        let page = server.send(page).await.expect(200);
        assert_eq!(page.element("MaxKeys").as_deref(), Some("3"));
        let found = page.elements("Key");
        assert_eq!(page.element("KeyCount"), Some(found.len().to_string()));
        keys.extend(found);
        pages += 1;
        match page.element("NextContinuationToken") {
            Some(next) => token = next,
            None => {
                assert_eq!(page.element("IsTruncated").as_deref(), Some("false"));
                break;
            }
        }
    }
    assert_eq!(pages, 3);
    assert_eq!(
        keys,
        ["a", "dir/1", "dir/2", "dir2/x", "foo+1/bar", "quux ab", "z"]
    );
    let bad = "/bkt?list-type=2&continuation-token=%21%21";
    server
        .send(Req::new("GET", bad))
        .await
        .refused(400, "InvalidArgument");
}

#[tokio::test]
async fn prefixes_are_rolled_up_and_encoded() {
    let server = filled().await;
    let plain = Req::new("GET", "/bkt?list-type=2&delimiter=%2F");
    let plain = server.send(plain).await.expect(200);
    assert_eq!(plain.elements("Key"), ["a", "quux ab", "z"]);
    assert_eq!(plain.element("KeyCount").as_deref(), Some("6"));
    assert!(
        plain
            .text()
            .contains("<CommonPrefixes><Prefix>foo+1/</Prefix></CommonPrefixes>")
    );
    assert_eq!(plain.element("Owner"), None);
    let coded = "/bkt?delimiter=%2F&encoding-type=url&max-keys=4";
    let coded = server.send(Req::new("GET", coded)).await.expect(200);
    assert_eq!(coded.element("EncodingType").as_deref(), Some("url"));
    assert!(
        coded.text().contains("<Prefix>foo%2B1/</Prefix>"),
        "{}",
        coded.text()
    );
    assert_eq!(coded.element("NextMarker").as_deref(), Some("foo%2B1/"));
    assert!(coded.element("Owner").is_some());
    let after = server
        .send(Req::new("GET", "/bkt?delimiter=%2F&marker=foo%2B1%2F"))
        .await;
    assert_eq!(after.expect(200).elements("Key"), ["quux ab", "z"]);
    let within = server
        .send(Req::new("GET", "/bkt?prefix=dir%2F"))
        .await
        .expect(200);
    assert_eq!(within.elements("Key"), ["dir/1", "dir/2"]);
    let owner = "/bkt?list-type=2&fetch-owner=true&start-after=quux%20ab";
    let owner = server.send(Req::new("GET", owner)).await.expect(200);
    assert_eq!(owner.elements("Key"), ["z"]);
    assert_eq!(owner.element("ID").as_deref(), Some(super::ACCESS));
}

#[tokio::test]
async fn version_1_names_the_next_marker_only_with_a_delimiter() {
    let server = filled().await;
    let page = server
        .send(Req::new("GET", "/bkt?max-keys=2"))
        .await
        .expect(200);
    assert_eq!(page.element("IsTruncated").as_deref(), Some("true"));
    assert_eq!(page.element("NextMarker"), None);
    assert_eq!(page.elements("Key"), ["a", "dir/1"]);
}

#[tokio::test]
async fn page_lengths_are_checked() {
    let server = filled().await;
    for (value, status) in [
        ("-1", 400),
        ("x", 400),
        ("0", 200),
        ("5000", 200),
        ("", 400),
    ] {
        let target = format!("/bkt?list-type=2&max-keys={value}");
        let reply = server.send(Req::new("GET", &target)).await;
        let reply = match status {
            400 => reply.refused(400, "InvalidArgument"),
            _ => reply.expect(status),
        };
        match value {
            "0" => assert_eq!(reply.element("KeyCount").as_deref(), Some("0")),
            "5000" => assert_eq!(reply.element("MaxKeys").as_deref(), Some("1000")),
            _ => {}
        }
    }
    let coding = Req::new("GET", "/bkt?encoding-type=base64");
    server.send(coding).await.refused(400, "InvalidArgument");
    server
        .send(Req::new("GET", "/none?max-keys=0"))
        .await
        .refused(404, "NoSuchBucket");
}

#[tokio::test]
async fn every_object_is_its_null_version() {
    let server = filled().await;
    let page = server
        .send(Req::new("GET", "/bkt?versions&max-keys=5"))
        .await
        .expect(200);
    assert_eq!(page.elements("Version").len(), 5);
    assert_eq!(page.element("VersionId").as_deref(), Some("null"));
    let next = page.element("NextKeyMarker").unwrap();
    let target = format!(
        "/bkt?versions&version-id-marker=null&key-marker={}",
        super::wire::encode(&next)
    );
    let rest = server.send(Req::new("GET", &target)).await.expect(200);
    assert_eq!(rest.elements("Key"), ["quux ab", "z"]);
    server
        .send(Req::new("GET", "/bkt/z?versionId=null"))
        .await
        .expect(200);
    server
        .send(Req::new("GET", "/bkt/z?versionId=17"))
        .await
        .refused(400, "InvalidArgument");
    server
        .send(Req::new("DELETE", "/bkt/z?versionId="))
        .await
        .refused(400, "InvalidArgument");
    server
        .send(Req::new("DELETE", "/bkt/z?versionId=null"))
        .await
        .expect(204);
}
