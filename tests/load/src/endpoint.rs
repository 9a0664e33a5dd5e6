//! Where the server is: a plain-HTTP URL on this machine.
//!
//! Always: an [`Endpoint`] has only loopback addresses. The harness offers load as fast as it can,
//! so it must not be pointed at somebody else's machine by a typing error.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::error::LoadError;

/// A parsed `http://host:port[/path]` whose host is this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    authority: String,
    path: String,
    address: SocketAddr,
}

impl Endpoint {
    /// Parses `url` and resolves its host.
    ///
    /// # Errors
    /// `Endpoint` if the scheme is not `http`, the host cannot be resolved, or any address of it is
    /// not a loopback address.
    pub fn parse(url: &str) -> Result<Self, LoadError> {
        let refuse = |reason: String| LoadError::Endpoint {
            url: url.to_owned(),
            reason,
        };
        let rest = url
            .strip_prefix("http://")
            .ok_or_else(|| refuse("only http:// URLs (TLS is not spoken)".to_owned()))?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let (host, port) = split_authority(authority).map_err(refuse)?;
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) if host == "localhost" => (host, port)
                .to_socket_addrs()
                .map_err(|error| refuse(format!("cannot resolve: {error}")))?
                .collect(),
            Err(_) => Vec::new(),
        };
        let address = addresses
            .iter()
            .find(|address| address.is_ipv4())
            .or(addresses.first())
            .filter(|_| addresses.iter().all(|address| address.ip().is_loopback()));
        let Some(&address) = address else {
            return Err(refuse(format!(
                "{host} is not a loopback address; this harness loads only servers on its own \
                 machine (127.0.0.0/8, [::1], localhost)"
            )));
        };
        let (authority, path) = (authority.to_owned(), path.to_owned());
        Ok(Self {
            url: url.to_owned(),
            authority,
            path,
            address,
        })
    }

    /// The URL as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `host:port`, as the Host header wants it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The path, `/` when none was given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Splits `host:port`, `[v6]:port` or `host` (port 80).
fn split_authority(authority: &str) -> Result<(&str, u16), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a [ without ]")?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.contains('@') {
        return Err("a host is needed, without user name".to_owned());
    }
    let port = match port {
        None => 80,
        Some(text) => text
            .parse()
            .map_err(|_| format!("{text:?} is not a port"))?,
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn loopback_urls_are_accepted() {
        let plain = Endpoint::parse("http://127.0.0.1:9000").unwrap();
        assert_eq!((plain.authority(), plain.path()), ("127.0.0.1:9000", "/"));
        let metrics = Endpoint::parse("http://127.8.9.1:9001/metrics").unwrap();
        assert_eq!(metrics.path(), "/metrics");
        let six = Endpoint::parse("http://[::1]:9000/").unwrap();
        assert_eq!(six.address().to_string(), "[::1]:9000");
        assert_eq!(
            Endpoint::parse("http://localhost:81")
                .unwrap()
                .address()
                .port(),
            81
        );
    }

    #[test]
    fn other_machines_are_refused() {
        for url in [
            "http://10.0.0.1:9000",
            "http://0.0.0.0:9000",
            "http://example.com",
            "http://127.0.0.1.example.com:9000",
            "http://user@127.0.0.1:9000",
            "http://[fe80::1]:9000",
        ] {
            let error = Endpoint::parse(url).unwrap_err().to_string();
            assert!(error.contains(url), "{error}");
        }
    }

    #[test]
    fn https_and_nonsense_are_refused() {
        for url in [
            "https://127.0.0.1:9000",
            "127.0.0.1:9000",
            "http://",
            "http://[::1",
            "http://127.0.0.1:x",
        ] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }
}
