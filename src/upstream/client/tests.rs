//! The client against servers that are written out, byte by byte.

use super::*;
use http_body_util::StreamBody;
use smallvec::SmallVec;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server whose connections are served one after the other by `serve`.
async fn server<F>(serve: impl Fn(usize, TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for count in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(count, stream));
        }
    });
    address
}

/// Reads a request whose body ends as told; what it was.
async fn request(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0);
    }
    String::from_utf8(read).unwrap()
}

fn post(address: SocketAddr, body: Pieces) -> Request<Pieces> {
    Request::post(format!("http://{address}/v1"))
        .body(body)
        .unwrap()
}

fn pieces(texts: &[&'static str]) -> Pieces {
    Pieces::new(
        texts
            .iter()
            .map(|text| Bytes::from_static(text.as_bytes()))
            .collect(),
    )
}

/// The status and the body of an answer, or how it broke.
async fn ask(client: &Client, request: Request<Pieces>) -> (u16, Result<Bytes, String>) {
    let answer = client.send(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await;
    let body = body.map(http_body_util::Collected::to_bytes);
    (status, body.map_err(|broken| broken.to_string()))
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let address = server(async |count, mut stream: TcpStream| {
        for turn in 0..3 {
            let text = request(&mut stream, b"end").await;
            assert!(text.starts_with("POST /v1 HTTP/1.1\r\n"), "{text}");
            assert!(text.contains("content-length: 8\r\n"), "{text}");
            let body = format!("{count}.{turn}");
            let answer = match turn {
                0 => format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{body}"),
                1 => format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{body}\r\n0\r\n\r\n"
                ),
                _ => "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned(),
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let client = Client::new();
    let mut answers = Vec::new();
    for _ in 0..4 {
        let (status, body) = ask(&client, post(address, pieces(&["begin", "end"]))).await;
        answers.push((status, body.unwrap()));
    }
    let told = |status, body: &'static str| (status, Bytes::from_static(body.as_bytes()));
    assert_eq!(
        answers,
        [
            told(200, "0.0"),
            told(200, "0.1"),
            told(204, ""),
            told(200, "1.0")
        ]
    );
}

#[tokio::test]
async fn an_answer_without_a_length_goes_on_until_the_connection_ends() {
    let address = server(async |_, mut stream: TcpStream| {
        request(&mut stream, b"x").await;
        for part in ["HTTP/1.1 200 OK\r\n", "\r\n", "all ", "of it"] {
            stream.write_all(part.as_bytes()).await.unwrap();
        }
    })
    .await;
    let client = Client::new();
    for _ in 0..2 {
        let (_, body) = ask(&client, post(address, pieces(&["x"]))).await;
        assert_eq!(body.unwrap(), "all of it");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_is_no_whole_answer() {
    for cut in [
        "content-length: 9\r\n\r\nall",
        "transfer-encoding: chunked\r\n\r\n3\r\nall\r\n",
    ] {
        let address = server(move |_, mut stream: TcpStream| async move {
            request(&mut stream, b"x").await;
            let text = format!("HTTP/1.1 200 OK\r\n{cut}");
            stream.write_all(text.as_bytes()).await.unwrap();
        })
        .await;
        let (_, body) = ask(&Client::new(), post(address, pieces(&["x"]))).await;
        assert_eq!(body.unwrap_err(), "the connection was closed too early");
    }
}

#[tokio::test]
async fn what_was_said_before_a_fault_is_heard() {
    let address = server(async |_, mut stream: TcpStream| {
        request(&mut stream, b"x").await;
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nall\r\nof it";
        stream.write_all(text.as_bytes()).await.unwrap();
    })
    .await;
    let answer = Client::new().send(post(address, pieces(&["x"]))).await;
    let mut body = answer.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "all");
    let fault = body.frame().await.unwrap().unwrap_err().to_string();
    assert_eq!(fault, "the answer has a chunk's size that is no number");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_server_may_refuse_before_it_has_read_all() {
    let address = server(async |_, mut stream: TcpStream| {
        let mut head = [0; 64];
        stream.read_exact(&mut head).await.unwrap();
        let refusal = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno";
        stream.write_all(refusal).await.unwrap();
        // It closes with the rest unread, which resets the connection.
    })
    .await;
    let long = Bytes::from(vec![b'x'; 8 << 20]);
    let body = Pieces::new(SmallVec::from_iter([long]));
    let (status, body) = ask(&Client::new(), post(address, body)).await;
    assert_eq!((status, body.unwrap()), (413, Bytes::from_static(b"no")));
}

#[tokio::test]
async fn a_body_that_flows_goes_out_while_the_answer_comes_in() {
    let address = server(async |_, mut stream: TcpStream| {
        let text = request(&mut stream, b"4\r\none \r\n").await;
        assert!(text.contains("transfer-encoding: chunked\r\n"), "{text}");
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none \r\n";
        stream.write_all(head).await.unwrap();
        request(&mut stream, b"3\r\ntwo\r\n0\r\n\r\n").await;
        stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
    })
    .await;
    let (more, coming) = tokio::sync::mpsc::channel(1);
    let frames = futures_util::stream::unfold(coming, |mut coming| async {
        let frame = coming.recv().await?;
        Some((frame, coming))
    });
    let body = Pieces::flowing(StreamBody::new(frames).boxed_unsync());
    let data = |text: &'static str| Ok(http_body::Frame::data(Bytes::from_static(text.as_bytes())));
    more.send(data("one ")).await.unwrap();
    let answer = Client::new().send(post(address, body)).await;
    let mut answer = answer.unwrap().into_body();
    let first = answer.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "one ");
    more.send(data("two")).await.unwrap();
    drop(more);
    let rest = answer.collect().await.unwrap().to_bytes();
    assert_eq!(rest, "two");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_sent_as_whole() {
    let (told, heard) = tokio::sync::oneshot::channel();
    let told = std::sync::Mutex::new(Some(told));
    let address = server(move |_, mut stream: TcpStream| {
        let told = told.lock().unwrap().take().unwrap();
        async move {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            told.send(String::from_utf8(all).unwrap()).unwrap();
        }
    })
    .await;
    let frames = [
        Ok(http_body::Frame::data(Bytes::from_static(b"one"))),
        Err("it broke".into()),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let sent = Client::new()
        .send(post(address, Pieces::flowing(body.boxed_unsync())))
        .await;
    assert!(matches!(sent, Err(SendError::Broken(Broken::Body(_)))));
    assert!(!heard.await.unwrap().contains("\r\n0\r\n"));
}

#[tokio::test]
async fn a_length_that_was_told_is_kept() {
    let address = server(async |_, mut stream: TcpStream| {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
    })
    .await;
    let flowing = |text: &'static str| {
        let frames = [Ok(http_body::Frame::data(Bytes::from_static(
            text.as_bytes(),
        )))];
        Pieces::flowing(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
    };
    for text in ["shorter", "much longer"] {
        let mut request = post(address, flowing(text));
        let length = HeaderValue::from_static("8");
        request.headers_mut().insert(header::CONTENT_LENGTH, length);
        let sent = Client::new().send(request).await;
        assert!(
            matches!(sent, Err(SendError::Broken(Broken::Body(_)))),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_not_used() {
    let address = server(async |_, mut stream: TcpStream| {
        request(&mut stream, b"x").await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let client = Client::new();
    for _ in 0..3 {
        let (status, _) = ask(&client, post(address, pieces(&["x"]))).await;
        assert_eq!(status, 200);
        // The server's side is closed by then.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_refused() {
    let address = server(async |_, mut stream: TcpStream| {
        request(&mut stream, b"x").await;
        let line = [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'y'; 1 << 20]].concat();
        let _ = stream.write_all(&line).await;
    })
    .await;
    let sent = Client::new().send(post(address, pieces(&["x"]))).await;
    assert!(matches!(sent, Err(SendError::Broken(Broken::Malformed(_)))));
}
