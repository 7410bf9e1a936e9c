//! TLS, and HTTP/2 with and without it.

#![expect(clippy::unwrap_used, reason = "to panic is how a test fails")]

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use support::scene::{CHAT, MASTER_KEY, Scene, config, keyed, saying, streaming};
use support::{Client, Gateway, Setup, Upstream, gateway, soon, sse};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate for `localhost` in files of this folder.
fn certificate(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

fn with_tls(setup: Setup, folder: &Path) -> Setup {
    let path = |name: &str| folder.join(name).display().to_string();
    setup
        .arg("--tls-cert")
        .arg(&path("cert.pem"))
        .arg("--tls-key")
        .arg(&path("key.pem"))
}

async fn secured() -> (
    tempfile::TempDir,
    CertificateDer<'static>,
    Upstream,
    Gateway,
) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certificate(folder.path());
    let upstream = Upstream::start().await;
    let setup = with_tls(
        keyed(gateway!()).config(&config(&upstream, "")),
        folder.path(),
    );
    (folder, certificate, upstream, setup.start().await)
}

async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    soon(
        "the handshake",
        TlsConnector::from(Arc::new(config)).connect(name, socket),
    )
    .await
}

fn request(uri: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {MASTER_KEY}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

#[tokio::test]
async fn http1_over_tls() {
    let (_folder, certificate, _upstream, gateway) = secured().await;
    let stream = connect(gateway.address(), &certificate, b"http/1.1")
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let response = soon(
        "an answer",
        sender.send_request(request(CHAT, &saying("hi"))),
    )
    .await
    .unwrap();
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, Version::HTTP_11)
    );
}

#[tokio::test]
async fn http2_is_agreed_on_over_tls() {
    let (_folder, certificate, _upstream, gateway) = secured().await;
    let stream = connect(gateway.address(), &certificate, b"h2")
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let uri = format!("https://localhost{CHAT}");
    let response = soon(
        "an answer",
        sender.send_request(request(&uri, &streaming("hi"))),
    )
    .await
    .unwrap();
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, Version::HTTP_2)
    );
    let body = soon("a whole stream", response.into_body().collect())
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(sse::read(&body).last().map(String::as_str), Some("[DONE]"));
}

#[tokio::test]
async fn a_tls_listener_speaks_nothing_else() {
    let (_folder, _certificate, _upstream, gateway) = secured().await;
    let plain = Client::new(&gateway.url("")).key(MASTER_KEY);
    assert!(
        plain
            .try_post(CHAT, &saying("hi").to_string())
            .await
            .is_err()
    );
    let other = tempfile::tempdir().unwrap();
    let stranger = certificate(other.path());
    assert!(connect(gateway.address(), &stranger, b"h2").await.is_err());
}

#[tokio::test]
async fn a_key_that_does_not_fit_its_certificate_is_no_start() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificate(one.path());
    certificate(two.path());
    std::fs::copy(two.path().join("key.pem"), one.path().join("key.pem")).unwrap();
    let exit = with_tls(gateway!(), one.path())
        .arg("--port")
        .arg("0")
        .run()
        .await;
    assert_ne!(exit.code(), Some(0), "{}", exit.log);
    let exit = with_tls(gateway!(), Path::new("/nowhere"))
        .arg("--port")
        .arg("0")
        .run()
        .await;
    assert_ne!(exit.code(), Some(0));
    assert!(exit.log.contains("/nowhere/cert.pem"), "{}", exit.log);
}

#[tokio::test]
async fn http2_without_tls_by_prior_knowledge() {
    let scene = Scene::start(gateway!()).await;
    let client = Client::http2(&scene.gateway.url("")).key(MASTER_KEY);
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.post(CHAT, &saying("hi")).await.status })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), 200);
    }
    let events = client.stream(CHAT, &streaming("hi")).await.all().await;
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}
