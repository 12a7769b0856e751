//! Cuts PTX into tokens. Comments and white space go; every token knows its line.

use super::module::ParseError;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name, an opcode with its modifiers, a register or a directive.
    Word,
    /// A number as it is written, without its sign.
    Number,
    Text,
    Mark(u8),
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub line: u32,
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'%' | b'$' | b'.')
}

fn in_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit()
}

/// The end of the word that begins at `at`. `::` joins words (`shared::cta`), a single colon ends a label.
fn word_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        while at < bytes.len() && in_word(bytes[at]) {
            at += 1;
        }
        let joined = bytes[at..].starts_with(b"::") && bytes.get(at + 2).copied().is_some_and(in_word);
        if !joined {
            return at;
        }
        at += 2;
    }
}

/// The end of the number that begins at `at`: hexadecimal, `0f` and `0d` bits, decimals with an exponent.
fn number_end(bytes: &[u8], mut at: usize) -> usize {
    let start = at;
    while at < bytes.len() {
        let exponent_sign = matches!(bytes[at], b'+' | b'-')
            && at > start
            && matches!(bytes[at - 1], b'e' | b'E')
            && bytes[start..at].contains(&b'.');
        if !(bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.' || exponent_sign) {
            break;
        }
        at += 1;
    }
    at
}

/// The tokens of a text.
pub fn tokens(source: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let bytes = source.as_bytes();
    let mut tokens = Vec::with_capacity(bytes.len() / 4);
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (kind, end) = match rest[0] {
            b'\n' => {
                line += 1;
                at += 1;
                continue;
            }
            byte if byte.is_ascii_whitespace() || byte == 0 => {
                at += 1;
                continue;
            }
            _ if rest.starts_with(b"//") => {
                at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                continue;
            }
            _ if rest.starts_with(b"/*") => {
                let length = source[at..].find("*/").map_or(rest.len(), |end| end + 2);
                line += rest[..length].iter().filter(|byte| **byte == b'\n').count() as u32;
                at += length;
                continue;
            }
            b'"' => match rest[1..].iter().position(|byte| *byte == b'"') {
                Some(length) => (Kind::Text, at + length + 2),
                None => return Err(ParseError::new(line, "a text that doesn't end")),
            },
            byte if begins_word(byte) => (Kind::Word, word_end(bytes, at)),
            byte if byte.is_ascii_digit() => (Kind::Number, number_end(bytes, at)),
            byte if byte.is_ascii_punctuation() => (Kind::Mark(byte), at + 1),
            byte => return Err(ParseError::new(line, format!("an unexpected byte {byte:#x}"))),
        };
        tokens.push(Token { kind, text: &source[at..end], line });
        at = end;
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_and_marks_are_told_apart() {
        let source =
            "@!%p1 ld.shared::cta.v2.f32 {%f1, %f2}, [%rd1+-8]; // no\n$L__1:\n mov.f32 %f1, 0f3F800000, 1.5e-3;";
        let found: Vec<_> = tokens(source).unwrap().iter().map(|token| token.text).collect();
        let expected = "@ ! %p1 ld.shared::cta.v2.f32 { %f1 , %f2 } , [ %rd1 + - 8 ] ; $L__1 : mov.f32 %f1 , 0f3F800000 , 1.5e-3 ;";
        assert_eq!(found, expected.split(' ').collect::<Vec<_>>());
        assert_eq!(tokens(source).unwrap().last().unwrap().line, 3);
    }
}
