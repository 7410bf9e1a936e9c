//! What is heard and spoken: kinds of answers that are no JSON, and what they take.
//!
//! Source: OpenAI API reference, "Audio". Transcripts are JSON, plain text or subtitles, as the
//! request says. Speech is bytes, or with `stream_format: sse` events.

use crate::call::{Call, Field, Route, Usage};
use crate::wire::json;
use crate::wire::openai::millis;

/// Whether the request wants its transcript as plain text or subtitles.
pub fn is_plain(call: &Call) -> bool {
    let mut plain = false;
    if matches!(call.route, Route::Transcriptions | Route::Translations) {
        let body = &call.body;
        // It was read as an object before.
        let _ = json::members(body, |member| {
            if member.raw_name(body) == b"response_format" {
                plain = matches!(member.value(body), b"\"text\"" | b"\"srt\"" | b"\"vtt\"");
            }
        });
    }
    plain
}

/// What it takes to speak what the request says, of models that are sold by the character.
pub(crate) fn spoken(call: &Call) -> Usage {
    let input = call.peek.text(&call.body, Field::Input);
    Usage {
        characters: input.map_or(0, |input| input.chars().count() as u64),
        ..Usage::default()
    }
}

/// What a plain transcript took. Subtitles end where the last one does; a text says nothing.
pub(crate) fn heard(transcript: &[u8]) -> Option<Usage> {
    let text = std::str::from_utf8(transcript).ok()?;
    let ends = text.lines().filter_map(|line| {
        let (_, end) = line.split_once(" --> ")?;
        moment(end.split_whitespace().next()?)
    });
    ends.max().map(|audio_millis| Usage {
        audio_millis,
        ..Usage::default()
    })
}

/// `01:02:03,400` of SRT and `01:02:03.400` or `02:03.400` of `WebVTT`, in milliseconds.
fn moment(text: &str) -> Option<u64> {
    let (rest, seconds) = text.rsplit_once(':')?;
    let mut minutes = 0_u64;
    for part in rest.split(':') {
        minutes = minutes
            .checked_mul(60)?
            .checked_add(part.parse::<u32>().ok()?.into())?;
    }
    let seconds = millis(seconds.replace(',', ".").as_bytes());
    minutes.checked_mul(60_000)?.checked_add(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::example::call;

    const CONFIG: &str = "model_list: [{model_name: m, litellm_params: {model: openai/whisper-1, \
                          api_key: os.environ/KEY}}]";

    #[test]
    fn the_request_says_what_a_transcript_is() {
        let plain = |route, format: &str| {
            let body = format!(r#"{{"model":"m","response_format":"{format}"}}"#);
            is_plain(&call(CONFIG, route, &body))
        };
        for format in ["text", "srt", "vtt"] {
            assert!(plain(Route::Transcriptions, format));
            assert!(plain(Route::Translations, format));
        }
        assert!(!plain(Route::Transcriptions, "verbose_json"));
        assert!(!plain(Route::Images, "text"));
    }

    #[test]
    fn speech_is_counted_in_characters() {
        let call = call(
            CONFIG,
            Route::Speech,
            r#"{"model":"m","input":"Grüß \u00e4\n"}"#,
        );
        assert_eq!(spoken(&call).characters, 7);
    }

    #[test]
    fn subtitles_tell_how_long_they_are() {
        let millis = |text: &str| heard(text.as_bytes()).map(|usage| usage.audio_millis);
        let srt =
            "1\n00:00:00,000 --> 00:00:02,500\nHello\n\n2\n00:00:02,500 --> 01:00:04,120\nyou";
        assert_eq!(millis(srt), Some(3_604_120));
        let vtt = "WEBVTT\n\n00:01.000 --> 00:03.250 align:start\nHello";
        assert_eq!(millis(vtt), Some(3_250));
        assert_eq!(millis("go --> there"), None);
        assert_eq!(millis("a --> 99999999999999999999:00.0"), None);
    }
}
