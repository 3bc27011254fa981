//! Answers whether the official verifier takes a buffer for an index: for each buffer on standard input, its length in four
//! little-endian bytes before it, one byte on standard output: `1` yes, `0` no.
use std::io::{self, BufReader, BufWriter, Read, Write};

#[allow(warnings, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/lqa_generated.rs"));
}
use generated::lqa::{index_buffer_has_identifier, root_as_index};

/// `root_as_index` does not look at the file identifier; whoever reads a file of this format does.
fn accepts(buffer: &[u8]) -> bool {
    buffer.len() >= 8 && index_buffer_has_identifier(buffer) && root_as_index(buffer).is_ok()
}

fn main() -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    let mut buffer = Vec::new();
    loop {
        let mut length = [0; 4];
        match input.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return output.flush(),
            other => other?,
        }
        buffer.resize(u32::from_le_bytes(length) as usize, 0);
        // A length of zero asks for the answers so far.
        if buffer.is_empty() {
            output.flush()?;
            continue;
        }
        input.read_exact(&mut buffer)?;
        output.write_all(if accepts(&buffer) { b"1" } else { b"0" })?;
    }
}
