//! Numbers (clause 3). Every caller has checked that the bytes are there.

pub(crate) fn u16_at(p: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([p[at], p[at + 1]])
}

pub(crate) fn u32_at(p: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([p[at], p[at + 1], p[at + 2], p[at + 3]])
}

pub(crate) fn u64_at(p: &[u8], at: usize) -> u64 {
    u64::from(u32_at(p, at)) | u64::from(u32_at(p, at + 4)) << 32
}

pub(crate) fn align_up(x: u64, to: u64) -> u64 {
    x.div_ceil(to) * to
}

pub(crate) fn leading_zeros(p: &[u8]) -> usize {
    p.iter().position(|&b| b != 0).unwrap_or(p.len())
}

/// Up to 8 bits from bit `at` on, the lowest first (7.2).
pub(crate) fn bits_at(p: &[u8], at: u64, count: u32) -> u32 {
    let byte = (at >> 3) as usize;
    let word = u32::from(p[byte]) | u32::from(p.get(byte + 1).copied().unwrap_or(0)) << 8;
    word >> (at & 7) & ((1 << count) - 1)
}

/// The first of the bits `from` to `to - 1` that is 1, or `to`.
pub(crate) fn first_one(p: &[u8], from: u64, to: u64) -> u64 {
    let mut at = from;
    while at < to && bits_at(p, at, 1) == 0 {
        let whole = if at.is_multiple_of(8) { leading_zeros(&p[(at / 8) as usize..(to / 8) as usize]) } else { 0 };
        at += if whole > 0 { 8 * whole as u64 } else { 1 };
    }
    at.max(from)
}

/// The bits of the f32 that an f16 stands for, exactly (3.2).
pub(crate) fn widen_f16(half: u16) -> u32 {
    let (sign, exponent, fraction) =
        (u32::from(half & 0x8000) << 16, u32::from(half >> 10 & 31), u32::from(half & 0x3FF));
    match (exponent, fraction) {
        (31, _) => sign | 0x7F80_0000, // Inf or NaN: an error, and never decoded
        (0, 0) => sign,
        (0, _) => {
            let shift = fraction.leading_zeros() - 21; // to bit 10
            sign | (113 - shift) << 23 | (fraction << shift & 0x3FF) << 13
        }
        _ => sign | (exponent + 112) << 23 | fraction << 13,
    }
}

/// An f32 rounded to the nearest f16, ties to even (3.2, 8.7).
pub fn narrow(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, magnitude) = ((bits >> 16 & 0x8000) as u16, bits & 0x7FFF_FFFF);
    if magnitude >= 0x477F_F000 {
        return sign | 0x7C00; // from 65520 on
    }
    let (kept, shift) = if magnitude >= 0x3880_0000 {
        (magnitude - 0x3800_0000, 13)
    } else if magnitude >= 0x3300_0000 {
        (magnitude & 0x7F_FFFF | 0x80_0000, 126 - (magnitude >> 23)) // subnormal in f16
    } else {
        return sign; // below half of the least
    };
    let (result, rest, half) = (kept >> shift, kept & ((1 << shift) - 1), 1 << (shift - 1));
    sign | (result + u32::from(rest > half || rest == half && result & 1 == 1)) as u16
}
