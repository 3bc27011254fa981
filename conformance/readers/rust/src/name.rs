//! Names: front coding (6.10), encoding and natural order (3.3).

use crate::error::{limits, Code, Result, Spot};
use std::cmp::Ordering;

/// Expands the names of modules, then of tensors.
pub(crate) struct Names<'a> {
    heap: &'a [u8],
    pub at: usize,
    total: u64,
    last: Vec<u8>,
    /// The first name whose shared prefix is not the longest possible (12.3).
    pub noncanonical: Option<Spot>,
}

impl<'a> Names<'a> {
    pub fn new(heap: &'a [u8]) -> Self {
        Names { heap, at: 0, total: 0, last: Vec::new(), noncanonical: None }
    }

    /// The first tensor shares nothing with the last module.
    pub fn restart(&mut self) {
        self.last.clear();
    }

    /// Heap, total, length, encoding, in this order (15.2).
    pub fn next(&mut self, shared: usize, suffix: usize, spot: Spot) -> Result<String> {
        spot.must(shared <= self.last.len() && suffix <= self.heap.len() - self.at, Code::NameHeap)?;
        let mut name = self.last[..shared].to_vec();
        name.extend(&self.heap[self.at..self.at + suffix]);
        self.at += suffix;
        self.total += name.len() as u64;
        spot.limit(self.total, limits::NAMES)?;
        spot.must((1..=512).contains(&name.len()), Code::NameEncoding)?;
        let same = name.iter().zip(&self.last).take_while(|(a, b)| a == b).count().min(255);
        if same != shared && self.noncanonical.is_none() {
            self.noncanonical = Some(spot);
        }
        self.last.clone_from(&name);
        match String::from_utf8(name) {
            Ok(text) if !text.chars().any(char::is_control) => Ok(text), // exactly U+0000 to 1F, 7F to 9F
            _ => spot.fail(Code::NameEncoding),
        }
    }
}

/// The length of the run of digits that begins here, and the run without leading zeros.
fn digits(name: &[u8]) -> (usize, &[u8]) {
    let run = name.iter().take_while(|b| b.is_ascii_digit()).count();
    let zeros = name[..run].iter().take_while(|&&b| b == b'0').count();
    (run, &name[zeros..run])
}

/// Natural order (3.3).
pub fn natural_order(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left.as_bytes(), right.as_bytes());
    while let (Some(&x), Some(&y)) = (a.first(), b.first()) {
        let (order, i, j) = if x.is_ascii_digit() && y.is_ascii_digit() {
            let ((i, m), (j, n)) = (digits(a), digits(b));
            (m.len().cmp(&n.len()).then_with(|| m.cmp(n)), i, j)
        } else {
            (x.cmp(&y), 1, 1)
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (&a[i..], &b[j..]);
    }
    a.len().cmp(&b.len()).then_with(|| left.as_bytes().cmp(right.as_bytes()))
}
