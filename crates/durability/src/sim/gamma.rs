//! The gamma function, for the mean of Weibull lifetimes.

/// The gamma function for arguments of at least 1: Stirling's series after shifting by ten.
pub(super) fn gamma(x: f64) -> f64 {
    let shift: f64 = (0..10).map(|i| x + f64::from(i)).product();
    let y = x + 10.0;
    let series = 1.0 / (12.0 * y) - 1.0 / (360.0 * y.powi(3)) + 1.0 / (1260.0 * y.powi(5))
        - 1.0 / (1680.0 * y.powi(7));
    let stirling = (2.0 * std::f64::consts::PI / y).sqrt() * (y / std::f64::consts::E).powf(y);
    stirling * series.exp() / shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_at_known_places() {
        assert!((gamma(5.0) - 24.0).abs() < 1e-9);
        assert!((gamma(1.5) - std::f64::consts::PI.sqrt() / 2.0).abs() < 1e-12);
    }
}
