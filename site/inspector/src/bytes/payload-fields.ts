/**
 * The fields of a stored payload: of a module the planes, component by component (spec clause 7.2), with the first numbers of
 * each; of everything else one field.
 *
 * @module
 */

import { CRC_BYTES } from "../../../../src/common/bytes.ts";
import { FLOAT_BYTES, type FloatType, type Lowered } from "../../../../src/core/codecs/encoding.ts";
import { encodingOf } from "../../../../src/core/codecs/packed.ts";
import { codecOf, encodingLabel, lower } from "../../../../src/core/codecs/registry.ts";
import { type PlaneExtent, planeExtents } from "../../../../src/core/container/layout.ts";
import type { ChunkRecord, ModuleRecord, TensorRecord } from "../../../../src/core/container/types.ts";
import { readElement, unpackCodes } from "../../../../src/floats.ts";
import { type ByteField, field, gap, type Stretch } from "./field.ts";

/** Maximum number of values shown for a field. */
const SHOWN = 6;
/** The fields of the payload of a chunk, as it is stored. */
export function* payloadFields(
  kind: "module" | "tensor" | "section",
  record: ChunkRecord,
  stretch: Stretch,
): Generator<ByteField> {
  const { chunk, compression, payload } = record;
  const stored = { offset: chunk.offset, length: chunk.length - CRC_BYTES };
  if (compression !== "none")
    yield {
      ...stored,
      name: `payload, compressed (${compression})`,
      value: `${payload} bytes when inflated`,
      clause: "7.5",
    };
  else if (kind === "module") yield* planeFields(record as ModuleRecord, stretch);
  else if (kind === "tensor") {
    const { element, shape } = record as TensorRecord;
    yield { ...stored, name: "elements", value: `${element} [${shape.join(", ")}]`, clause: "7.4" };
  } else yield { ...stored, name: "payload", value: "a map in MessagePack", clause: "10.2" };
}

function* planeFields(record: ModuleRecord, stretch: Stretch): Generator<ByteField> {
  const base = record.chunk.offset;
  const end = stretch.offset + stretch.bytes.length;
  // Components are numbered through the bands of a plan.
  let before = 0;
  const numbers = record.bands.map(({ components }) => (before += components) - components);
  let at = 0;
  for (const extent of planeExtents(record, record.bands)) {
    if (base + extent.offset >= end) return;
    yield* gap(base + at, base + extent.offset, "padding between planes", "7.3", stretch);
    at = extent.offset + extent.length;
    if (base + at > stretch.offset) yield* componentFields(record, extent, numbers[extent.band]!, stretch);
  }
}

function* componentFields(
  { bands, experts, chunk }: ModuleRecord,
  { expert, band, factor, plane, offset, length }: PlaneExtent,
  firstNumber: number,
  stretch: Stretch,
): Generator<ByteField> {
  const encoding = encodingOf(bands[band]!, factor);
  const lowered = lower(encoding);
  const { components } = bands[band]!;
  const size = length / components;
  const first = chunk.offset + offset;
  const end = stretch.offset + stretch.bytes.length;
  const word =
    plane === "codes"
      ? lowered.kind === "floats"
        ? "weights"
        : "codes"
      : plane === "scales"
        ? "scales"
        : "zero points";
  const clause = plane === "scales" ? "8.1" : plane === "zeroPoints" ? "8.4" : codecOf(encoding).clause;
  const of = experts > 1 ? `, expert ${expert}` : "";
  for (let c = Math.max(0, Math.floor((stretch.offset - first) / size)); c < components; c++) {
    const at = first + c * size;
    if (at >= end) return;
    const name = `${word} of ${factor.toUpperCase()}′, component ${firstNumber + c}${of} (${encodingLabel(encoding)})`;
    yield {
      ...field(at, size, name, clause, stretch, () => ""),
      value: numbersText(lowered, plane, at, size, stretch),
    };
  }
}

/** The first numbers of a component in a plane; undefined where its beginning is not there. */
function numbersText(
  { kind, element, scale, bits, zeroBits }: Lowered,
  plane: PlaneExtent["plane"],
  at: number,
  size: number,
  { offset, bytes }: Stretch,
): string | undefined {
  if (at < offset) return undefined;
  const own = bytes.subarray(at - offset, at - offset + size);
  const floats = (type: FloatType): string => {
    const all = size / FLOAT_BYTES[type];
    const count = Math.min(SHOWN, Math.floor(own.length / FLOAT_BYTES[type]));
    const shown = Array.from({ length: count }, (_, i) => Number(readElement(own, type, i).toPrecision(4)));
    return shown.join(", ") + (all > count ? ", …" : "");
  };
  const packed = (bits: number, what = ""): string => {
    const count = Math.min(SHOWN, Math.floor((8 * own.length) / bits));
    const codes = new Uint8Array(count);
    unpackCodes(own, 0, count, bits, codes, 0);
    return `${what}${[...codes].join(", ")}${size * 8 >= bits * (count + 1) ? ", …" : ""}`;
  };
  if (plane === "scales") return scale && floats(scale);
  if (plane === "zeroPoints") return packed(zeroBits);
  if (element !== undefined) return floats(element);
  return packed(bits, kind === "windows" ? `steps of ${bits} ${bits === 1 ? "bit" : "bits"}: ` : "");
}
