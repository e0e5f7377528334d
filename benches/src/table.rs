//! Tables as plain text, aligned, or as Markdown.

/// A heading and lines of as many cells.
#[derive(Debug, Default)]
pub struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    /// A table with a heading, and nothing below it.
    pub fn new(heading: &[&str]) -> Self {
        Self { lines: vec![heading.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a line.
    pub fn push(&mut self, line: impl IntoIterator<Item = String>) {
        self.lines.push(line.into_iter().collect());
    }

    /// The first and the last column are words, and those between them numbers.
    pub fn text(&self, markdown: bool) -> String {
        let columns = self.lines.first().map_or(0, Vec::len);
        let words = |column| column == 0 || column + 1 == columns;
        let width = |column| {
            let cells = self.lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell: &String| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let lines = self.lines.iter().map(|line| {
            let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if words(column) { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            let cells: Vec<_> = cells.collect();
            if markdown {
                format!("| {} |\n", cells.join(" | "))
            } else {
                format!("{}\n", cells.join("  ").trim_end())
            }
        });
        let mut lines: Vec<_> = lines.collect();
        if markdown {
            let rule = (0..columns).map(|column| if words(column) { "---" } else { "---:" });
            lines.insert(1.min(lines.len()), format!("| {} |\n", rule.collect::<Vec<_>>().join(" | ")));
        }
        lines.concat()
    }
}

/// A number with about three digits that count.
pub fn number(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["row", "ns", "note"]);
        table.push(["a".to_owned(), number(1.234), String::new()]);
        table.push(["longer".to_owned(), number(123.4), "µs".to_owned()]);
        table
    }

    #[test]
    fn text_is_aligned() {
        assert_eq!(table().text(false), "row       ns  note\na       1.23\nlonger   123  µs\n");
    }

    #[test]
    fn markdown_has_a_rule_below_its_heading() {
        let text = table().text(true);
        assert_eq!(text.lines().nth(1), Some("| --- | ---: | --- |"));
        assert_eq!(text.lines().count(), 4);
        assert!(text.lines().all(|line| line.starts_with("| ") && line.ends_with(" |")));
    }
}
