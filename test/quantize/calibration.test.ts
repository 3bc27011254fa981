/** Calibration by component: bits follow measured sensitivities, what was trained is coded, and both know their adapter. */

import { describe, expect, it } from "vitest";
import { readCalibration } from "../../src/adapters/index.ts";
import { type Adapter, isLqaError, type LoraModule, open, validate } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";

import { random, shape } from "../container/fixtures.ts";
import { f32Bytes } from "../helpers/gguf.ts";
import { writeSafetensors } from "../helpers/safetensors.ts";
import { componentsOf } from "./components.ts";

function module(name: string, seed: number): LoraModule {
  const s = shape(name, { out: 320, in: 256, rank: 8, alpha: 16 });
  const r = random(seed);
  const normal = (): number => (r.below(4096) + r.below(4096) + r.below(4096) + r.below(4096)) / 4096 - 2;
  return {
    ...s,
    b: Float32Array.from({ length: s.out * s.rank }, (_, i) => normal() * 0.1 * 0.8 ** (i % s.rank)),
    a: Float32Array.from({ length: s.rank * s.in }, () => normal() * 0.1),
  };
}

const adapter: Adapter = {
  modules: [module("layers.0.q", 1), module("layers.0.v", 2), module("layers.1.q", 3)],
  tensors: [],
  origin: undefined,
  meta: {},
};
const [q, v, last] = adapter.modules as [LoraModule, LoraModule, LoraModule];

const strengths = (m: LoraModule): number[] =>
  componentsOf(m).map(({ strength }) => Math.abs(m.multiplier) * strength);

/** Figures of all components of a module: noise in them costs `cost` nats for each part of their energy. */
const figures = (m: LoraModule, cost: number): number[] =>
  strengths(m).flatMap((strength) => [strength, cost, cost, cost]);

interface Tensor {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}
const file = (
  tensors: Readonly<Record<string, Tensor>>,
  contentId?: string,
  more: readonly (readonly [string, string])[] = [],
): Uint8Array =>
  writeSafetensors(
    new Map(
      Object.entries(tensors).map(([name, { shape, values }]) => [
        name,
        { element: "F32" as const, shape, data: f32Bytes(values) },
      ]),
    ),
    {
      metadata: new Map([...(contentId === undefined ? [] : [["content_id", contentId] as const]), ...more]),
    },
  );
const components = (m: LoraModule, cost: number): Tensor => ({ shape: [8, 4], values: figures(m, cost) });

/** Vectors of equal entries. */
const rows = (count: number, length: number, value: number): Tensor => ({
  shape: [count, length],
  values: Array(count * length).fill(value),
});

const read = (bytes: Uint8Array) => readCalibration(bytes, adapter.modules);
const errorOf = async (work: () => unknown): Promise<string> => {
  try {
    await work();
  } catch (error) {
    if (isLqaError(error)) return `${error.kind}: ${error.message}`;
    throw error;
  }
  return "none";
};

const cosine = (x: ArrayLike<number>, y: ArrayLike<number>): number => {
  let [inner, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    inner += x[i]! * y[i]!;
    xx += x[i]! * x[i]!;
    yy += y[i]! * y[i]!;
  }
  return inner / Math.sqrt(xx * yy);
};

describe("sensitivities", () => {
  it("move bits to the module where errors cost most, at the same bytes, and give an estimate in nats", async () => {
    const sensitive = file({
      [`${q.name}.components`]: components(q, 1e-4),
      [`base_model.model.${v.name}.components`]: components(v, 1),
      [`${last.name}.components`]: components(last, 1e-4),
    });
    const calibration = read(sensitive);
    expect(calibration.missingModules).toEqual([]);
    const options = { maxBytes: 4000 };
    const plain = await encodeAdapter(adapter, options);
    const { bytes, report } = await encodeAdapter(adapter, { ...options, calibration });
    expect(bytes.length).toBeLessThanOrEqual(4000);
    const error = (r: typeof report, name: string): number =>
      r.modules.find((m) => m.name === name)!.relativeError;
    expect(error(report, v.name)).toBeLessThan(error(plain.report, v.name) / 2);
    expect(error(report, q.name)).toBeGreaterThan(error(plain.report, q.name));
    expect(plain.report.divergenceFrom).toBe("weights");
    expect(report.divergenceFrom).toBe("calibration");
    expect(report.divergence).toBeCloseTo(
      report.modules.reduce((sum, m) => sum + m.divergence!, 0),
      12,
    );
    expect(report.divergence!).toBeGreaterThan(0);
    expect((await encodeAdapter(adapter, { ...options, calibration })).bytes).toEqual(bytes);
    const unweighted = await encodeAdapter(adapter, { ...options, calibration, weighted: false });
    expect(unweighted.bytes).toEqual(plain.bytes);
  });

  it("up to a common factor move the same bits, and give no estimate in nats", async () => {
    const tensors = Object.fromEntries(
      adapter.modules.map((m) => [`${m.name}.components`, components(m, m === v ? 1e-3 : 1e-7)]),
    );
    const encode = (metadata: readonly (readonly [string, string])[]) =>
      encodeAdapter(adapter, { bits: 2, calibration: read(file(tensors, undefined, metadata)) });
    const [known, relative] = [await encode([]), await encode([["scale", "relative"]])];
    const lost = ({ report }: typeof known) => report.modules.map(({ relativeError }) => relativeError);
    expect(lost(relative)).toEqual(lost(known));
    expect(known.report.divergenceFrom).toBe("calibration");
    expect(relative.report.divergenceFrom).toBe("weights");
    expect(relative.report.modules.every(({ divergence }) => divergence === undefined)).toBe(true);
  });

  it("of all components alike change nothing but the weights of the modules", async () => {
    // A tenfold cost of everything allots the same bits.
    const [one, ten] = await Promise.all(
      [1, 10].map((cost) => {
        const tensors = adapter.modules.map((m) => [`${m.name}.components`, components(m, cost)]);
        return encodeAdapter(adapter, {
          maxBytes: 5000,
          calibration: read(file(Object.fromEntries(tensors))),
        });
      }),
    );
    expect(ten!.report.modules.map((m) => m.bands)).toEqual(one!.report.modules.map((m) => m.bands));
    expect(ten!.report.divergence).toBeCloseTo(10 * one!.report.divergence!, 9);
  });

  it("of some modules leave the others what they had, in proportion", async () => {
    const calibration = read(file({ [`${q.name}.components`]: components(q, 1) }));
    expect(calibration.missingModules).toEqual([v.name, last.name]);
    const { report } = await encodeAdapter(adapter, { maxBytes: 5000, calibration });
    expect(report.droppedModules).toBe(0);
    expect(report.modules.map((m) => m.divergence !== undefined)).toEqual([true, false, false]);
    // The others count by their weights.
    expect(report.divergence).toBeGreaterThan(report.modules[0]!.divergence!);
  });

  it("of another adapter are refused", async () => {
    const values = figures(q, 1).map((value, i) => (i === 8 ? 1.1 * value : value));
    const calibration = read(file({ [`${q.name}.components`]: { shape: [8, 4], values } }));
    expect(await errorOf(() => encodeAdapter(adapter, { calibration }))).toMatch(
      /^SOURCE_IMPORTANCE: .*module "layers\.0\.q", component 2.*a calibration of this adapter/s,
    );
    const few = read(file({ [`${q.name}.components`]: { shape: [2, 4], values: values.slice(0, 8) } }));
    expect(await errorOf(() => encodeAdapter(adapter, { calibration: few }))).toMatch(/component 2.*none/s);
  });
});

describe("directions", () => {
  const COUNT = 4;
  // Directions with nine tenths of the energy, as models' inputs have: error along them counts most.
  const directionsOf = (length: number, seed: number): number[] => {
    const r = random(seed);
    const raw = Array.from({ length: COUNT * length }, () => r.below(4096) / 2048 - 1);
    const scale = Math.sqrt((0.9 * length) / raw.reduce((sum, x) => sum + x * x, 0));
    return raw.map((x) => x * scale);
  };
  const along = (error: Float32Array, directions: readonly number[]): number => {
    let sum = 0;
    for (let at = 0; at < directions.length; at += error.length) {
      const inner = error.reduce((total, e, j) => total + e * directions[at + j]!, 0);
      sum += inner * inner;
    }
    return sum;
  };
  const [ofB, ofA] = [directionsOf(v.out, 1), directionsOf(v.in, 2)];
  const known = { [`${v.name}.components`]: components(v, 1) };
  const directed = {
    ...known,
    [`${v.name}.directions_b`]: { shape: [COUNT, v.out], values: ofB },
    [`${v.name}.directions_a`]: { shape: [COUNT, v.in], values: ofA },
  };
  /** The error of a vector across it: without what makes it longer or shorter. */
  const across = (is: Float32Array, was: Float32Array): Float32Array => {
    const dot = (x: Float32Array): number => x.reduce((sum, value, j) => sum + value * was[j]!, 0);
    const length = dot(is) / dot(was);
    return is.map((value, j) => value - length * was[j]!);
  };
  /** Energy along the directions of the noise of an encoding, in B and A in the form of components, and all of it. */
  const lost = async (bytes: Uint8Array): Promise<Record<"b" | "a" | "all", number>> => {
    const found = await (await open(bytes)).decode(v.name);
    const own = componentsOf(v);
    const sums = { b: 0, a: 0, all: 0 };
    for (let c = 0; c < v.rank; c++) {
      const column = Float32Array.from({ length: v.out }, (_, o) => found.b.data[v.rank * o + c]!);
      const row = found.a.data.subarray(c * v.in, (c + 1) * v.in);
      if (row.every((x) => x === 0)) continue;
      for (const [is, was, directions, factor] of [
        [column, Float32Array.from(own[c]!.b), ofB, "b"] as const,
        [row, Float32Array.from(own[c]!.a), ofA, "a"] as const,
      ]) {
        const error = across(is, was);
        sums[factor] += along(error, directions);
        sums.all += error.reduce((total, e) => total + e * e, 0);
      }
    }
    return sums;
  };

  it.each([1, 1.5, 2, 3, 4])(
    "move the noise of the codes to where it counts less, at %d bits",
    async (bits) => {
      const before = await encodeAdapter(adapter, { bits, calibration: read(file(known)) });
      const after = await encodeAdapter(adapter, { bits, calibration: read(file(directed)) });
      expect(after.bytes.length).toBe(before.bytes.length);
      expect(after.report.modules.map((m) => m.bands)).toEqual(before.report.modules.map((m) => m.bands));
      expect(await validate(after.bytes, { level: "canonical" })).toMatchObject({ valid: true });
      const [was, is] = [await lost(before.bytes), await lost(after.bytes)];
      expect(is.b).toBeLessThan(was.b / 2);
      expect(is.a).toBeLessThan(was.a / 2);
      expect(is.all).toBeLessThan(2 * was.all);
      // The other modules have none.
      const [plain, shaped] = [await open(before.bytes), await open(after.bytes)];
      for (const { name } of [q, last]) expect(await shaped.decode(name)).toEqual(await plain.decode(name));
      const again = await encodeAdapter(adapter, { bits, calibration: read(file(directed)) });
      expect(again.bytes).toEqual(after.bytes);
    },
  );

  it("apply to rotated vectors", async () => {
    // Every 16th channel stands out, so that rotation pays.
    const spiky = { ...v, a: v.a.map((x, i) => (i % 16 === 0 ? 12 * x : x)) };
    const own: Adapter = { ...adapter, modules: [spiky] };
    const tensors = { ...directed, [`${v.name}.components`]: components(spiky, 1) };
    const { [`${v.name}.components`]: only } = tensors;
    const encode = (given: Readonly<Record<string, Tensor>>) =>
      encodeAdapter(own, { bits: 2, calibration: readCalibration(file(given), own.modules) });
    const before = await encode({ [`${v.name}.components`]: only! });
    const after = await encode(tensors);
    const encodings = after.report.modules[0]!.bands.map(({ a }) => a);
    expect(encodings[0]).toMatch(/^trellis\dr /);
    const energy = async (bytes: Uint8Array): Promise<number> => {
      const { a } = await (await open(bytes)).decode(v.name);
      return along(across(a.data.subarray(0, v.in), Float32Array.from(componentsOf(spiky)[0]!.a)), ofA);
    };
    expect(await energy(after.bytes)).toBeLessThan((await energy(before.bytes)) / 2);
  });

  it("apply to vectors of any length", async () => {
    const m: LoraModule = {
      ...shape("long", { out: 40_000, in: 33, rank: 1, alpha: 1 }),
      b: Float32Array.from(directionsOf(40_000, 7).slice(0, 40_000)),
      a: Float32Array.from(directionsOf(33, 8).slice(0, 33)),
    };
    const own: Adapter = { ...adapter, modules: [m] };
    const [wideB, wideA] = [directionsOf(m.out, 3), directionsOf(m.in, 4)];
    const [strength] = strengths(m);
    const only = { "long.components": { shape: [1, 4], values: [strength!, 1, 1, 1] } };
    const both = {
      ...only,
      "long.directions_b": { shape: [COUNT, m.out], values: wideB },
      "long.directions_a": { shape: [COUNT, m.in], values: wideA },
    };
    const energy = async (given: Readonly<Record<string, Tensor>>): Promise<number> => {
      const calibration = readCalibration(file(given), own.modules);
      const { bytes } = await encodeAdapter(own, { bits: 2, calibration });
      const { b } = await (await open(bytes)).decode("long");
      return along(across(b.data, Float32Array.from(componentsOf(m)[0]!.b)), wideB);
    };
    expect(await energy(both)).toBeLessThan((await energy(only)) / 10);
  });

  it("do not serve the least squared error of the weights", async () => {
    const options = { bits: 2, fit: "least-squares" } as const;
    const before = await encodeAdapter(adapter, { ...options, calibration: read(file(known)) });
    const after = await encodeAdapter(adapter, { ...options, calibration: read(file(directed)) });
    expect(after.report.relativeError).toBe(before.report.relativeError);
  });

  it("of nothing leave the noise where it was", async () => {
    const none = {
      ...known,
      [`${v.name}.directions_b`]: rows(1, v.out, 0),
      [`${v.name}.directions_a`]: rows(1, v.in, 0),
    };
    const before = await encodeAdapter(adapter, { bits: 2, calibration: read(file(known)) });
    const after = await encodeAdapter(adapter, { bits: 2, calibration: read(file(none)) });
    const [was, is] = [await lost(before.bytes), await lost(after.bytes)];
    expect(is.all / was.all).toBeCloseTo(1, 1);
  });
});

describe("gains", () => {
  const gains = [1.25, 1, 0.5, 1, 1, 2, 1, 1];
  const options = { bits: 3 };

  it("multiply the scales of B' and nothing else, in the encoding that they were trained for", async () => {
    const known = { [`${v.name}.components`]: components(v, 1) };
    const plain = await encodeAdapter(adapter, { ...options, calibration: read(file(known)) });
    const { contentId } = await (await open(plain.bytes)).verify();
    const trained = file({ ...known, [`${v.name}.gains`]: { shape: [8], values: gains } }, contentId);
    const { bytes, report } = await encodeAdapter(adapter, { ...options, calibration: read(trained) });
    expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
    expect(report.divergence).toBeUndefined();
    const before = await open(plain.bytes);
    const after = await open(bytes);
    for (const { name } of adapter.modules) {
      const was = await before.decode(name);
      const is = await after.decode(name);
      expect(is.a).toEqual(was.a);
      const factors = name === v.name ? gains : gains.map(() => 1);
      // Halves, doubles and 5/4 of a bf16 scale: the last is rounded to 8 significant bits.
      for (const [i, value] of is.b.data.entries()) {
        const expected = was.b.data[i]! * factors[i % 8]!;
        expect(Math.abs(value - expected)).toBeLessThanOrEqual(2 ** -8 * Math.abs(expected));
      }
    }
  });

  it("stand beside vectors that are coded in place of the module's own, at their bits", async () => {
    const known = { [`${v.name}.components`]: components(v, 1) };
    const plain = await encodeAdapter(adapter, { ...options, calibration: read(file(known)) });
    const { contentId } = await (await open(plain.bytes)).verify();
    const r = random(9);
    const vectors = (length: number): number[] =>
      Array.from({ length: 6 * length }, () => r.below(512) / 256 + r.below(512) / 256 - 2);
    const [b, a] = [vectors(v.out), vectors(v.in)];
    const tuned = {
      [`${v.name}.gains`]: { shape: [6], values: Array(6).fill(1) },
      [`${v.name}.tuned_b`]: { shape: [6, v.out], values: b },
      [`${v.name}.tuned_a`]: { shape: [6, v.in], values: a },
    };
    const calibration = read(file({ ...known, ...tuned }, contentId));
    const { bytes } = await encodeAdapter(adapter, { ...options, calibration });
    expect(bytes.length).toBe(plain.bytes.length);
    expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
    const before = await open(plain.bytes);
    const after = await open(bytes);
    expect(after.modules.map((m) => m.bands)).toEqual(before.modules.map((m) => m.bands));
    for (const { name } of adapter.modules) {
      const [was, is] = [await before.decode(name), await after.decode(name)];
      if (name !== v.name) expect(is).toEqual(was);
      else
        for (let c = 0; c < 8; c++) {
          const own = is.a.data.subarray(c * v.in, (c + 1) * v.in);
          const column = Float32Array.from({ length: v.out }, (_, o) => is.b.data[8 * o + c]!);
          if (c >= 6) {
            expect(own).toEqual(was.a.data.subarray(c * v.in, (c + 1) * v.in));
            continue;
          }
          expect(cosine(own, a.slice(c * v.in, (c + 1) * v.in))).toBeGreaterThan(0.9);
          expect(cosine(column, b.slice(c * v.out, (c + 1) * v.out))).toBeGreaterThan(0.9);
        }
    }
  });

  it("of another encoding, and without a content id, are refused", async () => {
    const both = {
      [`${v.name}.components`]: components(v, 1),
      [`${v.name}.gains`]: { shape: [8], values: gains },
    };
    const calibration = read(file(both, "0".repeat(64)));
    expect(await errorOf(() => encodeAdapter(adapter, { ...options, calibration }))).toMatch(
      /^SOURCE_IMPORTANCE: .*trained for this encoding/s,
    );
    expect(await errorOf(() => read(file(both)))).toMatch(/content_id/);
  });
});

describe("a file without figures, which did not help", () => {
  const kept = [["kept", "without a calibration"]] as const;

  it("leaves the encoding as it is without a calibration", async () => {
    const plain = await encodeAdapter(adapter, { bits: 3 });
    const { bytes, report } = await encodeAdapter(adapter, {
      bits: 3,
      calibration: read(file({}, undefined, kept)),
    });
    expect(await validate(bytes, { level: "canonical" })).toMatchObject({ valid: true });
    // META names the file, which takes a few bytes from the weights.
    expect(report.relativeError / plain.report.relativeError).toBeCloseTo(1, 1);
    expect(report.divergenceFrom).toBe("weights");
  });

  it("takes gains, and what is zero does not depend on them", async () => {
    const [strong, weak] = [q, { ...v, multiplier: v.multiplier / 1e4 }];
    const uneven = { ...adapter, modules: [strong, weak] };
    const given = (tensors: Parameters<typeof file>[0], id?: string) =>
      readCalibration(file(tensors, id, kept), uneven.modules);
    const plain = await encodeAdapter(uneven, { bits: 0.6, calibration: given({}) });
    expect(plain.report.droppedModules).toBe(1);
    const { contentId } = await (await open(plain.bytes)).verify();
    const gains = { shape: [8], values: Array(8).fill(0.9) };
    const tuned = await encodeAdapter(uneven, {
      bits: 0.6,
      calibration: given({ [`${q.name}.gains`]: gains, [`${v.name}.gains`]: gains }, contentId),
    });
    expect(tuned.bytes.length).toBe(plain.bytes.length);
    expect(tuned.bytes).not.toEqual(plain.bytes);
    expect(tuned.report.droppedModules).toBe(1);
  });

  it("is refused if it does not say so", async () => {
    for (const metadata of [[], [["kept", "with components alone"]]] as const)
      expect(await errorOf(() => read(file({}, undefined, metadata)))).toMatch(/names of modules/);
  });
});

describe("files that fit no adapter", () => {
  const name = `${q.name}.components`;
  const good = figures(q, 1);
  const cases: Readonly<Record<string, readonly [Readonly<Record<string, Tensor>>, RegExp]>> = {
    "three figures": [
      { [name]: { shape: [8, 3], values: good.slice(0, 24) } },
      /\[components, 4\].*\[8,3\]/s,
    ],
    "more components than the rank": [
      { [name]: { shape: [9, 4], values: [...good, 1, 1, 1, 1] } },
      /at most 8 components/,
    ],
    "a negative cost": [{ [name]: { shape: [8, 4], values: good.with(1, -1) } }, /not negative.*-1/s],
    "a cost that is no number": [{ [name]: { shape: [8, 4], values: good.with(5, Number.NaN) } }, /NaN/],
    "a gain of 0": [{ [`${q.name}.gains`]: { shape: [2], values: [1, 0] } }, /1\/16 to 16.*0 at index 1/s],
    "gains without components": [
      { [`${q.name}.gains`]: { shape: [1], values: [1] } },
      /layers\.0\.q\.components.*too/s,
    ],
    "gains in rows": [{ [`${q.name}.gains`]: { shape: [1, 2], values: [1, 1] } }, /\[components\].*\[1,2\]/s],
    "vectors of B' without those of A'": [
      {
        [name]: { shape: [8, 4], values: good },
        [`${q.name}.gains`]: { shape: [1], values: [1] },
        [`${q.name}.tuned_b`]: rows(1, 320, 1),
      },
      /tuned_a.*too/s,
    ],
    "vectors of A' without those of B'": [
      {
        [name]: { shape: [8, 4], values: good },
        [`${q.name}.tuned_a`]: rows(1, 256, 1),
      },
      /tuned_b.*too/s,
    ],
    "vectors without gains": [
      {
        [name]: { shape: [8, 4], values: good },
        [`${q.name}.tuned_b`]: rows(1, 320, 1),
        [`${q.name}.tuned_a`]: rows(1, 256, 1),
      },
      /gains.*too/s,
    ],
    "fewer vectors of A' than of B'": [
      {
        [name]: { shape: [8, 4], values: good },
        [`${q.name}.gains`]: { shape: [2], values: [1, 1] },
        [`${q.name}.tuned_b`]: rows(2, 320, 1),
        [`${q.name}.tuned_a`]: rows(1, 256, 1),
      },
      /vectors of B': 2.*1/s,
    ],
    "vectors of another length": [
      { [`${q.name}.tuned_b`]: rows(1, 319, 1) },
      /\[components, 320\].*\[1,319\]/s,
    ],
    "a vector with a weight that is no number": [
      { [`${q.name}.tuned_a`]: { shape: [1, 256], values: Array(256).fill(1).with(3, Number.NaN) } },
      /finite.*NaN at index 3/s,
    ],
    "directions of B' without those of A'": [
      {
        [name]: { shape: [8, 4], values: good },
        [`${q.name}.directions_b`]: rows(1, 320, 0.1),
      },
      /directions_a.*too/s,
    ],
    "directions of A' without those of B'": [
      {
        [name]: { shape: [8, 4], values: good },
        [`${q.name}.directions_a`]: rows(1, 256, 0.1),
      },
      /directions_b.*too/s,
    ],
    "directions without components": [
      {
        [`${q.name}.directions_b`]: rows(1, 320, 0.1),
        [`${q.name}.directions_a`]: rows(1, 256, 0.1),
      },
      /layers\.0\.q\.components.*too/s,
    ],
    "too many directions": [{ [`${q.name}.directions_a`]: rows(65, 256, 0) }, /at most 64.*65/s],
    "directions with more energy than there is": [
      { [`${q.name}.directions_a`]: rows(2, 256, 0.8) },
      /at most 256.*327/s,
    ],
    "directions that overflow": [{ [`${q.name}.directions_a`]: rows(1, 256, 3e38) }, /at most 256/s],
    "moments beside components": [
      { [name]: { shape: [8, 4], values: good }, [v.name]: { shape: [256], values: Array(256).fill(1) } },
      /either moments.*both/s,
    ],
    "two names for one module": [
      {
        [name]: { shape: [8, 4], values: good },
        [`base_model.model.${name}`]: { shape: [8, 4], values: good },
      },
      /one tensor for module "layers\.0\.q".*two/s,
    ],
    "no module of the adapter": [
      { "other.components": { shape: [8, 4], values: good } },
      /other\.components/,
    ],
  };
  it.each(Object.entries(cases))("are refused: %s", async (_, [tensors, message]) => {
    expect(await errorOf(() => read(file(tensors, "0".repeat(64))))).toMatch(message);
  });
});
