//! What bytes are, by how they begin.

/// The content type of an image or a PDF; `None` if it is neither, whatever its server says.
pub(super) fn of(bytes: &[u8]) -> Option<&'static str> {
    const BEGINS: [(&[u8], &str); 7] = [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"II*\0", "image/tiff"),
        (b"MM\0*", "image/tiff"),
        (b"%PDF-", "application/pdf"),
    ];
    let found = BEGINS.iter().find(|(begin, _)| bytes.starts_with(begin));
    found.map(|(_, kind)| *kind).or_else(|| boxed(bytes))
}

/// Kinds that begin with the size of their first box.
fn boxed(bytes: &[u8]) -> Option<&'static str> {
    match (bytes.get(..4)?, bytes.get(4..8)?, bytes.get(8..12)?) {
        (b"RIFF", _, b"WEBP") => Some("image/webp"),
        (_, b"ftyp", b"heic" | b"heix" | b"hevc") => Some("image/heic"),
        (_, b"ftyp", b"mif1" | b"msf1") => Some("image/heif"),
        (_, b"ftyp", b"avif") => Some("image/avif"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_tell_and_nothing_else_does() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\nrest"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a..", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"\0\0\0\x18ftypheic", Some("image/heic")),
            (b"%PDF-1.7", Some("application/pdf")),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"<html>", None),
            (b"{\"Code\": \"Success\"}", None),
            (b"<svg xmlns=", None),
            (b"", None),
        ] {
            assert_eq!(of(bytes), kind, "{bytes:?}");
        }
    }
}
