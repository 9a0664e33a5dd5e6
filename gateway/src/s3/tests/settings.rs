//! Settings of buckets: what is kept, what is refused, and what browsers are told.

use super::Server;
use super::wire::Req;

const CORS: &[u8] = b"<CORSConfiguration>\
    <CORSRule><ID>one</ID><AllowedOrigin>https://*.example</AllowedOrigin>\
    <AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>\
    <AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
    <MaxAgeSeconds>60</MaxAgeSeconds></CORSRule>\
    <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule>\
    </CORSConfiguration>";

async fn with_cors() -> Server {
    let server = Server::with_bucket().await;
    server.put("k", b"x").await;
    let put = Req::new("PUT", "/bkt?cors").body(CORS);
    server.send(put).await.expect(200);
    server
}

fn preflight(target: &str, origin: &str, method: &str) -> Req {
    Req::new("OPTIONS", target)
        .anonymous()
        .late("origin", origin)
        .late("access-control-request-method", method)
}

#[tokio::test]
async fn each_setting_is_kept_until_it_is_deleted() {
    let server = Server::with_bucket().await;
    let tags = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    for (query, document, element, absent) in [
        ("cors", CORS, "AllowedOrigin", "NoSuchCORSConfiguration"),
        ("tagging", &tags[..], "Key", "NoSuchTagSet"),
    ] {
        let target = format!("/bkt?{query}");
        server
            .send(Req::new("GET", &target))
            .await
            .refused(404, absent);
        for _ in 0..2 {
            let put = Req::new("PUT", &target).body(document);
            server.send(put).await.expect(200);
            let got = server.send(Req::new("GET", &target)).await.expect(200);
            let given = String::from_utf8(document.to_vec()).unwrap();
            assert!(
                given.contains(&got.element(element).unwrap()),
                "{}",
                got.text()
            );
        }
        for _ in 0..2 {
            server.send(Req::new("DELETE", &target)).await.expect(204);
            server
                .send(Req::new("GET", &target))
                .await
                .refused(404, absent);
        }
        for request in [
            Req::new("PUT", &format!("/none?{query}")).body(document),
            Req::new("DELETE", &format!("/none?{query}")),
        ] {
            server.send(request).await.refused(404, "NoSuchBucket");
        }
    }
}

#[tokio::test]
async fn who_pays_is_kept() {
    let server = Server::with_bucket().await;
    let put = |payer: &str| {
        let name = "RequestPaymentConfiguration";
        let text = format!("<{name}><Payer>{payer}</Payer></{name}>");
        Req::new("PUT", "/bkt?requestPayment").body(text.as_bytes())
    };
    for payer in ["Requester", "BucketOwner"] {
        server.send(put(payer)).await.expect(200);
        let got = server.send(Req::new("GET", "/bkt?requestPayment")).await;
        assert_eq!(got.expect(200).element("Payer").as_deref(), Some(payer));
    }
    server
        .send(put("Nobody"))
        .await
        .refused(400, "MalformedXML");
}

#[tokio::test]
async fn documents_that_break_the_rules_change_nothing() {
    let server = with_cors().await;
    let rule = |inner: &str| {
        format!("<CORSConfiguration><CORSRule>{inner}</CORSRule></CORSConfiguration>")
    };
    let (origin, method) = (
        "<AllowedOrigin>*</AllowedOrigin>",
        "<AllowedMethod>GET</AllowedMethod>",
    );
    for (text, code) in [
        (
            "<CORSConfiguration></CORSConfiguration>".to_owned(),
            "MalformedXML",
        ),
        ("<x/>".to_owned(), "MalformedXML"),
        (String::new(), "MissingRequestBodyError"),
        (rule(origin), "MalformedXML"),
        (rule(method), "MalformedXML"),
        (
            rule(&format!("{origin}<AllowedMethod>PATCH</AllowedMethod>")),
            "InvalidRequest",
        ),
        (
            rule(&format!("<AllowedOrigin>*.*</AllowedOrigin>{method}")),
            "InvalidRequest",
        ),
        (
            rule(&format!("{origin}{method}<ExposeHeader>*</ExposeHeader>")),
            "InvalidRequest",
        ),
        (
            rule(&format!(
                "{origin}{method}<MaxAgeSeconds>-1</MaxAgeSeconds>"
            )),
            "MalformedXML",
        ),
    ] {
        let put = Req::new("PUT", "/bkt?cors").body(text.as_bytes());
        server.send(put).await.refused(400, code);
    }
    let flipped = Req::new("PUT", "/bkt?cors").body(CORS).tamper(|body| {
        let text = String::from_utf8(body).unwrap();
        text.replace("https://*.example", "https://*.exampla")
            .into_bytes()
    });
    server
        .send(flipped)
        .await
        .refused(400, "XAmzContentSHA256Mismatch");
    let got = server.send(Req::new("GET", "/bkt?cors")).await.expect(200);
    assert_eq!(got.elements("AllowedOrigin"), ["https://*.example", "*"]);
    let tag = "<Tag><Key>a</Key><Value>b</Value></Tag>";
    let twice = format!("<Tagging><TagSet>{tag}{tag}</TagSet></Tagging>");
    let put = Req::new("PUT", "/bkt?tagging").body(twice.as_bytes());
    server.send(put).await.refused(400, "InvalidTag");
    server
        .send(Req::new("GET", "/bkt?tagging"))
        .await
        .refused(404, "NoSuchTagSet");
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_rules_without_a_signature() {
    let server = with_cors().await;
    let origin = "https://a.example";
    for target in [
        "/bkt",
        "/bkt/k",
        "/bkt/none",
        "/bkt/k?X-Amz-Signature=00&versionId=1",
    ] {
        let ask =
            preflight(target, origin, "PUT").late("access-control-request-headers", "X-Amz-Date");
        let told = server.send(ask).await.expect(200);
        assert!(told.body.is_empty());
        for (name, value) in [
            ("access-control-allow-origin", origin),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-headers", "x-amz-date"),
            ("access-control-expose-headers", "ETag"),
            ("access-control-max-age", "60"),
            ("access-control-allow-credentials", "true"),
        ] {
            assert_eq!(told.get(name), Some(value), "{target} {name}");
        }
        assert!(told.get("vary").unwrap().contains("Origin"));
    }
    let any = server
        .send(preflight("/bkt/k", "https://evil.test", "HEAD"))
        .await
        .expect(200);
    assert_eq!(any.get("access-control-allow-origin"), Some("*"));
    assert_eq!(any.get("access-control-allow-credentials"), None);
    let unnamed =
        preflight("/bkt/k", origin, "PUT").late("access-control-request-headers", "x-other");
    for refused in [
        unnamed,
        preflight("/bkt/k", "https://evil.test", "PUT"),
        preflight("/bkt/k", origin, "DELETE"),
        preflight("/none/k", origin, "PUT"),
        preflight("/", origin, "GET"),
    ] {
        let reply = server.send(refused).await.refused(403, "AccessForbidden");
        assert_eq!(reply.get("access-control-allow-origin"), None);
    }
    let method = Req::new("OPTIONS", "/bkt/k")
        .anonymous()
        .late("origin", origin);
    server.send(method).await.refused(400, "BadRequest");
    server
        .send(Req::new("OPTIONS", "/bkt/k").anonymous())
        .await
        .refused(400, "BadRequest");
    assert!(server.metric("holdfast_s3_requests_total", &[("op", "Preflight")]) > 0.0);
}

#[tokio::test]
async fn pages_are_told_of_every_answer_and_get_no_right_by_it() {
    let server = with_cors().await;
    let origin = "https://a.example";
    let from = |method: &str, target: &str| Req::new(method, target).late("origin", origin);
    for (request, status) in [
        (from("GET", "/bkt/k"), 200),
        (from("GET", "/bkt/none"), 404),
        (from("GET", "/bkt/k").anonymous(), 403),
        (from("PUT", "/bkt/k2").body(b"x"), 200),
        (from("PUT", "/bkt/k3").anonymous().body(b"x"), 403),
        (from("GET", "/bkt/k?no-such-thing"), 501),
    ] {
        let what = format!("{} {}", request.method, request.path);
        let reply = server.send(request).await.expect(status);
        assert_eq!(
            reply.get("access-control-allow-origin"),
            Some(origin),
            "{what}"
        );
        assert_eq!(
            reply.get("access-control-allow-methods"),
            Some("GET, PUT"),
            "{what}"
        );
    }
    assert!(server.memory.get_stored("k3").is_none());
    for request in [
        from("DELETE", "/bkt/k2"),
        from("GET", "/none/k"),
        from("GET", "/"),
        Req::new("GET", "/bkt/k"),
        Req::new("GET", "/bkt/k").late("origin", "https://evil.test"),
    ] {
        let what = format!("{} {}", request.method, request.path);
        let reply = server.send(request).await;
        assert_eq!(reply.get("access-control-allow-origin"), None, "{what}");
    }
    let head = Req::new("HEAD", "/bkt/k").late("origin", "https://evil.test");
    let head = server.send(head).await.expect(200);
    assert_eq!(head.get("access-control-allow-origin"), Some("*"));
    assert_eq!(head.get("access-control-allow-credentials"), None);
}
