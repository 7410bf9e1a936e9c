//! Plain scalars as YAML 1.1 and PyYAML resolve them.

use super::Content;

/// What a plain (unquoted) scalar means to PyYAML.
pub(crate) fn resolve(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Content::Bool(true)
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Content::Bool(false)
        }
        _ => match text.as_bytes()[0] {
            b'0'..=b'9' | b'+' | b'-' | b'.' => number(text).unwrap_or(Content::Text),
            _ => Content::Text,
        },
    }
}

fn number(text: &str) -> Option<Content> {
    int(text).or_else(|| float(text).map(Content::Float))
}

fn unsigned(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn int(text: &str) -> Option<Content> {
    let (negative, digits) = unsigned(text);
    let all = |allowed: &[u8]| !digits.is_empty() && digits.bytes().all(|b| allowed.contains(&b));
    let value = if let Some(bits) = digits.strip_prefix("0b") {
        radix(bits, 2)?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        radix(hex, 16)?
    } else if digits.len() > 1 && digits.starts_with('0') {
        radix(&digits[1..], 8)?
    } else if digits.contains(':') {
        sexagesimal(digits, false)?
    } else if digits.starts_with(|c: char| c.is_ascii_digit()) && all(b"0123456789_") {
        radix(digits, 10)?
    } else {
        return None;
    };
    let value = if negative { -value } else { value };
    // Python's integers have no end; past ours, a float is as near as it gets.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked against the type's range"
    )]
    #[expect(
        clippy::cast_precision_loss,
        reason = "the bounds themselves are exact enough"
    )]
    Some(
        if value.abs() < 9.0e15 || (value >= i64::MIN as f64 && value < i64::MAX as f64) {
            Content::Int(exact(text).unwrap_or(value as i64))
        } else {
            Content::Float(value)
        },
    )
}

/// The exact value of a decimal that a float would round.
fn exact(text: &str) -> Option<i64> {
    let text: String = text.chars().filter(|c| *c != '_').collect();
    if text.trim_start_matches(['+', '-']).starts_with('0') {
        return None;
    }
    text.parse().ok()
}

fn radix(digits: &str, radix: u32) -> Option<f64> {
    let mut value = 0.0;
    if digits.is_empty() {
        return None;
    }
    for digit in digits.chars().filter(|c| *c != '_') {
        value = value * f64::from(radix) + f64::from(digit.to_digit(radix)?);
    }
    Some(value)
}

/// `1:30` is ninety: base sixty, as YAML 1.1 has it.
fn sexagesimal(digits: &str, fraction: bool) -> Option<f64> {
    let (whole, last) = match digits.split_once('.') {
        Some((whole, rest)) if fraction => (whole, fraction_of(rest)?),
        None if !fraction => (digits, 0.0),
        _ => return None,
    };
    let mut parts = whole.split(':');
    let first = parts.next()?;
    if !first.starts_with(|c: char| c.is_ascii_digit() && (fraction || c != '0')) {
        return None;
    }
    let mut value = radix(first, 10)?;
    for part in parts {
        let digits = part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
        let part: u32 = part.parse().ok().filter(|part| digits && *part < 60)?;
        value = value * 60.0 + f64::from(part);
    }
    Some(value + last)
}

/// The digits after a dot.
fn fraction_of(digits: &str) -> Option<f64> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if plain {
        decimal(&format!("0.{digits}"))
    } else {
        None
    }
}

fn float(text: &str) -> Option<f64> {
    let (negative, rest) = unsigned(text);
    let value = match rest {
        ".inf" | ".Inf" | ".INF" => f64::INFINITY,
        ".nan" | ".NaN" | ".NAN" if rest.len() == text.len() => f64::NAN,
        _ => {
            // A dot is needed, and an exponent needs its sign: `1e3` is a string to PyYAML.
            let (whole, fraction) = rest.split_once('.')?;
            if whole.is_empty() && (rest.len() != text.len() || !starts_with_digit(fraction)) {
                return None;
            }
            if !whole.is_empty() && !starts_with_digit(whole) {
                return None;
            }
            if whole.contains(':') {
                sexagesimal(rest, true)?
            } else {
                if let Some((_, exponent)) = fraction.split_once(['e', 'E']) {
                    let digits = exponent.strip_prefix(['+', '-'])?;
                    if !digits.bytes().all(|b| b.is_ascii_digit()) {
                        return None;
                    }
                }
                decimal(rest)?
            }
        }
    };
    Some(if negative { -value } else { value })
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// A decimal, underscores allowed, `inf` and the like not.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    let text: String = text.trim().chars().filter(|c| *c != '_').collect();
    let plain = text
        .bytes()
        .all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|_| plain && !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line as PyYAML 6.0's `safe_load` reads it.
    #[test]
    fn plain_scalars_mean_what_pyyaml_makes_of_them() {
        for (text, expected) in [
            ("200_000", Content::Int(200_000)),
            ("0", Content::Int(0)),
            ("-12", Content::Int(-12)),
            ("+12", Content::Int(12)),
            ("0777", Content::Int(511)),
            ("0x1F", Content::Int(31)),
            ("0b101", Content::Int(5)),
            ("1:30", Content::Int(90)),
            ("1:30:15", Content::Int(5415)),
            ("9007199254740993", Content::Int(9_007_199_254_740_993)),
            ("1_000.5", Content::Float(1000.5)),
            ("1.", Content::Float(1.0)),
            (".5", Content::Float(0.5)),
            ("1.5e+3", Content::Float(1500.0)),
            ("1.5e-3", Content::Float(0.0015)),
            ("1:30.5", Content::Float(90.5)),
            (".inf", Content::Float(f64::INFINITY)),
            ("-.INF", Content::Float(f64::NEG_INFINITY)),
            ("yes", Content::Bool(true)),
            ("Off", Content::Bool(false)),
            ("~", Content::Null),
            ("", Content::Null),
            ("Null", Content::Null),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
        for text in [
            "1e3",
            "1.5e3",
            "0o17",
            "08",
            "-.5",
            "1.2.3",
            "2024-08-01",
            "yES",
            "y",
            "n",
            "nULL",
            "1:60",
            "0x",
            "0b2",
            "_1",
            "+",
            "-",
            ".",
            "...",
            "1_e",
            "os.environ/X",
            "12abc",
            "inf",
        ] {
            assert_eq!(resolve(text), Content::Text, "{text}");
        }
        assert!(matches!(resolve(".nan"), Content::Float(x) if x.is_nan()));
    }
}
