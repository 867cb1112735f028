//! The WebAssembly module as a line of JavaScript text, so that it rides in the default entry and can be instantiated
//! at first use, synchronously, with no file to serve, no fetch and no configuration of a bundler.
//!
//! The text must be pure ASCII (it survives any charset header) without anything that a minifier, a bundler or an HTML
//! page could want to escape. And it must stay small after the server's compression, which is why it is not base64:
//! that hides the bytes' boundaries, and with them the repetitions that brotli lives on.
//!
//! A module of 42,788 bytes, gzip -9 and brotli 11, with the decoder unless it says otherwise:
//!
//! | as | raw | gzip | brotli |
//! |---|---:|---:|---:|
//! | the module itself | 42,788 | 20,975 | 18,434 |
//! | **paged** (this one) | 51,048 | 21,435 | 19,339 |
//! | paged by frequency, without its table and decoder | 45,564 | 20,926 | 18,825 |
//! | hex in two alphabets | 85,746 | 23,786 | 19,462 |
//! | hex | 85,674 | 22,936 | 19,921 |
//! | printable ASCII as itself, the rest behind a prefix, without its decoder | 67,490 | 22,583 | 20,006 |
//! | ASCII with `\x` escapes | 113,581 | 24,607 | 21,075 |
//! | Latin-1 in UTF-8 (not ASCII) | 137,997 | 25,689 | 22,172 |
//! | base64 | 57,144 | 26,762 | 24,148 |
//! | base 85, without its decoder | 53,485 | 32,626 | 31,913 |

use std::fmt::Write as _;

/// The printable ASCII characters that the text leaves out: quotes, escapes, template literals, and what could end a
/// script element.
const LEFT_OUT: &[u8] = b"\"$'<\\`";

/// How many characters stand for a byte of their own; the two that follow them turn the page.
const DIGITS: u8 = 87;

/// The module as text: byte `p * 87 + d` is digit `d`, behind the character that turns to page `p` if `p` is not 0.
///
/// Most bytes of a module are small (op codes, indices, lengths), so most take one character.
fn text(module: &[u8]) -> String {
    let characters: Vec<char> =
        (b' '..=b'~').filter(|character| !LEFT_OUT.contains(character)).map(char::from).collect();
    let mut text = String::with_capacity(module.len() * 5 / 4);
    for byte in module {
        let (page, digit) = (byte / DIGITS, byte % DIGITS);
        if page > 0 {
            text.push(characters[usize::from(DIGITS + page - 1)]);
        }
        text.push(characters[usize::from(digit)]);
    }
    text
}

/// The JavaScript module that holds the WebAssembly module; it exports `bytes(): Uint8Array`.
pub(crate) fn javascript(module: &[u8]) -> String {
    let skipped = LEFT_OUT.iter().fold(String::new(), |mut skipped, character| {
        let _ = write!(skipped, " - (c > {character})");
        skipped
    });
    format!(
        r#"const text = "{}";
export function bytes() {{
  const out = new Uint8Array({});
  for (let i = 0, at = 0, page = 0; at < out.length; i++) {{
    const c = text.charCodeAt(i), digit = c - 32{skipped};
    if (digit < {DIGITS}) out[at++] = page + digit, page = 0;
    else page = (digit - {}) * {DIGITS};
  }}
  return out;
}}
"#,
        text(module),
        module.len(),
        DIGITS - 1,
    )
}

/// The types of [`javascript`].
pub(crate) const TYPES: &str = "export declare function bytes(): Uint8Array<ArrayBuffer>;\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// What the JavaScript does.
    fn decoded(text: &str) -> Vec<u8> {
        let mut page = 0;
        let mut bytes = Vec::new();
        for character in text.bytes() {
            let skipped = LEFT_OUT.iter().filter(|left_out| character > **left_out).count();
            let digit = character - 32 - u8::try_from(skipped).unwrap();
            if digit < DIGITS {
                bytes.push(page + digit);
                page = 0;
            } else {
                page = (digit - (DIGITS - 1)) * DIGITS;
            }
        }
        bytes
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(decoded(&text(&all)), all);
    }

    #[test]
    fn nothing_in_the_text_needs_an_escape() {
        let all: Vec<u8> = (0..=255).collect();
        assert!(text(&all).bytes().all(|c| (b' '..=b'~').contains(&c) && !LEFT_OUT.contains(&c)));
    }
}
