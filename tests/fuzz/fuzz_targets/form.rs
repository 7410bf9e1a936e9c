//! However a form is cut, it is read alike or refused alike; what is taken becomes a JSON object and
//! files, and files that were written into a form come out of it as they were.

#![no_main]

mod common;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use common::{Input, pieces};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use libfuzzer_sys::fuzz_target;
use pointsman::access::Access;
use pointsman::call::{Call, Route};
use pointsman::error::Failure;
use pointsman::ingress::body::Body;
use pointsman::ingress::front::FrontDoor;
use pointsman::live::{Handle, Live};
use pointsman::spend::report::Reporter;
use pointsman::wire::form::{File, Writer};
use pointsman_routes::{Table, load};
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};
use tower::service_fn;

const CONFIG: &str =
    "model_list: [{model_name: m, litellm_params: {model: openai/whisper-1, api_key: sk-none}}]";
const BOUNDARY: &str = "pm";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
});
static LIVE: LazyLock<Handle> = LazyLock::new(|| {
    let loaded = load("fuzz.yaml", CONFIG).loaded.expect("a config");
    let table = Table::loaded(loaded.routes);
    let live = Live::bind(table, &loaded.literals, &|_| None, "fuzz.yaml".to_owned());
    Handle::new(live.expect("nothing of the environment is needed"))
});

/// A body that comes in pieces, all of them there.
struct Pieces<I>(I);

impl<I: Iterator<Item = Bytes> + Unpin> http_body::Body for Pieces<I> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

/// The call that the front door makes of a form, and what it answers.
fn read(form: &[u8], lengths: &[u8]) -> (Option<(Bytes, Vec<File>)>, StatusCode) {
    let read = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&read);
    let calls = service_fn(move |request: Request<Arc<Call>>| {
        let call = request.into_body();
        let files = call.files.as_deref().unwrap_or_default().to_vec();
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((call.body.clone(), files));
        async { Ok::<_, Infallible>(Response::new(Body::whole(Bytes::new()))) }
    });
    let access = Access::new(LIVE.clone(), None);
    let reason = |_: &_, _: Option<&_>, _| Failure::Internal;
    let door = FrontDoor::new(LIVE.clone(), calls, Reporter::silent(), access, reason);
    let request = Request::post("/v1/audio/transcriptions")
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(Pieces(pieces(form, lengths)))
        .expect("a request");
    let answer: Response<Body> = RUNTIME.block_on(door.serve(request, Route::Transcriptions, None));
    let read = read.lock().unwrap_or_else(PoisonError::into_inner).take();
    (read, answer.status())
}

/// The bytes as files of a form, parted at line feeds.
fn written(data: &[u8]) -> (Vec<u8>, Vec<File>) {
    let files = data.split(|byte| *byte == b'\n').map(|bytes| File {
        field: "file".to_owned(),
        name: Some(String::from_utf8_lossy(bytes).into_owned()),
        content_type: None,
        bytes: Bytes::copy_from_slice(bytes),
    });
    let files: Vec<_> = files.take(8).collect();
    let mut form = Writer::new(BOUNDARY);
    form.text("model", b"m");
    files.iter().for_each(|file| form.file(file));
    (form.finish().concat(), files)
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::of(data) else { return };
    let own = (input.which % 2 == 1).then(|| written(input.stream));
    let form = own.as_ref().map_or(input.stream, |(form, _)| form);
    let (whole, status) = read(form, &[]);
    assert_eq!(read(form, input.lengths), (whole.clone(), status));
    if let Some((body, _)) = &whole {
        serde_json::from_slice::<Map<String, Value>>(body).expect("an object");
    }
    // Without a line feed in it, a file holds no boundary.
    if let Some((_, files)) = own
        && let Some((_, read)) = whole
    {
        let bytes = |files: &[File]| -> Vec<_> { files.iter().map(|f| f.bytes.clone()).collect() };
        assert_eq!(bytes(&read), bytes(&files));
    }
});
