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

    /// Clause 8.9.3: both factors as bits of f32, [experts][rank][n].
    pub(crate) fn sums(&self, m: &Module, payload: &[u8]) -> Result<[Vec<u32>; 2]> {
        let mut factors = [Vec::new(), Vec::new()];
        payload::vectors(&self.records.encodings, self.start(), m, payload, |factor, weights| {
            factors[factor].extend(weights);
        });
        let Some(number) = m.parent else { return Ok(factors) };
        let Some(parent) = &self.parent else {
            return Spot::record("module", m.number, m.chunk.offset).fail(Code::ParentMissing);
        };
        let own = &parent.records.modules[number as usize];
        let others = parent.sums(own, &parent.module_payload(own)?)?;
        for ((rests, other), n) in factors.iter_mut().zip(&others).zip(m.kind.vector_lengths()) {
            let (size, theirs) = (m.rank as usize * n as usize, own.rank as usize * n as usize);
            for (rest, other) in rests.chunks_exact_mut(size).zip(other.chunks_exact(theirs)) {
                let other = other.iter().copied().chain(std::iter::repeat(0));
                for (x, y) in rest.iter_mut().zip(other) {
                    *x = (f32::from_bits(*x) + f32::from_bits(y)).to_bits();
                }
            }
        }
        Ok(factors)
    }
}
