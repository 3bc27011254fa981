//! The canonical MessagePack of clause 10.2, as JSON; a byte string becomes `{"bin": "hex"}`.

use serde_json::{json, Map, Value};

/// One map and nothing behind it; else where the value begins that breaks a rule.
pub fn read(data: &[u8]) -> Result<Value, usize> {
    let mut reader = Reader { data, at: 0, start: 0 };
    let first = data.first().copied().unwrap_or(0);
    let good = matches!(first, 0x80..=0x8F | 0xDE | 0xDF);
    let document = good.then(|| reader.value(0)).flatten().ok_or(reader.start)?;
    if reader.at == data.len() {
        Ok(document)
    } else {
        Err(reader.at)
    }
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    start: usize, // of the last value begun
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.data.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(taken)
    }

    /// A big-endian number.
    fn number(&mut self, width: usize) -> Option<u64> {
        Some(self.take(width)?.iter().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    /// A number in the shortest form: not below what the next shorter one could say.
    fn shortest(&mut self, width: usize, least: u64) -> Option<u64> {
        self.number(width).filter(|&n| n >= least)
    }

    fn text(&mut self, length: u64) -> Option<String> {
        let bytes = self.take(usize::try_from(length).ok()?)?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    fn bin(&mut self, length: u64) -> Option<Value> {
        let bytes = self.take(usize::try_from(length).ok()?)?;
        Some(json!({ "bin": crate::hex(bytes) }))
    }

    /// `depth` containers are open; 16 may be.
    fn value(&mut self, depth: usize) -> Option<Value> {
        self.start = self.at;
        let head = self.take(1)?[0];
        let low = u64::from(head & 15);
        Some(match head {
            0..=0x7F => head.into(),
            0x80..=0x8F => self.map(low, depth)?,
            0x90..=0x9F => self.array(low, depth)?,
            0xA0..=0xBF => self.text(u64::from(head & 31))?.into(),
            0xC0 => Value::Null,
            0xC2 | 0xC3 => (head == 0xC3).into(),
            0xC4..=0xC6 => {
                let length = self.shortest(1 << (head - 0xC4), [0, 1 << 8, 1 << 16][usize::from(head - 0xC4)])?;
                self.bin(length)?
            }
            0xCB => {
                let real = f64::from_bits(self.number(8)?);
                let integer = real.trunc() == real && real.abs() < 9_007_199_254_740_992.0;
                if integer || !real.is_finite() {
                    return None;
                }
                real.into()
            }
            0xCC..=0xCF => {
                let i = usize::from(head - 0xCC);
                let number = self.shortest(1 << i, [1 << 7, 1 << 8, 1 << 16, 1 << 32][i])?;
                (number < 1 << 53).then_some(number)?.into()
            }
            0xD0..=0xD3 => {
                let i = usize::from(head - 0xD0);
                let width = 1 << i;
                let shift = 64 - 8 * width as u32;
                let number = (self.number(width)? << shift) as i64 >> shift;
                let shortest = number < [-(1 << 5), -(1 << 7), -(1 << 15), -(1 << 31)][i];
                (shortest && number > -(1 << 53)).then_some(number)?.into()
            }
            0xD9..=0xDB => {
                let length = self.shortest(1 << (head - 0xD9), [32, 1 << 8, 1 << 16][usize::from(head - 0xD9)])?;
                self.text(length)?.into()
            }
            0xDC | 0xDD => {
                let wide = head == 0xDD;
                let count = self.shortest(if wide { 4 } else { 2 }, if wide { 1 << 16 } else { 16 })?;
                self.array(count, depth)?
            }
            0xDE | 0xDF => {
                let wide = head == 0xDF;
                let count = self.shortest(if wide { 4 } else { 2 }, if wide { 1 << 16 } else { 16 })?;
                self.map(count, depth)?
            }
            0xE0..=0xFF => (head as i8).into(),
            _ => return None, // float 32, extension types, the unused byte C1
        })
    }

    fn array(&mut self, count: u64, depth: usize) -> Option<Value> {
        if depth >= 16 {
            return None;
        }
        (0..count).map(|_| self.value(depth + 1)).collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn map(&mut self, count: u64, depth: usize) -> Option<Value> {
        if depth >= 16 {
            return None;
        }
        let (mut map, mut last) = (Map::new(), String::new());
        for _ in 0..count {
            let Value::String(key) = self.value(16)? else {
                return None;
            };
            let printable = key.len() <= 255 && key.bytes().all(|b| (0x20..=0x7E).contains(&b));
            if !printable || key <= last || key == "__proto__" {
                return None;
            }
            let value = self.value(depth + 1)?;
            map.insert(key.clone(), value);
            last = key;
        }
        Some(Value::Object(map))
    }
}
