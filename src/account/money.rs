//! Money at the border: a JSON number that is read as the decimal it was written as.

use std::fmt;

use pointsman_routes::usd::Usd;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The largest amount that the API takes: nine million dollars, which the store counts exactly.
const LARGEST: Usd = Usd(9_000_000 * Usd::ONE.0);

/// The amount that a JSON number, or a text with one, stands for. `None` for anything else, for
/// negative amounts, and for more than nine million dollars.
pub fn from_json(value: &Value) -> Option<Usd> {
    let amount = match value {
        // The shortest text of a float is the decimal that was written, if it had up to 15 digits.
        Value::Number(number) => Usd::from_decimal(&number.to_string())?,
        Value::String(text) => Usd::from_decimal(text)?,
        _ => return None,
    };
    (Usd::ZERO..=LARGEST).contains(&amount).then_some(amount)
}

/// The float nearest to an amount.
fn to_json(amount: Usd) -> f64 {
    // From the decimal text, because a quotient of two floats would be rounded twice.
    amount
        .to_string()
        .parse()
        .unwrap_or_else(|_| amount.to_f64())
}

struct Amount(Usd);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Number {
            fn take<E: Error>(value: impl Into<Value>) -> Result<Amount, E> {
                from_json(&value.into())
                    .map(Amount)
                    .ok_or_else(|| E::custom("an amount is between 0 and 9000000 dollars"))
            }
        }
        impl Visitor<'_> for Number {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount in dollars")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Amount, E> {
                Self::take(number)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
                Self::take(number)
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Amount, E> {
                Self::take(number)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
                Self::take(text)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(to_json(self.0))
    }
}

/// Serde of an amount that may be missing.
pub mod maybe {
    use super::{Amount, Deserialize, Deserializer, Serialize, Serializer, Usd};

    /// Writes a JSON number.
    pub fn serialize<S: Serializer>(
        amount: &Option<Usd>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        amount.map(Amount).serialize(serializer)
    }

    /// Reads a JSON number, or a text with one.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Usd>, D::Error> {
        Ok(Option::<Amount>::deserialize(deserializer)?.map(|amount| amount.0))
    }
}

/// Serde of an amount that is always there.
pub mod always {
    use super::{Amount, Deserialize, Deserializer, Serialize, Serializer, Usd};

    /// Writes a JSON number.
    pub fn serialize<S: Serializer>(amount: &Usd, serializer: S) -> Result<S::Ok, S::Error> {
        Amount(*amount).serialize(serializer)
    }

    /// Reads a JSON number, or a text with one; null is nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Usd, D::Error> {
        let amount = Option::<Amount>::deserialize(deserializer)?;
        Ok(amount.map_or(Usd::ZERO, |amount| amount.0))
    }
}

/// Serde of amounts by name.
pub mod by_name {
    use std::collections::BTreeMap;

    use super::{Amount, Deserialize, Deserializer, Serializer, Usd};

    /// Writes an object of JSON numbers.
    pub fn serialize<S: Serializer>(
        amounts: &BTreeMap<String, Usd>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(amounts.iter().map(|(name, amount)| (name, Amount(*amount))))
    }

    /// Reads an object of JSON numbers; null is an empty one.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Usd>, D::Error> {
        let amounts = Option::<BTreeMap<String, Amount>>::deserialize(deserializer)?;
        let amounts = amounts.unwrap_or_default().into_iter();
        Ok(amounts.map(|(name, amount)| (name, amount.0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn amounts_are_the_decimals_that_were_written() {
        for (value, picos) in [
            (json!(0.1), 100_000_000_000),
            (json!(1e-12), 1),
            (json!(3.75e-5), 37_500_000),
            (json!("10.5"), 10_500_000_000_000),
            (json!(100), 100_000_000_000_000),
        ] {
            assert_eq!(from_json(&value), Some(Usd(picos)), "{value}");
        }
        for value in [
            json!(-1),
            json!(-0.001),
            json!(1e300),
            json!("nan"),
            json!(true),
            json!(null),
            json!([1]),
        ] {
            assert_eq!(from_json(&value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_comes_back_from_json_as_it_was(picos in 0..10_i128.pow(15)) {
            let text = serde_json::to_string(&Amount(Usd(picos))).unwrap();
            let Amount(back) = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back, Usd(picos));
        }
    }
}
