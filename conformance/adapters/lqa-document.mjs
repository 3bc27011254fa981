// What the library of this repository makes of a file, as a document of PROTOCOL.md. Runs in every JavaScript runtime,
// browsers included; lqa.mjs speaks the protocols with it.
import { readIndex } from "../../dist/container/index-read.js";
import { sha256, toHex } from "../../dist/container/sha256.js";
import { openLqa, VERSION, validateLqa } from "../../dist/index.js";

export const LEVELS = ["structure", "integrity", "values", "canonical"];
export const about = { name: "lqa", version: VERSION };

/** Exit code and document of a file. */
export async function answer(bytes, { level = "values", budget = 2 ** 29 } = {}) {
  const { valid, error, ids } = await validateLqa(bytes, { level, budgetBytes: budget });
  if (!valid) {
    const { code, kind: name, class: letter, exitCode, offset, where, message } = error;
    return {
      exit: exitCode,
      document: { valid: false, error: { code, name, class: letter, offset, where, message } },
    };
  }
  return { exit: 0, document: await documentOf(bytes, ids, LEVELS.indexOf(level), budget) };
}

async function documentOf(bytes, ids, depth, budget) {
  const file = await openLqa(bytes);
  const { vectors } = readIndex(bytes.subarray(64, 64 + file.prologue.indexLength));
  const omissions = [];
  let band = 0;
  const plans = vectors.plans.map((count) => vectors.bands.slice(band, (band += count)));
  const modules = file.modules.map((m, i) => {
    const record = vectors.modules[i];
    const { outSize, inSize, baseLayout, ...type } = vectors.types[record.moduleType];
    const document = {
      name: m.name,
      out: outSize,
      inp: inSize,
      base_layout: baseLayout,
      ...type,
      rank: m.rank,
      bands: plans[record.plan],
    };
    if (depth < 2) return document;
    const size = 4 * m.experts * m.rank * (m.out + m.kernel.reduce((product, k) => product * k, m.in));
    if (size <= budget) return { ...document, sha256: hashes(file, m.name) };
    omissions.push({
      where: `module ${m.name}`,
      code: "LQA-L003",
      message: "decoded weights above the budget",
    });
    return document;
  });
  const tensors = file.tensors.map((t, i) => {
    const { chunkLength, nameSuffix, nameShared, ...record } = vectors.tensors[i];
    return {
      name: t.name,
      chunk_length: chunkLength,
      name_suffix: nameSuffix,
      name_shared: nameShared,
      ...record,
      shape: t.shape,
      sha256: depth === 0 ? null : toHex(sha256(file.tensor(t).data)),
    };
  });
  const has = (type) => depth > 0 && file.sections.some((section) => section.type === type);
  return {
    valid: true,
    fileId: ids?.fileId ?? null,
    contentId: ids?.contentId ?? null,
    fileLength: file.prologue.fileLength,
    alignment: file.prologue.alignment,
    shapeFingerprint: file.shapeFingerprint,
    encodings: vectors.encodings.map(({ zeroPoint, groupExponent, ...e }) => ({
      ...e,
      zero_point: zeroPoint,
      group_exponent: groupExponent,
    })),
    modules,
    tensors,
    sections: vectors.sections.map(({ tag, chunkLength, rawLength, ...s }) => ({
      tag: String.fromCharCode(...[0, 8, 16, 24].map((shift) => (tag >>> shift) & 0xff)),
      chunk_length: chunkLength,
      raw_length: rawLength,
      ...s,
    })),
    meta: has("META") ? plain(file.meta) : null,
    origin: has("ORIG") ? plain(await file.origin()) : null,
    omissions,
  };
}

/** SHA-256 of both factors, as f32 and f16. */
function hashes(file, name) {
  const of = (type) => {
    const decoded = file.decodeModule(name, {
      layout: "component",
      type,
      budgetBytes: Number.MAX_SAFE_INTEGER,
    });
    const hash = ({ buffer, byteOffset, byteLength }) =>
      toHex(sha256(new Uint8Array(buffer, byteOffset, byteLength)));
    return { b: hash(decoded.b), a: hash(decoded.a) };
  };
  return { f32: of("f32"), f16: of("f16") };
}

/** MessagePack as JSON: byte strings become { bin }. */
function plain(value) {
  if (value instanceof Uint8Array) return { bin: toHex(value) };
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
}
