//! What a simulation found, and how sure it is.

/// A mean with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The best guess.
    pub mean: f64,
    /// The truth is within `mean` plus or minus this in 95 of 100 runs.
    pub half_width: f64,
}

impl Estimate {
    /// The half width as a share of the mean; infinite if the mean is zero.
    pub fn relative(self) -> f64 {
        if self.mean > 0.0 { self.half_width / self.mean } else { f64::INFINITY }
    }
}

/// The figures of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Losses of one group per year in which it was there to lose: what the formula's
    /// `losses_per_year` is.
    pub losses_per_group_year: Estimate,
    /// Times per year that the cluster loses groups, however many at once.
    pub loss_events_per_year: Estimate,
    /// Blobs per year and group that latent errors cost, see
    /// [`crate::formula::Chain::latent_losses_per_year`].
    pub latent_losses_per_group_year: Estimate,
    /// Groups.
    pub groups: usize,
    /// Years that were simulated (with weights, where rare events were).
    pub years: f64,
    /// Events that were simulated.
    pub events: u64,
    /// Losses of groups that were seen, without weights.
    pub losses_seen: u64,
}

/// Sums over a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) hours: f64,
    /// Hours of all groups in which they were there to lose.
    pub(super) group_hours: f64,
    pub(super) losses: f64,
    pub(super) loss_events: f64,
    pub(super) latent: f64,
    pub(super) losses_seen: u64,
}

impl Outcome {
    /// From stretches that are (about) independent and alike.
    pub(super) fn of(tallies: &[Tally], groups: usize, events: u64) -> Self {
        let year = crate::HOURS_PER_YEAR;
        let hours: f64 = tallies.iter().map(|tally| tally.hours).sum();
        Self {
            losses_per_group_year: ratio(tallies, |t| t.losses, |t| t.group_hours / year),
            loss_events_per_year: ratio(tallies, |t| t.loss_events, |t| t.hours / year),
            latent_losses_per_group_year: ratio(tallies, |t| t.latent, |t| t.group_hours / year),
            groups,
            years: hours / year,
            events,
            losses_seen: tallies.iter().map(|tally| tally.losses_seen).sum(),
        }
    }
}

/// The ratio of two sums, its deviation by the delta method.
fn ratio(
    tallies: &[Tally],
    above: impl Fn(&Tally) -> f64,
    below: impl Fn(&Tally) -> f64,
) -> Estimate {
    let count = tallies.len() as f64;
    let base: f64 = tallies.iter().map(&below).sum();
    let mean = tallies.iter().map(&above).sum::<f64>() / base;
    let squares: f64 =
        tallies.iter().map(|tally| (above(tally) - mean * below(tally)).powi(2)).sum();
    let deviation = (squares / (count - 1.0) * count).sqrt() / base;
    Estimate { mean, half_width: 1.96 * deviation }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_and_its_interval_by_hand() {
        let stretch =
            |losses, group_hours| Tally { losses, group_hours, hours: 1.0, ..Tally::default() };
        let tallies = [stretch(1.0, 10.0), stretch(3.0, 10.0)];
        let estimate = ratio(&tallies, |t| t.losses, |t| t.group_hours);
        assert!((estimate.mean - 0.2).abs() < 1e-12);
        // Two values, 0.1 and 0.3: their mean's deviation is 0.1.
        assert!((estimate.half_width - 0.196).abs() < 1e-12);
        assert!((estimate.relative() - 0.98).abs() < 1e-12);
    }
}
