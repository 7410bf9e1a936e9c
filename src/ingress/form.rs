//! Reads a form with files: its plain fields become the JSON object that every other request is, so
//! that whatever is checked, read, changed or kept back there is so here, and its files go beside.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header;
use http_body_util::{BodyDataStream, LengthLimitError, Limited};
use multer::{Constraints, Multipart, SizeLimit};
use serde_json::value::RawValue;

use crate::call::Field;
use crate::call::peek::Class;
use crate::error::{Failure, RequestFault};
use crate::wire::form::File;
use crate::wire::json;

/// Most parts of a form.
const MAX_PARTS: usize = 64;
/// Longest plain field.
const MAX_FIELD_BYTES: u64 = 1 << 20;
/// Fields that are files even where the form gives no file's name.
const FILES: [&str; 4] = ["file", "image", "image[]", "mask"];

/// The boundary, if the body is a form.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    multer::parse_boundary(kind).ok()
}

/// Reads a form of at most `limit` bytes: an object of its plain fields, and its files.
///
/// Refuses what is no form, fields without a name, plain fields that are not UTF-8 or very long,
/// and more than 64 parts.
pub(super) async fn read<B>(
    boundary: String,
    body: B,
    limit: u64,
) -> Result<(Bytes, Arc<[File]>), Failure>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let refuse = |error: multer::Error| refused(&error, limit);
    let body = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    let body = std::pin::pin!(body);
    let mut form = Multipart::with_constraints(BodyDataStream::new(body), boundary, bounds(limit));
    let mut fields = Fields::default();
    let mut files = Vec::new();
    let mut parts = 0;
    while let Some(part) = form.next_field().await.map_err(refuse)? {
        parts += 1;
        if parts > MAX_PARTS {
            return Err(wrong("it has more than 64 parts"));
        }
        let Some(name) = part.name().map(str::to_owned) else {
            return Err(wrong("a part has no name"));
        };
        let file = part.file_name().map(str::to_owned);
        if file.is_some() || FILES.contains(&&*name) {
            let content_type = part.headers().get(header::CONTENT_TYPE).cloned();
            files.push(File {
                field: name,
                name: file,
                content_type,
                bytes: part.bytes().await.map_err(refuse)?,
            });
            continue;
        }
        let value = part.bytes().await.map_err(refuse)?;
        if value.len() as u64 > MAX_FIELD_BYTES {
            return Err(wrong("a field is longer than 1 MiB"));
        }
        let value = std::str::from_utf8(&value).map_err(|_| wrong("a field is not UTF-8"))?;
        fields.add(&name, value);
    }
    Ok((fields.object(), files.into()))
}

fn bounds(limit: u64) -> Constraints {
    Constraints::new().size_limit(SizeLimit::new().whole_stream(limit))
}

fn refused(error: &multer::Error, limit: u64) -> Failure {
    match error {
        multer::Error::StreamReadFailed(error) if error.is::<LengthLimitError>() => {
            Failure::Request(RequestFault::TooLarge { limit })
        }
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => {
            Failure::Request(RequestFault::TooLarge { limit })
        }
        multer::Error::StreamReadFailed(_) => Failure::Request(RequestFault::Body),
        error => wrong(&error.to_string()),
    }
}

fn wrong(what: &str) -> Failure {
    Failure::Request(RequestFault::Json(format!("Invalid form: {what}")))
}

/// Plain fields, in the order of their first values.
#[derive(Default)]
struct Fields(Vec<(String, Vec<Vec<u8>>)>);

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        let literal = literal(name, value);
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(literal),
            None => self.0.push((name.to_owned(), vec![literal])),
        }
    }

    /// A field with several values, or with a name that ends in `[]`, is a list.
    fn object(self) -> Bytes {
        let mut out = b"{".to_vec();
        for (name, values) in self.0 {
            if out.len() > 1 {
                out.push(b',');
            }
            json::push_string(&mut out, &name);
            out.push(b':');
            match &values[..] {
                [one] if !name.ends_with("[]") => out.extend_from_slice(one),
                several => {
                    out.push(b'[');
                    out.extend_from_slice(&several.join(&b','));
                    out.push(b']');
                }
            }
        }
        out.push(b'}');
        out.into()
    }
}

/// A form knows texts only. What the gateway itself reads as another kind is of that kind where it
/// looks like it; everything else stays the text that it is.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let typed = Field::named(name.as_bytes()).is_some_and(|field| match field {
        Field::Stream | Field::N => true,
        Field::UserId | Field::TeamId | Field::SessionId | Field::TraceId => false,
        field => field.class() != Class::Read,
    });
    let value = match value {
        "True" | "true" if typed => "true",
        "False" | "false" if typed => "false",
        value => value,
    };
    if typed && let Ok(raw) = serde_json::from_str::<&RawValue>(value) {
        return raw.get().as_bytes().to_vec();
    }
    let mut literal = Vec::with_capacity(value.len() + 2);
    json::push_string(&mut literal, value);
    literal
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn part(head: &str, body: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
    }

    fn read_form(parts: &[String], limit: u64) -> Result<(String, Arc<[File]>), Failure> {
        let body = Full::new(Bytes::from(format!("{}--b--\r\n", parts.concat())));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (object, files) = runtime.block_on(read("b".to_owned(), body, limit))?;
        Ok((String::from_utf8(object.to_vec()).unwrap(), files))
    }

    #[test]
    fn fields_become_an_object_and_files_stay_as_they_are() {
        let parts = [
            part("name=\"model\"", "whisper-1"),
            part("name=\"timestamp_granularities[]\"", "word"),
            part("name=\"temperature\"", "0"),
            part("name=\"stream\"", "True"),
            part("name=\"prompt\"", "12"),
            part("name=\"metadata\"", "{\"tags\":[\"a\"]}"),
            part("name=\"litellm_session_id\"", "7"),
            part(
                "name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg",
                "\0\r\n--",
            ),
            part("name=\"timestamp_granularities[]\"", "segment"),
            part("name=\"image\"", "x"),
        ];
        let (object, files) = read_form(&parts, 4096).unwrap();
        assert_eq!(
            object,
            r#"{"model":"whisper-1","timestamp_granularities[]":["word","segment"],"temperature":"0","stream":true,"prompt":"12","metadata":{"tags":["a"]},"litellm_session_id":"7"}"#
        );
        assert_eq!(files[0].field, "file");
        assert_eq!(files[0].name.as_deref(), Some("a.mp3"));
        assert_eq!(files[0].content_type.as_ref().unwrap(), "audio/mpeg");
        assert_eq!(&files[0].bytes[..], b"\0\r\n--");
        assert_eq!(files[1].name, None);
    }

    #[test]
    fn forms_are_bounded() {
        let fault = |parts: &[String], limit| match read_form(parts, limit) {
            Err(Failure::Request(fault)) => fault,
            other => panic!("{other:?}"),
        };
        let long = part("name=\"file\"; filename=\"a\"", &"x".repeat(5_000));
        let too_large = fault(&[long], 4096);
        assert!(matches!(too_large, RequestFault::TooLarge { limit: 4096 }));
        let many: Vec<_> = (0..65)
            .map(|n| part(&format!("name=\"{n}\""), ""))
            .collect();
        let text = fault(&many, 1 << 20).to_string();
        assert_eq!(text, "Invalid form: it has more than 64 parts");
        let text = fault(&[part("x=\"y\"", "")], 4096).to_string();
        assert_eq!(text, "Invalid form: a part has no name");
        let cut = ["--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhis".to_owned()];
        let cut = Full::new(Bytes::from(cut.concat()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert!(runtime.block_on(read("b".to_owned(), cut, 4096)).is_err());
    }
}
