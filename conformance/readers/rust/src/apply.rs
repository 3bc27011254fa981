//! What a file does to a base model (clause 9.6): binary64, each operation rounded by itself, which Rust never fuses.

use crate::bytes::{u32_at, u64_at};
use crate::error::{Code, Result, Spot};
use crate::file::File;
use crate::payload::widen;
use crate::records::*;
use std::collections::{HashMap, HashSet};

/// A tensor of a base model.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct BaseTensor {
    pub name: String,
    pub shape: Vec<u32>,
    pub values: Vec<f32>,
}

/// The elements of a tensor of a float type.
fn floats(payload: &[u8], element: u8) -> Vec<f64> {
    let value = |p: &[u8]| match element {
        F64 => f64::from_bits(u64_at(p, 0)),
        _ => f32::from_bits(widen(p, element)).into(),
    };
    payload.chunks_exact(element_size(element) as usize).map(value).collect()
}

/// Finds base tensors by name.
struct Names(HashMap<String, usize>);

impl Names {
    fn exactly(&self, name: &str, spot: Spot) -> Result<usize> {
        self.0.get(name).copied().map_or_else(|| spot.fail(Code::BaseModuleMissing), Ok)
    }

    fn weight(&self, name: &str, spot: Spot) -> Result<usize> {
        self.0.get(&format!("{name}.weight")).copied().map_or_else(|| self.exactly(name, spot), Ok)
    }
}

/// Applies a file, which `verify` has accepted, to the tensors of a base model.
///
/// # Errors
///
/// `BASE_MODULE_MISSING`, `BASE_SHAPE`; some tensors are changed then.
pub fn apply(file: &File, base: &mut [BaseTensor]) -> Result<()> {
    let names = Names(base.iter().enumerate().map(|(i, t)| (t.name.clone(), i)).collect());
    let tensor = |t: &Tensor| Ok((file.tensor_payload(t)?, Spot::record("tensor", t.number, t.chunk.offset)));
    let find = |role: u8, name: &str| file.records.tensors.iter().find(|t| t.role == role && t.name == name);
    for t in file.records.tensors.iter().filter(|t| t.role <= BIAS) {
        let (payload, spot) = tensor(t)?;
        let target = &mut base[names.exactly(&t.name, spot)?];
        spot.must(target.shape == t.shape, Code::BaseShape)?;
        target.values = floats(&payload, t.element).into_iter().map(|x| x as f32).collect();
    }
    let mut adapted = HashSet::new();
    for m in &file.records.modules {
        let spot = Spot::record("module", m.number, m.chunk.offset);
        let at = names.weight(&m.name, spot)?;
        spot.must(adapted.insert(at), Code::BaseModuleMissing)?;
        let target = &mut base[at];
        let k = &m.kind;
        let experts: &[u32] = if k.experts > 1 { &[k.experts.into()] } else { &[] };
        let matrix = if k.base_layout == 0 { [k.out_size, k.in_size] } else { [k.in_size, k.out_size] };
        let kernel = k.kernel.iter().filter(|&&size| size > 0).map(|&size| size.into());
        let shape: Vec<u32> = experts.iter().copied().chain(matrix).chain(kernel).collect();
        spot.must(target.shape == shape, Code::BaseShape)?;
        let magnitude = match find(MAGNITUDE, &m.name) {
            Some(t) => Some((t.axis, floats(&tensor(t)?.0, t.element))),
            None => None,
        };
        update(file, m, &mut target.values, magnitude)?;
        if let Some(t) = find(LORA_BIAS, &m.name) {
            let target = &mut base[names.exactly(&format!("{}.bias", m.name), spot)?];
            spot.must(target.shape.iter().eq(experts.iter().chain([&k.out_size])), Code::BaseShape)?;
            for (b, x) in target.values.iter_mut().zip(floats(&tensor(t)?.0, t.element)) {
                *b = (f64::from(*b) + f64::from(k.multiplier) * x) as f32;
            }
        }
    }
    for t in file.records.tensors.iter().filter(|t| t.role == TOKEN_ROWS) {
        let (payload, spot) = tensor(t)?;
        let target = &mut base[names.weight(&t.name, spot)?];
        let width = t.shape[1];
        spot.must(target.shape.len() == 2 && target.shape[1] == width, Code::BaseShape)?;
        let Some(indices) = find(TOKEN_INDICES, &t.name) else { continue };
        let (rows, width) = (floats(&payload, t.element), width as usize);
        for (i, index) in tensor(indices)?.0.chunks_exact(4).map(|p| u32_at(p, 0)).enumerate() {
            spot.must(index < target.shape[0], Code::BaseShape)?;
            for k in 0..width {
                target.values[index as usize * width + k] = rows[i * width + k] as f32;
            }
        }
    }
    Ok(())
}

/// Steps 2 and 3. `magnitude` is axis and numbers.
fn update(file: &File, m: &Module, weight: &mut [f32], magnitude: Option<(u8, Vec<f64>)>) -> Result<()> {
    let k = &m.kind;
    let [out, n] = k.vector_lengths().map(|length| length as usize);
    let (rank, inputs) = (m.rank as usize, k.in_size as usize);
    let mut factors = [Vec::new(), Vec::new()]; // [experts][rank][n]
    let payload = file.module_payload(m)?;
    file.vectors(m, &payload, |factor, weights| {
        factors[factor].extend(weights.iter().map(|&bits| f64::from(f32::from_bits(bits))));
    })?;
    for (e, weight) in weight.chunks_exact_mut(out * n).enumerate() {
        let b = &factors[0][e * rank * out..];
        let a = &factors[1][e * rank * n..];
        let place = |o: usize, i: usize| if k.base_layout == 0 { o * n + i } else { i * out + o };
        let mut v = vec![0.0; out * n];
        for o in 0..out {
            for i in 0..n {
                let mut sum = 0.0;
                for c in 0..rank {
                    sum += b[c * out + o] * a[c * n + i];
                }
                v[o * n + i] = f64::from(weight[place(o, i)]) + f64::from(k.multiplier) * sum;
            }
        }
        if let Some((axis, numbers)) = &magnitude {
            let of_out = *axis == k.base_layout;
            let size = if of_out { out } else { inputs };
            let index = |at: usize| if of_out { at / n } else { at % n / (n / inputs) };
            let mut squares = vec![0.0; size];
            for (at, x) in v.iter().enumerate() {
                squares[index(at)] += x * x;
            }
            for (at, x) in v.iter_mut().enumerate() {
                *x *= numbers[e * size + index(at)] / f64::sqrt(squares[index(at)]);
            }
        }
        for o in 0..out {
            for i in 0..n {
                weight[place(o, i)] = v[o * n + i] as f32;
            }
        }
    }
    Ok(())
}
