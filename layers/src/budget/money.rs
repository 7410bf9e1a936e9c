//! Money without rounding.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

/// An amount of money in units of 10⁻¹² US dollars, never negative.
///
/// The unit holds the price of a single token of any model exactly. The largest amount is 18.4
/// million dollars, per budget and window; sums stop there and do not wrap.
///
/// ```
/// use pointsman_layers::budget::Usd;
///
/// let price: Usd = "0.000002".parse().unwrap();
/// assert_eq!(price, Usd::from_picos(2_000_000));
/// assert_eq!(price.times(1_500).to_string(), "0.003");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

const PER_DOLLAR: u64 = 1_000_000_000_000;
const DIGITS: usize = 12;

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(u64::MAX);

    /// An amount in 10⁻¹² dollars.
    pub const fn from_picos(picos: u64) -> Self {
        Self(picos)
    }

    /// An amount in whole dollars, at most [`Usd::MAX`].
    pub const fn from_dollars(dollars: u64) -> Self {
        Self(dollars.saturating_mul(PER_DOLLAR))
    }

    /// The amount in 10⁻¹² dollars.
    pub const fn picos(self) -> u64 {
        self.0
    }

    /// The sum, at most [`Usd::MAX`].
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `count` times the amount, at most [`Usd::MAX`].
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// The amount in dollars, rounded to what a float holds: for JSON at the border only.
    #[expect(clippy::cast_precision_loss, reason = "said in the documentation")]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / PER_DOLLAR as f64
    }
}

impl From<u64> for Usd {
    fn from(picos: u64) -> Self {
        Self(picos)
    }
}

impl From<Usd> for u64 {
    fn from(usd: Usd) -> Self {
        usd.0
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Self::plus)
    }
}

/// Dollars as a decimal number without needless zeros: `0.003`, `12`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, picos) = (self.0 / PER_DOLLAR, self.0 % PER_DOLLAR);
        if picos == 0 {
            return write!(f, "{dollars}");
        }
        let fraction = format!("{picos:0DIGITS$}");
        write!(f, "{dollars}.{}", fraction.trim_end_matches('0'))
    }
}

/// The text is not an amount of dollars, or has more than twelve decimals, or is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUsd;

impl fmt::Display for NotUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an amount of dollars with at most twelve decimals")
    }
}

impl std::error::Error for NotUsd {}

/// Reads a decimal number such as `10`, `0.25` or `2e-6`, exactly.
impl FromStr for Usd {
    type Err = NotUsd;

    fn from_str(text: &str) -> Result<Self, NotUsd> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().map_err(|_| NotUsd)?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        if digits().next().is_none() || !digits().all(|digit| digit.is_ascii_digit()) {
            return Err(NotUsd);
        }
        let decimals = i32::try_from(fraction.len()).map_err(|_| NotUsd)?;
        let shift = 12_i32
            .checked_add(exponent)
            .and_then(|sum| sum.checked_sub(decimals));
        let mut picos = digits().try_fold(0_u128, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u128::from(digit - b'0'))
        });
        for _ in 0..shift.ok_or(NotUsd)?.clamp(-60, 60).unsigned_abs() {
            picos = match shift {
                Some(0..) => picos.and_then(|picos| picos.checked_mul(10)),
                _ => picos
                    .filter(|picos| picos % 10 == 0)
                    .map(|picos| picos / 10),
            };
        }
        picos
            .and_then(|picos| u64::try_from(picos).ok())
            .map(Self)
            .ok_or(NotUsd)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        let read = |text: &str| text.parse::<Usd>().map(Usd::picos);
        assert_eq!(read("10"), Ok(10 * PER_DOLLAR));
        assert_eq!(read("0.1"), Ok(PER_DOLLAR / 10));
        assert_eq!(read(".5"), Ok(PER_DOLLAR / 2));
        assert_eq!(read("1.5e-07"), Ok(150_000));
        assert_eq!(read("2E1"), Ok(20 * PER_DOLLAR));
        assert_eq!(read("0.0000000000010"), Ok(1));
        for wrong in [
            "",
            ".",
            "-1",
            "1e",
            "NaN",
            "0.0000000000001",
            "1e8",
            "1e999",
            "1e-99",
            "1,0",
        ] {
            assert_eq!(read(wrong), Err(NotUsd), "{wrong}");
        }
        assert_eq!(read("0e-99"), Ok(0));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(picos: u64) {
            prop_assert_eq!(Usd(picos).to_string().parse(), Ok(Usd(picos)));
        }

        #[test]
        fn no_text_panics(text in "[0-9.eE+-]{0,40}") {
            let _ = text.parse::<Usd>();
        }
    }
}
