//! A caller: sees statuses, headers and bytes as they come, and waits for nothing for ever.

use crate::soon;
use crate::sse::Events;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Error};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A caller with a base URL and headers that go with each request.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    headers: HeaderMap,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// A caller that speaks HTTP/1.1.
    pub fn new(base: &str) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self {
            base: base.into(),
            headers: HeaderMap::new(),
            http,
        }
    }

    /// A caller that speaks HTTP/2 without asking first.
    pub fn http2(base: &str) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        Self {
            base: base.into(),
            headers: HeaderMap::new(),
            http,
        }
    }

    /// With this key as the bearer token.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        self.headers.append(
            name,
            HeaderValue::from_str(value).expect("a header's value"),
        );
        self
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::whole(self.send(Method::GET, path, None).await.expect("an answer")).await
    }

    /// Deletes what is at a path.
    pub async fn delete(&self, path: &str) -> Answer {
        let sent = self.send(Method::DELETE, path, None).await;
        Answer::whole(sent.expect("an answer")).await
    }

    /// Gets a path; the error of a connection that broke.
    pub async fn try_get(&self, path: &str) -> Result<Response<Incoming>, Error> {
        self.send(Method::GET, path, None).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, &body.to_string()).await
    }

    /// Posts bytes that say they are JSON.
    pub async fn post_text(&self, path: &str, body: &str) -> Answer {
        Answer::whole(self.try_post(path, body).await.expect("an answer")).await
    }

    /// Posts bytes, with no other headers than this caller's own.
    pub async fn post_bare(&self, path: &str, body: &str) -> Answer {
        let body = Some(Bytes::copy_from_slice(body.as_bytes()));
        let response = self.request(Method::POST, path, body, None).await;
        Answer::whole(response.expect("an answer")).await
    }

    /// Posts a form with a boundary of `b`, of parts that are written out.
    pub async fn post_form(&self, path: &str, body: Vec<u8>) -> Answer {
        let kind = Some("multipart/form-data; boundary=b");
        let body = Some(Bytes::from(body));
        let response = self.request(Method::POST, path, body, kind).await;
        Answer::whole(response.expect("an answer")).await
    }

    /// Posts JSON; `None` if the answer breaks off, wherever it does.
    pub async fn post_broken(&self, path: &str, body: &Value) -> Option<Answer> {
        let response = self.try_post(path, &body.to_string()).await.ok()?;
        Answer::try_whole(response).await.ok()
    }

    /// Posts JSON and reads the answer as it comes.
    pub async fn stream(&self, path: &str, body: &Value) -> Streamed {
        let response = self
            .try_post(path, &body.to_string())
            .await
            .expect("an answer");
        let (head, body) = response.into_parts();
        let events = Events::default();
        Streamed {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            bytes: Vec::new(),
            events,
        }
    }

    /// Posts bytes that say they are JSON; the error of a connection that broke.
    pub async fn try_post(&self, path: &str, body: &str) -> Result<Response<Incoming>, Error> {
        self.send(
            Method::POST,
            path,
            Some(Bytes::copy_from_slice(body.as_bytes())),
        )
        .await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Response<Incoming>, Error> {
        let kind = body.is_some().then_some("application/json");
        self.request(method, path, body, kind).await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        kind: Option<&'static str>,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Request::new(Full::new(body.unwrap_or_default()));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.base).parse().expect("a URL");
        *request.headers_mut() = self.headers.clone();
        if let Some(kind) = kind {
            request
                .headers_mut()
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(kind));
        }
        soon("the head of an answer", self.http.request(request)).await
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    async fn whole(response: Response<Incoming>) -> Self {
        Self::try_whole(response).await.expect("a whole body")
    }

    async fn try_whole(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = response.into_parts();
        let body = soon("the body of an answer", body.collect()).await?;
        Ok(Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    /// The body.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }
}

/// An answer that is read as it comes.
#[derive(Debug)]
pub struct Streamed {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    bytes: Vec<u8>,
    events: Events,
}

impl Streamed {
    /// The header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }

    /// The data of the next event; none at the end, the error of a connection that broke.
    pub async fn next(&mut self) -> Result<Option<String>, hyper::Error> {
        loop {
            if let Some(event) = self.events.next() {
                return Ok(Some(event));
            }
            match soon("the next event", self.body.frame()).await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.bytes.extend_from_slice(&bytes);
                        self.events.push(&bytes);
                    }
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(None),
            }
        }
    }

    /// The data of all events to the end.
    pub async fn all(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await.expect("a whole stream") {
            all.push(event);
        }
        all
    }

    /// Every byte so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .map(|value| value.to_str().expect("a header of text"))
}
