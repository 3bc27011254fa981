//! Parents (8.9): whether a file is the parent of another one, and the sums of rests and the parent's factors.

use crate::error::{limits, Code, Result, Spot};
use crate::file::{File, Ids};
use crate::payload;
use crate::records::Module;
use std::rc::Rc;

impl<'a> File<'a> {
    /// Gives a file its parent, which `verify` has found valid at level values or deeper, with these ids, and which has its own
    /// parent by then.
    ///
    /// # Errors
    ///
    /// `PARENT_MISMATCH`, `HARD_LIMIT`, `CORE_LIMIT`
    pub fn set_parent(&mut self, parent: Rc<File<'a>>, ids: &Ids) -> Result<()> {
        let spot = Spot::new("index", 0);
        spot.must(self.parent_id() == ids.content_id, Code::ParentMismatch)?;
        spot.limit(parent.generations() + 1, limits::GENERATIONS)?;
        for m in &self.records.modules {
            let (Some(number), spot) = (m.parent, Spot::record("module", m.number, m.chunk.offset)) else { continue };
            let Some(own) = parent.records.modules.get(number as usize) else {
                return spot.fail(Code::ParentMismatch);
            };
            let (mine, theirs) = (&m.kind, &own.kind);
            let same = mine.out_size == theirs.out_size
                && mine.in_size == theirs.in_size
                && mine.kernel == theirs.kernel
                && mine.experts == theirs.experts;
            spot.must(same && own.rank <= m.rank, Code::ParentMismatch)?;
        }
        self.parent = Some(parent);
        Ok(())
    }

    /// Parents, one behind the other.
    fn generations(&self) -> u64 {
        self.parent.as_ref().map_or(0, |parent| parent.generations() + 1)
    }

    /// Whether the weights of a module can be had: its parent, and those behind it, are there.
    pub fn decodable(&self, m: &Module) -> bool {
        match (m.parent, &self.parent) {
            (None, _) => true,
            (Some(number), Some(parent)) => parent.decodable(&parent.records.modules[number as usize]),
            _ => false,
        }
    }

    /// Clause 8.9.3: both factors as bits of f32, [experts][rank][n]. They are finite.
    pub(crate) fn sums(&self, m: &Module, payload: &[u8]) -> Result<[Vec<u32>; 2]> {
        let rows = usize::from(m.kind.experts) * m.rank as usize;
        let mut factors = m.kind.vector_lengths().map(|n| vec![0; rows * n as usize]);
        self.add(m, payload, m.rank as usize, &mut factors)?;
        Ok(factors)
    }

    /// Adds a module, whose rank is not above `rank`, to its parent's, the oldest one first.
    fn add(&self, m: &Module, payload: &[u8], rank: usize, factors: &mut [Vec<u32>; 2]) -> Result<()> {
        let spot = Spot::record("module", m.number, m.chunk.offset);
        if let Some(number) = m.parent {
            let Some(parent) = &self.parent else { return spot.fail(Code::ParentMissing) };
            let own = &parent.records.modules[number as usize];
            parent.add(own, &parent.module_payload(own)?, rank, factors)?;
        }
        let (mut seen, mut finite) = ([0; 2], true);
        payload::vectors(&self.records.encodings, self.start(), m, payload, |factor, weights| {
            let (expert, component) = (seen[factor] / m.rank as usize, seen[factor] % m.rank as usize);
            seen[factor] += 1;
            let sums = &mut factors[factor][(expert * rank + component) * weights.len()..][..weights.len()];
            for (sum, &weight) in sums.iter_mut().zip(weights) {
                let added = f32::from_bits(weight) + f32::from_bits(*sum);
                *sum = if m.parent.is_none() { weight } else { added.to_bits() };
                finite &= f32::from_bits(*sum).is_finite();
            }
        });
        spot.must(finite, Code::NonfiniteValue)
    }
}
