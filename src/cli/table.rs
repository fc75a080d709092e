//! Tables of `list` commands: a line each, columns as wide as their longest cell.

/// The rows below the head. What is not known is a dash; the last column is not padded.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [Option<String>; N]>) -> String {
    let head = head.map(|title| Some(title.to_owned()));
    let filled = |row: [Option<String>; N]| row.map(|cell| cell.unwrap_or_else(|| "-".to_owned()));
    let rows: Vec<[String; N]> = std::iter::once(head).chain(rows).map(filled).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(|column| if column + 1 < N { width(column) } else { 0 });
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ") + "\n"
    };
    rows.iter().map(line).collect()
}
