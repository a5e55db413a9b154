//! TLS under the WebSocket, by rustls.
//!
//! The cryptographic provider is named here and never taken from the process, so that another
//! library's choice changes nothing.

use std::io::ErrorKind;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::BoxStream;
use crate::transport::TransportError;

/// Whom a dialling side trusts.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// Trusts servers whose certificates lead to one of `roots`: PEM text with any number of
    /// certificates, or one certificate in DER.
    ///
    /// # Errors
    /// [`TransportError::Tls`] when there is no usable certificate in it.
    pub fn with_roots(roots: &[u8]) -> Result<Self, TransportError> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(roots)? {
            store.add(certificate).map_err(tls_error)?;
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(tls_error)?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    pub(super) async fn secure(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<BoxStream, TransportError> {
        let name = ServerName::try_from(host.to_owned()).map_err(tls_error)?;
        let connector = TlsConnector::from(Arc::clone(&self.0));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(handshake_error(error)),
        }
    }
}

/// What a listening side shows to prove its name.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// Shows `chain`, the server's own certificate first, and signs with `key`: PEM texts, or one
    /// certificate and its key in DER.
    ///
    /// # Errors
    /// [`TransportError::Tls`] when one of them is unusable, or they do not belong together.
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Self, TransportError> {
        let key = if is_pem(key) {
            PrivateKeyDer::from_pem_slice(key).map_err(tls_error)?
        } else {
            PrivateKeyDer::try_from(key.to_vec()).map_err(tls_error)?
        };
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(tls_error)?
            .with_no_client_auth()
            .with_single_cert(certificates(chain)?, key)
            .map_err(tls_error)?;
        Ok(Self(Arc::new(config)))
    }

    pub(super) async fn secure(&self, stream: BoxStream) -> Result<BoxStream, TransportError> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.0));
        match acceptor.accept(stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(handshake_error(error)),
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|it| it == b"-----BEGIN ")
}

fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    if !is_pem(bytes) {
        return Ok(vec![CertificateDer::from(bytes.to_vec())]);
    }
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(tls_error)?;
    if certificates.is_empty() {
        return Err(tls_error("there is no certificate in the PEM text"));
    }
    Ok(certificates)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "so that it can be given to map_err"
)]
fn tls_error(problem: impl ToString) -> TransportError {
    TransportError::Tls {
        problem: problem.to_string(),
    }
}

/// rustls reports what it refuses as invalid data; anything else is the socket's.
fn handshake_error(error: std::io::Error) -> TransportError {
    if error.kind() == ErrorKind::InvalidData {
        tls_error(error)
    } else {
        error.into()
    }
}
