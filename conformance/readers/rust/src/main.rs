// SPDX-License-Identifier: CC0-1.0
//! The command line of the Rust reader, and an example of how to use it; speaks `conformance/PROTOCOL.md`.

use lqa_read::{apply, hex, narrow, BaseTensor, Code, Error, File, Ids, Level, Module, Spot, Tensor, BUDGET};
use serde_json::{json, Value};
use sha2::{Digest, Sha256};
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::rc::Rc;

const LEVELS: [(&str, Level); 4] = [
    ("structure", Level::Structure),
    ("integrity", Level::Integrity),
    ("values", Level::Values),
    ("canonical", Level::Canonical),
];
const USAGE: &str =
    "usage: lqa-read [--level structure|integrity|values|canonical] [--budget BYTES] [--parent FILE]... [FILE | -]
       lqa-read --lines";

fn find_level(name: &str) -> Option<Level> {
    LEVELS.into_iter().find(|(n, _)| *n == name).map(|(_, level)| level)
}

/// What `modules[].sha256` of the protocol says: the decoded weights as f32 and as f16, little-endian.
fn hashes(file: &File, m: &Module, payload: &[u8]) -> Result<Value, Error> {
    let mut hashes = [[Sha256::new(), Sha256::new()], [Sha256::new(), Sha256::new()]];
    let mut bytes = Vec::new();
    let mut unfit = [false; 2]; // weights of sums that f16 cannot hold (8.8.4, 8.9.3)
    file.vectors(m, payload, |factor, weights| {
        bytes.clear();
        bytes.extend(weights.iter().flat_map(|w| w.to_le_bytes()));
        hashes[0][factor].update(&bytes);
        bytes.clear();
        bytes.extend(weights.iter().flat_map(|&w| narrow(f32::from_bits(w)).to_le_bytes()));
        let summed = m.parent.is_some() || m.position.is_some() && factor == 1;
        unfit[factor] |= summed && bytes.chunks_exact(2).any(|half| half[1] & 0x7C == 0x7C);
        hashes[1][factor].update(&bytes);
    })?;
    let [wide, half] = hashes.map(|pair| pair.map(|hash| hex(&hash.finalize())));
    let [b, a] = [0, 1].map(|factor| (!unfit[factor]).then_some(&half[factor]));
    Ok(json!({ "f32": { "b": wide[0], "a": wide[1] }, "f16": { "b": b, "a": a } }))
}

fn module(file: &File, m: &Module, level: Level, budget: u64) -> Result<Value, Error> {
    let sha256 = if level >= Level::Values && m.decoded_bytes() <= budget && file.decodable(m) {
        hashes(file, m, &file.module_payload(m)?)?
    } else {
        Value::Null
    };
    let bands = m.bands.iter().map(|x| json!({ "components": x.components, "b": x.b, "a": x.a }));
    let t = &m.kind;
    let mut told = json!({
        "name": m.name, "out": t.out_size, "inp": t.in_size, "multiplier": f64::from(t.multiplier),
        "alpha": f64::from(t.alpha), "kernel0": t.kernel[0], "kernel1": t.kernel[1], "kernel2": t.kernel[2],
        "experts": t.experts, "role": t.role, "base_layout": t.base_layout, "rule": t.rule, "reserved": 0,
        "rank": m.rank, "bands": bands.collect::<Value>(), "sha256": sha256,
    });
    if !file.parent_id().is_empty() {
        told["parent_module"] = m.parent.map_or(0, |number| number + 1).into();
    }
    Ok(told)
}

fn tensor(file: &File, t: &Tensor, level: Level) -> Result<Value, Error> {
    let checked = level >= Level::Values;
    let sha256 = if checked { hex(&Sha256::digest(&file.tensor_payload(t)?)).into() } else { Value::Null };
    Ok(json!({
        "name": t.name, "chunk_length": t.chunk.length, "name_suffix": t.name_suffix, "name_shared": t.name_shared,
        "compression": t.chunk.compression, "element": t.element, "role": t.role, "axis": t.axis,
        "dimensions": t.shape.len(), "shape": t.shape, "sha256": sha256,
    }))
}

fn valid(file: &File, ids: Option<Ids>, level: Level, budget: u64) -> Result<Value, Error> {
    let r = &file.records;
    let encodings = r.encodings.iter().map(|e| {
        json!({
            "codec": e.codec, "element": e.element, "scale": e.scale, "bits": e.bits, "mixture": e.mixture,
            "group_exponent": e.group_exponent, "table": e.table, "rotation": e.rotation,
        })
    });
    let sections = r.sections.iter().map(|s| {
        json!({
            "tag": s.tag, "chunk_length": s.chunk.length, "raw_length": s.chunk.raw, "compression": s.chunk.compression,
            "flags": s.flags, "reserved": 0,
        })
    });
    let omissions = r.modules.iter().filter(|_| level >= Level::Values).filter_map(|m| {
        let (code, message) = if m.decoded_bytes() > budget {
            (Code::Budget, "too large to decode within the budget")
        } else if file.decodable(m) {
            return None;
        } else {
            (Code::ParentMissing, "the parent was not given")
        };
        Some(json!({ "where": format!("module {:?}", m.name), "code": code.text(), "message": message }))
    });
    let document = |tag| if ids.is_some() { file.document(tag) } else { Ok(None) };
    let mut told = json!({
        "valid": true, "fileId": ids.map(|i| hex(&i.file_id)), "contentId": ids.map(|i| hex(&i.content_id)),
        "fileLength": file.length(), "alignment": file.alignment(), "shapeFingerprint": hex(&file.shape_fingerprint()),
        "encodings": encodings.collect::<Value>(),
        "modules": r.modules.iter().map(|m| module(file, m, level, budget)).collect::<Result<Value, _>>()?,
        "tensors": r.tensors.iter().map(|t| tensor(file, t, level)).collect::<Result<Value, _>>()?,
        "sections": sections.collect::<Value>(), "meta": document("META")?, "origin": document("ORIG")?,
        "omissions": omissions.collect::<Value>(),
    });
    if !file.parent_id().is_empty() {
        told["parent"] = hex(file.parent_id()).into();
    }
    Ok(told)
}

fn error(code: Code) -> Value {
    json!({ "code": code.text(), "name": code.name(), "class": code.class() })
}

/// The tensors of a file of base tensors; none if it is not one.
fn read_base(data: &[u8]) -> Option<Vec<BaseTensor>> {
    let (mut rest, mut base) = (data, Vec::new());
    let mut take = |size: usize| {
        let (taken, left) = rest.split_at_checked(size)?;
        rest = left;
        Some((taken, left.is_empty()))
    };
    let number = |p: &[u8]| p.iter().rev().fold(0, |n, &byte| n << 8 | u32::from(byte));
    loop {
        let length = number(take(2)?.0) as usize;
        let name = String::from_utf8(take(length)?.0.to_vec()).ok()?;
        let dimensions = usize::from(take(1)?.0[0]);
        let shape: Vec<u32> = take(4 * dimensions)?.0.chunks_exact(4).map(number).collect();
        let (values, end) = take(shape.iter().try_fold(4_usize, |n, &size| n.checked_mul(size as usize))?)?;
        let values = values.chunks_exact(4).map(|p| f32::from_bits(number(p))).collect();
        base.push(BaseTensor { name, shape, values });
        if end {
            return Some(base);
        }
    }
}

/// The document of the operation `apply`.
fn results(file: &File, mut base: Vec<BaseTensor>) -> Result<Value, Error> {
    apply(file, &mut base)?;
    let hash = |t: &BaseTensor| Sha256::digest(t.values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    let results = base.iter().map(|t| json!({ "name": t.name, "sha256": hex(&hash(t)) }));
    Ok(json!({ "valid": true, "results": results.collect::<Value>() }))
}

/// A file that may be a parent, if it is valid.
fn read_parent(data: &[u8], budget: u64) -> Result<Option<(File<'_>, Ids)>, Error> {
    let read = || -> Result<_, Error> {
        let file = File::open(data, budget)?;
        let ids = file.verify(Level::Values)?;
        Ok(ids.map(|ids| (file, ids)))
    };
    match read() {
        Err(failure) if failure.code.class() == "L" => Err(failure),
        read => Ok(read.unwrap_or(None)),
    }
}

/// Gives a file its parent, and that one its own, as far as they are there. Whether the file has one now, if it needs one.
fn find_parents<'a>(file: &mut File<'a>, given: &mut Vec<(File<'a>, Ids)>) -> Result<bool, Error> {
    let Some(at) = given.iter().position(|(_, ids)| file.parent_id() == ids.content_id) else {
        return Ok(file.parent_id().is_empty());
    };
    let (mut parent, ids) = given.swap_remove(at);
    find_parents(&mut parent, given)?;
    file.set_parent(Rc::new(parent), &ids)?;
    Ok(true)
}

/// Document and exit code of one file, or of one applied to base tensors.
fn answer(
    data: io::Result<Vec<u8>>,
    parents: &[String],
    level: Level,
    budget: u64,
    base: Option<Vec<BaseTensor>>,
) -> (Value, u8) {
    let parents: io::Result<Vec<Vec<u8>>> = parents.iter().map(std::fs::read).collect();
    let (data, parents) = match data.and_then(|data| Ok((data, parents?))) {
        Ok(both) => both,
        Err(failure) => {
            let code = if failure.kind() == io::ErrorKind::NotFound { Code::NotFound } else { Code::Io };
            let mut told = error(code);
            told["message"] = failure.to_string().into();
            return (json!({ "valid": false, "error": told }), code.exit());
        }
    };
    let read = || {
        let mut file = File::open(&data, budget)?;
        if !file.parent_id().is_empty() && !parents.is_empty() {
            let read: Result<Vec<_>, _> = parents.iter().map(|data| read_parent(data, budget)).collect();
            let mut given = read?.into_iter().flatten().collect();
            if !find_parents(&mut file, &mut given)? {
                return Err(Error {
                    code: Code::ParentMismatch,
                    spot: Spot { what: "index", number: None, offset: 0 },
                });
            }
        }
        let ids = file.verify(level)?;
        match base {
            Some(base) => results(&file, base),
            None => valid(&file, ids, level, budget),
        }
    };
    match read() {
        Ok(document) => (document, 0),
        Err(failure) => {
            let mut told = error(failure.code);
            told["offset"] = failure.spot.offset.into();
            told["where"] = match failure.spot.number {
                Some(number) => format!("{} {number}", failure.spot.what),
                None => failure.spot.what.to_owned(),
            }
            .into();
            told["message"] = failure.to_string().into();
            (json!({ "valid": false, "error": told }), failure.code.exit())
        }
    }
}

fn run(command: &Value) -> Value {
    let seq = &command["seq"];
    let base = match command["operation"].as_str() {
        None | Some("read") => None,
        Some("apply") => {
            let data = command["base"].as_str().and_then(|path| std::fs::read(path).ok());
            let Some(base) = data.and_then(|data| read_base(&data)) else {
                return json!({ "seq": seq, "errored": "no base tensors" });
            };
            Some(base)
        }
        Some(_) => return json!({ "seq": seq, "skipped": "reads whole files only" }),
    };
    let Some(level) = find_level(command["level"].as_str().unwrap_or("values")) else {
        return json!({ "seq": seq, "errored": "an unknown level" });
    };
    let data = match (command["path"].as_str(), command["hex"].as_str()) {
        (Some(path), _) => std::fs::read(path),
        (_, Some(text)) => {
            let digit = |b: u8| char::from(b).to_digit(16).unwrap_or(0) as u8;
            Ok(text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect())
        }
        _ => return json!({ "seq": seq, "errored": "neither path nor hex" }),
    };
    let parents = command["parents"].as_array().into_iter().flatten();
    let parents: Vec<String> = parents.filter_map(|path| path.as_str().map(String::from)).collect();
    let (document, exit) = answer(data, &parents, level, command["budget"].as_u64().unwrap_or(BUDGET), base);
    json!({ "seq": seq, "exit": exit, "document": document })
}

/// Protocol B.
fn lines() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let command: Value = serde_json::from_str(&line?)?;
        let told = match command["cmd"].as_str() {
            Some("start") => json!({ "protocol": 1, "name": "lqa-read", "version": "1.0", "language": "Rust" }),
            Some("caps") => {
                json!({ "levels": LEVELS.map(|(name, _)| name), "operations": ["read", "apply"], "without": {} })
            }
            Some("run") => run(&command),
            Some("stop") => break,
            _ => return Err(io::Error::other("an unknown command")),
        };
        writeln!(out, "{told}")?;
        out.flush()?;
    }
    Ok(())
}

/// Level, budget, parents, and the file; none is standard input.
fn parse(mut arguments: impl Iterator<Item = String>) -> Option<(Level, u64, Vec<String>, Option<String>)> {
    let (mut level, mut budget, mut parents, mut path) = (Level::Values, BUDGET, Vec::new(), None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--level" => level = find_level(&arguments.next()?)?,
            "--budget" => budget = arguments.next()?.parse().ok()?,
            "--parent" => parents.push(arguments.next()?),
            "-" => path = None,
            a if !a.starts_with('-') && path.is_none() => path = Some(argument),
            _ => return None,
        }
    }
    Some((level, budget, parents, path))
}

fn main() -> ExitCode {
    if std::env::args().skip(1).eq(["--lines"]) {
        return if lines().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    let Some((level, budget, parents, path)) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let data = path.map_or_else(
        || {
            let mut data = Vec::new();
            io::stdin().lock().read_to_end(&mut data).map(|_| data)
        },
        std::fs::read,
    );
    let (document, exit) = answer(data, &parents, level, budget, None);
    println!("{document}");
    ExitCode::from(exit)
}
