//! Requests with files, which OpenAI's servers take as forms.
//!
//! Source: OpenAI API reference, "Audio" and "Images".

use bytes::Bytes;
use smallvec::SmallVec;

use crate::wire::form::{File, Writer};
use crate::wire::json;

/// The form of an object's members and these files. A list is a field with several values; texts go
/// without their quotes, and whatever else there is as it is written.
///
/// `None` if the text is no JSON object.
pub(crate) fn body(object: &[u8], files: &[File], boundary: &str) -> Option<SmallVec<[Bytes; 4]>> {
    let mut form = Writer::new(boundary);
    json::members(object, |member| {
        let Some(name) = json::string(&object[member.start..member.name_end]) else {
            return;
        };
        let value = member.value(object);
        if value.first() == Some(&b'[') {
            // It was stepped over as a list before.
            let _ = json::elements(value, |value| push(&mut form, &name, value));
        } else {
            push(&mut form, &name, value);
        }
    })
    .ok()?;
    for file in files {
        form.file(file);
    }
    Some(form.finish())
}

fn push(form: &mut Writer<'_>, name: &str, value: &[u8]) {
    match json::string(value) {
        Some(text) => form.text(name, text.as_bytes()),
        None if value == b"null" => {}
        None => form.text(name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_fields() {
        let object =
            br#"{"model":"a\"b","n":2,"stream":true,"x[]":["u","v"],"y":null,"z":{"a":1}}"#;
        let form = body(object, &[], "b").unwrap().concat();
        let form = String::from_utf8(form).unwrap();
        let fields: Vec<_> = form
            .split("--b\r\nContent-Disposition: form-data; name=")
            .skip(1)
            .map(|part| part.split("\r\n").step_by(2).take(2).collect::<Vec<_>>())
            .collect();
        assert_eq!(
            fields,
            [
                ["\"model\"", "a\"b"],
                ["\"n\"", "2"],
                ["\"stream\"", "true"],
                ["\"x[]\"", "u"],
                ["\"x[]\"", "v"],
                ["\"z\"", "{\"a\":1}"],
            ]
        );
        assert_eq!(body(b"[]", &[], "b"), None);
    }
}
