//! Tables in Markdown.

/// A table with a head; the cells of the last columns are numbers and stand on the right.
pub(crate) struct Table<const COLUMNS: usize> {
    pub(crate) head: [&'static str; COLUMNS],
    pub(crate) first_number: usize,
    pub(crate) rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn markdown(&self) -> String {
        let rule = (0..COLUMNS).map(|column| if column < self.first_number { "---" } else { "---:" });
        let rule = row(rule);
        let rows: String = self
            .rows
            .iter()
            .map(|cells| row(cells.iter().map(String::as_str)))
            .collect();
        format!("{}{rule}{rows}", row(self.head.into_iter()))
    }
}

fn row<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}
