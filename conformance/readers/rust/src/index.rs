//! The prologue (clause 5) and the FlatBuffer behind it (6.1, 6.2): steps 1 and 2 of 15.2.
//!
//! The checks are made with the verifier of the official `flatbuffers` crate, piece by piece, so that each refusal gets
//! its code and place; what the profile asks beyond that verifier is added.

use crate::bytes::{leading_zeros, u16_at, u32_at, u64_at};
use crate::error::{limits, Code, Result, Spot};
use flatbuffers::{Verifier, VerifierOptions};

pub(crate) const MAGIC: [u8; 8] = [0x89, b'L', b'Q', b'A', 0x0D, 0x0A, 0x1A, 0x0A];
/// Required bit 7 (8.8).
pub(crate) const START: u32 = 1 << 5;
/// Required bit 9 (8.9).
pub(crate) const PARENT: u32 = 1 << 6;
const DAMAGED: [&[u8]; 5] = [b"\x89LQA\n", b"\x89LQA\r\r\n", b"\x09LQA", b"\xC2\x89LQA", b"\xEF\xBF\xBDLQA"];

pub(crate) struct Prologue {
    pub required: u32,
    pub file_length: u64,
    pub index_length: usize,
    pub counts: [u32; 3],
    pub alignment: u64,
}

pub(crate) fn read_prologue(data: &[u8]) -> Result<Prologue> {
    let spot = Spot::new("prologue", 0);
    if let Some(wrong) = data.iter().zip(MAGIC).position(|(have, want)| *have != want) {
        let damaged = DAMAGED.iter().any(|d| data.starts_with(d));
        return spot.at(wrong as u64).fail(if damaged { Code::MagicTextDamage } else { Code::BadMagic });
    }
    spot.at(data.len() as u64).must(data.len() >= 64, Code::TruncatedPrologue)?;
    spot.at(60).must(u32_at(data, 60) == crc32fast::hash(&data[..60]), Code::PrologueCrc)?;
    spot.at(8).must(u16_at(data, 8) == 1, Code::UnsupportedVersion)?;
    let required = u32_at(data, 12);
    spot.at(12).must(required & !(31 | START | PARENT) == 0, Code::UnsupportedFeature)?;
    spot.at(12).must(required & START == 0 || required & PARENT == 0, Code::FeatureBits)?; // 8.9
    let zeros = leading_zeros(&data[49..56]);
    spot.at(49 + zeros as u64).must(zeros == 7, Code::PrologueReservedNonzero)?;
    spot.at(48).must((2..=12).contains(&data[48]), Code::AlignmentOutOfRange)?;
    spot.at(24).limit(u64_at(data, 24), limits::FILE)?;
    let words = [32, 36, 40, 44].map(|at| u32_at(data, at));
    let bounds = [limits::INDEX, limits::MODULES, limits::TENSORS, limits::SECTIONS];
    for (i, (word, bound)) in words.into_iter().zip(bounds).enumerate() {
        spot.at(32 + 4 * i as u64).limit(word.into(), bound)?;
    }
    Ok(Prologue {
        required,
        file_length: u64_at(data, 24),
        index_length: words[0] as usize,
        counts: [words[1], words[2], words[3]],
        alignment: 1 << data[48],
    })
}

/// One vector of the index: its elements, and where in the file they begin.
#[derive(Clone, Copy, Default)]
pub(crate) struct Vector<'a> {
    pub bytes: &'a [u8],
    pub start: u64,
    pub size: usize, // of an element
}

impl<'a> Vector<'a> {
    /// Whether the file has it: a vector of a feature that the file lacks begins nowhere.
    pub fn given(&self) -> bool {
        self.start != 0
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / self.size
    }

    pub fn get(&self, i: usize) -> &'a [u8] {
        &self.bytes[i * self.size..(i + 1) * self.size]
    }

    /// Where element i is, or would be.
    pub fn spot(&self, what: &'static str, i: usize) -> Spot {
        Spot::record(what, i, self.start + (i * self.size) as u64)
    }
}

pub(crate) const ENCODINGS: usize = 0;
pub(crate) const BANDS: usize = 1;
pub(crate) const PLANS: usize = 2;
pub(crate) const TYPES: usize = 3;
pub(crate) const MODULES: usize = 4;
pub(crate) const TENSORS: usize = 5;
pub(crate) const DIMENSIONS: usize = 6;
pub(crate) const SECTIONS: usize = 7;
pub(crate) const NAMES: usize = 8;
pub(crate) const STARTS: usize = 9;
pub(crate) const POSITIONS: usize = 10;
pub(crate) const PARENTS: usize = 11;
pub(crate) const PARENT_MODULES: usize = 12;
const SIZES: [usize; 13] = [8, 4, 2, 28, 12, 12, 4, 16, 1, 4, 4, 4, 4];

/// By their slots: nine are given, in a file with starts or with a parent two more.
pub(crate) type Vectors<'a> = Vec<Vector<'a>>;

pub(crate) fn read_vectors<'a>(data: &'a [u8], p: &Prologue) -> Result<Vectors<'a>> {
    let spot = Spot::new("index", 64);
    let Some(index) = data[64..].get(..p.index_length) else {
        return spot.at(data.len() as u64).fail(Code::TruncatedFile);
    };
    spot.at(56).must(u32_at(data, 56) == crc32fast::hash(index), Code::IndexCrc)?;
    let at = |position: usize| spot.at(64 + position as u64);
    at(0).must(index.len() >= 8, Code::IndexTable)?;
    at(4).must(&index[4..8] == b"LQI1", Code::IndexIdentifier)?;

    let options = VerifierOptions::default();
    let mut verifier = Verifier::new(&options, index);
    let table = u32_at(index, 0) as usize;
    at(0).must(table >= 4 && verifier.in_buffer::<u32>(table).is_ok(), Code::IndexTable)?;
    let vtable = i64::from(u32_at(index, 0)) - i64::from(u32_at(index, table) as i32);
    let fits = (0..=index.len() as i64 - 4).contains(&vtable);
    at(table).must(fits && vtable % 2 == 0, Code::IndexTable)?;
    let vtable = vtable as usize;
    let (vtable_size, table_size) = (u16_at(index, vtable), usize::from(u16_at(index, vtable + 2)));
    at(vtable).must(vtable_size >= 4, Code::IndexTable)?;
    let Ok(mut fields) = verifier.visit_table(table) else {
        return at(vtable).fail(Code::IndexTable); // its size is odd or too large
    };
    let inside = table_size >= 4 && fields.verifier().range_in_buffer(table, table_size).is_ok();
    at(vtable + 2).must(inside, Code::IndexTable)?;

    let mut vectors = Vectors::with_capacity(SIZES.len());
    for (slot, size) in SIZES.into_iter().enumerate() {
        let feature = if slot <= NAMES { 0 } else { [START, PARENT][(slot - STARTS) / 2] };
        if p.required & feature != feature {
            vectors.push(Vector { size, ..Vector::default() });
            continue;
        }
        let entry = 4 + 2 * slot;
        let Ok(field) = fields.deref(entry as u16) else {
            return at(vtable + entry).fail(Code::IndexTable);
        };
        let Some(field) = field else {
            return at(vtable).fail(Code::IndexFieldMissing);
        };
        let place = field - table;
        at(vtable + entry).must(place >= 4 && place + 4 <= table_size, Code::IndexTable)?;
        let Ok(offset) = fields.verifier().get_uoffset(field) else {
            return at(vtable + entry).fail(Code::IndexTable); // not aligned
        };
        let start = field + offset as usize;
        let Some(count) = fields.verifier().get_uoffset(start).ok().filter(|_| offset >= 4) else {
            return at(field).fail(Code::IndexTable);
        };
        // 4 is the largest alignment of any element, so aligned length words mean aligned elements
        let bytes = count as usize * size;
        at(start).must(fields.verifier().range_in_buffer(start + 4, bytes).is_ok(), Code::IndexVector)?;
        vectors.push(Vector { bytes: &index[start + 4..start + 4 + bytes], start: 64 + start as u64 + 4, size });
    }
    Ok(vectors)
}

/// Clause 12.2: where the index is not laid out canonically, if it is not.
pub(crate) fn canonical(index: &[u8], vectors: &[Vector]) -> Option<usize> {
    let slots = vectors.iter().rposition(Vector::given).map_or(0, |last| last as u8 + 1);
    let count = vectors.iter().filter(|v| v.given()).count() as u8;
    let (vtable, table) = (4 + 2 * slots, 4 + 4 * count);
    let root = (10 + vtable).next_multiple_of(4);
    let mut layout = vec![root, 0, 0, 0, b'L', b'Q', b'I', b'1'];
    layout.resize(usize::from(root - vtable), 0);
    layout.extend([vtable, 0, table, 0]);
    let mut field = 0;
    for v in &vectors[..usize::from(slots)] {
        field += if v.given() { 4 } else { 0 };
        layout.extend([if v.given() { field } else { 0 }, 0]);
    }
    layout.extend([vtable, 0, 0, 0]);
    let mut body = Vec::with_capacity(index.len());
    for (i, v) in vectors.iter().filter(|v| v.given()).enumerate() {
        layout.extend((u32::from(table) - 4 + body.len() as u32 - 4 * i as u32).to_le_bytes());
        body.extend((v.len() as u32).to_le_bytes());
        body.extend(v.bytes);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    layout.extend(body);
    let same = layout.iter().zip(index).take_while(|(a, b)| a == b).count();
    (same < layout.len() || same < index.len()).then_some(same)
}
