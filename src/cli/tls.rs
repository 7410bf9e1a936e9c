//! The server's certificate, which may be changed while it serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// A certificate and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Certificate {
    /// Reads chain and key, both PEM.
    pub(super) fn read(chain: &Path, key: &Path) -> Result<Self, String> {
        let current = Arc::new(Current(ArcSwap::from_pointee(certified(chain, key)?)));
        Ok(Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            current,
        })
    }

    /// Reads both again; new connections get the new one. On an error the old one stays.
    pub(super) fn reload(&self) -> Result<(), String> {
        self.current
            .0
            .store(Arc::new(certified(&self.chain, &self.key)?));
        Ok(())
    }

    /// The files to watch.
    pub(super) fn files(&self) -> [PathBuf; 2] {
        [self.chain.clone(), self.key.clone()]
    }

    /// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&self.current) as _;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

fn certified(chain: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let told = |file: &Path, what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
    let chain_of = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| told(chain, &error))?;
    if chain_of.is_empty() {
        return Err(told(chain, &"no certificate in it"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| told(key, &error))?;
    CertifiedKey::from_der(chain_of, private, &ring::default_provider())
        .map_err(|error| told(key, &error))
}
