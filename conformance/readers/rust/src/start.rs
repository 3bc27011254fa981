//! Starts (8.8): the draws of MT19937, and vectors of A′ that begin at a mixture of them.

use crate::bytes::{bits_at, u32_at};
use crate::payload::Planes;

/// Words of a state.
pub(crate) const WORDS: usize = 624;
/// Draws that positions count in a state, as a power of two (8.8.1).
const STATE_DRAWS: u32 = 22;

/// The number of the state of a position.
pub(crate) fn state_of(position: u32) -> usize {
    position as usize >> STATE_DRAWS
}

/// The number of the draw of a position in its state.
pub(crate) fn draw_of(position: u32) -> u32 {
    position & ((1 << STATE_DRAWS) - 1)
}

/// The bytes of the seed or state of a position, in the vector `start`.
pub(crate) fn own_state(start: &[u8], position: u32) -> &[u8] {
    let at = 4 + 4 * WORDS * state_of(position);
    &start[at..start.len().min(at + 4 * WORDS)]
}

/// The stream of draws.
pub(crate) struct Draws {
    words: Vec<u32>,
    next: usize,
}

impl Draws {
    /// From a position on, of the vector `start` of the index, which is checked.
    pub(crate) fn new(start: &[u8], position: u32) -> Self {
        let mut words: Vec<u32> = own_state(start, position).chunks_exact(4).map(|p| u32_at(p, 0)).collect();
        let position = draw_of(position) as usize;
        while words.len() < WORDS {
            let last = words[words.len() - 1];
            words.push(1_812_433_253_u32.wrapping_mul(last ^ last >> 30).wrapping_add(words.len() as u32));
        }
        let blocks = position.div_ceil(WORDS);
        let mut draws = Draws { words, next: position + WORDS - WORDS * blocks };
        for _ in 0..blocks {
            draws.block();
        }
        draws
    }

    fn block(&mut self) {
        let words = &mut self.words[..WORDS];
        let twisted = |word: u32, after: u32, middle: u32| {
            let y = word & 1 << 31 | after & !(1 << 31);
            middle ^ y >> 1 ^ (y & 1).wrapping_neg() & 2_567_483_615
        };
        for i in 0..227 {
            words[i] = twisted(words[i], words[i + 1], words[i + 397]);
        }
        for i in 227..WORDS - 1 {
            words[i] = twisted(words[i], words[i + 1], words[i - 227]);
        }
        words[WORDS - 1] = twisted(words[WORDS - 1], words[0], words[396]);
    }

    pub(crate) fn draw(&mut self) -> i16 {
        if self.next == WORDS {
            self.block();
            self.next = 0;
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= y << 7 & 2_636_928_640;
        y ^= y << 15 & 4_022_730_752;
        ((y ^ y >> 18) >> 8) as u16 as i16 ^ i16::MIN
    }
}

/// Adds the mixture of a component to its rest (8.8.4). `draws` are [rank][n].
pub(crate) fn add(mixture: &Planes, payload: &[u8], component: u64, draws: &[i16], weights: &mut [u32]) {
    let (bits, n) = (u32::from(mixture.encoding.bits), weights.len());
    if bits == 0 {
        return;
    }
    let (codes, zeros) = (mixture.codes_of(payload, component), mixture.zeros_of(payload, component));
    let zero = i64::from(bits_at(zeros, 0, bits));
    let factors: Vec<i64> =
        (0..mixture.n).map(|k| i64::from(bits_at(codes, k * u64::from(bits), bits)) - zero).collect();
    let scale = f64::from(mixture.scale(payload, component, 0)) / 32_768.0;
    for (i, weight) in weights.iter_mut().enumerate() {
        let sum: i64 = factors.iter().enumerate().map(|(k, factor)| factor * i64::from(draws[k * n + i])).sum();
        *weight = ((f64::from(f32::from_bits(*weight)) + scale * sum as f64) as f32).to_bits();
    }
}
