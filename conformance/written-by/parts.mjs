// The prologue and the records of a file, read as spec clauses 5 and 6 say, without the library.

const SLOTS = [
  "encodings",
  "bands",
  "plans",
  "types",
  "modules",
  "tensors",
  "dimensions",
  "sections",
  "names",
];
const MORE = ["start", "positions", "parent", "parentModules"];
const SIZES = {
  encodings: 8,
  bands: 4,
  plans: 2,
  types: 28,
  modules: 12,
  tensors: 12,
  sections: 16,
  names: 1,
};

/** { minor, required, alignment, and the vectors of the index: encodings, types, tensors and sections as records, others as numbers or bytes }. */
export function partsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const u16 = (at) => view.getUint16(at, true);
  const u32 = (at) => view.getUint32(at, true);
  const table = 64 + u32(64);
  const vtable = table - view.getInt32(table, true);
  const places = {};
  [...SLOTS, ...MORE].forEach((name, slot) => {
    const entry = 4 + 2 * slot < u16(vtable) ? u16(vtable + 4 + 2 * slot) : 0;
    if (entry === 0) return;
    const field = table + entry;
    const at = field + u32(field);
    places[name] = Array.from({ length: u32(at) }, (_, i) => at + 4 + i * (SIZES[name] ?? 4));
  });
  const numbers = (name) => places[name]?.map(u32);
  const bytesAt = (at, fields) => Object.fromEntries(fields.map((field, i) => [field, bytes[at + i]]));
  const names = String.fromCharCode(...bytes.subarray(places.names[0] ?? 0, (places.names.at(-1) ?? -1) + 1));
  return {
    minor: u16(10),
    required: u32(12),
    others: u32(16) + u32(20),
    alignment: bytes[48],
    encodings: places.encodings.map((at) =>
      bytesAt(at, ["codec", "element", "scale", "bits", "mixture", "group", "table", "rotation"]),
    ),
    types: places.types.map((at) => ({
      experts: u16(at + 22),
      ...bytesAt(at + 24, ["role", "layout", "rule"]),
    })),
    tensors: places.tensors.map((at) => bytesAt(at + 7, ["compression", "element", "role", "axis"])),
    sections: places.sections.map((at) => ({
      tag: String.fromCharCode(...bytes.subarray(at, at + 4)),
      ...bytesAt(at + 12, ["compression", "flags"]),
    })),
    start: numbers("start"),
    positions: numbers("positions"),
    parentModules: numbers("parentModules"),
    names,
  };
}
