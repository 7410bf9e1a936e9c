//! How long a recording is, by what its container says.
//!
//! Nothing is decoded. WAV and MP3 are reckoned by the bytes that are there; FLAC, Ogg and MP4 say how
//! long they are and are believed. `WebM` as browsers write it says nothing.
//!
//! Sources: RFC 9639 (FLAC), RFC 3533 and RFC 7845 (Ogg, Opus), the Vorbis I specification, ISO/IEC
//! 14496-12 (`mvhd`), ISO/IEC 11172-3 and 13818-3 (headers of MP3's frames), Microsoft's RIFF
//! (`WAVE_FORMAT_*`).

use std::time::Duration;

use memchr::memmem;

/// Bytes of a second at the lowest rate that speech is recorded at: Opus' 6 kbit/s.
const LEAST_BYTES_PER_SECOND: u64 = 750;

/// How long a recording may be at most, whatever it is: each byte of it at the lowest rate.
pub fn longest(bytes: &[u8]) -> Duration {
    Duration::from_secs((bytes.len() as u64).div_ceil(LEAST_BYTES_PER_SECOND))
}

/// How long a recording is, and never more than [`longest`]. `None` if it is of no kind that is known
/// here, or does not say.
pub fn length(bytes: &[u8]) -> Option<Duration> {
    let found = match bytes.get(..4)? {
        b"RIFF" => wav(bytes),
        b"fLaC" => flac(bytes),
        b"OggS" => ogg(bytes),
        _ if bytes.get(4..8)? == b"ftyp" => mp4(bytes),
        _ => mp3(bytes),
    }?;
    Some(found.min(longest(bytes))).filter(|found| !found.is_zero())
}

/// Bytes of a second of sound that begins with this. `None` if it is of no kind that has as many in each.
pub fn rate(head: &[u8]) -> Option<u64> {
    if head.starts_with(b"RIFF") {
        let at = memmem::find(head, b"fmt ")?;
        return wav_rate(head, at + 8).filter(|rate| *rate > 0);
    }
    let frame = Frame::read(array(head, tag(head))?)?;
    // Its length, without the byte that pads some.
    Some(u64::from(frame.bits / 8))
}

/// `count` of which there are `rate` in a second.
fn duration(count: u64, rate: u64) -> Option<Duration> {
    let millis = u128::from(count) * 1000 / u128::from(Some(rate).filter(|rate| *rate > 0)?);
    Some(Duration::from_millis(
        u64::try_from(millis).unwrap_or(u64::MAX),
    ))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Every byte behind the head of its samples counts, whatever the head says of their number: what is
/// streamed into a file has no true one.
fn wav(bytes: &[u8]) -> Option<Duration> {
    if bytes.get(8..12)? != b"WAVE" {
        return None;
    }
    let mut at = 12;
    let mut rate = None;
    loop {
        let size = u32::from_le_bytes(array(bytes, at + 4)?);
        let inside = at + 8;
        match bytes.get(at..at + 4)? {
            b"fmt " => rate = wav_rate(bytes, inside),
            b"data" => return duration((bytes.len() - inside) as u64, rate?),
            _ => {}
        }
        // Chunks have an even number of bytes.
        at = inside.checked_add(usize::try_from(size).ok()?.checked_next_multiple_of(2)?)?;
    }
}

/// Bytes of a second: for plain samples those that there must be.
fn wav_rate(bytes: &[u8], at: usize) -> Option<u64> {
    let [kind, channels] = [at, at + 2].map(|at| array(bytes, at).map(u16::from_le_bytes));
    let [samples, told] = [at + 4, at + 8].map(|at| array(bytes, at).map(u32::from_le_bytes));
    let bits = u16::from_le_bytes(array(bytes, at + 14)?);
    match kind? {
        // Integers, floats, and either of them in the longer form.
        1 | 3 | 0xFFFE => {
            Some(u64::from(samples?) * u64::from(channels?) * u64::from(bits).div_ceil(8))
        }
        _ => Some(told?.into()),
    }
}

fn flac(bytes: &[u8]) -> Option<Duration> {
    // The first block is STREAMINFO: 20 bits of rate, 3 of channels, 5 of bits, 36 of samples.
    let packed = u64::from_be_bytes(array(bytes, 18)?);
    duration(packed & 0xF_FFFF_FFFF, packed >> 44)
}

/// The last page tells how many samples there are up to it.
fn ogg(bytes: &[u8]) -> Option<Duration> {
    let segments = usize::from(*bytes.get(26)?);
    let head = bytes.get(27 + segments..)?;
    let rate = if head.starts_with(b"OpusHead") {
        48_000
    } else if head.starts_with(b"\x01vorbis") {
        u32::from_le_bytes(array(head, 12)?)
    } else {
        return None;
    };
    let mut end = bytes.len();
    loop {
        let page = memmem::rfind(&bytes[..end], b"OggS")?;
        let samples = array(bytes, page + 6).map(u64::from_le_bytes);
        // A page in which no packet ends has no count.
        match samples.filter(|samples| *samples != u64::MAX) {
            Some(samples) => return duration(samples, rate.into()),
            None => end = page,
        }
    }
}

/// The head of the movie tells the length, wherever it stands.
fn mp4(bytes: &[u8]) -> Option<Duration> {
    let movie = boxed(bytes, *b"moov")?;
    let head = boxed(movie, *b"mvhd")?;
    let (scale, length) = if *head.first()? == 0 {
        let length = u32::from_be_bytes(array(head, 16)?);
        (array(head, 12)?, u64::from(length))
    } else {
        (array(head, 20)?, u64::from_be_bytes(array(head, 24)?))
    };
    duration(length, u32::from_be_bytes(scale).into())
}

/// What is in the first box of a kind.
fn boxed(bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    let mut at = 0_usize;
    loop {
        let size = u32::from_be_bytes(array(bytes, at)?);
        let (head, size) = match size {
            0 => (8, bytes.len() - at),
            1 => (
                16,
                usize::try_from(u64::from_be_bytes(array(bytes, at + 8)?)).ok()?,
            ),
            size => (8, usize::try_from(size).ok()?),
        };
        // A box is no smaller than its head, so that this ends.
        let end = at.checked_add(size).filter(|_| size >= head)?;
        if bytes.get(at + 4..at + 8)? == &kind[..] {
            return bytes.get(at + head..end.min(bytes.len()));
        }
        at = end;
    }
}

/// Steps from frame to frame. What is between them is passed over, but not if it is more than they are.
fn mp3(bytes: &[u8]) -> Option<Duration> {
    let mut at = tag(bytes);
    let (mut micros, mut framed, mut passed) = (0_u64, 0, 0);
    while let Some(head) = array::<4>(bytes, at) {
        if let Some(frame) = Frame::read(head) {
            micros += u64::from(frame.samples) * 1_000_000 / u64::from(frame.rate);
            framed += frame.bytes;
            at += frame.bytes;
        } else {
            passed += 1;
            at += 1;
        }
        // What is no such thing at all is not read to its end.
        if passed > framed + 4096 {
            return None;
        }
    }
    (framed > passed).then(|| Duration::from_micros(micros))
}

/// Where the first frame is to be looked for, behind a tag.
fn tag(bytes: &[u8]) -> usize {
    let size = array::<4>(bytes, 6).filter(|_| bytes.starts_with(b"ID3"));
    // Seven bits of each byte count.
    size.map_or(0, |size| {
        let bits = size.map(|byte| usize::from(byte & 0x7F));
        10 + bits.into_iter().fold(0, |sum, seven| sum << 7 | seven)
    })
}

/// What the head of a frame says.
struct Frame {
    samples: u32,
    rate: u32,
    /// Bits of a second.
    bits: u32,
    bytes: usize,
}

impl Frame {
    fn read([sync, kind, rates, _]: [u8; 4]) -> Option<Self> {
        if sync != 0xFF || kind & 0xE0 != 0xE0 {
            return None;
        }
        let first = kind & 0x18 == 0x18;
        let halved = match kind & 0x18 {
            0x18 => 1,
            0x10 => 2,
            0x00 => 4,
            _ => return None,
        };
        let rate = [44_100_u32, 48_000, 32_000].get(usize::from(rates >> 2 & 3))? / halved;
        // Kilobits of a second, by the layer.
        let (kilobits, samples): (&[u32; 14], u32) = match (first, kind & 0x06) {
            (true, 0x06) => (&LAYER_1, 384),
            (true, 0x04) => (&LAYER_2, 1152),
            (true, 0x02) => (&LAYER_3, 1152),
            (false, 0x06) => (&LOW_LAYER_1, 384),
            (false, 0x04) => (&LOW, 1152),
            (false, 0x02) => (&LOW, 576),
            _ => return None,
        };
        let index = usize::from(rates >> 4).checked_sub(1)?;
        let bits = kilobits.get(index)? * 1000;
        let padding = u32::from(rates >> 1 & 1);
        let bytes = if samples == 384 {
            (12 * bits / rate + padding) * 4
        } else {
            samples / 8 * bits / rate + padding
        };
        Some(Self {
            samples,
            rate,
            bits,
            bytes: usize::try_from(bytes).ok()?,
        })
    }
}

const LAYER_1: [u32; 14] = [
    32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
];
const LAYER_2: [u32; 14] = [
    32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
];
const LAYER_3: [u32; 14] = [
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
];
const LOW_LAYER_1: [u32; 14] = [
    32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
];
const LOW: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(bytes: &[u8]) -> Option<u128> {
        length(bytes).map(|length| length.as_millis())
    }

    /// The head of plain samples, two bytes each at 8000 a second, and `samples` of them.
    fn plain_samples(told: u32, samples: usize) -> Vec<u8> {
        let mut wav = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wav.extend(8000_u32.to_le_bytes());
        // A rate that is not true counts for nothing.
        wav.extend(9_000_000_u32.to_le_bytes());
        wav.extend(b"\x02\0\x10\0data");
        wav.extend(told.to_le_bytes());
        wav.resize(wav.len() + 2 * samples, 0);
        wav
    }

    #[test]
    fn a_wave_is_as_long_as_its_bytes_are() {
        assert_eq!(millis(&plain_samples(8000, 4000)), Some(500));
        assert_eq!(millis(&plain_samples(0xFFFF_FFFF, 12_000)), Some(1500));
        assert_eq!(millis(&plain_samples(0, 12_000)), Some(1500));
        assert_eq!(millis(b"RIFF\0\0\0\0AVI LIST"), None);
    }

    #[test]
    fn frames_are_counted_one_by_one() {
        // MPEG 1 layer III at 128 kbit/s and 44,100 Hz: 417 bytes, 26.122 ms.
        let mut frame = vec![0xFF, 0xFB, 0x90, 0x00];
        frame.resize(417, 0);
        let mut mp3 = b"ID3\x04\0\0\0\0\x01\x00".to_vec();
        mp3.resize(10 + 128, 0xFF);
        mp3.extend(frame.repeat(100));
        assert_eq!(millis(&mp3), Some(2612));
        assert_eq!(millis(&mp3[138..]), Some(2612));
        // MPEG 2 layer III at 64 kbit/s and 24,000 Hz: 192 bytes, 24 ms.
        let mut frame = vec![0xFF, 0xF3, 0x84, 0x00];
        frame.resize(192, 0);
        assert_eq!(millis(&frame.repeat(50)), Some(1200));
        assert_eq!(millis(&vec![0; 100_000]), None);
        assert_eq!(rate(&frame), Some(8_000));
        assert_eq!(rate(&mp3), Some(16_000));
        assert_eq!(rate(&plain_samples(0, 0)), Some(16_000));
        assert_eq!(rate(b"OggS"), None);
    }

    #[test]
    fn others_say_how_long_they_are() {
        let mut flac = b"fLaC\0\0\0\x22".to_vec();
        flac.resize(18, 0);
        let samples = 16_000_u64 << 44 | 15 << 36 | u64::from(24_000_u32);
        flac.extend(samples.to_be_bytes());
        flac.resize(4000, 0);
        assert_eq!(millis(&flac), Some(1500));

        let page = |samples: u64, packet: &[u8]| {
            let mut page = b"OggS\0\0".to_vec();
            page.extend(samples.to_le_bytes());
            page.resize(26, 0);
            page.extend([1, u8::try_from(packet.len()).unwrap()]);
            page.extend(packet);
            page
        };
        let pages = [
            page(0, b"OpusHead\x01\x01"),
            page(96_000, &[0; 200]),
            page(u64::MAX, &[0; 200]),
        ];
        let opus = [pages.concat(), vec![0; 4000]].concat();
        assert_eq!(millis(&opus), Some(2000));

        let boxed = |kind: &[u8], inside: &[u8]| {
            let size = u32::try_from(inside.len() + 8).unwrap();
            [&size.to_be_bytes(), kind, inside].concat()
        };
        let head = [
            vec![0; 12],
            1000_u32.to_be_bytes().to_vec(),
            2500_u32.to_be_bytes().to_vec(),
        ];
        let movie = boxed(b"moov", &boxed(b"mvhd", &head.concat()));
        let whole = [
            boxed(b"ftyp", b"M4A "),
            boxed(b"mdat", &[0; 4000]),
            movie.clone(),
        ];
        assert_eq!(millis(&whole.concat()), Some(2500));
        assert_eq!(
            millis(&[boxed(b"ftyp", b"M4A "), movie].concat()),
            Some(1000)
        );
    }

    #[test]
    fn nothing_is_longer_than_its_bytes_can_be() {
        let mut flac = b"fLaC\0\0\0\x22".to_vec();
        flac.resize(18, 0);
        flac.extend((1_u64 << 44 | 0xF_FFFF_FFFF).to_be_bytes());
        assert_eq!(millis(&flac), Some(1000));
        assert_eq!(longest(&[0; 7501]), Duration::from_secs(11));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_to_an_end(
            head in proptest::sample::select(vec![
                &b"RIFF\0\0\0\0WAVE"[..], b"fLaC", b"OggS", b"\0\0\0\x08ftyp", b"ID3", b"\xFF\xFB\x90", b"",
            ]),
            rest in proptest::collection::vec(proptest::num::u8::ANY, 0..600),
        ) {
            let bytes = [head, &rest].concat();
            let found = length(&bytes);
            assert!(found.is_none_or(|found| found <= longest(&bytes)));
        }
    }
}
