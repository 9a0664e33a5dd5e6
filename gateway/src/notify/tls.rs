//! TLS to webhooks.
//!
//! Owns: whose certificates are trusted: those of the system, and what the operator adds.
//! Leaves to others: connecting ([`super::webhook`]).
//! Always: a certificate is checked against the name in the URL; there is no way to leave that out.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Opens TLS connections; cheap to clone.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Trusts the system's certificates and those in `more`, a PEM file.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn new(more: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if let Some(path) = more {
            let bad = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
            let found = CertificateDer::pem_file_iter(path).map_err(|error| bad(&error))?;
            let mut count = 0;
            for certificate in found {
                let certificate = certificate.map_err(|error| bad(&error))?;
                roots.add(certificate).map_err(|error| bad(&error))?;
                count += 1;
            }
            if count == 0 {
                return Err(bad(&"it holds no certificate"));
            }
        }
        if roots.is_empty() {
            return Err("no certificate is trusted: the system has none".to_owned());
        }
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Opens TLS over a connection to the host of that name.
    ///
    /// # Errors
    /// The certificate is not trusted, or is another's; the connection failed.
    pub async fn connect(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.0.connect(name, stream).await
    }
}

/// The name that a certificate must be for.
///
/// # Errors
/// The host is no name.
pub fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|_| "its host is not a name".to_owned())
}
