//! Bytes of a file as text, or what else they are.

/// Why bytes are not UTF-8 text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotText {
    /// The line of the first byte that does not belong, from 1 on.
    pub(crate) line: usize,
    /// What the bytes are, and what to do about it.
    pub(crate) reason: String,
}

/// Beginnings of files that are often taken for text.
const BEGINNINGS: [(&[u8], &str); 6] = [
    (&[0x1f, 0x8b], "it is packed by gzip: unpack it with gunzip first"),
    (b"PK\x03\x04", "it is a zip archive, as .xlsx files are: save what is in it as CSV"),
    (b"PAR1", "it is a Parquet file: write it as CSV or JSON lines"),
    (b"ARROW1", "it is an Arrow file: write it as CSV or JSON lines"),
    (b"%PDF", "it is a PDF"),
    (b"SQLite format 3", "it is an SQLite database: write its table as CSV"),
];

/// Byte order marks of what is not read, the longer ones first.
const MARKS: [(&[u8], &str); 4] = [
    (&[0xff, 0xfe, 0, 0], "UTF-32LE"),
    (&[0, 0, 0xfe, 0xff], "UTF-32BE"),
    (&[0xff, 0xfe], "UTF-16LE"),
    (&[0xfe, 0xff], "UTF-16BE"),
];

/// The text that the bytes are in UTF-8. A byte order mark is not part of it.
pub(crate) fn decoded(bytes: Vec<u8>) -> Result<String, NotText> {
    let first_line = |reason: String| Err(NotText { line: 1, reason });
    if let Some((_, what)) = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning)) {
        return first_line((*what).to_owned());
    }
    let mark = MARKS.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, name)| *name);
    if let Some(name) = mark.or_else(|| unmarked_utf16(&bytes)) {
        return first_line(format!("it is {name}, not UTF-8: {}", save_it(name)));
    }
    let bytes = match bytes.strip_prefix("\u{feff}".as_bytes()) {
        Some(text) => text.to_vec(),
        None => bytes,
    };
    String::from_utf8(bytes).map_err(|error| {
        let (offset, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = 1 + bytes[..offset].iter().filter(|byte| **byte == b'\n').count();
        NotText { line, reason: eight_bits(bytes, offset) }
    })
}

/// UTF-16 without a mark: where ASCII is written in it, every second byte is 0.
fn unmarked_utf16(bytes: &[u8]) -> Option<&'static str> {
    const LOOKED_AT: usize = 4096;
    let pairs = bytes[..bytes.len().min(LOOKED_AT)].as_chunks::<2>().0;
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    match (zeros(0), zeros(1)) {
        (0, low) if low > pairs.len() / 2 => Some("UTF-16LE"),
        (high, 0) if high > pairs.len() / 2 => Some("UTF-16BE"),
        _ => None,
    }
}

/// The kind of a file whose byte at `offset` is not UTF-8.
fn eight_bits(bytes: &[u8], offset: usize) -> String {
    let byte = bytes[offset];
    let is_control = |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c);
    if bytes.iter().any(|byte| is_control(&byte)) {
        return format!("it is not text: the byte 0x{byte:02x} is not UTF-8");
    }
    if !bytes[..offset].is_ascii() {
        return format!(
            "it is UTF-8 up to the byte 0x{byte:02x} on this line, which is damaged or in another encoding"
        );
    }
    // Latin-1 has control characters from 0x80 to 0x9f, Windows-1252 quotes, dashes and the euro.
    match bytes.iter().any(|byte| (0x80..=0x9f).contains(byte)) {
        true => format!("not UTF-8; by its byte 0x{byte:02x} it is Windows-1252: {}", save_it("WINDOWS-1252")),
        false => format!(
            "not UTF-8; it looks like Latin-1 (ISO 8859-1), where the byte 0x{byte:02x} is {:?}: {}",
            char::from(byte),
            save_it("ISO-8859-1")
        ),
    }
}

fn save_it(name: &str) -> String {
    format!("save it as UTF-8 (iconv -f {name} -t UTF-8)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> (usize, String) {
        let NotText { line, reason } = decoded(bytes.to_vec()).expect_err("no text");
        (line, reason)
    }

    #[test]
    fn text_is_text_with_a_mark_and_without() {
        for text in ["", "a", "gr\u{e4}dus\n", "\u{4f60}\u{597d}"] {
            assert_eq!(decoded(text.into()).as_deref(), Ok(text));
            assert_eq!(decoded(format!("\u{feff}{text}").into()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn other_encodings_are_named_with_the_line() {
        let latin = (
            3,
            "not UTF-8; it looks like Latin-1 (ISO 8859-1), where the byte 0xa3 is '\u{a3}': save it as UTF-8 (iconv -f \
             ISO-8859-1 -t UTF-8)",
        );
        assert_eq!(told(b"a\nb\ncosts \xa35\n"), (latin.0, latin.1.to_owned()));
        let (line, reason) = told(b"it\x92s\n");
        assert!(line == 1 && reason.starts_with("not UTF-8; by its byte 0x92 it is Windows-1252: "), "{reason}");
        let (line, reason) = told("gr\u{e4}dus\nand \u{fffd}".as_bytes().split_last().expect("bytes").1);
        assert!(line == 2 && reason.starts_with("it is UTF-8 up to the byte 0xef on this line"), "{reason}");
        let sixteen = |order: fn(u16) -> [u8; 2]| "one,two\n1,2\n".encode_utf16().flat_map(order).collect::<Vec<u8>>();
        for (mark, order, name) in [
            (&[0xff, 0xfe][..], u16::to_le_bytes as fn(u16) -> [u8; 2], "UTF-16LE"),
            (&[0xfe, 0xff], u16::to_be_bytes, "UTF-16BE"),
            (&[], u16::to_le_bytes, "UTF-16LE"),
            (&[], u16::to_be_bytes, "UTF-16BE"),
        ] {
            let words = format!("it is {name}, not UTF-8: save it as UTF-8 (iconv -f {name} -t UTF-8)");
            assert_eq!(told(&[mark, &sixteen(order)].concat()), (1, words));
        }
        assert_eq!(told(&[0xff, 0xfe, 0, 0, b'a', 0, 0, 0]).1.split(',').next(), Some("it is UTF-32LE"));
        assert!(told(b"\x1f\x8b\x08 packed").1.contains("gunzip"));
        assert!(told(b"\x00\x01\xff\xfe").1.starts_with("it is not text"));
    }
}
