//! What a ZIP archive is that PyTorch's reader refuses: its directory, with the names of all entries, is its end.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// Bytes at the end of a file in which the directory is looked for: some 40,000 entries.
const DIRECTORY: u64 = 4 << 20;

/// What to do about a program that PyTorch exported and that was given instead of weights; none where the file is no such
/// program. It is told by the names of its entries.
pub(super) fn program(path: &Path) -> io::Result<Option<&'static str>> {
    let end = end(path)?;
    let has = |name: &[u8]| contains(&end, name);
    Ok(if !has(b"PK\x01\x02") {
        None
    } else if has(b"/constants.pkl") {
        Some(
            "this is a TorchScript archive, a program: `torch.save(torch.jit.load(FILE).state_dict(), \"weights.pth\")` saves \
             its weights",
        )
    } else if has(b"/archive_format") || has(b"/models/model.json") {
        Some(
            "this is a program that torch.export saved: `torch.save(torch.export.load(FILE).state_dict, \"weights.pth\")` saves \
             its weights",
        )
    } else {
        None
    })
}

fn end(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(DIRECTORY)))?;
    let mut end = Vec::new();
    file.take(DIRECTORY).read_to_end(&mut end)?;
    Ok(end)
}

fn contains(bytes: &[u8], name: &[u8]) -> bool {
    bytes.windows(name.len()).any(|window| window == name)
}

/// The last entry that begins in an archive whose directory is missing: its name, and the byte at which it begins. None where
/// the directory is there.
pub(super) fn cut_after(path: &Path) -> io::Result<Option<(String, u64)>> {
    if contains(&end(path)?, b"PK\x05\x06") {
        return Ok(None);
    }
    const SIGN: &[u8] = b"PK\x03\x04";
    const HEADER: usize = 30;
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let (mut window, mut at, mut last) = (Vec::new(), 0, None);
    loop {
        let chunk = reader.fill_buf()?;
        let n = chunk.len();
        window.extend_from_slice(chunk);
        reader.consume(n);
        let mut begin = 0;
        while let Some(found) = window[begin..].windows(SIGN.len()).position(|bytes| bytes == SIGN) {
            begin += found;
            // A header that the window cuts off is found again in the next window.
            let name = window.get(begin + HEADER..).zip(window.get(begin + 26..begin + 28));
            let name = name.and_then(|(rest, size)| rest.get(..usize::from(u16::from_le_bytes([size[0], size[1]]))));
            // Weights may contain the signature by chance, but hardly a path after it.
            if let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok()).filter(|name| name.contains('/')) {
                last = Some((name.to_owned(), at + begin as u64));
            }
            begin += SIGN.len();
        }
        if n == 0 {
            return Ok(last);
        }
        let keep = window.len().min(HEADER + usize::from(u16::MAX));
        at += (window.len() - keep) as u64;
        window.drain(..window.len() - keep);
    }
}
