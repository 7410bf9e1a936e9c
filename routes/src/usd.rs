//! Money as an integer.

use std::fmt;
use std::time::Duration;

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

    /// A thousandth of it, a part of the smallest unit counted as a whole one: a price of a second
    /// times milliseconds is divided so.
    #[must_use]
    pub const fn per_thousand(self) -> Self {
        let whole = self.0 / 1_000;
        Self(whole + (self.0 % 1_000 > 0) as i128)
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
        f.write_str(&String::from_utf8_lossy(Decimal::default().dollars(*self)))
    }
}

/// A decimal number as text, written without an allocation: for headers and log lines, of which
/// each request has several.
#[derive(Clone, Debug)]
pub struct Decimal([u8; Self::LONGEST]);

impl Default for Decimal {
    fn default() -> Self {
        Self([0; Self::LONGEST])
    }
}

impl Decimal {
    /// A sign, 39 digits and a point.
    const LONGEST: usize = 41;

    /// Dollars, as [`Usd`] prints them.
    pub fn dollars(&mut self, amount: Usd) -> &[u8] {
        self.write(amount.0.unsigned_abs(), 12, 2, amount.0 < 0)
    }

    /// Milliseconds with three decimals.
    pub fn millis(&mut self, duration: Duration) -> &[u8] {
        self.write(duration.as_micros(), 3, 3, false)
    }

    /// `units` of 10⁻ᵖˡᵃᶜᵉˢ, with zeros at the end cut down to `kept` decimals.
    fn write(&mut self, units: u128, places: usize, kept: usize, negative: bool) -> &[u8] {
        let mut at = Self::LONGEST;
        let mut written = 0;
        let mut put = |digit: u64| {
            if written == places {
                at -= 1;
                self.0[at] = b'.';
            }
            at -= 1;
            self.0[at] = b"0123456789"[usize::try_from(digit).unwrap_or(0)];
            written += 1;
            written
        };
        // Only what needs them goes through 128-bit divisions.
        let mut large = units;
        let mut small = loop {
            match u64::try_from(large) {
                Ok(small) => break small,
                Err(_) => put(u64::try_from(large % 10).unwrap_or(0)),
            };
            large /= 10;
        };
        while put(small % 10) <= places || small >= 10 {
            small /= 10;
        }
        if negative {
            at -= 1;
            self.0[at] = b'-';
        }
        let droppable = Self::LONGEST - (places - kept);
        let zeros = self.0[droppable..]
            .iter()
            .rev()
            .take_while(|digit| **digit == b'0')
            .count();
        &self.0[at..Self::LONGEST - zeros]
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
        assert_eq!(Usd(100_000_000_000_000).to_string(), "100.00");
        assert_eq!(Usd(1_010_000_000_000).to_string(), "1.01");
        assert_eq!(
            Usd(i128::MIN).to_string(),
            "-170141183460469231731687303.715884105728"
        );
    }

    #[test]
    fn durations_are_milliseconds_with_three_decimals() {
        for (micros, text) in [
            (0, "0.000"),
            (1, "0.001"),
            (12_345, "12.345"),
            (1_000_070, "1000.070"),
        ] {
            let mut decimal = Decimal::default();
            assert_eq!(
                decimal.millis(Duration::from_micros(micros)),
                text.as_bytes()
            );
        }
    }
}
