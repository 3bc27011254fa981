/**
 * The baselines of `baseline.as` for one packed module at a time: factors decoded and then multiplied, factors in memory as
 * binary16. Rows are staged and updates added as packed application does it.
 */
import { ROTATED } from "../../dist/core/codecs/encoding.js";
import { kindOf, prepareTable } from "../../dist/core/codecs/kernels/encoding-kinds.js";
import { lower, planeSizes } from "../../dist/core/codecs/registry.js";
import { factorsOf } from "../../dist/core/container/resident.js";
import { programFor } from "../../dist/serve/resident-module.js";
import { compile } from "../../src/common/wasm/build.mjs";

const FREE = 0x12400;
const up = (n) => 256 * Math.ceil(n / 256);

export async function makeBaselines() {
  const root = new URL("../../", import.meta.url);
  const { wasm } = await compile("bench/serve/baseline", root);
  const module = new WebAssembly.Module(wasm);
  return () => new Baselines(new WebAssembly.Instance(module).exports);
}

class Baselines {
  #kernel;
  #prepared = new Set();
  #end = FREE + 64;

  constructor(kernel) {
    this.#kernel = kernel;
  }

  #take(bytes) {
    const at = this.#end;
    this.#end = up(at + bytes + 128);
    const { memory } = this.#kernel;
    const missing = this.#end + 65536 - memory.buffer.byteLength;
    // Each growth may copy everything.
    if (missing > 0)
      memory.grow(Math.ceil(missing / 65536) + Math.min(1024, memory.buffer.byteLength / 65536));
    return at;
  }

  /** Room for modules of at most these lengths and so many rows. */
  prepare(length, rank, rows, payloadBytes) {
    this.payload = this.#take(payloadBytes);
    this.small = this.#take(length);
    this.integers = this.#take(2 * length);
    this.a = this.#take(4 * rank * length);
    this.b = this.#take(4 * rank * length);
    this.x = this.#take(4 * rows * length);
    this.z = this.#take(4 * rows * length);
    this.y = this.#take(4 * rows * length);
    this.h = this.#take(4 * rows * rank);
  }

  /** Decodes the factors of a module, component after component. */
  decode(packed) {
    const kernel = this.#kernel;
    const bytes = new Uint8Array(kernel.memory.buffer);
    const { shape, bands, payload } = packed;
    bytes.set(payload, this.payload);
    const program = programFor(packed, false);
    const { planes } = factorsOf(packed);
    for (const table of program.tables) prepareTable(kernel, bytes, table, this.#prepared);
    for (const [factor, length, to] of [
      ["a", shape.in, this.a],
      ["b", shape.out, this.b],
    ]) {
      let first = 0;
      bands.forEach((band, i) => {
        const encoding = band[factor];
        const count = band.components;
        const { kind, bits, scale, group, lut } = kindOf(lower(encoding));
        const own = planes[0][i][factor];
        const at = (plane) => this.payload + own[plane].byteOffset - payload.byteOffset;
        const each = planeSizes(encoding, 1, length);
        const place = to + 4 * length * first;
        first += count;
        if (kind === ROTATED) {
          for (let c = 0; c < count; c++) {
            kernel.rotate(bits, lut, at("codes") + c * each.codes, length, this.small, this.integers);
            kernel.decode(
              kind,
              bits,
              scale,
              true,
              this.integers,
              0,
              lut,
              at("scales") + c * each.scales,
              0,
              0,
              0,
              group,
              true,
              0,
              length,
              1,
              place + 4 * length * c,
              0,
            );
          }
          return;
        }
        kernel.decode(
          kind,
          bits,
          scale,
          true,
          at("codes"),
          each.codes,
          lut,
          at("scales"),
          each.scales,
          at("zeroPoints"),
          each.zeroPoints,
          group,
          true,
          0,
          length,
          count,
          place,
          4 * length,
        );
      });
    }
  }

  /** Multiplies by what {@link decode} left. */
  multiply({ shape }, x, y, rows) {
    this.#stage(x, y);
    const { in: n, out, rank, multiplier } = shape;
    this.#kernel.projectWide(this.a, rank, this.x, 4 * n, rows, n, this.h, 4 * rows);
    this.#kernel.expandWide(this.b, rank, this.h, 4 * rows, rows, out, this.z, 4 * out);
    this.#finish(y, multiplier);
  }

  /** Puts a module's factors into memory as binary16. @returns where */
  hold({ shape }, bBits, aBits) {
    const a = this.#take(2 * shape.rank * shape.in);
    const b = this.#take(2 * shape.rank * shape.out);
    this.replaceHeld({ a, b }, bBits, aBits);
    return { a, b };
  }

  /** Other factors in the same place. */
  replaceHeld(held, bBits, aBits) {
    const halves = new Uint16Array(this.#kernel.memory.buffer);
    halves.set(aBits, held.a / 2);
    halves.set(bBits, held.b / 2);
  }

  /** Multiplies by factors that are held. */
  multiplyHeld({ shape }, held, x, y, rows) {
    this.#stage(x, y);
    const kernel = this.#kernel;
    const { in: n, out, rank, multiplier } = shape;
    if (rows === 1) {
      kernel.projectHalf(held.a, rank, this.x, n, this.h);
      kernel.expandHalf(held.b, rank, this.h, out, this.z);
    } else {
      kernel.widen(held.a, rank * n, this.a);
      kernel.projectWide(this.a, rank, this.x, 4 * n, rows, n, this.h, 4 * rows);
      kernel.widen(held.b, rank * out, this.b);
      kernel.expandWide(this.b, rank, this.h, 4 * rows, rows, out, this.z, 4 * out);
    }
    this.#finish(y, multiplier);
  }

  #stage(x, y) {
    const words = new Float32Array(this.#kernel.memory.buffer);
    words.set(x, this.x / 4);
    words.set(y, this.y / 4);
  }

  #finish(y, multiplier) {
    this.#kernel.addTo(this.z, y.length, multiplier, this.y);
    y.set(new Float32Array(this.#kernel.memory.buffer, this.y, y.length));
  }
}
