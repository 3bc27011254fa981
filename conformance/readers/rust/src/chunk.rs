//! Chunks: framing (7.1), zstd frames (7.5) and shuffling (7.6).

use crate::bytes::{u32_at, u64_at};
use crate::error::{Code, Result, Spot};
use crate::records::Chunk;
use crate::tables::TEXT_DICTIONARY;
use ruzstd::decoding::{BlockDecodingStrategy, Dictionary, FrameDecoder};
use std::borrow::Cow;
use std::io::Read;

const FRAME: u64 = 1 << 20;
const TEXT: u8 = 3;
const SHUFFLED: u8 = 2;

/// The payload of a chunk after budget, presence, CRC-32 and frames (step 4 of 15.2).
pub(crate) fn read<'a>(data: &'a [u8], c: &Chunk, element: u64, budget: u64, spot: Spot) -> Result<Cow<'a, [u8]>> {
    let stored = u64::from(c.length) - 4;
    spot.must(stored + if c.compression == 0 { 0 } else { c.raw } <= budget, Code::Budget)?;
    let end = c.offset + stored;
    spot.at(data.len() as u64).must(data.len() as u64 >= end + 4, Code::TruncatedFile)?;
    let payload = &data[c.offset as usize..end as usize];
    spot.at(end).must(u32_at(data, end as usize) == crc32fast::hash(payload), Code::ChunkCrc)?;
    if c.compression == 0 {
        return Ok(Cow::Borrowed(payload));
    }
    let (mut frames, mut rest) = (Vec::new(), payload); // all headers before any content
    for start in (0..c.raw).step_by(FRAME as usize) {
        let size = (c.raw - start).min(FRAME);
        let place = spot.at(end - rest.len() as u64);
        let Some(length) = frame_length(rest, size) else {
            return place.fail(Code::ZstdFrame);
        };
        frames.push((place, &rest[..length], size as usize));
        rest = &rest[length..];
    }
    spot.at(end - rest.len() as u64).must(rest.is_empty(), Code::ZstdFrame)?;
    let mut raw = Vec::new();
    for (place, frame, size) in frames {
        let Some(content) = inflate(frame, size, c.compression == TEXT) else {
            return place.fail(Code::ZstdFrame);
        };
        if c.compression == SHUFFLED {
            let count = size / element as usize;
            raw.extend((0..size).map(|i| content[i % element as usize * count + i / element as usize]));
        } else {
            raw.extend(content);
        }
    }
    Ok(Cow::Owned(raw))
}

/// The length of the zstd frame at the start of `p` if it keeps the rules of 7.5.
fn frame_length(p: &[u8], content: u64) -> Option<usize> {
    let mut rest = p;
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some((taken, p.len() - left.len()))
    };
    let number = |bytes: &[u8]| {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        u64_at(&wide, 0)
    };
    if take(4)?.0 != [0x28, 0xB5, 0x2F, 0xFD] {
        return None;
    }
    let descriptor = take(1)?.0[0];
    if descriptor & 0x3F != 0x20 {
        return None; // a single segment without dictionary and checksum
    }
    let size = match descriptor >> 6 {
        0 => number(take(1)?.0),
        1 => number(take(2)?.0) + 256,
        2 => number(take(4)?.0),
        _ => number(take(8)?.0),
    };
    if size != content {
        return None;
    }
    loop {
        let header = number(take(3)?.0);
        let (kind, size) = (header >> 1 & 3, header >> 3);
        if kind == 3 || size > 1 << 17 {
            return None;
        }
        let (_, end) = take(if kind == 1 { 1 } else { size as usize })?; // type 1 repeats one byte
        if header & 1 == 1 {
            return Some(end);
        }
    }
}

/// The content of one frame, if it is whole and has `size` bytes. Block by block, so that no frame can expand further
/// than its window and one block.
fn inflate(mut frame: &[u8], size: usize, text: bool) -> Option<Vec<u8>> {
    let mut decoder = FrameDecoder::new();
    decoder.init(&mut frame).ok()?;
    if text {
        let raw = TEXT_DICTIONARY.to_vec();
        let dictionary = Dictionary {
            id: 1,
            fse: Default::default(),
            huf: Default::default(),
            dict_content: raw,
            offset_hist: [1, 4, 8],
        };
        decoder.add_dict(dictionary).ok()?;
        decoder.force_dict(1).ok()?;
    }
    let mut content = vec![0; size];
    let mut filled = 0;
    while !decoder.is_finished() {
        decoder.decode_blocks(&mut frame, BlockDecodingStrategy::UptoBlocks(1)).ok()?;
        filled += decoder.read(&mut content[filled..]).ok()?;
        if decoder.can_collect() > 0 {
            return None; // more than it declared
        }
    }
    (filled == size && frame.is_empty()).then_some(content)
}
