//! CSV and TSV.
//!
//! TSV is literal: a tab ends a cell, the end of a line a row, and a quote is a character like any other. In CSV a
//! quoted cell may contain commas, line ends, and doubled quotes. A quote that is meant as text, at the start of a
//! cell, opens such a cell and swallows everything up to the next quote. So quotes must be right:
//!
//! * A quote that closes a cell is followed by a comma or the end of the line. Otherwise it, or the one before, was
//!   text.
//! * An opened quote is closed.
//! * A row over several lines is compared with them: if most of those lines are whole rows with a label of other rows,
//!   a stray quote at the end of a cell has swallowed them. Without a label, rows over several lines are accepted.
//!
//! The bad row is the one that begins on the quote's line. Reading continues on the next line, so that one stray quote
//! costs one row.

use super::Error;
use super::bad_rows::BadRows;
use super::table::{Cell, Row, Table, column};
use std::collections::HashSet;
use std::path::Path;

/// Reads tab-separated values.
pub(super) fn tsv(path: &Path, text: &str, label: Option<&str>) -> Result<Table, Error> {
    let lines = Lines::of(text);
    let cells = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let mut rows = (0..lines.len()).filter(|place| !lines.is_blank(*place));
    let columns = header(path, rows.next().map(|place| cells(lines.line(place))))?;
    label.map(|label| column(path, &columns, label)).transpose()?;
    let mut table = table(path, columns);
    for place in rows {
        table.take(place as u64 + 1, cells(lines.line(place)));
    }
    Ok(table)
}

/// Reads comma-separated values.
pub(super) fn csv(path: &Path, text: &str, label: Option<&str>) -> Result<Table, Error> {
    let lines = Lines::of(text);
    let Some(first) = (0..lines.len()).find(|place| !lines.is_blank(*place)) else {
        return header(path, None).map(|columns| table(path, columns));
    };
    let head = lines.record(first).map_err(|reason| Error::bad_line(path, first as u64 + 1, reason))?;
    let columns = header(path, Some(head.cells))?;
    let label = label.map(|label| column(path, &columns, label)).transpose()?;
    let mut stray = HashSet::new();
    loop {
        let records = lines.records(head.end, &stray);
        let swallowing = swallowing(&lines, &records, columns.len(), label);
        if swallowing.is_empty() {
            let mut table = table(path, columns);
            for (place, record) in records {
                match record {
                    Ok(record) => table.take(place as u64 + 1, record.cells),
                    Err(reason) => table.bad.add(place as u64 + 1, reason),
                }
            }
            return Ok(table);
        }
        stray.extend(swallowing);
    }
}

fn table(path: &Path, columns: Vec<String>) -> Table {
    Table { path: path.to_owned(), columns, rows: Vec::new(), bad: BadRows::default(), form: str::to_owned }
}

fn header(path: &Path, cells: Option<Vec<String>>) -> Result<Vec<String>, Error> {
    let cells = cells.ok_or_else(|| Error::bad_file(path, "the file is empty"))?;
    Ok(cells.iter().map(|name| name.trim().to_owned()).collect())
}

impl Table {
    fn take(&mut self, line: u64, cells: Vec<String>) {
        match cells.len() == self.columns.len() {
            true => self.rows.push(Row { line, cells: cells.into_iter().map(Cell::Text).collect() }),
            false => {
                let (found, expected) = (cells.len(), self.columns.len());
                self.bad.add(line, format!("{found} columns, but {expected} in the first line"));
            }
        }
    }
}

/// A text by lines. Lines end as on any system: with a line feed, a carriage return and a line feed, or, without any
/// line feed, a carriage return.
struct Lines<'a> {
    text: &'a str,
    /// Where each begins.
    starts: Vec<usize>,
    end: char,
}

/// A row as written in CSV.
struct Record {
    cells: Vec<String>,
    /// The line after it.
    end: usize,
}

/// Lines that rows begin on, and the rows, or what is wrong with them.
type Records = Vec<(usize, Result<Record, String>)>;

impl Lines<'_> {
    fn of(text: &str) -> Lines<'_> {
        let end = if text.contains('\n') { '\n' } else { '\r' };
        let starts = [0].into_iter().chain(text.match_indices(end).map(|(at, _)| at + 1));
        Lines { text, starts: starts.filter(|start| *start < text.len()).collect(), end }
    }

    fn len(&self) -> usize {
        self.starts.len()
    }

    /// A line without its end.
    fn line(&self, place: usize) -> &str {
        let end = self.starts.get(place + 1).copied().unwrap_or(self.text.len());
        self.text[self.starts[place]..end].trim_end_matches(['\n', '\r'])
    }

    /// A line of nothing but blanks is not a row.
    fn is_blank(&self, place: usize) -> bool {
        self.line(place).trim_matches(' ').is_empty()
    }

    /// All rows from a line on; one that begins on a `stray` line has a stray quote.
    fn records(&self, first: usize, stray: &HashSet<usize>) -> Records {
        let (mut records, mut place) = (Vec::new(), first);
        while place < self.len() {
            if self.is_blank(place) {
                place += 1;
                continue;
            }
            let record = match stray.contains(&place) {
                true => Err(STRAY.to_owned()),
                false => self.record(place),
            };
            let end = record.as_ref().map_or(place + 1, |record| record.end);
            records.push((place, record));
            place = end;
        }
        records
    }

    /// The row that begins on a line.
    fn record(&self, place: usize) -> Result<Record, String> {
        let (mut cells, mut rest) = (Vec::new(), &self.text[self.starts[place]..]);
        loop {
            let (cell, after) = self.cell(rest)?;
            cells.push(cell);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    let at = self.text.len() - after.len();
                    return Ok(Record { cells, end: self.starts.partition_point(|start| *start <= at) });
                }
            }
        }
    }

    /// A cell, and what follows it: a comma, the end of a line, or nothing.
    fn cell<'a>(&self, text: &'a str) -> Result<(String, &'a str), String> {
        let ends = [',', self.end];
        let Some(mut rest) = text.strip_prefix('"') else {
            let (cell, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
            return Ok((cell.trim_end_matches('\r').to_owned(), rest));
        };
        let mut cell = String::new();
        loop {
            let Some((inside, after)) = rest.split_once('"') else {
                return Err("a quote is opened here and never closed".to_owned());
            };
            cell.push_str(inside);
            if let Some(quoted) = after.strip_prefix('"') {
                cell.push('"');
                rest = quoted;
                continue;
            }
            let after = after.trim_start_matches(' ');
            let after = after.strip_prefix('\r').filter(|after| after.starts_with('\n')).unwrap_or(after);
            if after.is_empty() || after.starts_with(ends) {
                return Ok((cell, after));
            }
            let what: String = after.split(self.end).next().unwrap_or_default().chars().take(20).collect();
            return Err(format!(
                "the quote that a cell begins with is closed before {what:?}, in the middle of a cell; a quote within a cell \
                 in quotes is written twice"
            ));
        }
    }
}

const STRAY: &str = "a quote at the start of a cell swallows the lines below, which are rows themselves";

/// The lines that rows begin on which swallow others: of the lines of each but the last, half and more are whole rows by
/// themselves, with a label that a row on one line has.
fn swallowing(lines: &Lines<'_>, records: &Records, columns: usize, label: Option<usize>) -> Vec<usize> {
    let fits = |record: &&Record| record.cells.len() == columns;
    let good = || records.iter().filter_map(|(place, record)| Some((*place, record.as_ref().ok().filter(fits)?)));
    let long = |(place, record): &(usize, &Record)| record.end > place + 1;
    let Some(label) = label.filter(|_| columns > 1 && good().any(|it| long(&it))) else { return Vec::new() };
    let known: HashSet<&str> = good()
        .filter(|it| !long(it))
        .map(|(_, record)| record.cells[label].trim())
        .filter(|it| !it.is_empty())
        .collect();
    let is_row = |place: &usize| {
        let line = lines.line(*place);
        line.split(',').count() == columns && line.split(',').nth(label).is_some_and(|cell| known.contains(cell.trim()))
    };
    let swallows = |(place, record): &(usize, &Record)| {
        let within = place + 1..record.end;
        let above_last = *place..record.end - 1;
        2 * above_last.filter(is_row).count() >= within.len()
    };
    good().filter(long).filter(swallows).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Table {
        csv(Path::new("t.csv"), text, Some("label")).expect("a table")
    }

    fn texts(table: &Table) -> Vec<(u64, &str)> {
        table.rows.iter().map(|row| (row.line, table.cell(row, 0).expect("a cell"))).collect()
    }

    fn bad(text: &str) -> Vec<String> {
        let table = read(text);
        let used = table.rows.len();
        let told = table.bad.judged(Path::new("t.csv"), used, false).err().map(|error| error.to_string());
        told.map_or_else(Vec::new, |told| told.lines().map(|line| line.trim().to_owned()).collect())
    }

    #[test]
    fn a_cell_in_quotes_holds_commas_quotes_and_lines() {
        let table = read(
            "text,label\r\n\"a, b\",x\r\n\r\n\"he said \"\"no\"\"\" ,y\r\n\"one\r\ntwo, three\r\n\",x\r\n5\" wide,y",
        );
        let expected = [(2, "a, b"), (4, "he said \"no\""), (5, "one\r\ntwo, three"), (8, "5\" wide")];
        assert_eq!(texts(&table), expected);
        assert_eq!(texts(&read("text,label\r\"a\",\"x\"\rb,y\r")), [(2, "a"), (3, "b")], "lines of an old Mac");
    }

    #[test]
    fn a_stray_quote_costs_its_row_and_no_other() {
        let rows = |first: &str, second: &str| format!("text,label\n{first},x\nb,y\nc,x\n{second},y\ne,x\n");
        let (open, middle) =
            ("a quote is opened here and never closed", "the quote that a cell begins with is closed before");
        for (first, second, words) in [
            ("\"a", "d", vec![(2, open)]),
            ("\"a", "\"d", vec![(2, middle), (5, open)]),
            ("\"a\" b", "d", vec![(2, middle)]),
            ("\"a", "d 5\"", vec![(2, STRAY)]),
        ] {
            let table = read(&rows(first, second));
            let left: Vec<u64> = table.rows.iter().map(|row| row.line).collect();
            let bad: Vec<u64> = words.iter().map(|(line, _)| *line).collect();
            assert_eq!(left, (2..=6).filter(|line| !bad.contains(line)).collect::<Vec<_>>(), "{first} {second}");
            let told = table.bad.judged(Path::new("t.csv"), 1, false).expect_err("bad rows").to_string();
            for (line, words) in words {
                assert!(told.contains(&format!("line {line}: {words}")), "{told}");
            }
        }
    }

    #[test]
    fn prose_over_several_lines_is_no_row() {
        let letter = "\"Dear Sir,\nI write, with pleasure,\nand remain, yours\nx\"";
        let text = format!("text,label\n{letter},x\nb,y\nc,x\n");
        assert_eq!(texts(&read(&text)).len(), 3);
        assert_eq!(bad(&text), Vec::<String>::new());
    }

    #[test]
    fn ragged_rows_are_all_told() {
        let told = bad("text,label\na\nb,x\nc,x,y\n");
        assert_eq!(told[0], "t.csv: 2 of 3 rows cannot be used (data.skip_bad_rows: true leaves them out):");
        assert_eq!(told[1], "line 2: 1 columns, but 2 in the first line");
        assert_eq!(told[2], "line 4: 3 columns, but 2 in the first line");
    }
}
