//! Facts about what version 2 signs: the examples of the developer guide.
use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

fn verified(head: &Request<()>, bucket: Option<&str>) -> Result<Claim, Refusal> {
    let query = Query::parse(head.uri().query()).unwrap();
    let claim = claim(head.headers(), &query)?.unwrap();
    claim.verify(head, &query, bucket, &Secret::new(SECRET))?;
    Ok(claim)
}

#[test]
fn the_examples_of_the_guide_verify() {
    let signed = |signature: &str| format!("AWS AKIAIOSFODNN7EXAMPLE:{signature}");
    let get = request(
        "GET",
        "/photos/puppy.jpg",
        &[
            ("date", "Tue, 27 Mar 2007 19:36:42 +0000"),
            ("authorization", &signed("bWq2s1WEIj+Ydj0vQ697zp+IXMU=")),
        ],
    );
    verified(&get, Some("johnsmith")).unwrap();
    let put = request(
        "PUT",
        "/photos/puppy.jpg",
        &[
            ("content-type", "image/jpeg"),
            ("content-length", "94328"),
            ("date", "Tue, 27 Mar 2007 21:15:45 +0000"),
            ("authorization", &signed("MyyxeRY7whkBe+bq8fHCL/2kKUg=")),
        ],
    );
    verified(&put, Some("johnsmith")).unwrap();
    let list = request(
        "GET",
        "/?prefix=photos&max-keys=50&marker=puppy",
        &[
            ("user-agent", "Mozilla/5.0"),
            ("date", "Tue, 27 Mar 2007 19:42:41 +0000"),
            ("authorization", &signed("htDYFYduRNen8P9ZfE/s9SuKy0U=")),
        ],
    );
    verified(&list, Some("johnsmith")).unwrap();
    let acl = request(
        "GET",
        "/?acl",
        &[
            ("date", "Tue, 27 Mar 2007 19:44:46 +0000"),
            ("authorization", &signed("c2WLPFtWHVgbEmeEG93a4cG37dM=")),
        ],
    );
    verified(&acl, Some("johnsmith")).unwrap();
    // However it is written, what is covered has to have been signed.
    for uri in ["/?%61cl", "/?acl&cors", "/?acl&%63ors="] {
        let mut changed = request("GET", uri, &[]);
        changed.headers_mut().clone_from(acl.headers());
        let same = verified(&changed, Some("johnsmith")).is_ok();
        assert_eq!(same, uri == "/?%61cl", "{uri}");
    }
    let mut changed = acl;
    *changed.method_mut() = http::Method::DELETE;
    let refused = verified(&changed, Some("johnsmith"));
    assert_eq!(refused, Err(Refusal::WrongSignature));
}

#[test]
fn a_bucket_in_the_path_may_be_signed_with_a_slash_behind_it() {
    let date = "Tue, 27 Mar 2007 19:36:42 GMT";
    let signed = |resource: &str, target: &str| {
        let text = format!("GET\n\n\n{date}\n{resource}");
        let signature = sign(&Secret::new(SECRET), text.as_bytes());
        let authorization = format!("AWS me:{signature}");
        let headers = [("date", date), ("authorization", authorization.as_str())];
        verified(&request("GET", target, &headers), None).is_ok()
    };
    assert!(signed("/bkt", "/bkt") && signed("/bkt/", "/bkt") && signed("/bkt/", "/bkt/"));
    assert!(signed("/bkt/?acl", "/bkt?acl"));
    assert!(!signed("/bkt/key/", "/bkt/key") && !signed("/bkt", "/bkt/"));
}

#[test]
fn a_query_is_verified_with_its_end_and_the_headers_in_it() {
    let text = b"PUT\n\ntext/plain\n2000000000\nx-amz-acl:private\n\
                 /bkt/k%20y?partNumber=1&uploadId=a+b";
    let signature = sign(&Secret::new(SECRET), text).replace('+', "%2B");
    let uri = format!(
        "/bkt/k%20y?uploadId=a%2Bb&partNumber=1&X-Amz-Acl=private&AWSAccessKeyId=me\
         &Expires=2000000000&Signature={signature}"
    );
    let head = request("PUT", &uri, &[("content-type", "text/plain")]);
    let claim = verified(&head, None).unwrap();
    assert!(claim.is_presigned());
    let at = |ms| claim.check_age(head.headers(), ms);
    assert_eq!(at(2_000_000_000_999), Ok(()));
    assert_eq!(at(2_000_000_001_000), Err(Refusal::Expired));
    let other = request("PUT", &uri.replace("private", "public-read"), &[]);
    assert_eq!(verified(&other, None), Err(Refusal::WrongSignature));
}

#[test]
fn what_is_not_covered_is_refused() {
    let authorization = ("authorization", "AWS me:c2lnbmF0dXJl");
    for parameter in ["retention", "legal-hold", "publicAccessBlock", "anything=1"] {
        let head = request("GET", &format!("/bkt/key?{parameter}"), &[authorization]);
        let what = parameter.split('=').next().unwrap_or_default().to_owned();
        assert_eq!(verified(&head, None), Err(Refusal::NotCovered { what }));
    }
    let chunks = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let head = request("PUT", "/bkt/key", &[authorization, chunks]);
    let what = "a body in chunks".to_owned();
    assert_eq!(verified(&head, None), Err(Refusal::NotCovered { what }));
}

#[test]
fn claims_are_read_once_and_from_one_place() {
    let read = |uri: &str, headers: &[(&str, &str)]| {
        let head = request("GET", uri, headers);
        let query = Query::parse(head.uri().query()).unwrap();
        claim(head.headers(), &query)
    };
    assert_eq!(read("/bkt", &[]), Ok(None));
    let v4 = ("authorization", "AWS4-HMAC-SHA256 Credential=…");
    assert_eq!(read("/bkt", &[v4]), Ok(None));
    for text in ["AWS me", "AWS ", "AWS HAHAHA"] {
        let refused = read("/bkt", &[("authorization", text)]);
        assert_eq!(refused, Err(Refusal::MalformedV2), "{text}");
    }
    let v2 = ("authorization", "AWS me:c2ln");
    assert_eq!(read("/bkt?Signature=a", &[v2]), Err(Refusal::TwoMechanisms));
    assert_eq!(read("/bkt?Signature=a", &[v4]), Err(Refusal::TwoMechanisms));
    assert_eq!(
        read("/bkt?X-Amz-Signature=a", &[v2]),
        Err(Refusal::TwoMechanisms)
    );
    assert_eq!(read("/bkt?Signature=a", &[]), Err(Refusal::PartOfV2));
    let why = "it is given twice";
    assert_eq!(
        read("/bkt", &[v2, v2]),
        Err(Refusal::MalformedHeader { why })
    );
}

#[test]
fn the_age_of_a_header_counts() {
    let now_ms = 1_175_024_202_000;
    let at = |name: &str, date: &str| {
        let head = request("GET", "/", &[(name, date), ("authorization", "AWS a:b")]);
        let claim = claim(head.headers(), &Query::default()).unwrap().unwrap();
        claim.check_age(head.headers(), now_ms)
    };
    for date in [
        "Tue, 27 Mar 2007 19:36:42 +0000",
        "Tue, 27 Mar 2007 19:36:42 GMT",
        "20070327T193642Z",
        "Tue, 27 Mar 2007 19:50:42 GMT",
        "Sun, 27 Mar 2007 19:36:42 GMT",
    ] {
        assert_eq!(at("date", date), Ok(()), "{date}");
        assert_eq!(at("x-amz-date", date), Ok(()), "{date}");
    }
    for date in ["Tue, 27 Mar 2007 19:20:42 GMT", "20070327T195343Z"] {
        assert_eq!(at("date", date), Err(Refusal::Skewed), "{date}");
    }
    for date in [
        "",
        "Bad Date",
        "Tue, 27 Mar 1950 19:36:42 GMT",
        "Tue, 27 Mar 2007 19:36:42 +0200",
    ] {
        assert_eq!(at("x-amz-date", date), Err(Refusal::NoDate), "{date}");
    }
    assert_eq!(at("x-other", ""), Err(Refusal::NoDate));
}
