//! Limits that would have let through what people approved, and no more.

use crate::model::threshold::{Limit, Window};

use super::backtest::{Backtest, Sample};

/// A limit, and what it is drawn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// What it limits: `vault.users/disable`.
    pub name: String,
    /// Over which time; `None` = a run.
    pub window: Option<Window>,
    /// The least number that holds none of the wanted runs.
    pub count: u64,
    /// The least share that holds none of them, in percent to one decimal; `None` where none was large enough for one.
    pub percent: Option<f64>,
    /// How many wanted runs had any.
    pub runs: u64,
    /// Half of these had no more.
    pub half: u64,
    /// Nine tenths of these had no more.
    pub nine_tenths: u64,
    /// How many runs were rejected, in part at least.
    pub rejected: u64,
    /// How many of these it would have held.
    pub rejected_held: u64,
}

/// What the past suggests; nothing where no run that people wanted had any.
pub fn suggest(backtest: &Backtest) -> Vec<Suggestion> {
    backtest.samples.iter().filter_map(|((name, window), samples)| of(name, *window, samples)).collect()
}

fn of(name: &str, window: Option<Window>, samples: &[Sample]) -> Option<Suggestion> {
    // Disables and deletes together have no limit that could be set.
    if name.ends_with("/removal") {
        return None;
    }
    let wanted = || samples.iter().filter(|sample| sample.fate.is_wanted());
    let mut figures: Vec<u64> = wanted().map(|sample| sample.figure).collect();
    figures.sort_unstable();
    let most = *figures.last()?;
    let up_to = |tenths: usize| figures[(figures.len() * tenths).div_ceil(10).max(1) - 1];
    let shares = wanted().filter(|sample| sample.size >= Limit::FLOOR).map(share);
    let percent = shares.reduce(f64::max).map(|share| (share * 10.0).ceil() / 10.0).map(|percent| percent.min(100.0));
    let limit = Limit { count: Some(most), percent, floor: Limit::FLOOR };
    let refused = || samples.iter().filter(|sample| sample.fate.is_refused());
    let holds = |sample: &&Sample| limit.bounds(sample.size, true).any(|b| b.is_exceeded(sample.figure, sample.size));
    Some(Suggestion {
        name: name.to_owned(),
        window,
        count: most,
        percent,
        runs: figures.len() as u64,
        half: up_to(5),
        nine_tenths: up_to(9),
        rejected: refused().count() as u64,
        rejected_held: refused().filter(holds).count() as u64,
    })
}

fn share(sample: &Sample) -> f64 {
    sample.figure as f64 * 100.0 / sample.size as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::backtest::Fate;
    use super::*;

    #[test]
    fn the_least_that_lets_through_what_was_wanted() {
        let sample = |figure, size, fate| Sample { figure, size, fate };
        let mut samples: Vec<Sample> = (1..=10).map(|figure| sample(figure, 300, Fate::Approved)).collect();
        samples.push(sample(40, 300, Fate::Rejected));
        samples.push(sample(3, 10, Fate::Passed));
        samples.push(sample(99, 300, Fate::Waiting));
        let backtest = Backtest {
            samples: [
                (("vault.users/disable".to_owned(), None), samples),
                (("vault.users/delete".to_owned(), None), vec![sample(7, 300, Fate::Rejected)]),
            ]
            .into(),
            ..Backtest::default()
        };
        let found = suggest(&backtest);
        assert_eq!(found.len(), 1, "a rejected run suggests nothing");
        let one = &found[0];
        assert_eq!((one.count, one.percent), (10, Some(3.4)), "10 of 300, rounded up; 3 of 10 is below the floor");
        assert_eq!((one.runs, one.half, one.nine_tenths), (11, 5, 9));
        assert_eq!((one.rejected, one.rejected_held), (1, 1));
    }
}
