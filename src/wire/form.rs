//! Forms with files: `multipart/form-data`.
//!
//! Sources: RFC 7578; WHATWG HTML, "Multipart form data", for the escapes in names.

use bytes::Bytes;
use http::HeaderValue;
use smallvec::SmallVec;

/// A file of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The name of the form's field.
    pub field: String,
    /// What the file is called, if the form says so.
    pub name: Option<String>,
    /// What the form says it is.
    pub content_type: Option<HeaderValue>,
    /// What is in it.
    pub bytes: Bytes,
}

/// Writes a form; files go into it without a copy.
#[derive(Debug)]
pub struct Writer<'a> {
    boundary: &'a str,
    pieces: SmallVec<[Bytes; 4]>,
    open: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// An empty form. The boundary must stand in no value, so nobody whose values these are may know
    /// it beforehand.
    pub fn new(boundary: &'a str) -> Self {
        Self {
            boundary,
            pieces: SmallVec::new(),
            open: Vec::new(),
        }
    }

    /// Adds a plain field.
    pub fn text(&mut self, field: &str, value: &[u8]) {
        self.begin(field);
        self.open.extend_from_slice(b"\r\n\r\n");
        self.open.extend_from_slice(value);
        self.open.extend_from_slice(b"\r\n");
    }

    /// Adds a file.
    pub fn file(&mut self, file: &File) {
        self.begin(&file.field);
        // Without a file's name it would be a plain field.
        self.open.extend_from_slice(b"; filename=\"");
        push_escaped(&mut self.open, file.name.as_deref().unwrap_or("blob"));
        self.open.extend_from_slice(b"\"\r\nContent-Type: ");
        let kind = file.content_type.as_ref().map(HeaderValue::as_bytes);
        let kind = kind.unwrap_or(b"application/octet-stream");
        self.open.extend_from_slice(kind);
        self.open.extend_from_slice(b"\r\n\r\n");
        self.pieces.push(std::mem::take(&mut self.open).into());
        self.pieces.push(file.bytes.clone());
        self.open.extend_from_slice(b"\r\n");
    }

    /// The whole form, in pieces.
    pub fn finish(mut self) -> SmallVec<[Bytes; 4]> {
        self.open.extend_from_slice(b"--");
        self.open.extend_from_slice(self.boundary.as_bytes());
        self.open.extend_from_slice(b"--\r\n");
        self.pieces.push(self.open.into());
        self.pieces
    }

    fn begin(&mut self, field: &str) {
        self.open.extend_from_slice(b"--");
        self.open.extend_from_slice(self.boundary.as_bytes());
        self.open
            .extend_from_slice(b"\r\nContent-Disposition: form-data; name=\"");
        push_escaped(&mut self.open, field);
        self.open.push(b'"');
    }
}

fn push_escaped(out: &mut Vec<u8>, name: &str) {
    for byte in name.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"%22"),
            b'\r' => out.extend_from_slice(b"%0D"),
            b'\n' => out.extend_from_slice(b"%0A"),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_as_browsers_write_it() {
        let audio = Bytes::from_static(b"\0\r\n--x\r\n");
        let mut form = Writer::new("x1");
        form.text("model", b"whisper-1");
        form.file(&File {
            field: "file".to_owned(),
            name: Some("a\"\r\n.wav".to_owned()),
            content_type: Some(HeaderValue::from_static("audio/wav")),
            bytes: audio.clone(),
        });
        let pieces = form.finish();
        assert_eq!(pieces[1].as_ptr(), audio.as_ptr());
        let expected =
            b"--x1\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n\
            --x1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22%0D%0A.wav\"\r\n\
            Content-Type: audio/wav\r\n\r\n\0\r\n--x\r\n\r\n--x1--\r\n";
        assert_eq!(pieces.concat(), expected);
    }
}
