//! What a browser is told about requests from pages of other origins.
//!
//! Owns: finding the rule that allows a request, and the headers that say so. Pure.
//! Leaves to others: the rules ([`crate::settings`]), when they are asked (`s3`).
//! Always: an origin is told only what the first rule that allows it allows; credentials only to
//! an origin that a rule names, never to `*`.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::Refusal;
use crate::settings::{Cors, CorsRule};

/// What a request from a page says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossOrigin {
    origin: String,
    /// Of the request that is to follow, or else of this one.
    method: String,
    /// Lower-case names of headers that are to follow.
    headers: Vec<String>,
}

impl CrossOrigin {
    /// Reads a preflight request.
    ///
    /// # Errors
    /// `BadPreflight` without an origin or a method.
    pub fn preflight(headers: &HeaderMap) -> Result<Self, Refusal> {
        let origin = text(headers, &ORIGIN).ok_or(Refusal::BadPreflight {
            why: "Insufficient information. Origin request header needed.",
        })?;
        let method = text(headers, &ACCESS_CONTROL_REQUEST_METHOD);
        let method = method.ok_or(Refusal::BadPreflight {
            why: "Invalid Access-Control-Request-Method: null",
        })?;
        let names = text(headers, &ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
        let names = names
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase());
        Ok(Self {
            origin,
            method,
            headers: names.filter(|name| !name.is_empty()).collect(),
        })
    }

    /// Reads any other request; `None` if no page of another origin sends it.
    pub fn request(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let asked = text(headers, &ACCESS_CONTROL_REQUEST_METHOD);
        Some(Self {
            origin: text(headers, &ORIGIN)?,
            method: asked.unwrap_or_else(|| method.as_str().to_owned()),
            headers: Vec::new(),
        })
    }

    /// The headers of the answer, if a rule allows the request.
    pub fn allowed(&self, cors: &Cors) -> Option<HeaderMap> {
        let rule = cors.rules().iter().find(|rule| self.is_allowed(rule))?;
        let any = rule.origins.iter().any(|origin| origin == "*");
        let methods: Vec<&str> = rule.methods.iter().map(|method| method.name()).collect();
        let origin = if any { "*" } else { self.origin.as_str() };
        let mut headers = HeaderMap::new();
        set(&mut headers, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        set(
            &mut headers,
            ACCESS_CONTROL_ALLOW_METHODS,
            &methods.join(", "),
        );
        set(
            &mut headers,
            ACCESS_CONTROL_ALLOW_HEADERS,
            &self.headers.join(", "),
        );
        set(
            &mut headers,
            ACCESS_CONTROL_EXPOSE_HEADERS,
            &rule.expose.join(", "),
        );
        if let Some(seconds) = rule.max_age_s {
            set(&mut headers, ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
        }
        if !any {
            set(&mut headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        let vary = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";
        set(&mut headers, VARY, vary);
        Some(headers)
    }

    fn is_allowed(&self, rule: &CorsRule) -> bool {
        rule.methods
            .iter()
            .any(|method| method.name() == self.method)
            && rule.origins.iter().any(|origin| fits(origin, &self.origin))
            && self.headers.iter().all(|name| {
                let is_named = |pattern: &String| fits(&pattern.to_ascii_lowercase(), name);
                rule.headers.iter().any(is_named)
            })
    }
}

/// Whether `text` fits a pattern in which one `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let rest = text.strip_prefix(start);
    rest.is_some_and(|rest| rest.ends_with(end))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    let value = HeaderValue::from_str(text);
    if let Some(value) = value.ok().filter(|_| !text.is_empty()) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    //! Facts about rules.
    use super::*;
    use crate::settings::CorsMethod;

    fn rule(origins: &[&str], methods: &[CorsMethod], headers: &[&str]) -> CorsRule {
        let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        CorsRule {
            id: None,
            origins: own(origins),
            methods: methods.to_vec(),
            headers: own(headers),
            expose: vec!["ETag".to_owned()],
            max_age_s: Some(60),
        }
    }

    fn ask(method: &str, origin: &str, headers: &str) -> CrossOrigin {
        let mut map = HeaderMap::new();
        set(&mut map, ORIGIN, origin);
        set(&mut map, ACCESS_CONTROL_REQUEST_METHOD, method);
        set(&mut map, ACCESS_CONTROL_REQUEST_HEADERS, headers);
        CrossOrigin::preflight(&map).unwrap()
    }

    fn origin(cors: &Cors, ask: &CrossOrigin) -> Option<String> {
        let headers = ask.allowed(cors)?;
        let value = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_star_stands_for_anything_once_and_nothing_overlaps() {
        for (pattern, text, expected) in [
            ("a*b", "ab", true),
            ("a*b", "axxb", true),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("*suffix", "suffix", true),
            ("start*", "start-and-more", true),
            ("end*end", "startend", false),
            ("exact", "exactly", false),
            ("Exact", "exact", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_first_rule_that_allows_all_decides() {
        let cors = Cors::new(vec![
            rule(&["https://a.example"], &[CorsMethod::Get], &[]),
            rule(
                &["https://*.example"],
                &[CorsMethod::Get, CorsMethod::Put],
                &["X-Amz-*"],
            ),
            rule(&["*"], &[CorsMethod::Head], &["*"]),
        ])
        .unwrap();
        let a = "https://a.example";
        assert_eq!(origin(&cors, &ask("GET", a, "")).as_deref(), Some(a));
        assert_eq!(
            origin(&cors, &ask("PUT", a, "x-amz-date")).as_deref(),
            Some(a)
        );
        assert_eq!(
            origin(&cors, &ask("PUT", a, "X-AMZ-DATE")).as_deref(),
            Some(a)
        );
        assert_eq!(origin(&cors, &ask("PUT", a, "x-amz-date, x-other")), None);
        assert_eq!(
            origin(&cors, &ask("HEAD", a, "x-other")).as_deref(),
            Some("*")
        );
        assert_eq!(origin(&cors, &ask("DELETE", a, "")), None);
        assert_eq!(origin(&cors, &ask("GET", "https://evil.test", "")), None);
        assert_eq!(origin(&cors, &ask("GET", "null", "")), None);
        assert_eq!(origin(&cors, &ask("get", a, "")), None);
    }

    #[test]
    fn credentials_are_for_named_origins_only() {
        let cors = Cors::new(vec![
            rule(&["https://a.example"], &[CorsMethod::Get], &[]),
            rule(&["*", "https://b.example"], &[CorsMethod::Get], &[]),
        ])
        .unwrap();
        for (origin, credentials) in [
            ("https://a.example", true),
            ("https://b.example", false),
            ("https://c.example", false),
        ] {
            let headers = ask("GET", origin, "").allowed(&cors).unwrap();
            let told = headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS);
            assert_eq!(told, credentials, "{origin}");
            assert_eq!(headers[ACCESS_CONTROL_EXPOSE_HEADERS], "ETag");
            assert_eq!(headers[ACCESS_CONTROL_MAX_AGE], "60");
        }
    }

    #[test]
    fn a_preflight_names_origin_and_method() {
        let mut map = HeaderMap::new();
        assert!(CrossOrigin::preflight(&map).is_err());
        set(&mut map, ORIGIN, "https://a.example");
        assert!(CrossOrigin::preflight(&map).is_err());
        set(&mut map, ACCESS_CONTROL_REQUEST_METHOD, "GET");
        assert!(CrossOrigin::preflight(&map).is_ok());
        assert_eq!(CrossOrigin::request(&Method::GET, &HeaderMap::new()), None);
    }
}
