//! Units to money.

use pointsman_routes::table::{Deployment, Price, Priced};
use pointsman_routes::usd::Usd;

use crate::call::Usage;

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of the prompt, cache reads and writes among it.
    pub input: Usd,
    /// Of the answer.
    pub output: Usd,
}

impl Cost {
    /// Both together.
    pub fn total(self) -> Usd {
        self.input.plus(self.output)
    }
}

/// What a deployment is paid for a call: what its provider says the call cost, unless the file has
/// prices of its own for it, else [`price`].
pub fn paid(usage: &Usage, deployment: &Deployment) -> Cost {
    let reckoned = price(usage, &deployment.price);
    let told = usage.cost.filter(|_| deployment.priced != Priced::Config);
    told.map_or(reckoned, |told| {
        // It does not say what the prompt has of that.
        let input = reckoned.input.min(told);
        Cost {
            input,
            output: Usd(told.0 - input.0),
        }
    })
}

/// Prices a call's usage; exact. Units of a kind without a price of their own are priced as the
/// plain ones, and units without any price cost nothing.
pub fn price(usage: &Usage, price: &Price) -> Cost {
    let (mut input, mut output) = (price.input, price.output);
    if let Some(long) = price.long.filter(|long| usage.prompt > long.above) {
        input = long.input.or(input);
        output = long.output.or(output);
    }
    let input = input.unwrap_or_default();
    // Models that make nothing but images have no price of a token of text.
    let output = output.or(price.image_output).unwrap_or_default();
    let each = |units: u64, price: Option<Usd>| price.unwrap_or_default().times(units);
    let heard = each(usage.audio_millis, price.second).per_thousand();
    let counted = each(usage.queries, price.query)
        .plus(each(usage.characters, price.character))
        .plus(heard);
    Cost {
        input: counted.plus(sum(
            usage.prompt,
            input,
            &[
                (usage.cache_read, price.cache_read),
                (usage.cache_write, price.cache_write),
                (usage.audio_input, price.audio_input),
                (usage.image_input, price.image_input),
            ],
        )),
        output: each(usage.images, price.image).plus(sum(
            usage.completion,
            output,
            &[
                (usage.reasoning, price.reasoning),
                (usage.audio_output, price.audio_output),
                (usage.image_output, price.image_output),
            ],
        )),
    }
}

/// `units` at `plain`, but for those among them that have a price of their own. More special units
/// than there are units at all, as a provider's nonsense may claim, are priced no further.
fn sum(units: u64, plain: Usd, special: &[(u64, Option<Usd>)]) -> Usd {
    let mut left = units;
    let mut total = Usd::ZERO;
    for (count, own) in special {
        let Some(own) = own else { continue };
        let count = left.min(*count);
        left -= count;
        total = total.plus(own.times(count));
    }
    total.plus(plain.times(left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_routes::table::LongPrice;

    #[test]
    fn cached_and_reasoning_tokens_have_their_own_price() {
        let prices = Price {
            input: Some(Usd(100)),
            output: Some(Usd(1000)),
            cache_read: Some(Usd(10)),
            reasoning: Some(Usd(500)),
            ..Price::default()
        };
        let usage = Usage {
            prompt: 50,
            completion: 20,
            cache_read: 30,
            reasoning: 5,
            ..Usage::default()
        };
        let cost = price(&usage, &prices);
        assert_eq!(
            cost,
            Cost {
                input: Usd(20 * 100 + 30 * 10),
                output: Usd(15 * 1000 + 5 * 500)
            }
        );
    }

    #[test]
    fn a_long_prompt_has_the_long_price() {
        let long = LongPrice {
            above: 200,
            input: Some(Usd(2)),
            output: None,
        };
        let prices = Price {
            input: Some(Usd(1)),
            output: Some(Usd(5)),
            long: Some(long),
            ..Price::default()
        };
        let at = |prompt| {
            price(
                &Usage {
                    prompt,
                    completion: 1,
                    ..Usage::default()
                },
                &prices,
            )
            .total()
        };
        assert_eq!(at(200), Usd(205));
        assert_eq!(at(201), Usd(407));
    }

    #[test]
    fn audio_is_priced_by_the_second_and_speech_by_the_character() {
        let prices = Price {
            second: Some(Usd(100_000_000)),
            character: Some(Usd(15_000_000)),
            ..Price::default()
        };
        let of = |usage| price(&usage, &prices).total();
        let heard = Usage {
            audio_millis: 8_470,
            ..Usage::default()
        };
        assert_eq!(of(heard), Usd(847_000_000));
        let spoken = Usage {
            characters: 12,
            ..Usage::default()
        };
        assert_eq!(of(spoken), Usd(180_000_000));
    }

    #[test]
    fn tokens_of_images_have_their_own_price() {
        let prices = Price {
            input: Some(Usd(5)),
            image_input: Some(Usd(10)),
            image_output: Some(Usd(40)),
            ..Price::default()
        };
        let usage = Usage {
            prompt: 50,
            image_input: 40,
            completion: 7,
            ..Usage::default()
        };
        // What is made is images, whether the provider says so or not.
        for image_output in [0, 7] {
            let usage = Usage {
                image_output,
                ..usage
            };
            let cost = price(&usage, &prices);
            assert_eq!(cost.input, Usd(10 * 5 + 40 * 10));
            assert_eq!(cost.output, Usd(7 * 40));
        }
        let with_words = Price {
            output: Some(Usd(3)),
            ..prices
        };
        let usage = Usage {
            image_output: 5,
            ..usage
        };
        assert_eq!(price(&usage, &with_words).output, Usd(2 * 3 + 5 * 40));
    }

    #[test]
    fn what_a_provider_says_it_cost_is_paid_but_for_prices_of_the_file() {
        let mut deployment = Deployment {
            price: Price {
                input: Some(Usd(5)),
                ..Price::default()
            },
            priced: Priced::Catalog,
            ..Deployment::EMPTY
        };
        let usage = Usage {
            prompt: 2,
            cost: Some(Usd(17)),
            ..Usage::default()
        };
        let cost = paid(&usage, &deployment);
        assert_eq!((cost.input, cost.output), (Usd(10), Usd(7)));
        deployment.priced = Priced::Config;
        assert_eq!(paid(&usage, &deployment).total(), Usd(10));
    }

    #[test]
    fn absurd_details_never_cost_more_than_the_whole() {
        let prices = Price {
            input: Some(Usd(7)),
            cache_read: Some(Usd(1)),
            ..Price::default()
        };
        let usage = Usage {
            prompt: 3,
            cache_read: u64::MAX,
            ..Usage::default()
        };
        assert_eq!(price(&usage, &prices).total(), Usd(3));
    }
}
