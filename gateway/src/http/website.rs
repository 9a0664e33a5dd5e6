//! Where a visitor of a website is sent.
//!
//! Owns: which rule of a website is about a request, and the text of `Location`. Pure.
//! Leaves to others: the rules ([`crate::settings`]), reading pages (`s3`).
//! Always: what a visitor chose of a location never names a host, and is percent-encoded; without a
//! host or a protocol of the owner's choice the location has none, so that it is right behind
//! whatever ends TLS.

use http::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::settings::{Elsewhere, NewKey, Pages, Protocol, RoutingRule};

/// What is written in another way in a path.
const PATH: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// The same for what the owner wrote, where `#` and `?` are meant (`#!/`).
const WRITTEN: AsciiSet = PATH.remove(b'#').remove(b'?').remove(b'%');

/// What a visitor asks for.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// The host of the website, as the visitor names it.
    pub host: &'a str,
    /// The key, without the slash in front.
    pub key: &'a str,
    /// The query, as it came.
    pub query: Option<&'a str>,
}

/// Where a visitor is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The status.
    pub status: StatusCode,
    /// `Location`.
    pub location: String,
}

impl Moved {
    /// The first rule that is about `path` before it is looked up (`failed` is none), or after that
    /// failed.
    pub fn by_rules(pages: &Pages, path: Path<'_>, failed: Option<StatusCode>) -> Option<Self> {
        let is_about = |rule: &&RoutingRule| {
            let prefix = rule.prefix.as_deref().unwrap_or_default();
            rule.error == failed.map(|status| status.as_u16()) && path.key.starts_with(prefix)
        };
        let rule = pages.rules.iter().find(is_about)?;
        let to = &rule.to;
        let prefix = rule.prefix.as_deref().unwrap_or_default();
        let rest = path.key.strip_prefix(prefix).unwrap_or(path.key);
        let target = match &to.key {
            None => encoded(path.key),
            Some(NewKey::Whole(key)) => written(key),
            Some(NewKey::Prefix(start)) => written(start) + &encoded(rest),
        };
        let status = to.status.and_then(|code| StatusCode::from_u16(code).ok());
        let front = front(to.host.as_deref(), to.protocol, path.host);
        Some(Self {
            status: status.unwrap_or(StatusCode::MOVED_PERMANENTLY),
            location: front + &with_query(&rooted(target), path.query),
        })
    }

    /// Everything is elsewhere.
    pub fn elsewhere(to: &Elsewhere, path: Path<'_>) -> Self {
        let front = front(Some(&to.host), to.protocol, path.host);
        Self {
            status: StatusCode::MOVED_PERMANENTLY,
            location: front + &with_query(&rooted(encoded(path.key)), path.query),
        }
    }

    /// The path names a folder.
    pub fn to_folder(path: Path<'_>) -> Self {
        let target = rooted(encoded(path.key)) + "/";
        Self {
            status: StatusCode::FOUND,
            location: with_query(&target, path.query),
        }
    }
}

/// What stands before the path.
fn front(host: Option<&str>, protocol: Option<Protocol>, own: &str) -> String {
    match (protocol, host) {
        (None, None) => String::new(),
        (None, Some(host)) => format!("//{host}"),
        (Some(protocol), Some(host)) => format!("{}://{host}", protocol.name()),
        // Visitors come by http: the port that they came by answers nothing else.
        (Some(Protocol::Https), None) => format!("https://{}", without_port(own)),
        (Some(Protocol::Http), None) => format!("http://{own}"),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    }
}

fn encoded(key: &str) -> String {
    utf8_percent_encode(key, &PATH).to_string()
}

fn written(key: &str) -> String {
    utf8_percent_encode(key, &WRITTEN).to_string()
}

/// As a path. Two slashes in front would name a host.
fn rooted(key: String) -> String {
    match key.strip_prefix('/') {
        Some(rest) => format!("/%2F{rest}"),
        None => format!("/{key}"),
    }
}

fn with_query(path: &str, query: Option<&str>) -> String {
    match query.filter(|query| !query.is_empty() && !path.contains(['?', '#'])) {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    //! Facts about locations.
    use super::*;
    use crate::settings::Redirect;

    fn path(key: &str) -> Path<'_> {
        Path {
            host: "www.web.test",
            key,
            query: None,
        }
    }

    fn rule(prefix: Option<&str>, error: Option<u16>, to: Redirect) -> RoutingRule {
        RoutingRule {
            prefix: prefix.map(str::to_owned),
            error,
            to,
        }
    }

    fn pages(rules: Vec<RoutingRule>) -> Pages {
        Pages {
            index: "index.html".to_owned(),
            error: None,
            rules,
        }
    }

    fn to_prefix(text: &str) -> Redirect {
        Redirect {
            key: Some(NewKey::Prefix(text.to_owned())),
            ..Redirect::default()
        }
    }

    fn location(rules: &[RoutingRule], key: &str, failed: Option<u16>) -> Option<String> {
        let failed = failed.map(|code| StatusCode::from_u16(code).unwrap());
        let moved = Moved::by_rules(&pages(rules.to_vec()), path(key), failed)?;
        Some(moved.location)
    }

    #[test]
    fn the_first_rule_that_is_about_the_request_decides() {
        let rules = [
            rule(Some("docs/"), None, to_prefix("documents/")),
            rule(
                Some("gone/"),
                Some(404),
                Redirect {
                    key: Some(NewKey::Whole("gone.html".to_owned())),
                    status: Some(302),
                    ..Redirect::default()
                },
            ),
            rule(
                None,
                Some(404),
                Redirect {
                    host: Some("old.example:8080".to_owned()),
                    protocol: Some(Protocol::Https),
                    ..Redirect::default()
                },
            ),
            rule(None, Some(403), to_prefix("#!/")),
        ];
        for (key, failed, expected) in [
            ("docs/a b", None, Some("/documents/a%20b")),
            ("docs", None, None),
            ("gone/x", None, None),
            ("gone/x", Some(404), Some("/gone.html")),
            (
                "else/ü",
                Some(404),
                Some("https://old.example:8080/else/%C3%BC"),
            ),
            ("else", Some(500), None),
            ("a/b?c", Some(403), Some("/#!/a/b%3Fc")),
        ] {
            assert_eq!(location(&rules, key, failed).as_deref(), expected, "{key}");
        }
    }

    #[test]
    fn no_visitor_chooses_the_host() {
        let rules = [rule(Some("old/"), None, to_prefix(""))];
        for (key, expected) in [
            ("old//evil.test/x", "/%2Fevil.test/x"),
            ("old/\\evil.test", "/%5Cevil.test"),
            ("old/@evil.test", "/@evil.test"),
            ("old/\r\nset-cookie: a", "/%0D%0Aset-cookie:%20a"),
        ] {
            assert_eq!(location(&rules, key, None).as_deref(), Some(expected));
        }
        assert_eq!(
            Moved::to_folder(path("/evil.test")).location,
            "/%2Fevil.test/"
        );
    }

    #[test]
    fn what_is_elsewhere_keeps_path_and_query() {
        let asked = Path {
            query: Some("x=1&y"),
            ..path("a/b")
        };
        let mut to = Elsewhere {
            host: "other.test".to_owned(),
            protocol: None,
        };
        assert_eq!(
            Moved::elsewhere(&to, asked).location,
            "//other.test/a/b?x=1&y"
        );
        to.protocol = Some(Protocol::Https);
        let moved = Moved::elsewhere(&to, asked);
        assert_eq!(moved.location, "https://other.test/a/b?x=1&y");
        assert_eq!(moved.status, 301);
        assert_eq!(Moved::to_folder(asked).location, "/a/b/?x=1&y");
    }

    #[test]
    fn a_protocol_alone_is_that_of_the_same_host() {
        for (protocol, host, expected) in [
            (Protocol::Https, "www.web.test", "https://www.web.test/a"),
            // The port is the other protocol's.
            (
                Protocol::Https,
                "www.web.test:9000",
                "https://www.web.test/a",
            ),
            (
                Protocol::Http,
                "www.web.test:9000",
                "http://www.web.test:9000/a",
            ),
        ] {
            let to = Redirect {
                protocol: Some(protocol),
                ..Redirect::default()
            };
            let asked = Path { host, ..path("a") };
            let moved = Moved::by_rules(&pages(vec![rule(None, None, to)]), asked, None);
            assert_eq!(moved.unwrap().location, expected);
        }
    }
}
