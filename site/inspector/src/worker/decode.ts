/**
 * One module decoded: what its weights are like, and the weights as files.
 *
 * @module
 */
import { writeSafetensors } from "../../../../src/adapters/safetensors.ts";
import { bandsText } from "../../../../src/core/codecs/bands-text.ts";
import { type DecodedModule, decodeModule, type LqaFile } from "../../../../src/core/index.ts";
import { count, size } from "../../../../src/report/format.ts";
import { factList, html, named, section, tableElement } from "../../../../src/report/page/html.ts";
import { effectiveRank, shapeText } from "../../../../src/report/page/module-tables.ts";
import { spectraSection } from "../../../../src/report/page/spectra.ts";
import { finite, spectrum } from "../../../../src/report/spectrum.ts";
import type { DecodeChoice, Download, Made } from "../protocol.ts";
import { npyFile } from "./npy.ts";

/** Decodes a module. @throws LqaError as `decode` of an open file */
export async function decodeOne(file: LqaFile, { module, type }: DecodeChoice): Promise<Made> {
  const record = file.module(module);
  const factors = await file.packed(record);
  const exact = decodeModule(record, factors);
  const shape = { ...record, b: exact.b.data, a: exact.a.data };
  const singularValues = finite(shape) ? spectrum(shape) : undefined;
  const { b, a } = type === "f32" ? exact : decodeModule(record, factors, { type });
  const bits = ({ data }: typeof b | typeof a): Float32Array | Uint16Array =>
    data instanceof Float32Array ? data : new Uint16Array(data.buffer, data.byteOffset, data.length);
  const stem = module.replace(/[^\w.-]+/g, "_").slice(0, 100);
  const bytes = (data: Float32Array | Uint16Array): Uint8Array =>
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const element = type === "f32" ? "F32" : "F16";
  const tensors = new Map(
    (["b", "a"] as const).map((factor) => [
      `${module}.lora_${factor.toUpperCase()}.weight`,
      { element, shape: { b, a }[factor].shape, data: bytes(bits({ b, a }[factor])) } as const,
    ]),
  );
  const downloads: Download[] = [
    asFile(`${stem}.B.npy`, npyFile(bits(b), b.shape, type)),
    asFile(`${stem}.A.npy`, npyFile(bits(a), a.shape, type)),
    asFile(`${stem}.safetensors`, writeSafetensors(tensors)),
  ];
  return { markup: markupOf(record, exact, singularValues).markup, downloads };
}

function asFile(name: string, bytes: Uint8Array): Download {
  return { name, blob: new Blob([bytes as Uint8Array<ArrayBuffer>], { type: "application/octet-stream" }) };
}

function markupOf(
  record: ReturnType<LqaFile["module"]>,
  { b, a }: DecodedModule,
  singularValues: Float64Array | undefined,
) {
  const rows = (
    [
      ["B", b.data],
      ["A", a.data],
    ] as const
  ).map(([name, weights]) => [name, ...statistics(weights)]);
  const placed = { ...record, projection: record.name, parameters: 1, loss: undefined, singularValues };
  const { chunk, bands, role, rank, multiplier, compression } = record;
  return section(
    "decoded",
    "Decoded",
    html`<p>${named(record.name)}</p>`,
    factList([
      ["Layer", `${role}, ${shapeText(record)}`],
      [
        "Rank",
        singularValues === undefined
          ? rank
          : `${rank}, of which the strongest ${effectiveRank({ singularValues }) ?? 0} hold 90 % of the energy`,
      ],
      ["Multiplier", String(Number(multiplier.toPrecision(7)))],
      ["Bands", bandsText(bands)],
      [
        "Chunk",
        `${size(chunk.length)} from byte ${count(chunk.offset)} on${compression === "none" ? "" : `, ${compression}`}`,
      ],
    ]),
    tableElement({
      caption: "Decoded factors",
      head: ["factor", "weights", "least", "largest", "mean", "RMS", "zeros", "not finite"],
      numeric: [1, 2, 3, 4, 5, 6, 7],
      rows,
    }),
    spectraSection([placed]),
  );
}

function statistics(weights: Float32Array): string[] {
  let [low, high, sum, squares, zeros, strange] = [Infinity, -Infinity, 0, 0, 0, 0];
  for (const weight of weights) {
    if (!Number.isFinite(weight)) {
      strange++;
      continue;
    }
    if (weight < low) low = weight;
    if (weight > high) high = weight;
    sum += weight;
    squares += weight * weight;
    if (weight === 0) zeros++;
  }
  const known = weights.length - strange;
  const number = (value: number): string => (known === 0 ? "–" : value.toPrecision(4));
  return [
    count(weights.length),
    number(low),
    number(high),
    number(sum / known),
    number(Math.sqrt(squares / known)),
    count(zeros),
    count(strange),
  ];
}
