//! What is heard and spoken: kinds of answers that are no JSON, and what they take.
//!
//! Source: OpenAI API reference, "Audio". Transcripts are JSON, plain text or subtitles, as the
//! request says. Speech is bytes, or with `stream_format: sse` events.

use crate::call::{Call, Field, Route, Usage};
use crate::wire::json;
use crate::wire::openai::millis;
use crate::wire::recording;

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

/// Speech on its way to the caller: what it takes is measured as it goes by.
#[derive(Debug)]
pub struct Speech {
    characters: u64,
    /// Bytes of a second, once that is known.
    rate: Option<u64>,
    /// Its first bytes.
    head: Vec<u8>,
    bytes: u64,
}

impl Speech {
    /// Bytes by which it is known what sound is.
    const HEAD: usize = 4096;
    /// How long it takes to say a character, where the sound does not say how long it is.
    const MILLIS: u64 = 70;
    /// A second of bare samples: 24,000 of two bytes.
    const BARE: u64 = 48_000;

    /// What is said at the request of this call.
    pub fn of(call: &Call) -> Self {
        let input = call.peek.text(&call.body, Field::Input);
        let mut bare = false;
        // It was read as an object before.
        let _ = json::members(&call.body, |member| {
            if member.raw_name(&call.body) == b"response_format" {
                bare = member.value(&call.body) == b"\"pcm\"";
            }
        });
        Self {
            characters: input.map_or(0, |input| input.chars().count() as u64),
            rate: bare.then_some(Self::BARE),
            head: Vec::new(),
            bytes: 0,
        }
    }

    /// More of it came.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        if self.rate.is_none() && self.head.len() < Self::HEAD {
            let room = Self::HEAD - self.head.len();
            self.head.extend_from_slice(&chunk[..chunk.len().min(room)]);
            self.rate = recording::rate(&self.head);
        }
    }

    /// What it took so far: the characters, of models that are sold by those, and the length of what is
    /// heard.
    pub fn usage(&self) -> Usage {
        let audio_millis = match self.rate {
            Some(rate) => self.bytes.saturating_mul(1000) / rate,
            None => self.characters.saturating_mul(Self::MILLIS),
        };
        Usage {
            characters: self.characters,
            audio_millis,
            ..Usage::default()
        }
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

/// What the recording took that a request brings, of an answer that does not say it.
pub(crate) fn recorded(call: &Call) -> Option<Usage> {
    let mut files = call.files.as_deref()?.iter();
    let recording = files.find(|file| Some(&*file.field) == call.route.file())?;
    let length = recording::length(&recording.bytes)?;
    Some(Usage {
        audio_millis: u64::try_from(length.as_millis()).ok()?,
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
        assert_eq!(Speech::of(&call).usage().characters, 7);
    }

    #[test]
    fn speech_is_as_long_as_its_bytes_say() {
        let millis = |format: &str, head: &[u8], bytes: usize| {
            let body =
                format!(r#"{{"model":"m","input":"Hello you","response_format":"{format}"}}"#);
            let mut speech = Speech::of(&call(CONFIG, Route::Speech, &body));
            let mut sound = head.to_vec();
            sound.resize(bytes, 0);
            sound.chunks(3).for_each(|chunk| speech.push(chunk));
            speech.usage().audio_millis
        };
        assert_eq!(millis("pcm", b"", 72_000), 1500);
        assert_eq!(millis("mp3", &[0xFF, 0xF3, 0x84, 0xC4], 12_000), 1500);
        assert_eq!(millis("opus", b"OggS", 12_000), 9 * 70);
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
