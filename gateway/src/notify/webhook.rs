//! A target that is told by HTTP.
//!
//! Owns: one POST for each batch: finding the address, connecting, sending, reading the status.
//! Leaves to others: which addresses may be connected to ([`super::address`]), certificates
//! ([`super::tls`]), trying again ([`crate::object`]).
//! Always: the name is resolved for each batch, and connected to is an address that was looked at,
//! whatever the name means a moment later; redirects are not followed; nothing of the answer's body
//! is kept; all of it has a deadline.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use super::address::Allowed;
use super::target::{Keyed, Target, TargetError};
use super::tls::{Tls, server_name};
use crate::auth::Secret;

const DEADLINE: Duration = Duration::from_secs(10);
/// How long one of several addresses may take to be connected to.
const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// A webhook.
#[derive(Debug)]
pub struct Webhook {
    host: String,
    port: u16,
    authority: HeaderValue,
    path: Uri,
    token: Option<Secret>,
    allowed: Allowed,
    /// With the name that its certificate must be for.
    tls: Option<(Tls, ServerName<'static>)>,
}

impl Webhook {
    /// Reads `http://host[:port]/path` or `https://…`, which needs `tls`.
    ///
    /// # Errors
    /// What is wrong with the URL, in words.
    pub fn new(
        url: &str,
        token: Option<Secret>,
        allowed: Allowed,
        tls: Option<&Tls>,
    ) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| "it is not a URL".to_owned())?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("it must begin with http:// or https://".to_owned()),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("it must not contain credentials".to_owned());
        }
        let host = authority.host();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let tls = match (is_tls, tls) {
            (false, _) => None,
            (true, Some(tls)) => Some((tls.clone(), server_name(&host)?)),
            (true, None) => return Err("no certificates are trusted".to_owned()),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host,
            port: authority
                .port_u16()
                .unwrap_or(if is_tls { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str())
                .map_err(|_| "its host cannot be in a header")?,
            path: path.parse().map_err(|_| "its path is not one")?,
            token,
            allowed,
            tls,
        })
    }

    async fn post(&self, document: &Value) -> Result<(), TargetError> {
        let work = self.exchange(Bytes::from(document.to_string()));
        match timeout(DEADLINE, work).await {
            Ok(done) => done,
            Err(_) => Err(TargetError::Unreachable(format!(
                "no answer within {DEADLINE:?}"
            ))),
        }
    }

    /// Connects to the first address that may be connected to and takes it: as it was looked at,
    /// and never resolved again.
    async fn connect(&self) -> Result<TcpStream, TargetError> {
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| unreachable(&error))?;
        let failed = TargetError::NotAllowed {
            host: self.host.clone(),
        };
        let found: Vec<SocketAddr> = found
            .filter(|address| self.allowed.allows(address.ip()))
            .collect();
        connect_any(&found, CONNECT_DEADLINE, failed).await
    }

    async fn exchange(&self, body: Bytes) -> Result<(), TargetError> {
        let stream = self.connect().await?;
        match &self.tls {
            None => self.talk(stream, body).await,
            Some((tls, name)) => {
                let stream = tls.connect(name.clone(), stream).await;
                let stream = stream.map_err(|error| unreachable(&error))?;
                self.talk(stream, body).await
            }
        }
    }

    async fn talk<S>(&self, stream: S, body: Bytes) -> Result<(), TargetError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| unreachable(&error))?;
        let connection = tokio::spawn(connection);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.authority.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("Holdfast"));
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let mut value = value.map_err(|error| unreachable(&error))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let answer = sender.send_request(request).await;
        connection.abort();
        let status = answer.map_err(|error| unreachable(&error))?.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(TargetError::Refused {
                status: status.as_u16(),
            }),
        }
    }
}

/// Connects to the first address that takes it in time. `failed` is the error if there is none.
async fn connect_any(
    addresses: &[SocketAddr],
    each: Duration,
    mut failed: TargetError,
) -> Result<TcpStream, TargetError> {
    for address in addresses {
        failed = match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => unreachable(&error),
            Err(_) => TargetError::Unreachable(format!("{address}: not connected within {each:?}")),
        };
    }
    Err(failed)
}

fn unreachable(error: &dyn std::error::Error) -> TargetError {
    TargetError::Unreachable(error.to_string())
}

#[async_trait]
impl Target for Webhook {
    async fn send(&self, batch: &[Keyed]) -> Result<(), TargetError> {
        let records: Vec<&Value> = batch.iter().map(|event| &event.record).collect();
        self.post(&json!({"Records": records})).await
    }

    async fn test(&self, message: &Value) -> Result<(), TargetError> {
        self.post(message).await
    }
}

#[cfg(test)]
mod tests {
    //! Facts about connecting and redirects.
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);

    fn nobody() -> TargetError {
        TargetError::Unreachable("nobody".to_owned())
    }

    async fn here() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_keeps_none_of_the_others_from_being_tried() {
        // Whoever comes after the first few is left waiting by the system.
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = silent.listen(1).unwrap();
        let first = silent.local_addr().unwrap();
        let mut taken = Vec::new();
        while let Ok(Ok(stream)) = timeout(SHORT, TcpStream::connect(first)).await {
            taken.push(stream);
            assert!(taken.len() < 100, "{first} takes everyone");
        }
        let (_listener, second) = here().await;
        let stream = connect_any(&[first, second], SHORT, nobody())
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), second);
        let failed = connect_any(&[first], SHORT, nobody()).await.unwrap_err();
        assert!(failed.to_string().contains("not connected"), "{failed}");
        assert!(connect_any(&[], SHORT, nobody()).await.is_err());
    }

    /// Answers every request with that, and counts them.
    async fn answering(answer: String) -> (SocketAddr, Arc<AtomicUsize>) {
        let (listener, address) = here().await;
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut head = vec![0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (address, count)
    }

    #[tokio::test]
    async fn a_redirect_is_a_refusal_and_nobody_goes_there() {
        let taken = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let (elsewhere, asked) = answering(taken.to_owned()).await;
        for status in [301, 302, 303, 307, 308] {
            let moved = format!(
                "HTTP/1.1 {status} Moved\r\nLocation: http://{elsewhere}/\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            let (address, count) = answering(moved).await;
            let allowed = Allowed::new(vec!["127.0.0.0/8".parse().unwrap()]);
            let url = format!("http://{address}/");
            let hook = Webhook::new(&url, None, allowed, None).unwrap();
            let refused = hook.test(&json!({})).await.unwrap_err();
            let is_so = matches!(refused, TargetError::Refused { status: told } if told == status);
            assert!(is_so, "{status}: {refused}");
            assert_eq!(count.load(Ordering::SeqCst), 1);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }
}
