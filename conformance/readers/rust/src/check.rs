//! The records of the index, checked in the order of step 3 of 15.2.

use crate::bytes::{align_up, u16_at, u32_at};
use crate::error::{limits, Code, Result, Spot};
use crate::index::{self, Prologue, Vector};
use crate::name::{natural_order, Names};
use crate::payload::payload_length;
use crate::records::*;
use crate::start::{state_of, WORDS};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// 6.3: references in the order of first use.
fn refer(used: &mut usize, count: usize, number: usize) -> bool {
    let good = number < count && number <= *used;
    *used += usize::from(good && number == *used);
    good
}

/// Gives chunks their places (4.2) and checks their numbers (7.1, 7.5).
struct Layout {
    alignment: u64,
    next: u64,
    opened: u64,
    spans: Vec<u64>,
    zstd: bool, // of tensors
    expansion: u64,
}

impl Layout {
    fn chunk(&mut self, length: u32, raw: u64, compression: u8, allowed: &[u8], spot: Spot) -> Result<Chunk> {
        spot.limit(raw, limits::CHUNK)?;
        spot.limit(length.into(), limits::CHUNK)?;
        spot.must(allowed.contains(&compression), Code::UnsupportedCompression)?;
        let stored = u64::from(length);
        let fits = if compression == 0 { stored == raw + 4 } else { stored >= 5 && stored < raw + 4 };
        spot.must(fits, Code::ChunkLengthMismatch)?;
        self.expansion += raw.saturating_sub(16 * stored);
        spot.limit(self.expansion, limits::EXPANSION)?;
        self.zstd |= compression == 1 || compression == 2;
        let chunk = Chunk { offset: self.next, length, raw, compression };
        self.next = align_up(self.next + stored, self.alignment);
        if self.next - self.opened >= 32768 {
            self.close();
        }
        Ok(chunk)
    }

    fn close(&mut self) {
        self.spans.push(self.next);
        self.opened = self.next;
    }
}

pub(crate) fn read_records(vectors: &[Vector], p: &Prologue) -> Result<Records> {
    let prologue = Spot::new("prologue", 0);
    for (i, slot) in [index::MODULES, index::TENSORS, index::SECTIONS].into_iter().enumerate() {
        let same = vectors[slot].len() == p.counts[i] as usize;
        prologue.at(36 + 4 * i as u64).must(same, Code::CountMismatch)?;
    }
    let counted = [limits::ENCODINGS, limits::BANDS, limits::SHARED, limits::SHARED];
    for (vector, bound) in vectors.iter().zip(counted) {
        Spot::new("index", vector.start - 4).limit(vector.len() as u64, bound)?;
    }
    let encodings = read_encodings(&vectors[index::ENCODINGS], p.required & index::START != 0)?;
    let plans = read_plans(vectors, &encodings)?;
    let types = read_types(&vectors[index::TYPES])?;
    check_start(vectors)?;
    check_parent(vectors)?;
    let start = align_up(64 + p.index_length as u64, p.alignment);
    let mut layout =
        Layout { alignment: p.alignment, next: start, opened: start, spans: Vec::new(), zstd: false, expansion: 0 };
    let mut names = Names::new(vectors[index::NAMES].bytes);
    let modules = read_modules(vectors, &encodings, &plans, &types, &mut names, &mut layout)?;
    let tensors = read_tensors(vectors, &modules, &mut names, &mut layout)?;
    let sections = read_sections(&vectors[index::SECTIONS], &mut layout)?;
    if layout.next > layout.opened {
        layout.close();
    }

    let magnitude = tensors.iter().any(|t| t.role == MAGNITUDE);
    let replacement = tensors.iter().any(|t| t.role != MAGNITUDE && t.role != CARRIED);
    let trellis = encodings.iter().any(|e| e.codec == codec::TRELLIS);
    let experts = modules.iter().any(|m| m.kind.experts > 1);
    let started = encodings.iter().any(|e| e.mixture != 0);
    let child = modules.iter().any(|m| m.parent.is_some());
    let used = [layout.zstd, trellis, experts, magnitude, replacement, started, child];
    let required = (0..).zip(used).fold(0, |bits, (i, set)| bits | u32::from(set) << i);
    prologue.at(12).must(p.required == required, Code::FeatureBits)?;
    let length = layout.next + 32 * (layout.spans.len() as u64 + 1) + 64;
    prologue.at(24).must(p.file_length == length, Code::FileLengthMismatch)?;
    Ok(Records { encodings, modules, tensors, sections, spans: layout.spans, noncanonical_name: names.noncanonical })
}

fn read_encodings(vector: &Vector, started: bool) -> Result<Vec<Encoding>> {
    let mut seen = HashSet::new();
    let mut encodings = Vec::with_capacity(vector.len());
    for i in 0..vector.len() {
        let (e, spot) = (Encoding::new(vector.get(i)), vector.spot("encoding", i));
        e.check(started, spot)?;
        spot.must(seen.insert(e), Code::RecordReference)?;
        encodings.push(e);
    }
    Ok(encodings)
}

fn read_plans(vectors: &[Vector], encodings: &[Encoding]) -> Result<Vec<Arc<[Band]>>> {
    let (vector, bands) = (&vectors[index::PLANS], &vectors[index::BANDS]);
    let (mut seen, mut plans, mut at, mut used) = (HashSet::new(), Vec::with_capacity(vector.len()), 0, 0);
    for i in 0..vector.len() {
        let (size, spot) = (usize::from(u16_at(vector.get(i), 0)), vector.spot("plan", i));
        spot.must(size > 0, Code::BandPlan)?;
        spot.must(size <= bands.len() - at, Code::RecordReference)?;
        let mut plan: Vec<Band> = Vec::with_capacity(size);
        for k in at..at + size {
            let (record, spot) = (bands.get(k), spot.at(bands.spot("plan", k).offset));
            let band = Band { components: u16_at(record, 0), b: record[2], a: record[3] };
            spot.must(band.components > 0, Code::BandPlan)?;
            spot.must(plan.last().is_none_or(|last| (last.b, last.a) != (band.b, band.a)), Code::BandPlan)?;
            spot.must(refer(&mut used, encodings.len(), band.b.into()), Code::RecordReference)?;
            spot.must(refer(&mut used, encodings.len(), band.a.into()), Code::RecordReference)?;
            spot.must(encodings[usize::from(band.b)].mixture == 0, Code::BandPlan)?; // 8.8.1
            plan.push(band);
        }
        at += size;
        spot.limit(plan.iter().map(|band| u64::from(band.components)).sum(), limits::RANK)?;
        let plan: Arc<[Band]> = plan.into(); // shared by all its modules
        spot.must(seen.insert(plan.clone()), Code::RecordReference)?;
        plans.push(plan);
    }
    bands.spot("index", at).must(at == bands.len(), Code::RecordReference)?;
    vectors[index::ENCODINGS].spot("encoding", used).must(used == encodings.len(), Code::RecordReference)?;
    Ok(plans)
}

fn read_types(vector: &Vector) -> Result<Vec<ModuleType>> {
    let mut seen = HashSet::new();
    let mut types = Vec::with_capacity(vector.len());
    for i in 0..vector.len() {
        let (record, spot) = (vector.get(i), vector.spot("type", i));
        let kind = ModuleType::new(record);
        kind.check(record[27], spot)?;
        spot.must(seen.insert(record), Code::RecordReference)?;
        types.push(kind);
    }
    Ok(types)
}

/// Clause 8.8.1.
fn check_start(vectors: &[Vector]) -> Result<()> {
    let (start, positions) = (&vectors[index::STARTS], &vectors[index::POSITIONS]);
    if !start.given() {
        return Ok(());
    }
    let spot = start.spot("index", 0);
    spot.must(start.len() > 0 && u32_at(start.bytes, 0) == 1, Code::UnsupportedCodec)?;
    spot.must(start.len() == 2 || start.len() > 1 && start.len() % WORDS == 1, Code::EncodingParameter)?;
    spot.limit(states(start.len()) as u64, limits::STARTS)?;
    positions.spot("index", 0).limit(positions.len() as u64, limits::STARTED)
}

/// Clause 8.9.1.
fn check_parent(vectors: &[Vector]) -> Result<()> {
    for (slot, count) in [(index::PARENTS, 8), (index::PARENT_MODULES, vectors[index::MODULES].len())] {
        let v = &vectors[slot];
        Spot::new("index", v.start.saturating_sub(4)).must(!v.given() || v.len() == count, Code::RecordReference)?;
    }
    Ok(())
}

/// States of a start of so many words; a seed is one.
fn states(words: usize) -> usize {
    (words / WORDS).max(1)
}

/// The position of the next module with a start, `mixed` components of which have a mixture.
fn next_position(
    vectors: &[Vector],
    placed: &mut usize,
    (kind, rank, mixed): (&ModuleType, u32, u64),
    length: u32,
    spot: Spot,
) -> Result<u32> {
    spot.must(kind.experts == 1, Code::BandPlan)?;
    spot.limit(rank.into(), limits::STARTED_RANK)?;
    let positions = &vectors[index::POSITIONS];
    let position = (*placed < positions.len()).then(|| u32_at(positions.get(*placed), 0));
    *placed += 1;
    let known = |position| state_of(position) < states(vectors[index::STARTS].len());
    let Some(position) = position.filter(|&position| known(position)) else {
        return spot.fail(Code::RecordReference);
    };
    let [_, n] = kind.vector_lengths();
    spot.limit((u64::from(rank) * n * (mixed + 8)).div_ceil(length.into()), limits::START_WORK)?;
    Ok(position)
}

fn read_modules(
    vectors: &[Vector],
    encodings: &[Encoding],
    plans: &[Arc<[Band]>],
    types: &[ModuleType],
    names: &mut Names,
    layout: &mut Layout,
) -> Result<Vec<Module>> {
    let vector = &vectors[index::MODULES];
    let mut modules: Vec<Module> = Vec::with_capacity(vector.len());
    let (mut types_used, mut plans_used) = (0, 0);
    let mut lengths = HashMap::new();
    let mut expert_bands = 0;
    let mut placed = 0;
    let mut last_parent = None;
    for i in 0..vector.len() {
        let (r, spot) = (vector.get(i), vector.spot("module", i));
        let name = names.next(r[6].into(), u16_at(r, 4).into(), spot)?;
        let ascending = modules.last().is_none_or(|last| natural_order(&last.name, &name).is_lt());
        spot.must(ascending, Code::NameOrder)?;
        let (kind, plan) = (usize::from(u16_at(r, 8)), usize::from(u16_at(r, 10)));
        spot.must(refer(&mut types_used, types.len(), kind), Code::RecordReference)?;
        spot.must(refer(&mut plans_used, plans.len(), plan), Code::RecordReference)?;
        let (t, bands) = (types[kind], &plans[plan]);
        let rank = bands.iter().map(|band| u32::from(band.components)).sum();
        spot.must(t.multiplier_follows(rank), Code::Multiplier)?;
        expert_bands += u64::from(t.experts) * bands.len() as u64;
        spot.limit(expert_bands, limits::EXPERT_BANDS)?;
        let raw = *lengths.entry((kind, plan)).or_insert_with(|| payload_length(encodings, &t, bands));
        for bytes in [raw, u32_at(r, 0).into()] {
            spot.limit(bytes, limits::CHUNK)?;
        }
        spot.must(r[7] == 0, Code::RecordReservedNonzero)?;
        let chunk = layout.chunk(u32_at(r, 0), raw, 0, &[0], spot)?;
        let mixes = bands.iter().filter(|band| encodings[usize::from(band.a)].mixture != 0);
        let mixed = mixes.map(|band| u64::from(band.components)).sum();
        let position = match mixed {
            0 => None,
            _ => Some(next_position(vectors, &mut placed, (&t, rank, mixed), u32_at(r, 0), spot)?),
        };
        let parents = &vectors[index::PARENT_MODULES];
        let parent = if parents.given() { u32_at(parents.get(i), 0).checked_sub(1) } else { None };
        if let Some(number) = parent {
            spot.must(last_parent.is_none_or(|last| last < number), Code::RecordReference)?; // 8.9.1
            last_parent = parent;
        }
        modules.push(Module { number: i, name, kind: t, bands: bands.clone(), rank, position, parent, chunk });
    }
    vectors[index::TYPES].spot("type", types_used).must(types_used == types.len(), Code::RecordReference)?;
    vectors[index::PLANS].spot("plan", plans_used).must(plans_used == plans.len(), Code::RecordReference)?;
    let positions = &vectors[index::POSITIONS];
    positions.spot("index", placed).must(placed == positions.len(), Code::RecordReference)?;
    Ok(modules)
}

fn read_tensors(vectors: &[Vector], modules: &[Module], names: &mut Names, layout: &mut Layout) -> Result<Vec<Tensor>> {
    let (vector, dimensions) = (&vectors[index::TENSORS], &vectors[index::DIMENSIONS]);
    let mut tensors: Vec<Tensor> = Vec::with_capacity(vector.len());
    let mut at = 0;
    names.restart();
    for i in 0..vector.len() {
        let (r, spot) = (vector.get(i), vector.spot("tensor", i));
        let (element, role, axis, count) = (r[8], r[9], r[10], usize::from(r[11]));
        let name = names.next(r[6].into(), u16_at(r, 4).into(), spot)?;
        let ascending = tensors.last().is_none_or(|t| natural_order(&t.name, &name).then(t.role.cmp(&role)).is_lt());
        spot.must(ascending, Code::NameOrder)?;
        spot.must(role <= CARRIED, Code::UnsupportedRole)?;
        spot.must((F32..=BOOL).contains(&element), Code::UnsupportedCodec)?;
        spot.limit(count as u64, limits::SHAPE)?;
        spot.must(count <= dimensions.len() - at, Code::RecordReference)?;
        spot.must(axis == 0 || axis == 1 && role == MAGNITUDE, Code::TensorRecord)?;
        let shape = shape_of(dimensions, at..at + count);
        at += count;
        let size = shape.iter().fold(element_size(element), |n, &d| n.saturating_mul(d.into()));
        let raw = if shape.contains(&0) { 0 } else { size };
        let chunk = layout.chunk(u32_at(r, 0), raw, r[7], &[0, 1, 2], spot)?;
        tensors.push(Tensor {
            number: i,
            name,
            name_shared: r[6],
            name_suffix: u16_at(r, 4),
            element,
            role,
            axis,
            shape,
            chunk,
        });
    }
    dimensions.spot("index", at).must(at == dimensions.len(), Code::RecordReference)?;
    let heap = &vectors[index::NAMES];
    heap.spot("index", names.at).must(names.at == heap.len(), Code::NameHeap)?;
    check_roles(vector, modules, &tensors)?;
    Ok(tensors)
}

fn shape_of(dimensions: &Vector, range: Range<usize>) -> Vec<u32> {
    range.map(|i| u32_at(dimensions.get(i), 0)).collect()
}

/// Clause 9.4, after all tensors.
fn check_roles(vector: &Vector, modules: &[Module], tensors: &[Tensor]) -> Result<()> {
    let by_name: HashMap<&str, &Module> = modules.iter().map(|m| (m.name.as_str(), m)).collect();
    let by_role: HashMap<(&str, u8), &Tensor> = tensors.iter().map(|t| ((t.name.as_str(), t.role), t)).collect();
    for (i, t) in tensors.iter().enumerate() {
        let other = |role| by_role.get(&(t.name.as_str(), role));
        let module = by_name.get(t.name.as_str());
        let float = (F32..=F64).contains(&t.element);
        let good = match t.role {
            BIAS => float && other(REPLACE).is_none(),
            LORA_BIAS | MAGNITUDE => module.is_some_and(|m| {
                // axis 0 of a base weight is `out` in layout 0 and `in` in layout 1 (9.2)
                let is_out = t.role == LORA_BIAS || t.axis == m.kind.base_layout;
                let size = if is_out { m.kind.out_size } else { m.kind.in_size };
                let longer = |shape: &[u32]| shape.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
                float && longer(&t.shape) == longer(&[m.kind.experts.into(), size])
            }),
            TOKEN_ROWS => {
                let rows = other(TOKEN_INDICES).and_then(|indices| indices.shape.first());
                float && module.is_none() && t.shape.len() == 2 && t.shape.first() == rows
            }
            TOKEN_INDICES => t.shape.len() == 1 && t.element == U32 && other(TOKEN_ROWS).is_some(),
            _ => true,
        };
        vector.spot("tensor", i).must(good, Code::TensorRecord)?;
    }
    Ok(())
}

fn read_sections(vector: &Vector, layout: &mut Layout) -> Result<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::with_capacity(vector.len());
    for i in 0..vector.len() {
        let (r, spot) = (vector.get(i), vector.spot("section", i));
        let (raw, compression, flags) = (u32_at(r, 8).into(), r[12], r[13]);
        spot.must(r[..4].iter().all(u8::is_ascii_alphabetic), Code::SectionRecord)?;
        let tag: String = r[..4].iter().map(|&b| char::from(b)).collect();
        spot.must(flags <= 3 && u16_at(r, 14) == 0, Code::RecordReservedNonzero)?;
        spot.must(sections.last().is_none_or(|last| last.tag < tag), Code::SectionOrder)?;
        let (critical, known) = (flags & 1 == 1, tag == "META" || tag == "ORIG");
        spot.must(!critical || r[0].is_ascii_uppercase(), Code::SectionRecord)?;
        spot.must(!critical || known, Code::UnsupportedSection)?;
        spot.limit(raw, limits::CHUNK)?;
        spot.limit(u32_at(r, 4).into(), limits::CHUNK)?;
        spot.limit(if known { raw } else { 0 }, limits::META)?;
        spot.must(tag != "META" || compression == 0, Code::SectionRecord)?;
        let chunk = layout.chunk(u32_at(r, 4), raw, compression, &[0, 3], spot)?;
        sections.push(Section { tag, flags, chunk });
    }
    Ok(sections)
}
