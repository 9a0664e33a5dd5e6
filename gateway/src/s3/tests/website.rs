//! Buckets as websites: what visitors get, and what they do not.

use super::Server;
use super::reply::Reply;
use super::wire::Req;

const PAGES: &str = "<WebsiteConfiguration>\
    <IndexDocument><Suffix>index.html</Suffix></IndexDocument>\
    <ErrorDocument><Key>error.html</Key></ErrorDocument>\
    <RoutingRules>\
    <RoutingRule><Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition>\
    <Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect></RoutingRule>\
    <RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals>\
    <HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition>\
    <Redirect><HostName>old.test</HostName><Protocol>https</Protocol>\
    <HttpRedirectCode>307</HttpRedirectCode></Redirect></RoutingRule>\
    </RoutingRules></WebsiteConfiguration>";

/// Everyone may read and list.
const PUBLIC: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
     "Resource": "arn:aws:s3:::bkt/*"},
    {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket",
     "Resource": "arn:aws:s3:::bkt"},
    {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
     "Resource": "arn:aws:s3:::bkt/private/*"}]}"#;

async fn site(website: &str) -> Server {
    let server = Server::with_bucket().await;
    let open = Req::new("DELETE", "/bkt?publicAccessBlock");
    server.send(open).await.expect(204);
    set(&server, "policy", PUBLIC).await.expect(204);
    set(&server, "website", website).await.expect(200);
    for (key, body) in [
        ("index.html", "home"),
        ("a/index.html", "a home"),
        ("page.html", "0123456789"),
        ("private/x", "secret"),
    ] {
        server.put(key, body.as_bytes()).await;
    }
    server
}

async fn set(server: &Server, what: &str, document: &str) -> Reply {
    let put = Req::new("PUT", &format!("/bkt?{what}"));
    server.send(put.body(document.as_bytes())).await
}

fn visit(method: &str, path: &str) -> Req {
    let mut request = Req::new(method, path).anonymous();
    request.host = "bkt.web.test:9000".to_owned();
    request
}

async fn get(server: &Server, path: &str) -> Reply {
    server.send(visit("GET", path)).await
}

#[tokio::test]
async fn a_website_is_kept_until_it_is_deleted() {
    let server = Server::with_bucket().await;
    let absent = "NoSuchWebsiteConfiguration";
    let ask = |method: &str| Req::new(method, "/bkt?website");
    server.send(ask("GET")).await.refused(404, absent);
    set(&server, "website", PAGES).await.expect(200);
    let got = server.send(ask("GET")).await.expect(200);
    for (name, value) in [
        ("Suffix", "index.html"),
        ("Key", "error.html"),
        ("ReplaceKeyPrefixWith", "documents/"),
        ("HttpErrorCodeReturnedEquals", "404"),
        ("HttpRedirectCode", "307"),
        ("Protocol", "https"),
    ] {
        assert_eq!(got.element(name).as_deref(), Some(value));
    }
    server.send(ask("DELETE")).await.expect(204);
    server.send(ask("GET")).await.refused(404, absent);
}

#[tokio::test]
async fn configurations_that_break_the_rules_are_refused() {
    let server = Server::with_bucket().await;
    let index = "<IndexDocument><Suffix>i</Suffix></IndexDocument>";
    let all = "<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>";
    let rule = |inner: &str| {
        let rule = format!("<RoutingRule>{inner}</RoutingRule>");
        format!("{index}<RoutingRules>{rule}</RoutingRules>")
    };
    let to = |inner: &str| rule(&format!("<Redirect>{inner}</Redirect>"));
    for (inner, code) in [
        (String::new(), "InvalidArgument"),
        (format!("{index}{all}"), "InvalidArgument"),
        (index.replace(">i<", ">a/i<"), "InvalidArgument"),
        (all.replace(">h<", ">a b<"), "InvalidArgument"),
        (to(""), "InvalidRequest"),
        (
            to("<HttpRedirectCode>200</HttpRedirectCode>"),
            "InvalidRequest",
        ),
        (
            to("<HttpRedirectCode>x</HttpRedirectCode>"),
            "InvalidRequest",
        ),
        (to("<Protocol>ftp</Protocol>"), "InvalidRequest"),
        (
            to("<ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith>"),
            "InvalidRequest",
        ),
        (
            rule("<Condition></Condition><Redirect><HostName>h</HostName></Redirect>"),
            "InvalidRequest",
        ),
        (all.replace("<HostName>h</HostName>", ""), "MalformedXML"),
    ] {
        let document = format!("<WebsiteConfiguration>{inner}</WebsiteConfiguration>");
        set(&server, "website", &document).await.refused(400, code);
    }
    let got = server.send(Req::new("GET", "/bkt?website")).await;
    got.refused(404, "NoSuchWebsiteConfiguration");
}

#[tokio::test]
async fn paths_are_pages() {
    let server = site(PAGES).await;
    for (path, body) in [
        ("/", "home"),
        ("/index.html", "home"),
        ("/a/", "a home"),
        ("/page.html?versionId=x&anything", "0123456789"),
    ] {
        let got = get(&server, path).await.expect(200);
        assert_eq!(got.text(), body, "{path}");
        let head = server.send(visit("HEAD", path)).await.expect(200);
        assert_eq!(head.get("content-length"), got.get("content-length"));
        assert!(head.body.is_empty());
    }
    let part = visit("GET", "/page.html").late("range", "bytes=2-4");
    assert_eq!(server.send(part).await.expect(206).text(), "234");
    let etag = get(&server, "/page.html").await;
    let etag = etag.get("etag").unwrap();
    let same = visit("GET", "/page.html").late("if-none-match", etag);
    assert!(server.send(same).await.expect(304).body.is_empty());
    for (path, location) in [("/a", "/a/"), ("/docs/x%20y", "/documents/x%20y")] {
        let away = get(&server, path).await;
        assert_eq!(away.get("location"), Some(location), "{path}");
    }
    assert_eq!(get(&server, "/a").await.status, 302);
    let away = get(&server, "/old/x?q").await.expect(307);
    assert_eq!(away.get("location"), Some("https://old.test/old/x?q"));
    assert!(server.metric("holdfast_s3_requests_total", &[("op", "Website")]) > 0.0);
}

#[tokio::test]
async fn errors_are_pages_and_tell_no_more_than_s3_does() {
    let server = site(PAGES).await;
    let missing = get(&server, "/none%3Cb%3E").await.expect(404);
    let text = missing.text();
    assert!(text.contains("<li>Code: NoSuchKey</li>"), "{text}");
    assert!(text.contains("Retrieve a Custom Error Document"), "{text}");
    assert!(!text.contains("<b>"), "{text}");
    assert_eq!(
        missing.get("content-type"),
        Some("text/html; charset=utf-8")
    );
    server.put("error.html", b"sorry").await;
    let missing = visit("GET", "/none").late("range", "bytes=0-0");
    let missing = server.send(missing).await.expect(404);
    assert_eq!(missing.text(), "sorry");
    assert_eq!(missing.get("x-amz-error-code"), Some("NoSuchKey"));
    let head = server.send(visit("HEAD", "/none")).await.expect(404);
    assert!(head.body.is_empty());
    let denied = get(&server, "/private/x").await.expect(403);
    assert_eq!(denied.text(), "sorry");
    assert_eq!(denied.get("x-amz-error-code"), Some("AccessDenied"));
    // A path that is no text names no other page, also where there is one of what it looks like.
    server.put("\u{fffd}", b"other").await;
    let bad = get(&server, "/%FF").await.expect(400);
    assert_eq!(bad.get("x-amz-error-code"), Some("InvalidURI"));
    // Who may list learns that there is nothing.
    get(&server, "/private/none").await.expect(404);
    // Who may not list is not told what is missing.
    let reads = PUBLIC.replace("s3:ListBucket", "s3:ListBucketVersions");
    set(&server, "policy", &reads).await.expect(204);
    get(&server, "/none").await.expect(403);
    get(&server, "/page.html").await.expect(200);
}

#[tokio::test]
async fn visitors_are_nobody_and_only_read() {
    let server = site(PAGES).await;
    let mut signed = Req::new("GET", "/private/x");
    signed.host = "bkt.web.test".to_owned();
    server.send(signed).await.expect(403);
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        let mut request = Req::new(method, "/index.html").body(b"gone");
        request.host = "bkt.web.test".to_owned();
        let refused = server.send(request).await.expect(405);
        assert_eq!(refused.get("allow"), Some("GET, HEAD"));
        assert!(refused.text().contains("MethodNotAllowed"));
    }
    assert_eq!(
        server.memory.get_stored("index.html").unwrap().body,
        b"home"
    );
    let block = "<PublicAccessBlockConfiguration>\
        <RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>";
    set(&server, "publicAccessBlock", block).await.expect(200);
    get(&server, "/").await.expect(403);
}

#[tokio::test]
async fn hosts_are_told_apart() {
    let server = site(PAGES).await;
    let at = |host: &str| {
        let mut request = Req::new("GET", "/").anonymous();
        request.host = host.to_owned();
        request
    };
    let none = server.send(at("none.web.test")).await.expect(404);
    assert_eq!(none.get("x-amz-error-code"), Some("NoSuchBucket"));
    let bad = server.send(at("A.web.test")).await.expect(400);
    assert_eq!(bad.get("x-amz-error-code"), Some("InvalidBucketName"));
    let upper = server.send(at("BKT.web.test")).await.expect(200);
    assert_eq!(upper.text(), "home");
    // These are S3's own.
    server
        .send(at("web.test"))
        .await
        .refused(403, "AccessDenied");
    assert!(
        server
            .send(at("bkt.s3.test"))
            .await
            .expect(200)
            .text()
            .contains("ListBucketResult")
    );
    let delete = Req::new("DELETE", "/bkt?website");
    server.send(delete).await.expect(204);
    let none = get(&server, "/").await.expect(404);
    assert_eq!(
        none.get("x-amz-error-code"),
        Some("NoSuchWebsiteConfiguration")
    );
}

#[tokio::test]
async fn a_website_may_be_elsewhere_as_a_whole_or_object_by_object() {
    let server = site(PAGES).await;
    let put = Req::new("PUT", "/bkt/moved")
        .header("x-amz-website-redirect-location", "https://new.test/x");
    server.send(put).await.expect(200);
    let away = get(&server, "/moved").await.expect(301);
    assert_eq!(away.get("location"), Some("https://new.test/x"));
    assert!(away.body.is_empty());
    let rest = server.send(Req::new("GET", "/bkt/moved")).await.expect(200);
    let header = "x-amz-website-redirect-location";
    assert_eq!(rest.get(header), Some("https://new.test/x"));
    let all = "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>new.test</HostName>\
        </RedirectAllRequestsTo></WebsiteConfiguration>";
    set(&server, "website", all).await.expect(200);
    let away = get(&server, "/private/x?a=b").await.expect(301);
    assert_eq!(away.get("location"), Some("//new.test/private/x?a=b"));
}

#[tokio::test]
async fn pages_of_other_origins_are_told_of_a_website_too() {
    let server = site(PAGES).await;
    let cors = "<CORSConfiguration><CORSRule><AllowedOrigin>https://a.test</AllowedOrigin>\
        <AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";
    set(&server, "cors", cors).await.expect(200);
    let page = visit("GET", "/").late("origin", "https://a.test");
    let page = server.send(page).await.expect(200);
    assert_eq!(
        page.get("access-control-allow-origin"),
        Some("https://a.test")
    );
    let ask = visit("OPTIONS", "/")
        .late("origin", "https://a.test")
        .late("access-control-request-method", "GET");
    server.send(ask).await.expect(200);
}
