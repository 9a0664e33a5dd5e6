//! Goal: variables are filled in with what the request says, and never widen what is allowed.

use crate::pattern::{Language, Pattern, Wild};
use crate::{Context, Key};

fn matches(pattern: &str, language: Language, wild: Wild, text: &str) -> Option<bool> {
    let mut context = Context::default();
    context.set(Key::UserName, "ann*");
    context.set(Key::UserId, "AIDA:é");
    for tag in ["one", "two"] {
        context.add(Key::RequestObjectTagKeys, tag);
    }
    let pattern = Pattern::parse(pattern, language, wild).unwrap();
    pattern.matches(text, &context)
}

#[test]
fn variables_are_filled_in() {
    for (pattern, text, expected) in [
        ("home/${aws:username}/*", "home/ann*/x", Some(true)),
        // What a request says is no wildcard.
        ("home/${aws:username}/*", "home/anna/x", Some(false)),
        ("${AWS:UserName}", "ann*", Some(true)),
        ("${ aws:username }", "ann*", Some(true)),
        ("x${aws:userid}x", "xAIDA:éx", Some(true)),
        ("${aws:Referer}", "", None),
        ("${aws:Referer}*", "anything", None),
        ("${aws:Referer, 'none'}", "none", Some(true)),
        ("${aws:Referer,'a}b'}/*", "a}b/c", Some(true)),
        ("${aws:Referer , '*' }", "x", Some(false)),
        ("${aws:Referer, ''}", "", Some(true)),
        ("${aws:username, 'none'}", "none", Some(false)),
        // A key of several values has no value to fill in.
        ("${s3:RequestObjectTagKeys}", "one", None),
        ("${*}", "*", Some(true)),
        ("${*}", "x", Some(false)),
        ("${?}${$}", "?$", Some(true)),
        ("$x$", "$x$", Some(true)),
        ("a$", "a$", Some(true)),
        ("?${$}{*", "x${y}", Some(true)),
        ("${s3:ExistingObjectTag/a b}", "", None),
    ] {
        let found = matches(pattern, Language::V2012, Wild::Cards, text);
        assert_eq!(found, expected, "{pattern} {text}");
    }
}

#[test]
fn the_older_language_has_no_variables() {
    for (pattern, text) in [
        ("${aws:username}", "${aws:username}"),
        ("${*}", "${anything}"),
        ("${", "${"),
    ] {
        let found = matches(pattern, Language::V2008, Wild::Cards, text);
        assert_eq!(found, Some(true), "{pattern}");
    }
}

#[test]
fn broken_variables_are_refused() {
    for pattern in [
        "${",
        "${}",
        "${aws:username",
        "${aws:nothing}",
        "${aws:Referer, none}",
        "${aws:Referer, 'none}",
        "${aws:Referer, 'none'",
        "${aws:Referer, 'none' x}",
        "${s3:ExistingObjectTag/}",
        "${*, 'x'}",
        "${${aws:username}}",
    ] {
        let read = Pattern::parse(pattern, Language::V2012, Wild::Cards);
        assert!(read.is_err(), "{pattern}");
    }
}

#[test]
fn wildcards_count_where_they_are_wildcards() {
    for (wild, pattern, text, expected) in [
        (Wild::Text, "a*", "a*", true),
        (Wild::Text, "a*", "ab", false),
        (Wild::Text, "A", "a", false),
        (Wild::TextFolded, "A*É", "a*é", true),
        (Wild::TextFolded, "ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς", false),
        (Wild::TextFolded, "ΣΑΣ", "σασ", true),
        (Wild::TextFolded, "${aws:username}", "ANN*", true),
        (Wild::Cards, "A*", "ab", false),
    ] {
        let found = matches(pattern, Language::V2012, wild, text);
        assert_eq!(found, Some(expected), "{pattern} {text}");
    }
}

#[test]
fn arns_are_split_outside_of_variables() {
    let mut context = Context::default();
    context.set(Key::UserId, "a:b");
    let arn = "arn:aws:s3:::${aws:userid}:c:d";
    let parts = Pattern::arn(arn, Language::V2012).unwrap().unwrap();
    assert_eq!(parts[5].matches("a:b:c:d", &context), Some(true));
    assert!(parts[3].is_fixed() && !parts[5].is_fixed());
    let short = Pattern::arn("arn:aws:s3::x", Language::V2012).unwrap();
    assert!(short.is_none());
}
