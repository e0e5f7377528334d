//! Medians, percentiles and paired ratios of what the rounds measured.

/// The middle of a series, and how far it spreads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The tenth percentile.
    pub low: f64,
    /// The fiftieth.
    pub median: f64,
    /// The ninetieth.
    pub high: f64,
}

impl Spread {
    /// The spread of `values`, in any order; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            low: percentile(&sorted, 10)?,
            median: percentile(&sorted, 50)?,
            high: percentile(&sorted, 90)?,
        })
    }
}

/// The value below which `percent` of `sorted` lies, between its neighbours where it falls between two. `None` where
/// there are no values.
pub fn percentile(sorted: &[f64], percent: u8) -> Option<f64> {
    let rank = usize::from(percent.min(100)) * sorted.len().checked_sub(1)?;
    let at = *sorted.get(rank / 100)?;
    let next = sorted.get(rank / 100 + 1).copied().unwrap_or(at);
    let between = u32::try_from(rank % 100).ok()?;
    Some(at + (next - at) * f64::from(between) / 100.0)
}

/// Each of `ours` by the one of `others` that was measured in the same round. What disturbs the machine for longer
/// than a round disturbs both, and is not in the ratio.
pub fn ratios(ours: &[f64], others: &[f64]) -> Vec<f64> {
    ours.iter().zip(others).map(|(own, other)| own / other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-9)
    }

    #[test]
    fn a_percentile_lies_between_its_neighbours() {
        let five = [1.0, 2.0, 4.0, 8.0, 16.0];
        let cases = [(0, 1.0), (10, 1.4), (25, 2.0), (50, 4.0), (60, 5.6), (90, 12.8), (100, 16.0)];
        for (percent, value) in cases {
            assert!(
                close(percentile(&five, percent), value),
                "{percent} %: {:?}",
                percentile(&five, percent)
            );
        }
        assert!(close(percentile(&[1.0, 3.0], 50), 2.0), "an even number has its middle between two");
        assert!(close(percentile(&[7.0], 90), 7.0));
        assert_eq!(percentile(&[], 50), None);
        assert!(close(percentile(&[1.0, 2.0], 101), 2.0));
    }

    #[test]
    fn a_spread_does_not_care_about_order() {
        let values: Vec<_> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(Spread::of(&values), Some(Spread { low: 10.0, median: 50.0, high: 90.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_ratio_pairs_what_was_measured_in_one_round() {
        // The machine was ten times as slow in the last round.
        let (ours, others) = ([2.0, 2.0, 20.0], [1.0, 1.0, 10.0]);
        assert_eq!(ratios(&ours, &others), [2.0; 3]);
        assert_eq!(ratios(&[1.0, 2.0], &[2.0]), [0.5], "a round without a partner is left out");
    }
}
