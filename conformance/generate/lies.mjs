// Small lies for invalid files; each is a hook of file.mjs.
import { concat, patched, u16, u32 } from "./bytes.mjs";
import { SLOTS } from "./file.mjs";

/** Several lies about one file, in this order. */
export const both = (...lies) => {
  const all = {};
  for (const lie of lies)
    for (const [step, change] of Object.entries(lie)) {
      const first = all[step];
      if (first === undefined) all[step] = change;
      else if (step === "index" || step === "bytes")
        all[step] = (bytes, at) => change(first(bytes, at) ?? bytes, at);
      else
        all[step] = (...parts) => {
          first(...parts);
          change(...parts);
        };
    }
  return all;
};

/** Fields of one record of the index: set("types", 0, { role: 9 }). */
export const set = (vector, i, fields) => ({
  records: (v) => {
    if (typeof v[vector][i] === "number") v[vector][i] = fields;
    else Object.assign(v[vector][i], fields);
  },
});
/** The records as a whole. */
export const records = (change) => ({ records: change });
/** Fields of the prologue, before its CRC-32. */
export const prologue = (fields) => ({
  prologue: (p) => {
    Object.assign(p, typeof fields === "function" ? fields(p) : fields);
  },
});
/** Fields of the trailer, before its CRC-32. */
export const trailer = (fields) => ({
  trailer: (t) => {
    Object.assign(t, typeof fields === "function" ? fields(t) : fields);
  },
});
/** Bytes of the file, nothing repaired: at(where) is a position, values the bytes there. */
export const damage = (where, change = (byte) => byte ^ 1) => ({
  bytes: (file, at) => {
    const position = typeof where === "function" ? where(at, file) : where;
    return patched(file, position, change(file[position]));
  },
});
/** The file as a whole. */
export const whole = (change) => ({ bytes: change });
/** Bytes of the payload of a chunk; CRC-32, digests and ids are of the changed one. */
export const payload = (i, change) => ({
  stored: (chunks) => {
    const { raw } = chunks[i];
    const changed = change(Uint8Array.from(raw));
    if (chunks[i].stored === raw) chunks[i].stored = changed;
    chunks[i].raw = changed;
  },
});
/** The stored payload of a chunk, whose raw one stays what it is. */
export const stored = (i, change) => ({
  stored: (chunks) => {
    chunks[i].stored = change(chunks[i].stored, chunks[i].raw);
  },
});
/** A byte of the padding behind chunk i. */
export const gapBehind = (i, position = 0) => ({
  chunks: (chunks) => {
    chunks[i].gap[position] = 1;
  },
});
/** The index as bytes, with its view. */
export const index = (change) => ({
  index: (bytes) => {
    const copy = Uint8Array.from(bytes);
    return change(copy, new DataView(copy.buffer)) ?? copy;
  },
});

/**
 * A FlatBuffer of the same vectors in another layout, as other writers make it. Options: `order` of the vectors, `vtable`
 * before ("front") or behind the table ("back"), `extra` unknown fields, `gap` bytes between vectors, `tableSize`.
 */
export function otherIndex(
  vectors,
  { order = SLOTS.map((_, i) => i), vtable = "front", extra = 0, gap = 0, shareEmpty = false } = {},
) {
  const fields = 9 + extra;
  const vtableSize = 4 + 2 * fields;
  const tableSize = 4 + 4 * fields;
  const front = vtable === "front";
  const tableAt = front ? 8 + vtableSize + ((4 - (vtableSize % 4)) % 4) : 8;
  const vtableAt = front ? tableAt - vtableSize : 8 + tableSize;
  let end = front ? tableAt + tableSize : vtableAt + vtableSize;
  end += (4 - (end % 4)) % 4;
  const places = [];
  const parts = [];
  let empty;
  for (const slot of order) {
    const [name, , write] = SLOTS[slot];
    if (shareEmpty && vectors[name].length === 0 && empty !== undefined) {
      places[slot] = empty;
      continue;
    }
    const body = concat(u32(vectors[name].length), ...vectors[name].map(write));
    const pad = ((4 - (body.length % 4)) % 4) + gap;
    places[slot] = end;
    if (vectors[name].length === 0) empty = end;
    parts.push(body, new Uint8Array(pad).fill(gap > 0 ? 0xee : 0));
    end += body.length + pad;
  }
  const table = new Uint8Array(
    front ? tableAt + tableSize : 8 + tableSize + vtableSize + ((4 - ((8 + tableSize + vtableSize) % 4)) % 4),
  );
  const view = new DataView(table.buffer);
  view.setUint32(0, tableAt, true);
  table.set([0x4c, 0x51, 0x49, 0x31], 4);
  table.set(u16(vtableSize, tableSize), vtableAt);
  view.setInt32(tableAt, tableAt - vtableAt, true);
  for (let i = 0; i < fields; i++) {
    view.setUint16(vtableAt + 4 + 2 * i, 4 + 4 * i, true);
    view.setUint32(tableAt + 4 + 4 * i, i < 9 ? places[i] - (tableAt + 4 + 4 * i) : 0x01020304, true);
  }
  return concat(table, ...parts);
}

/** A FlatBuffer of the same vectors whose parts are at the given places: `field` is the first field's place in the table. */
export function placedIndex(vectors, { vtable = 10, table = 32, field = 4, gap = 0 } = {}) {
  const tableSize = field + 36;
  const bodies = SLOTS.map(([name, , write]) =>
    concat(u32(vectors[name].length), ...vectors[name].map(write)),
  );
  let end = table + tableSize;
  end += ((4 - (end % 4)) % 4) + gap;
  const places = bodies.map(({ length }) => {
    const place = end;
    end += length + ((4 - (length % 4)) % 4);
    return place;
  });
  const bytes = new Uint8Array(end);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, table, true);
  bytes.set([0x4c, 0x51, 0x49, 0x31], 4);
  bytes.set(u16(22, tableSize, ...places.map((_, i) => field + 4 * i)), vtable);
  view.setInt32(table, table - vtable, true);
  places.forEach((place, i) => {
    const at = table + field + 4 * i;
    view.setUint32(at, place - at, true);
    bytes.set(bodies[i], place);
  });
  return bytes;
}
