//! What tokens cost, in exact decimals.

use llm_protocol::Usage;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// What a model's tokens cost, per million, in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Price {
    /// The currency's code, as it shall stand in reports (`USD`).
    pub currency: String,
    /// Per million of uncached input tokens.
    pub input_per_1m: Decimal,
    /// Per million of output tokens.
    pub output_per_1m: Decimal,
    /// Per million of input tokens read from a prompt cache.
    pub cache_read_per_1m: Decimal,
    /// Per million of input tokens written to a prompt cache.
    pub cache_write_per_1m: Decimal,
}

impl Price {
    /// Prices per million tokens. Cache reads cost a tenth of the input and cache writes five quarters of it, unless
    /// they are set.
    pub fn new(currency: impl Into<String>, input_per_1m: Decimal, output_per_1m: Decimal) -> Self {
        let of_input = |share| input_per_1m.checked_mul(share).unwrap_or(input_per_1m);
        Self {
            currency: currency.into(),
            input_per_1m,
            output_per_1m,
            cache_read_per_1m: of_input(Decimal::new(1, 1)),
            cache_write_per_1m: of_input(Decimal::new(125, 2)),
        }
    }

    /// Sets the price of cache reads.
    pub fn cache_read(mut self, per_1m: Decimal) -> Self {
        self.cache_read_per_1m = per_1m;
        self
    }

    /// Sets the price of cache writes.
    pub fn cache_write(mut self, per_1m: Decimal) -> Self {
        self.cache_write_per_1m = per_1m;
        self
    }

    /// What this usage costs; `None` when input or output is unknown, or the sum is beyond a decimal.
    pub fn cost(&self, usage: &Usage) -> Option<Cost> {
        let part = |tokens: u64, per_1m: Decimal| {
            let million = Decimal::new(1_000_000, 0);
            Some(Decimal::from(tokens).checked_mul(per_1m)?.checked_div(million)?.normalize())
        };
        Cost {
            currency: self.currency.clone(),
            input: part(usage.input_tokens?, self.input_per_1m)?,
            output: part(usage.output_tokens?, self.output_per_1m)?,
            cache_read: part(usage.cache_read_tokens.unwrap_or(0), self.cache_read_per_1m)?,
            cache_write: part(usage.cache_write_tokens.unwrap_or(0), self.cache_write_per_1m)?,
            total: Decimal::ZERO,
        }
        .summed()
    }
}

/// What something cost, in one currency. Currencies are never mixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cost {
    /// The currency's code.
    pub currency: String,
    /// Uncached input.
    pub input: Decimal,
    /// Output.
    pub output: Decimal,
    /// Input read from a prompt cache.
    pub cache_read: Decimal,
    /// Input written to a prompt cache.
    pub cache_write: Decimal,
    /// All of it.
    pub total: Decimal,
}

impl Cost {
    fn summed(mut self) -> Option<Self> {
        let parts = [self.output, self.cache_read, self.cache_write];
        self.total = parts.into_iter().try_fold(self.input, Decimal::checked_add)?.normalize();
        Some(self)
    }

    /// The sums of several costs, one for each currency, in the order in which the currencies first occur.
    pub fn sum<'a>(costs: impl IntoIterator<Item = &'a Self>) -> Vec<Self> {
        let mut sums: Vec<Self> = Vec::new();
        for cost in costs {
            match sums.iter_mut().find(|sum| sum.currency == cost.currency) {
                Some(sum) => sum.add(cost),
                None => sums.push(cost.clone()),
            }
        }
        sums
    }

    fn add(&mut self, other: &Self) {
        for (sum, part) in [
            (&mut self.input, other.input),
            (&mut self.output, other.output),
            (&mut self.cache_read, other.cache_read),
            (&mut self.cache_write, other.cache_write),
            (&mut self.total, other.total),
        ] {
            *sum = sum.saturating_add(part).normalize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price() -> Price {
        Price::new("USD", "0.80".parse().unwrap(), "4.00".parse().unwrap())
    }

    fn usage(input: u64, output: u64) -> Usage {
        Usage { input_tokens: Some(input), output_tokens: Some(output), ..Usage::default() }
    }

    #[test]
    fn costs_are_exact() {
        let cost = price().cost(&usage(18, 27)).unwrap();
        assert_eq!(
            serde_json::to_value(&cost).unwrap(),
            serde_json::json!({
            "currency": "USD", "input": "0.0000144", "output": "0.000108", "cache_read": "0", "cache_write": "0",
            "total": "0.0001224"})
        );
        assert_eq!(serde_json::from_value::<Cost>(serde_json::to_value(&cost).unwrap()).unwrap(), cost);
    }

    #[test]
    fn cached_input_has_its_own_prices() {
        let usage =
            Usage { cache_read_tokens: Some(1_000_000), cache_write_tokens: Some(1_000_000), ..usage(0, 0) };
        let cost = price().cost(&usage).unwrap();
        assert_eq!((cost.cache_read.to_string(), cost.cache_write.to_string()), ("0.08".into(), "1".into()));
        let own = price().cache_read(Decimal::TWO).cache_write(Decimal::ONE_HUNDRED).cost(&usage).unwrap();
        assert_eq!(own.total.to_string(), "102");
    }

    #[test]
    fn no_cost_is_made_up() {
        assert_eq!(price().cost(&Usage { input_tokens: Some(1), ..Usage::default() }), None);
        let absurd = Price::new("USD", Decimal::MAX, Decimal::MAX);
        assert_eq!(absurd.cost(&usage(u64::MAX, u64::MAX)), None);
    }

    #[test]
    fn currencies_are_never_mixed() {
        let usd = price().cost(&usage(1_000_000, 0)).unwrap();
        let eur = Price::new("EUR", Decimal::ONE, Decimal::ONE).cost(&usage(1_000_000, 0)).unwrap();
        let sums = Cost::sum([&usd, &eur, &usd]);
        let shown: Vec<_> = sums.iter().map(|sum| (sum.currency.as_str(), sum.total.to_string())).collect();
        assert_eq!(shown, [("USD", "1.6".to_owned()), ("EUR", "1".to_owned())]);
    }
}
