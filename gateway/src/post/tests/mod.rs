//! Facts about forms, policies, signatures and answers.

mod policies;

use bytes::Bytes;
use proptest::prelude::*;

use super::answer::{Posted, answer};
use super::form::{FIELDS_LEN_MAX, REST_LEN_MAX};
use super::policy::iso8601;
use super::{Claim, Fields, Form, Piece, PostError};
use crate::auth::Secret;
use crate::fuzz::post::{Read, read};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const POLICY: &str = "eyJleHBpcmF0aW9uIjoiMjAzMC0wMS0wMVQwMDowMDowMFoiLCJjb25kaXRpb25zIjpbeyJidWNr\
                      ZXQiOiJiIn1dfQ==";
/// Both by an implementation in another language.
const V4: &str = "66b1278d66a49830289e5a40f963416fa08104449b3647a619448bc2b16e3753";
const V2: &str = "LAl1Yg+MO/WAUV0X8iQqagBt7vk=";

fn part(head: &str, value: &[u8]) -> Vec<u8> {
    let mut part = format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n").into_bytes();
    part.extend(value);
    part.extend(b"\r\n");
    part
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let parts = parts.iter().map(|(head, value)| part(head, value));
    let mut form: Vec<u8> = parts.flatten().collect();
    form.extend(b"--b--\r\n");
    form
}

proptest! {
    #[test]
    fn a_form_is_read_alike_however_it_is_cut(
        fields in prop::collection::vec(("[a-z-]{1,12}x", "[ -~é\r\n]{0,40}"), 0..5),
        // Bytes that look like a boundary are more likely than by chance.
        data in prop::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'b'), any::<u8>()], 0..300),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        after in any::<bool>(),
    ) {
        let marked = |bytes: &[u8]| bytes.windows(5).any(|five| five == b"\r\n--b");
        prop_assume!(!marked(&data));
        prop_assume!(!fields.iter().any(|(_, value)| marked(value.as_bytes())));
        let mut body = Vec::new();
        for (name, value) in &fields {
            body.extend(part(&format!("name=\"{name}\""), value.as_bytes()));
        }
        body.extend(part("name=\"FILE\"; filename=\"f\"", &data));
        if after {
            body.extend(part("name=\"late\"", b"ignored"));
        }
        body.extend(b"--b--\r\n");
        let mut cuts: Vec<usize> = cuts.iter().map(|at| at.index(body.len())).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for at in cuts {
            pieces.push(&body[from..at]);
            from = at;
        }
        pieces.push(&body[from..]);
        let file = "f".to_owned();
        prop_assert_eq!(read(&pieces), Ok(Read { fields, file, data }));
    }

    #[test]
    fn a_damaged_form_fails_alike_however_it_is_cut(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), len in 1..9_usize,
    ) {
        let mut body = form(&[("name=\"key\"", b"k"), ("name=\"file\"; filename=\"f\"", b"data")]);
        let at = at.index(body.len());
        body[at] = byte;
        let pieces: Vec<&[u8]> = body.chunks(len).collect();
        prop_assert_eq!(read(&pieces), read(&[&body]));
    }
}

#[test]
fn the_file_is_passed_on_as_it_comes_and_only_a_boundarys_length_is_held_back() {
    let mut form = Form::new("multipart/form-data; boundary=b").unwrap();
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
    form.push(Bytes::from_static(head.as_bytes()));
    assert!(matches!(form.piece(), Ok(Some(Piece::File { .. }))));
    let mut held = 0_usize;
    for chunk in [
        &b"abc\r"[..],
        b"\n--",
        b"x\r\n--b ",
        b"\t",
        b"y",
        b"\r\n--b",
        b"ut no",
    ] {
        form.push(Bytes::copy_from_slice(chunk));
        held += chunk.len();
        while let Some(Piece::Data(bytes)) = form.piece().unwrap() {
            held -= bytes.len();
        }
        assert!(held <= 4 + 1 + 64 + 2, "{held}");
    }
    assert_eq!(held, 0);
    assert!(form.finish().is_err());
}

#[test]
fn what_comes_before_the_file_and_after_it_is_bounded() {
    let long = vec![b'x'; FIELDS_LEN_MAX];
    let refused = Err(PostError::FieldsTooLong {
        max: FIELDS_LEN_MAX,
    });
    for body in [
        long.clone(),
        part("name=\"key\"", &long),
        part(&format!("name=\"{}\"", "x".repeat(FIELDS_LEN_MAX)), b""),
        [
            part("name=\"a\"", &long[..10_000]),
            part("name=\"b\"", &long[..10_400]),
        ]
        .concat(),
    ] {
        for len in [1000, body.len()] {
            let pieces: Vec<&[u8]> = body.chunks(len).collect();
            assert_eq!(read(&pieces), refused);
        }
    }
    let mut body = form(&[("name=\"a\"", &long[..20_000]), ("name=\"file\"", &long)]);
    assert_eq!(read(&[&body]).unwrap().data.len(), long.len());
    body.extend(vec![0; REST_LEN_MAX as usize]);
    assert!(matches!(read(&[&body]), Err(PostError::Malformed { .. })));
}

#[test]
fn heads_are_read_as_browsers_write_them() {
    for (head, name, file) in [
        (
            r#"name="file"; filename="a b;c=d.txt""#,
            "file",
            "a b;c=d.txt",
        ),
        (r#"name=file;filename=plain.txt"#, "file", "plain.txt"),
        (
            r#"filename="C:\dir\x.txt"; name="file""#,
            "file",
            r"C:\dir\x.txt",
        ),
        (r#"name="file"; filename="a\"b""#, "file", "a\"b"),
        (r#"name="FiLe"; filename="é.txt""#, "FiLe", "é.txt"),
        (
            r#"name="file"; filename="x"; filename*=UTF-8''%C3%A9"#,
            "file",
            "é",
        ),
        (
            r#"name="file"; filename="x"; filename*=latin1''%E9"#,
            "file",
            "x",
        ),
        (
            "name=\"file\"\r\nContent-Type: text/plain\r\nX-Other: y",
            "file",
            "",
        ),
    ] {
        let Read {
            fields,
            file: read_name,
            data,
        } = read(&[&form(&[(head, b"d")])]).unwrap();
        assert!(
            fields.is_empty() && name.eq_ignore_ascii_case("file"),
            "{head}"
        );
        assert_eq!((read_name.as_str(), &data[..]), (file, &b"d"[..]), "{head}");
    }
    for head in [
        "",
        "filename=\"x\"",
        "name=\"\"",
        "name=\"file",
        "name=\"file\"x",
        "name=\"file\"; name=\"key\"",
        "name",
        "name=\"file\"\r\nno colon",
        "name=\"file\"\r\nContent-Disposition: form-data; name=\"key\"",
        "name=\"file\"\r\nContent-Transfer-Encoding: base64",
    ] {
        let refused = read(&[&form(&[(head, b"d")])]);
        assert!(
            matches!(refused, Err(PostError::Malformed { .. })),
            "{head}"
        );
    }
}

#[test]
fn boundaries_keep_their_rules_and_forms_their_end() {
    for good in [
        "b",
        "\"b\"",
        "b; charset=utf-8",
        "----WebKitFormBoundaryAbC0",
    ] {
        assert!(Form::new(&format!("multipart/form-data; boundary={good}")).is_ok());
    }
    assert!(Form::new("Multipart/Form-Data;boundary=b").is_ok());
    for bad in [
        "text/plain; boundary=b",
        "multipart/mixed; boundary=b",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"b ",
        "multipart/form-data; boundary=\"b \"",
        "multipart/form-data; boundary=b\u{e9}",
        &format!("multipart/form-data; boundary={}", "b".repeat(71)),
    ] {
        assert!(Form::new(bad).is_err(), "{bad}");
    }
    let whole = form(&[("name=\"key\"", b"k"), ("name=\"file\"", b"data")]);
    assert!(read(&[&whole]).is_ok());
    for len in 0..whole.len() - 4 {
        assert!(read(&[&whole[..len]]).is_err(), "{len}");
    }
    let none = form(&[("name=\"key\"", b"k")]);
    assert_eq!(read(&[&none]), Err(PostError::NoFile));
    assert_eq!(read(&[b"--b--\r\n"]), Err(PostError::NoFile));
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in pairs {
        fields.add(name, (*value).to_owned()).unwrap();
    }
    fields
}

#[test]
fn a_field_has_one_value_and_the_key_takes_the_files_name() {
    let mut twice = fields(&[("Key", "k"), ("x-ignore-a", "1"), ("x-ignore-a", "2")]);
    assert!(twice.add("kEY", "other".to_owned()).is_err());
    assert_eq!(twice.get("key"), Some("k"));
    for (key, file, expected) in [
        ("a/${filename}", "b.txt", "a/b.txt"),
        ("${filename}${filename}", "/x/y", "yy"),
        (
            "${filename}",
            r"C:\Program Files\directory1\file.txt",
            "file.txt",
        ),
        ("a${filename}", "", "a"),
        ("$filename {filename}", "b", "$filename {filename}"),
    ] {
        let mut form = fields(&[("key", key)]);
        form.expand_key(file).unwrap();
        assert_eq!(form.get("key"), Some(expected));
    }
    assert_eq!(fields(&[]).expand_key("f"), Err(PostError::NoKey));
    let mut empty = fields(&[("key", "${filename}")]);
    assert_eq!(empty.expand_key("dir/"), Err(PostError::NoKey));
}

fn v4(change: &[(&str, &str)]) -> Fields {
    let mut form = fields(&[
        ("policy", POLICY),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        (
            "X-Amz-Credential",
            "AKIA/20151229/us-east-1/s3/aws4_request",
        ),
        ("X-Amz-Date", "20151229T000000Z"),
        ("X-Amz-Signature", V4),
    ]);
    for (name, value) in change {
        form.set(name, value);
    }
    form
}

#[test]
fn signatures_are_those_of_the_policy_and_the_secret() {
    let secret = Secret::new(SECRET);
    let wrong = Secret::new("another-secret");
    let v2 = fields(&[
        ("policy", POLICY),
        ("AWSAccessKeyId", "AKIA"),
        ("Signature", V2),
    ]);
    for form in [v4(&[]), v2] {
        let claim = Claim::of(&form).unwrap().unwrap();
        assert_eq!(claim.access_key(), "AKIA");
        assert_eq!(claim.verify(POLICY, &secret), Ok(()));
        assert_eq!(claim.verify(POLICY, &wrong), Err(PostError::Signature));
        let other = format!("{POLICY} ");
        assert_eq!(claim.verify(&other, &secret), Err(PostError::Signature));
    }
    for (name, value) in [
        ("x-amz-signature", ""),
        (
            "x-amz-credential",
            "AKIA/20151229/eu-west-1/s3/aws4_request",
        ),
    ] {
        let claim = Claim::of(&v4(&[(name, value)])).unwrap().unwrap();
        assert_eq!(claim.verify(POLICY, &secret), Err(PostError::Signature));
    }
}

#[test]
fn a_claim_is_whole_and_there_is_one() {
    assert_eq!(Claim::of(&fields(&[("key", "k")])), Ok(None));
    for form in [
        fields(&[("policy", POLICY)]),
        fields(&[("x-amz-signature", V4)]),
        fields(&[("policy", POLICY), ("AWSAccessKeyId", "AKIA")]),
        fields(&[("policy", POLICY), ("signature", V2)]),
        fields(&[("AWSAccessKeyId", "AKIA"), ("signature", V2)]),
        v4(&[("signature", V2)]),
        v4(&[("x-amz-algorithm", "AWS4-ECDSA-P256-SHA256")]),
        v4(&[("x-amz-credential", "AKIA/20151229/us-east-1/s3")]),
        v4(&[("x-amz-date", "20151230T000000Z")]),
        v4(&[("x-amz-date", "2015-12-29T00:00:00Z")]),
    ] {
        assert!(Claim::of(&form).is_err(), "{form:?}");
    }
}

#[test]
fn a_signature_counts_from_its_date_for_a_week() {
    let claim = Claim::of(&v4(&[])).unwrap().unwrap();
    let signed = iso8601("2015-12-29T00:00:00Z").unwrap();
    let (minute, day) = (60_000, 86_400_000);
    for (now, ok) in [
        (signed, true),
        (signed - 15 * minute, true),
        (signed - 16 * minute, false),
        (signed + 7 * day, true),
        (signed + 7 * day + minute, false),
    ] {
        assert_eq!(claim.check_age(now).is_ok(), ok, "{now}");
    }
}

#[test]
fn an_answer_is_what_the_form_asks_for() {
    let posted = Posted {
        bucket: "bkt",
        key: "a/é&<.txt",
        etag: "0123",
        location: Some("http://host/bkt/k"),
    };
    let query = "bucket=bkt&key=a%2F%C3%A9%26%3C.txt&etag=%220123%22";
    let own = "http://host/bkt/k";
    for (form, status, location) in [
        (&[][..], 204, own.to_owned()),
        (&[("success_action_status", "200")], 200, own.to_owned()),
        (&[("success_action_status", "201")], 201, own.to_owned()),
        (&[("success_action_status", "404")], 204, own.to_owned()),
        (&[("success_action_status", "")], 204, own.to_owned()),
        (
            &[
                ("success_action_redirect", "https://a.example/x"),
                ("success_action_status", "201"),
            ],
            303,
            format!("https://a.example/x?{query}"),
        ),
        (
            &[("redirect", "http://a.example/x?y=1#end")],
            303,
            format!("http://a.example/x?y=1&{query}#end"),
        ),
        (
            &[("success_action_redirect", "/relative")],
            204,
            own.to_owned(),
        ),
        (
            &[("success_action_redirect", "javascript:x")],
            204,
            own.to_owned(),
        ),
        (
            &[("success_action_redirect", "http://a\r\nX: y")],
            204,
            own.to_owned(),
        ),
        (
            &[("success_action_redirect", "http://a/#\r\nX: y")],
            204,
            own.to_owned(),
        ),
    ] {
        let got = answer(&fields(form), &posted);
        assert_eq!(got.status().as_u16(), status, "{form:?}");
        assert_eq!(got.headers()["location"], location.as_str(), "{form:?}");
        assert_eq!(got.headers()["etag"], "\"0123\"");
        let text = String::from_utf8_lossy(got.body());
        assert_eq!(text.is_empty(), status != 201);
        if status == 201 {
            assert!(text.contains("<Key>a/é&amp;&lt;.txt</Key><ETag>&quot;0123&quot;</ETag>"));
            assert!(text.contains(&format!("<Location>{own}</Location>")));
        }
    }
}
