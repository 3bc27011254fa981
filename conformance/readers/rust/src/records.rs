//! What the records of the index are (clauses 6 and 9), and the checks of one record by itself.

use crate::bytes::{u16_at, u32_at};
use crate::error::{limits, Code, Result, Spot};
use crate::tables::TRELLIS;
use std::sync::Arc;

#[allow(missing_docs)]
pub mod codec {
    pub const ZERO: u8 = 0;
    pub const RAW: u8 = 1;
    pub const AFFINE: u8 = 2;
    pub const SIGN: u8 = 3;
    pub const TRELLIS: u8 = 4;
}

pub(crate) const F32: u8 = 1;
pub(crate) const F16: u8 = 2;
pub(crate) const BF16: u8 = 3;
pub(crate) const F64: u8 = 4;
pub(crate) const BOOL: u8 = 13;
pub(crate) const U32: u8 = 11;
pub(crate) const REPLACE: u8 = 0;
pub(crate) const BIAS: u8 = 1;
pub(crate) const LORA_BIAS: u8 = 2;
pub(crate) const MAGNITUDE: u8 = 3;
pub(crate) const TOKEN_ROWS: u8 = 4;
pub(crate) const TOKEN_INDICES: u8 = 5;
pub(crate) const CARRIED: u8 = 6;

/// Bytes of an element (6.8).
pub fn element_size(element: u8) -> u64 {
    [0, 4, 2, 2, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1][usize::from(element)]
}

/// Clause 6.4: codec, element, scale, bits, mixture, group exponent, table, rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Encoding {
    pub codec: u8,
    pub element: u8,
    pub scale: u8,
    pub bits: u8,
    pub mixture: u8,
    pub group_exponent: u8,
    pub table: u8,
    pub rotation: u8,
}

impl Encoding {
    pub(crate) fn new(p: &[u8]) -> Self {
        Encoding {
            codec: p[0],
            element: p[1],
            scale: p[2],
            bits: p[3],
            mixture: p[4],
            group_exponent: p[5],
            table: p[6],
            rotation: p[7],
        }
    }

    /// The record.
    pub fn bytes(&self) -> [u8; 8] {
        [self.codec, self.element, self.scale, self.bits, self.mixture, self.group_exponent, self.table, self.rotation]
    }

    /// How a mixture is stored (8.8.2), whose bits are `mixture`.
    pub(crate) fn mixture(&self) -> Self {
        let (codec, scale) = if self.mixture == 0 { (codec::ZERO, 0) } else { (codec::AFFINE, BF16) };
        Encoding {
            codec,
            element: 0,
            scale,
            bits: self.mixture,
            mixture: 0,
            group_exponent: 0,
            table: 0,
            rotation: 0,
        }
    }

    /// Whether it has scales.
    pub fn scaled(&self) -> bool {
        matches!(self.codec, codec::AFFINE | codec::SIGN | codec::TRELLIS)
    }

    pub(crate) fn check(&self, started: bool, spot: Spot) -> Result<()> {
        let trellis = self.codec == codec::TRELLIS;
        spot.must(self.codec <= codec::TRELLIS, Code::UnsupportedCodec)?;
        spot.must(!trellis || (1..=TRELLIS.len()).contains(&usize::from(self.table)), Code::UnsupportedCodec)?;
        spot.must(!trellis || self.rotation <= 1, Code::UnsupportedCodec)?;
        let known = |element| (F32..=BOOL).contains(&element);
        spot.must(self.codec != codec::RAW || known(self.element), Code::UnsupportedCodec)?;
        spot.must(self.codec < codec::AFFINE || known(self.scale), Code::UnsupportedCodec)?;
        let affine = self.codec == codec::AFFINE;
        let grouped = affine || self.codec == codec::SIGN;
        let scales: &[u8] = match self.codec {
            codec::ZERO | codec::RAW => &[0],
            codec::TRELLIS => &[BF16],
            _ => &[F16, BF16],
        };
        let good = (if self.codec == codec::RAW { (F32..=BF16).contains(&self.element) } else { self.element == 0 })
            && scales.contains(&self.scale)
            && (self.group_exponent == 0 || grouped && (4..=10).contains(&self.group_exponent))
            && (self.rotation == 0 || trellis)
            && (if affine { (1..=8).contains(&self.bits) } else { self.bits == 0 })
            && (self.mixture == 0 || started && (self.mixture == 4 || self.mixture == 8))
            && (trellis || self.table == 0);
        spot.must(good, Code::EncodingParameter)
    }
}

/// Clause 6.5; `b` and `a` are numbers of encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Band {
    pub components: u16,
    pub b: u8,
    pub a: u8,
}

/// Clause 6.6.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct ModuleType {
    pub out_size: u32,
    pub in_size: u32,
    pub multiplier: f32,
    pub alpha: f32,
    pub kernel: [u16; 3],
    pub experts: u16,
    pub role: u8,
    pub base_layout: u8,
    pub rule: u8,
}

impl ModuleType {
    pub(crate) fn new(p: &[u8]) -> Self {
        ModuleType {
            out_size: u32_at(p, 0),
            in_size: u32_at(p, 4),
            multiplier: f32::from_bits(u32_at(p, 8)),
            alpha: f32::from_bits(u32_at(p, 12)),
            kernel: [u16_at(p, 16), u16_at(p, 18), u16_at(p, 20)],
            experts: u16_at(p, 22),
            role: p[24],
            base_layout: p[25],
            rule: p[26],
        }
    }

    /// Weights of a component of B′ (`out`) and of A′ (`in` · kernel).
    pub fn vector_lengths(&self) -> [u64; 2] {
        let kernel = self.kernel.iter().filter(|&&k| k != 0);
        [self.out_size.into(), kernel.fold(self.in_size.into(), |n: u64, &k| n.saturating_mul(k.into()))]
    }

    pub(crate) fn check(&self, reserved: u8, spot: Spot) -> Result<()> {
        spot.must(self.role <= 4, Code::UnsupportedRole)?;
        spot.must(self.base_layout <= 1, Code::UnsupportedRole)?;
        spot.must(self.rule <= 3, Code::UnsupportedRole)?;
        spot.must(reserved == 0, Code::RecordReservedNonzero)?;
        let nonzero = self.out_size != 0 && self.in_size != 0 && self.experts != 0;
        spot.must(nonzero, Code::DimensionRange)?;
        let kernels = usize::from(self.role.saturating_sub(1));
        let fits = self.kernel.iter().enumerate().all(|(i, &k)| (k != 0) == (i < kernels));
        spot.must(fits, Code::RoleShape)?;
        // embeddings are (in, out), convolutions (out, in, kernel…)
        spot.must(self.role == 0 || (self.base_layout == 1) == (self.role == 1), Code::RoleShape)?;
        for length in self.vector_lengths() {
            spot.limit(length, limits::DIMENSION)?;
        }
        spot.limit(self.experts.into(), limits::EXPERTS)?;
        for number in [self.multiplier, self.alpha] {
            spot.must(number.is_finite() && number.to_bits() != 0x8000_0000, Code::Multiplier)?;
        }
        Ok(())
    }

    /// Clause 9.1: quotients in binary64, rounded to f32.
    pub(crate) fn multiplier_follows(&self, rank: u32) -> bool {
        let (alpha, rank) = (f64::from(self.alpha), f64::from(rank));
        match self.rule {
            0 => self.multiplier == 1.0 && self.alpha == 0.0,
            1 => self.multiplier == (alpha / rank) as f32,
            2 => self.multiplier == (alpha / rank.sqrt()) as f32,
            _ => true,
        }
    }
}

/// Where a chunk is, and what is in it (clause 7).
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    /// Where it begins in the file.
    pub offset: u64,
    /// Stored bytes, CRC-32 included.
    pub length: u32,
    /// Bytes of the payload when not compressed.
    pub raw: u64,
    /// Clause 7.5.
    pub compression: u8,
}

/// One adapted layer.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Module {
    pub number: usize,
    pub name: String,
    pub kind: ModuleType,
    pub bands: Arc<[Band]>,
    pub rank: u32,
    /// First draw of A′, if a vector of it has a start (8.8).
    pub position: Option<u32>,
    /// Number of its module in the parent, if it has one (8.9).
    pub parent: Option<u32>,
    pub chunk: Chunk,
}

impl Module {
    /// Bytes of the weights of both factors, as f32.
    pub fn decoded_bytes(&self) -> u64 {
        let [b, a] = self.kind.vector_lengths();
        4 * (b + a) * u64::from(self.rank) * u64::from(self.kind.experts)
    }
}

/// One plain tensor.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Tensor {
    pub number: usize,
    pub name: String,
    pub name_shared: u8,
    pub name_suffix: u16,
    pub element: u8,
    pub role: u8,
    pub axis: u8,
    pub shape: Vec<u32>,
    pub chunk: Chunk,
}

/// One section.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Section {
    pub tag: String,
    pub flags: u8,
    pub chunk: Chunk,
}

impl Section {
    /// META and ORIG are known to this reader.
    pub fn known(&self) -> bool {
        self.tag == "META" || self.tag == "ORIG"
    }
}

/// Everything the index says.
pub struct Records {
    /// Clause 6.4.
    pub encodings: Vec<Encoding>,
    /// Clause 6.7.
    pub modules: Vec<Module>,
    /// Clause 6.8.
    pub tensors: Vec<Tensor>,
    /// Clause 6.9.
    pub sections: Vec<Section>,
    /// Ends of the spans (11.1).
    pub(crate) spans: Vec<u64>,
    pub(crate) noncanonical_name: Option<Spot>,
}
