//! Files of labels, as tools and people write them: an image and its class a line.
//!
//! Read are the `val.txt` of Caffe (`./ILSVRC2012_val_00000001.JPEG 65`, with or without folders before the name), Kaggle's
//! `LOC_val_solution.csv` (`ILSVRC2012_val_00000001,n01751748 111 108 353 284`) and tables of two columns, with or without a
//! head; separated by commas, tabs or spaces, quoted or not, in UTF-8 or UTF-16, with any ends of lines.

use crate::model::classifier::Classes;
use std::{
    borrow::Cow,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

/// Names of a second column in the first line of a table.
const HEADS: [&str; 11] = [
    "label",
    "labels",
    "class",
    "class_id",
    "classid",
    "class_index",
    "index",
    "predictionstring",
    "synset",
    "wnid",
    "target",
];

/// A label: which image is of which class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Number of its line, from 1.
    pub line: usize,
    /// The image as it is named there.
    pub image: OsString,
    /// Its class, an index.
    pub class: usize,
}

/// A line that says nothing: its number, from 1, and what it is.
pub type Wrong = (usize, String);

/// The labels of a file.
///
/// # Errors
/// The first line that is none.
pub fn parse(bytes: &[u8], classes: &Classes) -> Result<Vec<Label>, Wrong> {
    let text = decode(bytes);
    let mut labels = Vec::new();
    let mut first = true;
    for (number, line) in lines(&text) {
        let begins = std::mem::take(&mut first);
        match label(line, classes) {
            Some((image, class)) => labels.push(Label { line: number, image, class }),
            None if begins && is_head(line) => {}
            None => return Err((number, String::from_utf8_lossy(line).into_owned())),
        }
    }
    Ok(labels)
}

/// Without a byte order mark; UTF-16, as spreadsheets write it, as UTF-8.
fn decode(bytes: &[u8]) -> Cow<'_, [u8]> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Cow::Owned(text.into_bytes())
    };
    match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => Cow::Borrowed(text),
        [0xff, 0xfe, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf16(text, u16::from_be_bytes),
        text => Cow::Borrowed(text),
    }
}

/// The lines that are not blank, with their numbers; they end in `\n`, `\r\n` or, as on old Macs, `\r`.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let end = if text.contains(&b'\n') { b'\n' } else { b'\r' };
    let numbered = text.split(move |byte| *byte == end).zip(1..);
    numbered.map(|(line, number)| (number, line.trim_ascii())).filter(|(_, line)| !line.is_empty())
}

fn is_head(line: &[u8]) -> bool {
    let fields = fields(line);
    let second = fields.get(1).map(|field| String::from_utf8_lossy(field).trim().to_ascii_lowercase());
    second.is_some_and(|second| HEADS.contains(&second.as_str()))
}

fn label(line: &[u8], classes: &Classes) -> Option<(OsString, usize)> {
    let class = |field: &[u8]| {
        let text = std::str::from_utf8(field).ok()?.trim();
        // Kaggle's boxes stand behind the class.
        let text = text.split_ascii_whitespace().next()?;
        text.parse().ok().filter(|index| *index < classes.len()).or_else(|| classes.index(text))
    };
    let fields = fields(line);
    let (image, rest) = fields.split_first()?;
    if let Some(class) = rest.first().and_then(|field| class(field)) {
        return Some((name(image.clone().into_owned()), class));
    }
    // A name with spaces in it.
    let space = line.iter().rposition(u8::is_ascii_whitespace)?;
    let (image, last) = line.split_at(space);
    Some((name(image.trim_ascii_end().to_vec()), class(last)?))
}

/// The fields of a line: separated by commas or tabs where there are any outside of quotes, or else by spaces.
fn fields(line: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let separated = split(line, |byte| matches!(byte, b',' | b'\t' | b';'));
    if separated.len() > 1 {
        return separated;
    }
    split(line, |byte| byte == b' ').into_iter().filter(|field| !field.is_empty()).collect()
}

/// Splits a line outside of quotes; a quote inside of quotes is written twice.
fn split(line: &[u8], is_separator: fn(u8) -> bool) -> Vec<Cow<'_, [u8]>> {
    let mut fields = Vec::new();
    let (mut start, mut quote) = (0, None);
    for (at, byte) in line.iter().copied().enumerate() {
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if is_separator(byte) => {
                fields.push(unquoted(&line[start..at]));
                start = at + 1;
            }
            // A quote opens at the beginning of a field, or again where it is doubled.
            None if matches!(byte, b'"' | b'\'')
                && (line[start..at].trim_ascii().is_empty() || line[at - 1] == byte) =>
            {
                quote = Some(byte);
            }
            None => {}
        }
    }
    fields.push(unquoted(&line[start..]));
    fields
}

fn unquoted(field: &[u8]) -> Cow<'_, [u8]> {
    let field = field.trim_ascii();
    let inside = |quote: u8| field.strip_prefix(&[quote]).and_then(|field| field.strip_suffix(&[quote]));
    let Some((quote, inside)) = [b'"', b'\''].into_iter().find_map(|quote| Some((quote, inside(quote)?))) else {
        return Cow::Borrowed(field);
    };
    let mut before = false;
    let single = inside.iter().copied().filter(|byte| {
        before = *byte == quote && !before;
        !(*byte == quote && before)
    });
    Cow::Owned(single.collect())
}

/// The name of an image without what stands for the folder itself.
fn name(mut bytes: Vec<u8>) -> OsString {
    while bytes.starts_with(b"./") || bytes.starts_with(b".\\") {
        bytes.drain(..2);
    }
    OsString::from_vec(bytes)
}

/// The last part of a path that may have been written on another system.
pub fn base(name: &OsStr) -> &OsStr {
    let bytes = name.as_bytes();
    let start = bytes.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |at| at + 1);
    OsStr::from_bytes(&bytes[start..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::zoo::classes::IMAGENET;

    fn read(text: impl AsRef<[u8]>) -> Vec<(String, usize)> {
        let labels = parse(text.as_ref(), &IMAGENET).unwrap();
        labels.into_iter().map(|label| (label.image.into_string().unwrap(), label.class)).collect()
    }

    #[test]
    fn every_way_of_writing_the_same_labels_says_the_same() {
        let expected = [("a 1.JPEG".to_owned(), 0), ("b.JPEG".to_owned(), 285)];
        let utf16: Vec<u8> =
            "\u{feff}a 1.JPEG\t0\r\nb.JPEG\t285\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for text in [
            "a 1.JPEG 0\nb.JPEG 285\n",
            "\u{feff}a 1.JPEG 0\r\nb.JPEG 285\r\n",
            "./a 1.JPEG 0\n./b.JPEG 285",
            "filename,label\n\"a 1.JPEG\",0\n\"b.JPEG\",\"n02124075\"\n",
            "\u{feff}ImageId,PredictionString\na 1.JPEG,n01440764 10 20 30 40 \nb.JPEG,n02124075 1 2 3 4 5 6 7 8\n",
            "'a 1.JPEG' n01440764\n'b.JPEG' n02124075\n",
            "a 1.JPEG;0\rb.JPEG;285\r",
            "\n\na 1.JPEG\t0\t0.93\n\nb.JPEG\t285\t0.5\n",
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(read(utf16), expected);
        assert_eq!(read("\"the \"\"cat\"\".png\",281"), [("the \"cat\".png".to_owned(), 281)]);
    }

    #[test]
    fn a_line_that_is_no_label_is_named() {
        let wrong = |text: &str| parse(text.as_bytes(), &IMAGENET).unwrap_err();
        assert_eq!(wrong("\u{feff}a 3\r\nb\r\n"), (2, "b".to_owned()));
        assert_eq!(wrong("a 1000"), (1, "a 1000".to_owned()));
        assert_eq!(wrong("a 3\nfilename,label"), (2, "filename,label".to_owned()), "a head is the first line");
    }

    #[test]
    fn a_name_need_not_be_utf_8() {
        let labels = parse(b"r\xff.jpg 7\n", &IMAGENET).unwrap();
        assert_eq!(labels[0].image.as_bytes(), b"r\xff.jpg");
        assert_eq!(["x/y.jpg", "C:\\v\\y.jpg", "y.jpg"].map(|n| base(OsStr::new(n))), ["y.jpg"; 3]);
    }
}
