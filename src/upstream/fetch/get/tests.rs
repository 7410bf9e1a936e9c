//! Over real sockets: who is connected to, and who is not.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Full;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::live::Fetching;

/// A server of the loopback that answers as `answer` says, and tells the heads that it got.
async fn serving(
    answer: impl Fn(&Request<Incoming>) -> Response<Bytes> + Clone + Send + 'static,
) -> (u16, mpsc::UnboundedReceiver<HeaderMap>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, seen) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (answer, heads) = (answer.clone(), heads.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let _ = heads.send(request.headers().clone());
                let answer = answer(&request).map(Full::new);
                async move { Ok::<_, std::convert::Infallible>(answer) }
            });
            let serving = server::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::spawn(async move { drop(serving.await) });
        }
    });
    (port, seen)
}

/// Finds every name where the list says, one entry a look, and nothing after that.
fn finding(found: Vec<Vec<SocketAddr>>) -> (Getter, Arc<AtomicUsize>) {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let getter = Getter::new(Box::new(move |_, _| {
        let look = counted.fetch_add(1, Ordering::Relaxed);
        let found = found.get(look).cloned().unwrap_or_default();
        Box::pin(async move { Ok(found) })
    }));
    (getter, looks)
}

fn rules(hosts: &[&str]) -> Fetching {
    Fetching::with(1 << 20, true, hosts)
}

fn image() -> Response<Bytes> {
    Response::new(Bytes::from_static(b"GIF89a image"))
}

fn to(place: &str) -> Response<Bytes> {
    let redirect = Response::builder().status(302).header("location", place);
    redirect.body(Bytes::new()).unwrap()
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[tokio::test]
async fn what_is_allowed_is_fetched_with_nothing_in_hand() {
    let (port, mut seen) = serving(|_| image()).await;
    let (getter, looks) = finding(vec![vec![loopback(port)]]);
    let address = format!("http://images.example:{port}/a.gif?b=1#c");
    let got = getter
        .get(&address, &rules(&["images.example"]))
        .await
        .unwrap();
    assert_eq!(got.bytes, "GIF89a image");
    assert_eq!(looks.load(Ordering::Relaxed), 1);
    let head = seen.recv().await.unwrap();
    let mut names: Vec<&str> = head.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "host", "user-agent"]);
    assert_eq!(head["host"], format!("images.example:{port}"));
}

#[tokio::test]
async fn nobody_is_asked_who_is_not_of_the_public_internet() {
    let (port, mut seen) = serving(|_| image()).await;
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ] {
        let (getter, _) = finding(Vec::new());
        let address = format!("http://{host}:{port}/a.gif");
        let refused = getter.get(&address, &rules(&[])).await.unwrap_err();
        assert_eq!(refused.why, "It is not in the public internet.", "{host}");
    }
    // A name that leads there, alone or among public ones.
    for found in [
        vec![loopback(port)],
        vec!["8.8.8.8:80".parse().unwrap(), loopback(port)],
        vec!["[::ffff:10.0.0.1]:80".parse().unwrap()],
        vec!["169.254.169.254:80".parse().unwrap()],
    ] {
        let (getter, _) = finding(vec![found]);
        let refused = getter
            .get("http://a.example/", &rules(&[]))
            .await
            .unwrap_err();
        assert_eq!(refused.why, "It is not in the public internet.");
        assert_eq!(refused.host.as_deref(), Some("a.example"));
    }
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_what_was_found_is_connected_to() {
    let (port, _seen) = serving(|_| image()).await;
    let (other, mut rebound) = serving(|_| image()).await;
    // Whoever answers for the name changes their mind.
    let (getter, looks) = finding(vec![vec![loopback(port)], vec![loopback(other)]]);
    let address = format!("http://a.example:{port}/");
    getter.get(&address, &rules(&["a.example"])).await.unwrap();
    assert_eq!(looks.load(Ordering::Relaxed), 1);
    assert!(rebound.try_recv().is_err());
}

#[tokio::test]
async fn a_redirect_is_checked_as_the_first_address_was() {
    let (inside, mut seen) = serving(|_| image()).await;
    let place = format!("http://127.0.0.1:{inside}/secret");
    let (port, _) = serving(move |_| to(&place)).await;
    let (getter, _) = finding(vec![vec![loopback(port)]]);
    let address = format!("http://a.example:{port}/");
    let refused = getter
        .get(&address, &rules(&["a.example"]))
        .await
        .unwrap_err();
    assert_eq!(refused.why, "It is not in the public internet.");
    assert!(seen.try_recv().is_err());

    for place in ["file:///etc/passwd", "gopher://a.example/"] {
        let (port, _) = serving(move |_| to(place)).await;
        let (getter, _) = finding(vec![vec![loopback(port)]]);
        let address = format!("http://a.example:{port}/");
        let refused = getter
            .get(&address, &rules(&["a.example"]))
            .await
            .unwrap_err();
        assert_eq!(refused.why, "It is no address of the web.", "{place}");
    }
}

#[tokio::test]
async fn redirects_are_followed_so_many_times_and_no_more() {
    let steps = |most: usize| {
        serving(move |request: &Request<Incoming>| {
            let step: usize = request.uri().path()[1..].parse().unwrap();
            match step {
                step if step == most => image(),
                step => to(&format!("/{}", step + 1)),
            }
        })
    };
    for (most, fetched) in [(MAX_REDIRECTS, true), (MAX_REDIRECTS + 1, false)] {
        let (port, _) = steps(most).await;
        let (getter, _) = finding(vec![vec![loopback(port)]; most + 1]);
        let address = format!("http://a.example:{port}/0");
        let got = getter.get(&address, &rules(&["a.example"])).await;
        assert_eq!(got.is_ok(), fetched, "{most}: {got:?}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read_to_its_end() {
    for (length, fetched) in [(1 << 20, true), ((1 << 20) + 1, false)] {
        let (port, _) = serving(move |_| Response::new(Bytes::from(vec![b'G'; length]))).await;
        let (getter, _) = finding(Vec::new());
        let address = format!("http://127.0.0.1:{port}/");
        let got = getter.get(&address, &rules(&["127.0.0.1"])).await;
        assert_eq!(got.is_ok(), fetched, "{length}");
        // The room is there again when nobody holds what took it.
        drop(got);
        assert_eq!(getter.room.available_permits(), ROOM);
    }
}

#[tokio::test]
async fn an_address_that_shows_a_password_or_is_none_is_refused() {
    let (getter, looks) = finding(Vec::new());
    for address in [
        "http://a:b@a.example/",
        "https://a@a.example/",
        "http://",
        "ftp://a.example/",
    ] {
        assert!(
            getter.get(address, &rules(&["a.example"])).await.is_err(),
            "{address}"
        );
    }
    let long = format!("http://a.example/{}", "x".repeat(MAX_ADDRESS));
    assert!(getter.get(&long, &rules(&["a.example"])).await.is_err());
    assert_eq!(looks.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn without_the_check_the_machines_own_link_stays_closed() {
    let unchecked = Fetching::with(1 << 20, false, &[]);
    let (port, _seen) = serving(|_| image()).await;
    let (getter, _) = finding(Vec::new());
    let inside = format!("http://127.0.0.1:{port}/");
    assert!(getter.get(&inside, &unchecked).await.is_ok());
    let metadata = getter
        .get("http://169.254.169.254/latest", &unchecked)
        .await;
    assert_eq!(
        metadata.unwrap_err().why,
        "It is not in the public internet."
    );
    let off = Fetching::with(0, false, &[]);
    assert_eq!(
        getter.get(&inside, &off).await.unwrap_err().why,
        "Fetching is switched off."
    );
}
