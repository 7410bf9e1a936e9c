//! What any proxy on hyper costs: a pooled client behind a server, and no logic.

use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Serves for ever, sending every request on to `upstream`.
pub(crate) async fn serve(listener: TcpListener, upstream: SocketAddr) {
    let authority: Authority = upstream
        .to_string()
        .parse()
        .expect("an address is an authority");
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build::<_, Incoming>(connector);
    while let Ok((socket, _)) = listener.accept().await {
        drop(socket.set_nodelay(true));
        let (client, authority) = (client.clone(), authority.clone());
        tokio::spawn(async move {
            let service = service_fn(|mut request: Request<Incoming>| {
                let mut parts = std::mem::take(request.uri_mut()).into_parts();
                parts.scheme = Some(Scheme::HTTP);
                parts.authority = Some(authority.clone());
                *request.uri_mut() =
                    Uri::from_parts(parts).expect("a path, a scheme and an authority");
                request.headers_mut().remove(http::header::HOST);
                client.request(request)
            });
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await,
            );
        });
    }
}
