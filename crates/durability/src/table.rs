//! Tables of text: Markdown that is also readable as it is.

use std::fmt;

/// A table with one line of headings. Columns are padded to the widest cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headings.
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![headings.into_iter().map(Into::into).collect()] }
    }

    /// Adds a line.
    ///
    /// # Panics
    /// If it has not as many cells as there are headings.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        assert_eq!(cells.len(), self.rows[0].len(), "a cell for each heading");
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3)
        };
        let widths: Vec<usize> = (0..self.rows[0].len()).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                for width in &widths {
                    write!(f, "|{}", "-".repeat(width + 2))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// A probability or rate: 1.2e-11.
pub fn small(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.1e}") }
}

/// Hours, with as many digits as matter.
pub fn hours(value: f64) -> String {
    match value {
        value if value >= 10.0 => format!("{value:.0} h"),
        value if value >= 1.0 => format!("{value:.1} h"),
        value => format!("{value:.2} h"),
    }
}

/// Nines, rounded down: none is promised that is not there.
pub fn nines(loss_probability: f64) -> String {
    format!("{:.1}", (crate::nines(loss_probability).max(0.0) * 10.0).floor() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nines_never_rounded_up() {
        let mut table = Table::new(["policy", "x"]);
        table.row(["rs-4-2", "12345"]);
        let expected = "| policy | x     |\n|--------|-------|\n| rs-4-2 | 12345 |\n";
        assert_eq!(table.to_string(), expected);
        assert_eq!(nines(1.05e-11), "10.9");
        assert_eq!((small(1.23e-11).as_str(), small(0.0).as_str()), ("1.2e-11", "0"));
        assert_eq!((hours(0.25).as_str(), hours(93.6).as_str()), ("0.25 h", "94 h"));
    }
}
