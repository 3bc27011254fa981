//! The whole file, in the order of clause 15.2.

use crate::bytes::{align_up, leading_zeros, u32_at, u64_at};
use crate::check::read_records;
use crate::error::{Code, Result, Spot};
use crate::index::{self, read_prologue, read_vectors, Prologue, Vectors, MAGIC};
use crate::payload::{self, check_finite, check_padding, check_values};
use crate::records::{element_size, Chunk, Module, Records, Section, Tensor, BOOL, F64, TOKEN_INDICES};
use crate::start::{draw_of, own_state};
use crate::{chunk, messagepack};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::rc::Rc;

/// What a chunk may need, stored and raw, if the caller does not say: 512 MiB.
pub const BUDGET: u64 = 1 << 29;

/// Levels of validation (15.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Level {
    Structure,
    Integrity,
    Values,
    Canonical,
}

/// Clauses 11.2 and 11.3.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Ids {
    pub file_id: [u8; 32],
    pub content_id: [u8; 32],
}

/// A file whose index has been checked; its chunks are checked when they are read.
pub struct File<'a> {
    data: &'a [u8],
    budget: u64,
    prologue: Prologue,
    vectors: Vectors<'a>,
    /// What the index says.
    pub records: Records,
    pub(crate) parent: Option<Rc<File<'a>>>, // 8.9
}

impl<'a> File<'a> {
    /// Steps 1 to 3 of 15.2. `budget`: most bytes a chunk may need, stored and raw.
    pub fn open(data: &'a [u8], budget: u64) -> Result<Self> {
        let prologue = read_prologue(data)?;
        let vectors = read_vectors(data, &prologue)?;
        let records = read_records(&vectors, &prologue)?;
        let file = File { data, budget, prologue, vectors, records, parent: None };
        file.padding(64 + file.prologue.index_length as u64, Spot::new("index", 0))?;
        Ok(file)
    }

    /// Bytes of the file, by its prologue.
    pub fn length(&self) -> u64 {
        self.prologue.file_length
    }

    /// Clause 4.3.
    pub fn alignment(&self) -> u64 {
        self.prologue.alignment
    }

    /// Everything that `open` does not check, up to a level. The ids are missing at level structure.
    pub fn verify(&self, level: Level) -> Result<Option<Ids>> {
        let end = Spot::new("trailer", self.data.len() as u64);
        let mut ids = None;
        let mut noncanonical = None;
        if level >= Level::Integrity {
            ids = Some(self.verify_end(self.verify_chunks(level, &mut noncanonical)?)?);
        }
        end.must(self.data.len() as u64 >= self.length(), Code::TruncatedFile)?;
        end.at(self.length()).must(self.data.len() as u64 <= self.length(), Code::TrailingBytes)?;
        if level == Level::Canonical {
            if let Some(spot) = noncanonical {
                return spot.fail(Code::NoncanonicalCodes);
            }
            if let Some(spot) = self.records.noncanonical_name {
                return spot.fail(Code::NoncanonicalName);
            }
            let index = &self.data[64..64 + self.prologue.index_length];
            if let Some(at) = index::canonical(index, &self.vectors) {
                return Spot::new("index", 64 + at as u64).fail(Code::NoncanonicalIndex);
            }
        }
        Ok(ids)
    }

    /// The payload of a module, after all checks.
    pub fn module_payload(&self, m: &Module) -> Result<Cow<'a, [u8]>> {
        Ok(self.checked_module(m, Level::Values)?.0)
    }

    /// The payload of a tensor, after all checks.
    pub fn tensor_payload(&self, t: &Tensor) -> Result<Cow<'a, [u8]>> {
        self.checked_tensor(t, Level::Values)
    }

    /// The document of META or ORIG.
    pub fn document(&self, tag: &str) -> Result<Option<serde_json::Value>> {
        let found = self.records.sections.iter().enumerate().find(|(_, s)| s.tag == tag);
        found.map_or(Ok(None), |(i, s)| self.checked_section(s, i))
    }

    /// Calls `each` with factor (0 is B′, 1 is A′) and weights, as bits of f32, of each vector of a payload that passed its
    /// checks (clause 8): expert by expert, B′ before A′.
    ///
    /// # Errors
    ///
    /// `PARENT_MISSING`
    pub fn vectors(&self, m: &Module, payload: &[u8], mut each: impl FnMut(usize, &[u32])) -> Result<()> {
        if m.parent.is_none() {
            payload::vectors(&self.records.encodings, self.start(), m, payload, each);
            return Ok(());
        }
        let factors = self.sums(m, payload)?;
        let lengths = m.kind.vector_lengths().map(|n| n as usize);
        for expert in 0..usize::from(m.kind.experts) {
            for (factor, n) in lengths.into_iter().enumerate() {
                let size = m.rank as usize * n;
                factors[factor][expert * size..][..size].chunks_exact(n).for_each(|vector| each(factor, vector));
            }
        }
        Ok(())
    }

    pub(crate) fn start(&self) -> &'a [u8] {
        self.vectors[index::STARTS].bytes
    }

    /// The content id of the parent (8.9.1); empty if the file has none.
    pub fn parent_id(&self) -> &'a [u8] {
        self.vectors[index::PARENTS].bytes
    }

    /// Clause 9.5.
    pub fn shape_fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix("LQA shapes 1\n");
        for m in &self.records.modules {
            hash_name(&mut hash, &m.name);
            let [k0, k1, k2] = m.kind.kernel.map(u32::from);
            for number in [m.kind.out_size, m.kind.in_size, k0, k1, k2, m.kind.experts.into()] {
                hash.update(number.to_le_bytes());
            }
        }
        hash.finalize().into()
    }

    /// The zeros from `from` to the next multiple of the chunk alignment.
    fn padding(&self, from: u64, spot: Spot) -> Result<()> {
        let to = align_up(from, self.prologue.alignment);
        spot.at(self.data.len() as u64).must(self.data.len() as u64 >= to, Code::TruncatedFile)?;
        let zeros = leading_zeros(&self.data[from as usize..to as usize]) as u64;
        spot.at(from + zeros).must(from + zeros == to, Code::PaddingNonzero)
    }

    fn chunk(&self, c: &Chunk, element: u64, what: &'static str, number: usize) -> Result<(Cow<'a, [u8]>, Spot)> {
        let spot = Spot::record(what, number, c.offset);
        Ok((chunk::read(self.data, c, element, self.budget, spot)?, spot))
    }

    fn checked_module(&self, m: &Module, level: Level) -> Result<(Cow<'a, [u8]>, Option<Spot>)> {
        let (payload, spot) = self.chunk(&m.chunk, 1, "module", m.number)?;
        let place = |at: u64| spot.at(in_chunk(&m.chunk, at));
        check_padding(&self.records.encodings, m, &payload, &place)?;
        let mut noncanonical = None;
        if level >= Level::Values {
            let canonical = level == Level::Canonical;
            noncanonical = check_values(&self.records.encodings, m, &payload, canonical, &place)?;
            if m.parent.is_some() && self.decodable(m) && m.decoded_bytes() <= self.budget {
                self.sums(m, &payload)?;
            }
        }
        Ok((payload, noncanonical))
    }

    fn checked_tensor(&self, t: &Tensor, level: Level) -> Result<Cow<'a, [u8]>> {
        let (payload, spot) = self.chunk(&t.chunk, element_size(t.element), "tensor", t.number)?;
        let place = |at: u64| spot.at(in_chunk(&t.chunk, at));
        if level >= Level::Values && t.element <= F64 {
            check_finite(&payload, t.element, &place)?;
        }
        if level >= Level::Values && t.element == BOOL {
            if let Some(at) = payload.iter().position(|&b| b > 1) {
                return place(at as u64).fail(Code::TensorRecord);
            }
        }
        if level >= Level::Values && t.role == TOKEN_INDICES {
            let indices: Vec<u32> = payload.chunks_exact(4).map(|p| u32_at(p, 0)).collect();
            if let Some(i) = indices.windows(2).position(|pair| pair[0] >= pair[1]) {
                return place(4 * (i as u64 + 1)).fail(Code::TensorRecord);
            }
        }
        Ok(payload)
    }

    fn checked_section(&self, s: &Section, number: usize) -> Result<Option<serde_json::Value>> {
        let (payload, spot) = self.chunk(&s.chunk, 1, "section", number)?;
        if !s.known() {
            return Ok(None);
        }
        match messagepack::read(&payload) {
            Ok(document) => Ok(Some(document)),
            Err(at) => spot.at(in_chunk(&s.chunk, at as u64)).fail(Code::MetaEncoding),
        }
    }

    /// Step 4: the content id.
    fn verify_chunks(&self, level: Level, noncanonical: &mut Option<Spot>) -> Result<[u8; 32]> {
        let mut content = Sha256::new_with_prefix("LQA content 1\n");
        let behind = |c: &Chunk, what, i| self.padding(c.offset + u64::from(c.length), Spot::record(what, i, c.offset));
        for m in &self.records.modules {
            let (payload, found) = self.checked_module(m, level)?;
            *noncanonical = noncanonical.or(found);
            behind(&m.chunk, "module", m.number)?;
            self.hash_module(&mut content, m);
            content.update(Sha256::digest(&payload));
        }
        for t in &self.records.tensors {
            let payload = self.checked_tensor(t, level)?;
            behind(&t.chunk, "tensor", t.number)?;
            content.update([1]);
            hash_name(&mut content, &t.name);
            content.update([t.role, t.element, t.axis, t.shape.len() as u8]);
            t.shape.iter().for_each(|d| content.update(d.to_le_bytes()));
            content.update(Sha256::digest(&payload));
        }
        for (i, s) in self.records.sections.iter().enumerate() {
            self.checked_section(s, i)?;
            behind(&s.chunk, "section", i)?;
        }
        Ok(content.finalize().into())
    }

    /// Clause 11.3, up to the digest of the payload.
    fn hash_module(&self, hash: &mut Sha256, m: &Module) {
        hash.update([0]);
        hash_name(hash, &m.name);
        hash.update([m.kind.role, m.kind.base_layout]);
        let [k0, k1, k2] = m.kind.kernel.map(u32::from);
        let sizes = [m.kind.out_size, m.kind.in_size, m.kind.experts.into(), k0, k1, k2];
        for number in sizes.into_iter().chain([m.kind.multiplier.to_bits(), m.bands.len() as u32]) {
            hash.update(number.to_le_bytes());
        }
        for band in m.bands.iter() {
            hash.update(u32::from(band.components).to_le_bytes());
            for e in [band.b, band.a] {
                hash.update(self.records.encodings[usize::from(e)].bytes());
            }
        }
        if let Some(position) = m.position {
            hash.update(&self.start()[..4]); // 8.8.5
            hash.update(own_state(self.start(), position));
            hash.update(draw_of(position).to_le_bytes());
        }
        if let Some(parent) = m.parent {
            hash.update(self.parent_id()); // 8.9.4
            hash.update(parent.to_le_bytes());
        }
    }

    /// Step 5.
    fn verify_end(&self, content_id: [u8; 32]) -> Result<Ids> {
        let (data, p) = (self.data, &self.prologue);
        let spans = &self.records.spans;
        let start = p.file_length - 64 - 32 * (spans.len() as u64 + 1);
        let end = p.file_length - 64; // the trailer begins here
        let (digests, trailer) = (Spot::new("digests", start), Spot::new("trailer", end));
        digests.at(data.len() as u64).must(data.len() as u64 >= end, Code::TruncatedFile)?;
        let list = &data[start as usize..end as usize];
        let mut from = align_up(64 + p.index_length as u64, p.alignment);
        for (i, &to) in (1..).zip(spans) {
            let digest = Sha256::digest(&data[from as usize..to as usize]);
            digests.at(start + 32 * i as u64).must(list[32 * i..32 * i + 32] == digest[..], Code::SpanDigest)?;
            from = to;
        }
        trailer.at(data.len() as u64).must(data.len() as u64 >= p.file_length, Code::TruncatedFile)?;
        let t = &data[end as usize..p.file_length as usize];
        trailer.at(end + 52).must(u32_at(t, 52) == crc32fast::hash(&t[..52]), Code::TrailerCrc)?;
        let fields = [
            (32, u64_at(t, 32) == p.file_length),
            (40, u32_at(t, 40) as usize == list.len()),
            (44, u32_at(t, 44) as usize == p.index_length),
            (48, u32_at(t, 48) == 0),
            (56, t[56..].iter().eq(MAGIC.iter().rev())),
        ];
        for (at, good) in fields {
            trailer.at(end + at).must(good, Code::TrailerMismatch)?;
        }
        let root = Sha256::new_with_prefix(&data[..64 + p.index_length]).chain_update(list).finalize();
        trailer.must(t[..32] == root[..], Code::RootDigest)?;
        digests.must(list[..32] == content_id, Code::ContentId)?;
        Ok(Ids { file_id: root.into(), content_id })
    }
}

/// Where in the file byte `at` of a payload is, as well as can be said.
fn in_chunk(c: &Chunk, at: u64) -> u64 {
    c.offset + if c.compression == 0 { at } else { 0 }
}

fn hash_name(hash: &mut Sha256, name: &str) {
    hash.update((name.len() as u16).to_le_bytes());
    hash.update(name);
}
