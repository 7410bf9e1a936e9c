//! UUIDs as text (RFC 9562).

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The text of a UUID.
pub fn text(uuid: u128) -> [u8; 36] {
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (place, byte) in uuid.to_be_bytes().into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_with_hyphens() {
        let uuid = 0xf81d_4fae_7dec_11d0_a765_00a0_c91e_6bf6;
        assert_eq!(&text(uuid), b"f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
    }
}
