//! One HTTP request.
//!
//! Owns: connecting, sending, bounds on the answer.
//! Leaves to others: what it means ([`super`]).
//! Always: a new connection per request, and a deadline for all of it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::{Cause, CliError};

/// An answer may be so long.
const ANSWER_LEN_MAX: usize = 64 << 20;

/// Where requests go: the URL of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Host, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    text: String,
}

impl Base {
    /// Reads `http://host:port`.
    ///
    /// # Errors
    /// `Usage` for anything else.
    pub fn parse(url: &str) -> Result<Self, CliError> {
        let bad = || CliError::Usage(format!("{url:?} is not a URL of the form http://host:port"));
        let uri: Uri = url.parse().map_err(|_| bad())?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
            return Err(bad());
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
        Ok(Self {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: uri.port_u16().unwrap_or(80),
            text: url.trim_end_matches('/').to_owned(),
        })
    }
    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// `host:port`, as the header names it.
    pub fn authority(&self) -> &str {
        self.text.trim_start_matches("http://")
    }
}

/// Sends a request, with `headers` and a JSON body, and gives status and body of the answer.
///
/// # Errors
/// `Unreachable`.
pub async fn send(
    base: &Base,
    method: Method,
    path: &str,
    headers: &[(String, String)],
    body: Bytes,
    timeout: Duration,
) -> Result<(StatusCode, Bytes), CliError> {
    let unreachable = |source: Cause| CliError::Unreachable {
        url: base.text.clone(),
        source,
    };
    let work = exchange(base, method, path, headers, body);
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done.map_err(unreachable),
        Err(_) => Err(unreachable(format!("no answer within {timeout:?}").into())),
    }
}

async fn exchange(
    base: &Base,
    method: Method,
    path: &str,
    headers: &[(String, String)],
    body: Bytes,
) -> Result<(StatusCode, Bytes), Cause> {
    let stream = TcpStream::connect((base.host.as_str(), base.port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse()?;
    let map = request.headers_mut();
    map.insert(HOST, HeaderValue::from_str(base.authority())?);
    map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in headers {
        map.insert(
            HeaderName::try_from(name.as_str())?,
            HeaderValue::from_str(value)?,
        );
    }
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER_LEN_MAX)
        .collect()
        .await?
        .to_bytes();
    drop(sender);
    connection.abort();
    Ok((head.status, body))
}
