//! Reads server-sent events, by the standard and not by the gateway's own reader.

/// An event stream read so far.
#[derive(Debug, Default)]
pub struct Events {
    buffer: Vec<u8>,
}

impl Events {
    /// Takes more bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What is there beyond the last whole event.
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }
}

impl Iterator for Events {
    type Item = String;

    /// The data of the next whole event that has some.
    fn next(&mut self) -> Option<String> {
        loop {
            let (lines, length) = block(&self.buffer)?;
            self.buffer.drain(..length);
            let data: Vec<_> = lines.iter().filter_map(|line| data(line)).collect();
            if !data.is_empty() {
                return Some(data.join("\n"));
            }
        }
    }
}

/// The data of every event of a whole stream.
pub fn read(bytes: &[u8]) -> Vec<String> {
    let mut events = Events::default();
    events.push(bytes);
    events.collect()
}

fn data(line: &[u8]) -> Option<String> {
    let value = line.strip_prefix(b"data:")?;
    let value = value.strip_prefix(b" ").unwrap_or(value);
    Some(String::from_utf8(value.to_vec()).expect("text"))
}

/// The lines up to the first empty one, and how many bytes they take with it.
fn block(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let mut lines = Vec::new();
    let mut start = 0;
    while let Some(length) = bytes[start..]
        .iter()
        .position(|byte| matches!(byte, b'\n' | b'\r'))
    {
        let end = start + length;
        let wide = bytes[end] == b'\r' && bytes.get(end + 1) == Some(&b'\n');
        let line = &bytes[start..end];
        start = end + 1 + usize::from(wide);
        if line.is_empty() {
            return Some((lines, start));
        }
        lines.push(line.to_vec());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn every_line_end_of_the_standard_ends_a_line() {
        for end in ["\n", "\r\n", "\r"] {
            let text =
                format!(": hi{end}{end}data: a\u{2028}b{end}{end}data:c{end}data: d{end}{end}");
            assert_eq!(read(text.as_bytes()), ["a\u{2028}b", "c\nd"]);
        }
    }
}
