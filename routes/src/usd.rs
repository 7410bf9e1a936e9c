//! Money as an integer.

use std::fmt;

/// An amount of money in units of 10⁻¹² US dollars.
///
/// The unit holds every per-token price of the catalog exactly, and a total stays exact far past
/// 10⁹ dollars. Floats exist only at the border: [`Usd::to_f64`] for JSON and
/// [`Usd::from_decimal`] for what a config writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(pub i128);

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// One dollar.
    pub const ONE: Self = Self(1_000_000_000_000);

    /// Reads a decimal such as `0.0375`, `3`, `1e-6` or `2.5E-06` exactly.
    ///
    /// Digits below 10⁻¹² dollars are rounded half up. Returns `None` for anything that is not a
    /// finite decimal or does not fit.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Self> {
        Self::scaled(text, 12)
    }

    /// Reads a price in dollars per million units, as price lists print it, and gives the price
    /// of one unit.
    #[must_use]
    pub fn per_million(text: &str) -> Option<Self> {
        Self::scaled(text, 6)
    }

    fn scaled(text: &str, digits: i32) -> Option<Self> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut value: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()).filter(|b| *b != b'_') {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value
                .checked_mul(10)?
                .checked_add(i128::from(digit - b'0'))?;
        }
        let shift = exponent
            .checked_add(digits)?
            .checked_sub(i32::try_from(fraction.bytes().filter(|b| *b != b'_').count()).ok()?)?;
        let value = if shift >= 0 {
            value.checked_mul(10i128.checked_pow(u32::try_from(shift).ok()?)?)?
        } else {
            match 10i128.checked_pow(shift.unsigned_abs()) {
                Some(divisor) => value.checked_add(divisor / 2)? / divisor,
                None => 0,
            }
        };
        Some(Self(if negative { -value } else { value }))
    }

    /// This price times a number of units; saturates at the type's end.
    #[must_use]
    pub const fn times(self, units: u64) -> Self {
        Self(self.0.saturating_mul(units as i128))
    }

    /// The sum; saturates at the type's end.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The amount in dollars, for JSON at the border.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "the border's JSON numbers are floats"
    )]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e12
    }
}

impl fmt::Display for Usd {
    /// Dollars with as many decimals as needed and at least two: `0.00`, `1.50`, `0.0000025`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SCALE: u128 = 1_000_000_000_000;
        let amount = self.0.unsigned_abs();
        // Written in every header and log line, so the common range goes without 128-bit division.
        let (whole, mut fraction) = match u64::try_from(amount) {
            Ok(small) => (u128::from(small / SCALE as u64), small % SCALE as u64),
            Err(_) => (amount / SCALE, (amount % SCALE) as u64),
        };
        let mut digits = *b".000000000000";
        for place in digits[1..].iter_mut().rev() {
            *place = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        let needed = digits.iter().rposition(|digit| *digit != b'0').unwrap_or(0) + 1;
        let digits = std::str::from_utf8(&digits[..needed.max(3)]).unwrap_or_default();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match whole {
            0 => f.write_str("0")?,
            whole => write!(f, "{whole}")?,
        }
        f.write_str(digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        for (text, pico) in [
            ("1", 1_000_000_000_000),
            ("0.0375", 37_500_000_000),
            ("2.5e-06", 2_500_000),
            ("1E-12", 1),
            ("-3", -3_000_000_000_000),
            ("100.00", 100_000_000_000_000),
            ("1_000", 1_000_000_000_000_000),
            (".5", 500_000_000_000),
            ("4e-13", 0),
            ("5e-13", 1),
        ] {
            assert_eq!(Usd::from_decimal(text), Some(Usd(pico)), "{text}");
        }
        for text in ["", ".", "x", "1.2.3", "nan", "inf", "1e99", "1e", "--1"] {
            assert_eq!(Usd::from_decimal(text), None, "{text}");
        }
    }

    #[test]
    fn a_price_per_million_is_the_price_of_one() {
        assert_eq!(Usd::per_million("3"), Some(Usd(3_000_000)));
        assert_eq!(Usd::per_million("0.0375"), Some(Usd(37_500)));
    }

    #[test]
    fn amounts_print_with_the_decimals_they_need() {
        assert_eq!(Usd(0).to_string(), "0.00");
        assert_eq!(Usd(1_500_000_000_000).to_string(), "1.50");
        assert_eq!(Usd(2_500_000).to_string(), "0.0000025");
        assert_eq!(Usd(-1).to_string(), "-0.000000000001");
    }
}
