//! OpenAI's audio and images, the same at Azure and at others who have them: forms are read here
//! part by part, and by nothing that the gateway writes them with.

use super::api::{Api, Asked};
use super::check::strict;
use super::reply::Reply;
use super::types::OPENAI;
use super::{answer, serve};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

#[derive(Debug)]
pub(super) struct Media;

const IMAGE: &str = "iVBORw0KGgo=";

/// What stands behind `/v1`, or behind Azure's deployment.
fn task(path: &str) -> Option<&str> {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let path = match path.strip_prefix("/openai/deployments/") {
        Some(rest) => &rest[rest.find('/')?..],
        None => path,
    };
    let known = [
        "/audio/speech",
        "/audio/transcriptions",
        "/audio/translations",
        "/images/generations",
        "/images/edits",
        "/images/variations",
    ];
    known.contains(&path).then_some(path)
}

fn is_form(path: &str) -> bool {
    let forms = ["transcriptions", "translations", "edits", "variations"];
    forms.iter().any(|end| path.ends_with(end))
}

/// What the table of types calls it.
fn request(task: &str) -> &'static str {
    match task {
        "/audio/speech" => "speech",
        "/audio/transcriptions" => "transcription",
        "/audio/translations" => "translation",
        "/images/edits" => "edit",
        "/images/variations" => "variation",
        _ => "image",
    }
}

impl Api for Media {
    fn serves(&self, path: &str) -> bool {
        task(path).is_some()
    }

    fn own_headers(&self) -> &'static [&'static str] {
        &[]
    }

    fn content_type(&self, path: &str) -> &'static str {
        if is_form(path) {
            "multipart/form-data"
        } else {
            "application/json"
        }
    }

    fn check(&self, asked: &Asked<'_>) -> (Value, Vec<String>) {
        let task = task(asked.path).unwrap_or_default();
        let (body, mut wrong) = if is_form(task) {
            match form(asked.headers, asked.body) {
                Ok(body) => (body, Vec::new()),
                Err(what) => return (Value::Null, vec![format!("the form: {what}")]),
            }
        } else {
            strict(asked.body)
        };
        let typed = if is_form(task) {
            OPENAI.form(request(task), &body)
        } else {
            body.clone()
        };
        wrong.extend(OPENAI.check(request(task), &typed));
        (body, wrong)
    }

    fn model(&self, path: &str, body: &Value) -> String {
        let deployment = path.strip_prefix("/openai/deployments/");
        let named = deployment.and_then(|rest| rest.split('/').next());
        let model = body["model"].as_str().or(named);
        model.unwrap_or_default().to_owned()
    }

    fn credential<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        serve::openai_credential(headers)
    }

    fn usual(&self, path: &str, body: &Value, _reply: &Reply) -> (&'static str, Vec<Bytes>) {
        match task(path).unwrap_or_default() {
            "/audio/speech" => speech(body),
            "/audio/transcriptions" => transcript(body, self.model(path, body).contains("gpt-4o")),
            "/audio/translations" => transcript(body, false),
            task => images(task, body),
        }
    }

    fn error(&self, status: u16, message: &str) -> Value {
        answer::error(status, message)
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn event(&self, data: &str, _reply: &Reply) -> Bytes {
        Bytes::from(format!("data: {data}\n\n"))
    }
}

fn whole(value: &Value) -> (&'static str, Vec<Bytes>) {
    ("application/json", vec![value.to_string().into()])
}

fn events(all: &[Value]) -> (&'static str, Vec<Bytes>) {
    let event = |data: &Value| {
        let name = data["type"].as_str().unwrap_or_default();
        Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
    };
    ("text/event-stream", all.iter().map(event).collect())
}

/// The bytes of an utterance: four pieces, in which every byte stands.
fn speech(body: &Value) -> (&'static str, Vec<Bytes>) {
    if body["stream_format"] == "sse" {
        return events(&[
            json!({"type": "speech.audio.delta", "audio": "AAEC"}),
            json!({"type": "speech.audio.done", "usage":
                {"input_tokens": 4, "output_tokens": 101, "total_tokens": 105}}),
        ]);
    }
    let kind = match body["response_format"].as_str() {
        Some("wav") => "audio/wav",
        Some("opus") => "audio/opus",
        Some("pcm") => "audio/pcm",
        _ => "audio/mpeg",
    };
    let every: Vec<u8> = (0..=255).collect();
    (kind, vec![Bytes::from(every); 4])
}

/// Says what it heard: the name of the file, its length, and the sum of its bytes.
fn transcript(body: &Value, counts_tokens: bool) -> (&'static str, Vec<Bytes>) {
    let file = &body["file"];
    let text = format!(
        "{} of {} bytes, {} in all",
        file["name"].as_str().unwrap_or_default(),
        file["length"],
        file["sum"]
    );
    let usage = if counts_tokens {
        json!({"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
            "input_token_details": {"text_tokens": 4, "audio_tokens": 10}})
    } else {
        json!({"type": "duration", "seconds": 9})
    };
    if body["stream"] == "true" && counts_tokens {
        let mut all: Vec<_> = text
            .split_inclusive(' ')
            .map(|word| json!({"type": "transcript.text.delta", "delta": word}))
            .collect();
        all.push(json!({"type": "transcript.text.done", "text": text, "usage": usage}));
        return events(&all);
    }
    match body["response_format"].as_str() {
        Some("text") => (
            "text/plain; charset=utf-8",
            vec![format!("{text}\n").into()],
        ),
        Some("srt") => {
            let srt = format!("1\n00:00:00,000 --> 00:00:08,470\n{text}\n\n");
            ("text/plain; charset=utf-8", vec![srt.into()])
        }
        Some("vtt") => {
            let vtt = format!("WEBVTT\n\n00:00:00.000 --> 00:00:08.470\n{text}\n\n");
            ("text/vtt", vec![vtt.into()])
        }
        Some("verbose_json") => whole(&json!({"task": "transcribe", "language": "english",
            "duration": 8.470_000_267_028_809, "text": text,
            "words": [{"word": "of", "start": 0.0, "end": 8.47}]})),
        _ => whole(&json!({"text": text, "usage": usage})),
    }
}

fn images(task: &str, body: &Value) -> (&'static str, Vec<Bytes>) {
    let kind = if task == "/images/edits" {
        "image_edit"
    } else {
        "image_generation"
    };
    let text = body["n"].as_str().and_then(|n| n.parse().ok());
    let count = body["n"].as_u64().or(text).unwrap_or(1);
    let usage = json!({"total_tokens": 100, "input_tokens": 50, "output_tokens": 50,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}});
    if body["stream"] == true || body["stream"] == "true" {
        let partial = |index| {
            json!({"type": format!("{kind}.partial_image"), "b64_json": IMAGE,
            "partial_image_index": index})
        };
        let last = json!({"type": format!("{kind}.completed"), "b64_json": IMAGE, "usage": usage});
        return events(&[partial(0), partial(1), last]);
    }
    let data = vec![json!({"b64_json": IMAGE}); usize::try_from(count).unwrap_or(1)];
    let mut answer = json!({"created": 1_700_000_000, "data": data});
    if body["model"]
        .as_str()
        .is_some_and(|model| model.starts_with("gpt-image"))
    {
        answer["usage"] = usage;
    }
    whole(&answer)
}

/// The fields of a form: texts, `{name, type, length, sum}` for a file, and a list where the name ends
/// in `[]`.
fn form(headers: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let boundary = kind.and_then(|kind| kind.split_once("; boundary="));
    let (_, boundary) = boundary.ok_or("no boundary")?;
    let opening = format!("--{boundary}\r\n");
    let between = format!("\r\n--{boundary}");
    let mut rest = body
        .strip_prefix(opening.as_bytes())
        .ok_or("it does not begin with its boundary")?;
    let mut fields = Map::new();
    loop {
        let end = find(rest, between.as_bytes()).ok_or("a part does not end")?;
        let (name, value) = part(&rest[..end])?;
        rest = &rest[end + between.len()..];
        if name.ends_with("[]") {
            let list = fields.entry(name).or_insert_with(|| json!([]));
            list.as_array_mut().ok_or("a list is none")?.push(value);
        } else if fields.insert(name.clone(), value).is_some() {
            return Err(format!("{name} stands twice"));
        }
        match rest.strip_prefix(b"\r\n") {
            Some(next) => rest = next,
            None if rest == b"--\r\n" => return Ok(Value::Object(fields)),
            None => return Err("bytes behind the end".into()),
        }
    }
}

fn part(part: &[u8]) -> Result<(String, Value), String> {
    let end = find(part, b"\r\n\r\n").ok_or("a part has no end of its head")?;
    let (head, body) = (&part[..end], &part[end + 4..]);
    let head = std::str::from_utf8(head).map_err(|error| error.to_string())?;
    let mut lines = head.split("\r\n");
    let said = lines
        .next()
        .and_then(|line| line.strip_prefix("Content-Disposition: form-data; name=\""))
        .ok_or("a part does not say what it is")?;
    let (name, rest) = said.split_once('"').ok_or("a name does not end")?;
    let Some(file) = rest.strip_prefix("; filename=\"") else {
        let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
        return Ok((name.to_owned(), text.into()));
    };
    let kind = lines
        .next()
        .and_then(|line| line.strip_prefix("Content-Type: "))
        .ok_or("a file has no type")?;
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    let value = json!({"name": file.strip_suffix('"').ok_or("a file's name does not end")?,
        "type": kind, "length": body.len(), "sum": sum});
    Ok((name.to_owned(), value))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}
