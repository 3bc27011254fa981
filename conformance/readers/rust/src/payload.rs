//! The payload of a module (7.2, 7.3): planes, padding, values and canonical codes (8.1, 8.3, 12.4), decoding (8.4 to 8.7).

use crate::bytes::{align_up, bits_at, first_one, leading_zeros, u16_at, u32_at, widen_f16};
use crate::error::{Code, Result, Spot};
use crate::records::{codec, element_size, Band, Encoding, Module, ModuleType, BF16, F16, F32, F64};
use crate::start::{self, Draws};
use crate::tables::{Trellis, TRELLIS};

/// Where one factor of one band of one expert lies in a payload.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub(crate) struct Planes {
    pub factor: usize, // 0 is B′, 1 is A′, 2 the mixture of A′ (8.8.2)
    pub encoding: Encoding,
    pub components: u64,
    pub n: u64,      // weights of a vector
    pub groups: u64, // scales of a vector
    pub codes: u64,
    pub zeros: u64,
    pub scales: u64,
    pub zero_bits: u64, // of a component, which has whole bytes
    pub code_bits: u64,
}

fn table(e: &Encoding) -> &'static Trellis {
    &TRELLIS[usize::from(e.table) - 1]
}

impl Planes {
    fn new(factor: usize, e: Encoding, components: u64, n: u64) -> Self {
        let (mut groups, mut zero_bits, mut code_bits) = (0, 0, 0);
        if e.codec == codec::RAW {
            code_bits = 8 * n * element_size(e.element);
        } else if e.scaled() {
            groups = if e.group_exponent == 0 { 1 } else { n.div_ceil(1 << e.group_exponent) };
            code_bits = match e.codec {
                codec::AFFINE => n * u64::from(e.bits),
                codec::SIGN => n,
                _ => n.div_ceil(table(&e).weights_per_step as u64) * u64::from(table(&e).step_bits),
            };
            zero_bits = groups * u64::from(e.bits); // none but affine has bits
        }
        Planes { factor, encoding: e, components, n, groups, codes: 0, zeros: 0, scales: 0, zero_bits, code_bits }
    }

    fn code_bytes(&self) -> u64 {
        self.components * self.code_bits.div_ceil(8)
    }

    fn zero_bytes(&self) -> u64 {
        self.components * self.zero_bits.div_ceil(8)
    }

    fn scale_bytes(&self) -> u64 {
        2 * self.components * self.groups
    }

    pub(crate) fn scale(&self, payload: &[u8], component: u64, group: u64) -> f32 {
        let at = self.scales + 2 * (component * self.groups + group);
        f32::from_bits(widen(&payload[at as usize..], self.encoding.scale))
    }

    /// The bytes of one component's zero points.
    pub(crate) fn zeros_of<'a>(&self, payload: &'a [u8], component: u64) -> &'a [u8] {
        let size = self.zero_bits.div_ceil(8);
        &payload[(self.zeros + component * size) as usize..][..size as usize]
    }

    /// The bytes of one component's codes.
    pub(crate) fn codes_of<'a>(&self, payload: &'a [u8], component: u64) -> &'a [u8] {
        let size = self.code_bits.div_ceil(8);
        &payload[(self.codes + component * size) as usize..][..size as usize]
    }

    fn group_size(&self) -> u64 {
        if self.encoding.group_exponent == 0 {
            self.n
        } else {
            1 << self.encoding.group_exponent
        }
    }
}

/// The planes of one expert, first of B′, then of A′, then of mixtures (7.2, 8.8.2): codes, zero points, scales. And the bytes of all of them.
fn block(encodings: &[Encoding], t: &ModuleType, bands: &[Band]) -> (Vec<Planes>, u64) {
    let ([out, inputs], rank) = (t.vector_lengths(), bands.iter().map(|band| u64::from(band.components)).sum());
    let (mut at, mut block) = (0, Vec::with_capacity(3 * bands.len()));
    for (factor, n) in [out, inputs, rank].into_iter().enumerate() {
        for band in bands {
            let (b, a) = (encodings[usize::from(band.b)], encodings[usize::from(band.a)]);
            block.push(Planes::new(factor, [b, a, a.mixture()][factor], band.components.into(), n));
        }
    }
    for p in &mut block {
        p.codes = if p.encoding.codec == codec::RAW { align_up(at, element_size(p.encoding.element)) } else { at };
        at = p.codes + p.code_bytes();
    }
    for p in &mut block {
        p.zeros = at;
        at += p.zero_bytes();
    }
    at = align_up(at, 2);
    for p in &mut block {
        p.scales = at;
        at += p.scale_bytes();
    }
    (block, at)
}

/// The planes of each expert, whose block begins at a multiple of 16.
fn blocks<'a>(encodings: &[Encoding], t: &ModuleType, bands: &[Band]) -> impl Iterator<Item = Vec<Planes>> + use<'a> {
    let (first, size) = block(encodings, t, bands);
    (0..u64::from(t.experts)).map(move |expert| {
        let at = expert * align_up(size, 16);
        let moved = |p: &Planes| Planes { codes: p.codes + at, zeros: p.zeros + at, scales: p.scales + at, ..*p };
        first.iter().map(moved).collect()
    })
}

/// Calls `each` with factor (0 is B′, 1 is A′) and weights, as bits of f32, of each vector: expert by expert, B′ before A′.
pub(crate) fn vectors(
    encodings: &[Encoding],
    start: &[u8],
    m: &Module,
    payload: &[u8],
    mut each: impl FnMut(usize, &[u32]),
) {
    let [_, inputs] = m.kind.vector_lengths();
    let mut stream = m.position.map(|position| Draws::new(start, position));
    let mut weights = Vec::new();
    for block in blocks(encodings, &m.kind, &m.bands) {
        let draws: Vec<i16> = match &mut stream {
            Some(stream) => (0..u64::from(m.rank) * inputs).map(|_| stream.draw()).collect(),
            None => Vec::new(),
        };
        let (factors, mixtures) = block.split_at(2 * m.bands.len());
        for (i, p) in factors.iter().enumerate() {
            for component in 0..p.components {
                decode(p, payload, component, &mut weights);
                if p.factor == 1 {
                    start::add(&mixtures[i - m.bands.len()], payload, component, &draws, &mut weights);
                }
                each(p.factor, &weights);
            }
        }
    }
}

/// Bytes of a module's payload (7.2): all experts have the same layout.
pub(crate) fn payload_length(encodings: &[Encoding], t: &ModuleType, bands: &[Band]) -> u64 {
    let (_, size) = block(encodings, t, bands);
    u64::from(t.experts - 1) * align_up(size, 16) + size
}

/// The bits of the f32 at the start of `p` (3.2).
pub(crate) fn widen(p: &[u8], element: u8) -> u32 {
    match element {
        F32 => u32_at(p, 0),
        BF16 => u32::from(u16_at(p, 0)) << 16,
        _ => widen_f16(u16_at(p, 0)),
    }
}

/// Clause 8.3: no Inf and no NaN. `spot` is that of byte 0 of `values`.
pub(crate) fn check_finite(values: &[u8], element: u8, spot: &dyn Fn(u64) -> Spot) -> Result<()> {
    let finite = |p: &[u8]| match element {
        F32 | BF16 | F16 => f32::from_bits(widen(p, element)).is_finite(),
        F64 => u32_at(p, 4) & 0x7FF0_0000 != 0x7FF0_0000,
        _ => true,
    };
    let size = element_size(element) as usize;
    match values.chunks_exact(size).position(|p| !finite(p)) {
        Some(i) => spot((i * size) as u64).fail(Code::NonfiniteValue),
        None => Ok(()),
    }
}

/// Clauses 3.6, 7.2, 7.3. `spot` gives the place of a byte of the payload.
pub(crate) fn check_padding(e: &[Encoding], m: &Module, payload: &[u8], spot: &dyn Fn(u64) -> Spot) -> Result<()> {
    let mut end = 0;
    for block in blocks(e, &m.kind, &m.bands) {
        let codes = block.iter().map(|p| (p, p.codes, p.code_bytes(), p.code_bits));
        let zeros = block.iter().map(|p| (p, p.zeros, p.zero_bytes(), p.zero_bits));
        let scales = block.iter().map(|p| (p, p.scales, p.scale_bytes(), 0));
        for (p, start, bytes, bits) in codes.chain(zeros).chain(scales).filter(|(_, _, bytes, _)| *bytes > 0) {
            let gap = &payload[end as usize..start as usize];
            let zeros = leading_zeros(gap);
            spot(end + zeros as u64).must(zeros == gap.len(), Code::PaddingNonzero)?;
            end = start + bytes;
            if bits % 8 != 0 {
                for i in 1..=p.components {
                    let last = start + i * bits.div_ceil(8) - 1;
                    spot(last).must(payload[last as usize] >> (bits % 8) == 0, Code::PaddingNonzero)?;
                }
            }
        }
    }
    Ok(())
}

/// Clauses 8.1, 8.3 and, if asked for, 12.4, in the order of the bytes: raw weights stand before scales.
/// Returns the first place that breaks 12.4, which only a valid file is told.
pub(crate) fn check_values(
    encodings: &[Encoding],
    m: &Module,
    payload: &[u8],
    canonical: bool,
    spot: &dyn Fn(u64) -> Spot,
) -> Result<Option<Spot>> {
    let mut noncanonical = None;
    for block in blocks(encodings, &m.kind, &m.bands) {
        for p in block.iter().filter(|p| p.encoding.codec == codec::RAW) {
            let values = &payload[p.codes as usize..][..p.code_bytes() as usize];
            check_finite(values, p.encoding.element, &|at| spot(p.codes + at))?;
        }
        for p in &block {
            let found = check_scales(p, payload, canonical && noncanonical.is_none(), spot)?;
            noncanonical = noncanonical.or(found);
        }
    }
    Ok(noncanonical)
}

fn check_scales(p: &Planes, payload: &[u8], canonical: bool, spot: &dyn Fn(u64) -> Spot) -> Result<Option<Spot>> {
    let mut noncanonical = None;
    let e = p.encoding;
    let largest = match (e.codec, e.rotation) {
        _ if p.factor == 2 => 18_446_744_073_709_551_616.0, // 8.8.2
        (codec::AFFINE, _) => ((1 << e.bits) - 1) as f32,
        (codec::TRELLIS, 0) => 127.0,
        (codec::TRELLIS, _) => 64.0 * 127.0,
        _ => 1.0,
    };
    let bits = if e.codec == codec::SIGN { 1 } else { u64::from(e.bits) };
    let per_group = if e.group_exponent == 0 { p.code_bits } else { bits << e.group_exponent };
    for c in 0..p.components {
        for g in 0..p.groups {
            let (s, place) = (p.scale(payload, c, g), spot(p.scales + 2 * (c * p.groups + g)));
            place.must(s.is_sign_positive() && (s * largest).is_finite(), Code::ScaleValue)?;
            if canonical && noncanonical.is_none() && s == 0.0 {
                let empty = (p.zero_bits == 0 || is_empty(p.zeros_of(payload, c), g * bits, bits, p.zero_bits))
                    && is_empty(p.codes_of(payload, c), g * per_group, per_group, p.code_bits);
                noncanonical = (!empty).then_some(place);
            }
        }
    }
    Ok(noncanonical)
}

/// Whether `count` bits from `from` on, at most up to `all`, are 0.
fn is_empty(row: &[u8], from: u64, count: u64, all: u64) -> bool {
    let to = all.min(from + count);
    first_one(row, from, to) >= to
}

/// Decodes vector `component` (counted within the band) of a payload that passed its checks, as bits of f32 (clause 8).
fn decode(p: &Planes, payload: &[u8], component: u64, out: &mut Vec<u32>) {
    let (e, n, size) = (p.encoding, p.n, p.group_size());
    let codes = p.codes_of(payload, component);
    out.clear();
    match e.codec {
        codec::ZERO => out.resize(n as usize, 0),
        codec::RAW => out.extend(codes.chunks_exact(element_size(e.element) as usize).map(|v| widen(v, e.element))),
        codec::TRELLIS => {
            let s = p.scale(payload, component, 0);
            out.extend(trellis_integers(&e, codes, n as usize).iter().map(|&t| (f32::from(t) * s).to_bits()));
        }
        _ => {
            let zeros = p.zeros_of(payload, component);
            let bits = u32::from(e.bits);
            for group in 0..p.groups {
                let s = p.scale(payload, component, group);
                // (factor q + offset) s
                let (factor, offset) = match e.codec {
                    codec::SIGN => (-2, 1),
                    _ => (1, -(bits_at(zeros, group * u64::from(bits), bits) as i16)),
                };
                let width = bits.max(1);
                for i in group * size..n.min((group + 1) * size) {
                    let q = bits_at(codes, i * u64::from(width), width) as i16;
                    out.push((f32::from(factor * q + offset) * s).to_bits());
                }
            }
        }
    }
}

/// Clauses 8.6 and 8.6.1.
fn trellis_integers(e: &Encoding, codes: &[u8], n: usize) -> Vec<i16> {
    let t = table(e);
    let (k, mut window, mut integers) = (u32::from(t.step_bits), 0, Vec::with_capacity(n + 1));
    for step in 0..n.div_ceil(t.weights_per_step) {
        window = window >> k | bits_at(codes, step as u64 * u64::from(k), k) << (8 - k);
        let at = window as usize * t.weights_per_step;
        integers.extend(t.entries[at..at + t.weights_per_step].iter().map(|&v| i16::from(v)));
    }
    integers.truncate(n);
    if e.rotation == 1 {
        rotate(&mut integers);
    }
    integers
}

/// The fast Walsh-Hadamard transform over the 64 rows, then the signs (8.6.1). At most 64 · 127 fits into 16 bits.
fn rotate(t: &mut [i16]) {
    let c = t.len() / 64;
    for half in [1, 2, 4, 8, 16, 32] {
        for r in (0..64).filter(|r| r & half == 0) {
            for k in 0..c {
                let (x, y) = (t[r * c + k], t[(r + half) * c + k]);
                t[r * c + k] = x + y;
                t[(r + half) * c + k] = x - y;
            }
        }
    }
    for r in (0..64_usize).filter(|r| (r & r >> 1 & 0b01_0101).count_ones() % 2 == 1) {
        t[r * c..(r + 1) * c].iter_mut().for_each(|x| *x = -*x);
    }
    t[64 * c..].iter_mut().for_each(|x| *x *= 8);
}
