//! Images, documents and sound as Gemini's parts.
//!
//! Source: Google's guides "File input methods" and "Media resolution". Bytes stand in the request;
//! an address goes on where the model fetches it itself: Google's own files, Cloud Storage, `YouTube`,
//! and for newer models any public `https:` address. Of everything
//! else the gateway fetches the bytes (`upstream/fetch`).

use serde_json::json;

use super::Flavour;
use super::model::Model;
use crate::call::chat::{self, Media, Source};
use crate::upstream::protocol::Unfit;
use crate::wire::gemini::{Blob, FileData, Part};

/// Where files of the Files API stand.
const FILES: &str = "https://generativelanguage.googleapis.com/v1beta/";

/// Kinds by the end of a file's name.
const ENDS: [(&str, &str); 30] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("xml", "text/xml"),
    ("json", "application/json"),
    ("mp3", "audio/mp3"),
    ("wav", "audio/wav"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("aac", "audio/aac"),
    ("aiff", "audio/aiff"),
    ("m4a", "audio/m4a"),
    ("mp4", "video/mp4"),
    ("mov", "video/mov"),
    ("webm", "video/webm"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpg"),
    ("avi", "video/avi"),
    ("wmv", "video/wmv"),
    ("3gp", "video/3gpp"),
];

/// Kinds by how their base64 begins.
const BEGINS: [(&str, &str); 8] = [
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
    ("SUQz", "audio/mp3"),
    ("T2dnUw", "audio/ogg"),
    ("ZkxhQw", "audio/flac"),
];

/// A part; `kind` is what the message calls it.
pub(super) fn media(
    media: &Media,
    kind: &'static str,
    flavour: Flavour,
    model: Model,
) -> Result<Part, Unfit> {
    let mut part = match &media.source {
        Source::Base64(data) => bytes(media, kind, data)?,
        Source::Url(url) => address(media, kind, url, flavour, model)?,
        Source::File(id) => file(media, id)?,
        Source::Text(text) => Part {
            text: Some(text.clone()),
            ..Part::default()
        },
    };
    if model.takes_nested_media() && part.text.is_none() {
        let level = match media.detail.as_deref() {
            Some("low") => Some("MEDIA_RESOLUTION_LOW"),
            Some("high") => Some("MEDIA_RESOLUTION_HIGH"),
            _ => None,
        };
        if let Some(level) = level {
            part.rest
                .insert("mediaResolution".to_owned(), json!({ "level": level }));
        }
    }
    Ok(part)
}

fn bytes(media: &Media, kind: &'static str, data: &str) -> Result<Part, Unfit> {
    let mime = media
        .mime
        .clone()
        .or_else(|| by_end(media.name.as_deref()?))
        .or_else(|| {
            let found = BEGINS.iter().find(|(begin, _)| data.starts_with(begin))?;
            Some(found.1.to_owned())
        })
        .ok_or_else(|| unknown_kind(kind))?;
    Ok(Part {
        inline_data: Some(Blob {
            mime_type: mime,
            data: data.to_owned(),
            ..Blob::default()
        }),
        ..Part::default()
    })
}

fn address(
    media: &Media,
    kind: &'static str,
    url: &str,
    flavour: Flavour,
    model: Model,
) -> Result<Part, Unfit> {
    if let Some((mime, data)) = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"))
    {
        let mime = mime.split(';').next().unwrap_or(mime);
        let known = Media {
            mime: (!mime.is_empty()).then(|| mime.to_owned()),
            ..media.clone()
        };
        return bytes(&known, kind, data);
    }
    let googles = is_googles(url);
    let stored = url.starts_with("gs://");
    let public = is_fetched(url, flavour, model);
    if !(googles || public || stored && flavour == Flavour::Vertex || stored && model.fetches()) {
        return Err(Unfit::new(
            Some("messages"),
            format!("takes an {kind} of this address only as bytes: send it in base64"),
        ));
    }
    let mime = media.mime.clone().or_else(|| by_end(url)).or_else(|| {
        (url.contains("youtube.com/") || url.contains("youtu.be/")).then(|| "video/mp4".to_owned())
    });
    if mime.is_none() && !googles {
        return Err(unknown_kind(kind));
    }
    Ok(at(url.to_owned(), mime))
}

fn is_googles(url: &str) -> bool {
    url.starts_with("https://generativelanguage.googleapis.com/")
        || url.starts_with("https://www.youtube.com/")
        || url.starts_with("https://youtu.be/")
}

/// Whether Google fetches it.
fn is_fetched(url: &str, flavour: Flavour, model: Model) -> bool {
    url.starts_with("https://") && (flavour == Flavour::Vertex || model.fetches())
}

/// Whether Google wants the bytes of what stands at an address of the web: it does not fetch it, or
/// wants to be told what it is.
pub(super) fn wants_bytes(part: &chat::Part, url: &str, flavour: Flavour, model: Model) -> bool {
    let (chat::Part::Image(media) | chat::Part::Document(media)) = part else {
        return false;
    };
    let told = media.mime.is_some() || by_end(url).is_some();
    !(is_googles(url) || told && is_fetched(url, flavour, model))
}

fn file(media: &Media, id: &str) -> Result<Part, Unfit> {
    let mime = || {
        media
            .mime
            .clone()
            .or_else(|| by_end(media.name.as_deref()?))
    };
    if id.starts_with("https://") || id.starts_with("gs://") {
        return Ok(at(id.to_owned(), mime().or_else(|| by_end(id))));
    }
    if id.starts_with("files/") {
        return Ok(at(format!("{FILES}{id}"), mime()));
    }
    Err(Unfit::new(
        Some("messages"),
        "does not know a file by an id of another provider's",
    ))
}

fn at(file_uri: String, mime_type: Option<String>) -> Part {
    Part {
        file_data: Some(FileData {
            mime_type,
            file_uri,
            ..FileData::default()
        }),
        ..Part::default()
    }
}

fn unknown_kind(kind: &'static str) -> Unfit {
    Unfit::new(
        Some("messages"),
        format!("needs the MIME type of an {kind}, and nothing tells it"),
    )
}

fn by_end(name: &str) -> Option<String> {
    let path = name.split(['?', '#']).next().unwrap_or(name);
    let (_, end) = path.rsplit_once('.')?;
    let found = ENDS
        .iter()
        .find(|(known, _)| end.eq_ignore_ascii_case(known))?;
    Some(found.1.to_owned())
}
