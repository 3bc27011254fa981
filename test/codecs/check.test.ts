import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { usedGroups } from "../../src/core/codecs/canonical.ts";
import { checkPlane, checkScales, firstUnusedBit, type PlaneReport } from "../../src/core/codecs/check.ts";
import { lower, planeSizes } from "../../src/core/format.ts";
import { type Encoding, encodingLabel, type Planes } from "../../src/core/index.ts";
import { expectedWeight, samples } from "./planes.ts";

const none = new Uint8Array(0);

/** Reports what is wrong with the values of the planes of one factor of one band, the canonical form included. */
function checkPlanes(
  encoding: Encoding,
  { scales, zeroPoints, codes }: Planes,
  length: number,
  report: PlaneReport,
): void {
  const lowered = lower(encoding);
  checkPlane(lowered, "codes", codes, length, report);
  checkPlane(lowered, "scales", scales, length, report, usedGroups(lowered, { zeroPoints, codes }, length));
}

function findings(encoding: Encoding, parts: Partial<Planes>, length: number): string[] {
  const found: string[] = [];
  const planes = { scales: none, zeroPoints: none, codes: none, ...parts };
  checkPlanes(encoding, planes, length, ({ kind }, plane, at) => {
    found.push(`${kind} ${plane} ${at}`);
    return false;
  });
  return found;
}

const affine = (bits: number, scale: "f16" | "bf16" = "f16"): Encoding => ({
  codec: "affine",
  bits,
  group: 16,
  scale,
});
const sign: Encoding = { codec: "sign", group: 16, scale: "f16" };

describe("value rules", () => {
  it("accepts ordinary planes", () => {
    const scales = Uint8Array.of(0, 0x3c, 0, 0);
    expect(findings(sign, { scales, codes: Uint8Array.of(0xff, 0xff, 0) }, 20)).toEqual([]);
  });

  it("refuses scales that are negative, −0, infinite or NaN", () => {
    const scales = Uint8Array.of(0, 0xbc, 0, 0x80, 0, 0x7c, 1, 0x7e);
    const codes = new Uint8Array(8);
    expect(findings(sign, { scales, codes }, 16)).toEqual(
      [0, 2, 4, 6].map((at) => `SCALE_VALUE scales ${at}`),
    );
  });

  it("refuses a scale whose largest multiple overflows binary32", () => {
    const largest = Uint8Array.of(0x7f, 0x7f); // bf16 3.39e38
    const codes = new Uint8Array(2).fill(1);
    expect(findings({ codec: "sign", group: 16, scale: "bf16" }, { scales: largest, codes }, 16)).toEqual([]);
    const narrow = { scales: largest, zeroPoints: new Uint8Array(1), codes };
    expect(findings(affine(1, "bf16"), narrow, 16)).toEqual([]);
    const wider = { scales: largest, zeroPoints: new Uint8Array(1), codes: new Uint8Array(4) };
    expect(findings(affine(2, "bf16"), wider, 16)).toEqual(["SCALE_VALUE scales 0"]);
  });

  it("refuses set bits behind the last code and behind the last zero point", () => {
    const parts = {
      scales: Uint8Array.of(0, 0x3c, 0, 0x3c),
      zeroPoints: Uint8Array.of(0x08, 0x07),
      codes: Uint8Array.of(0, 0x40, 0, 0xc0),
    };
    const encoding = affine(3);
    expect(firstUnusedBit(lower(encoding), "zeroPoints", parts.zeroPoints, 5)).toBe(0);
    expect(firstUnusedBit(lower(encoding), "codes", parts.codes, 5)).toBe(3);
    expect(
      firstUnusedBit(
        lower(encoding),
        "codes",
        parts.codes.map((x) => x & 0x7f),
        5,
      ),
    ).toBe(-1);
    expect(firstUnusedBit(lower(encoding), "scales", parts.scales, 5)).toBe(-1);
  });

  it("refuses codes other than zero where the scale is zero", () => {
    const parts = {
      scales: Uint8Array.of(0, 0x3c, 0, 0),
      zeroPoints: Uint8Array.of(0b1111),
      codes: Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x00, 0x01),
    };
    expect(findings(affine(2), parts, 21)).toEqual(["NONCANONICAL_CODES scales 2"]);
    for (const other of [
      { ...parts, zeroPoints: Uint8Array.of(0x01) },
      { ...parts, codes: Uint8Array.of(255, 255, 255, 255, 0, 0) },
    ])
      expect(findings(affine(2), other, 21)).toEqual(["NONCANONICAL_CODES scales 2"]);
    const signs = { scales: Uint8Array.of(0, 0), codes: Uint8Array.of(0x90) };
    expect(findings(sign, signs, 5)).toEqual(["NONCANONICAL_CODES scales 0"]);
    expect(firstUnusedBit(lower(sign), "codes", signs.codes, 5)).toBe(0);
  });

  it("refuses set bits of a trellis vector whose scale is 0", () => {
    const encoding: Encoding = { codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "none" };
    const scales = Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0);
    const codes = Uint8Array.of(0, 0, 0xff, 0xff, 0, 0);
    expect(findings(encoding, { scales, codes }, 8)).toEqual([]);
    codes[1] = 0x80;
    codes[4] = 0x01;
    expect(findings(encoding, { scales, codes }, 8)).toEqual([
      "NONCANONICAL_CODES scales 0",
      "NONCANONICAL_CODES scales 4",
    ]);
    // Three steps of table 3 (k = 3, V = 2) leave seven bits unused.
    const short: Encoding = { codec: "trellis", table: 3, group: 0, scale: "bf16", rotation: "none" };
    expect(firstUnusedBit(lower(short), "codes", Uint8Array.of(0xff, 0x03), 5)).toBe(1);
    expect(firstUnusedBit(lower(short), "codes", Uint8Array.of(0xff, 0x01), 5)).toBe(-1);
  });

  it("says which component, group and byte, in every component and group", () => {
    // Three components of 40 weights in groups of 16, 16 and 8; the scale of one group is 0, and one bit is set in it.
    const [components, length] = [3, 40];
    const encodings: Encoding[] = [
      sign,
      affine(3),
      affine(8, "bf16"),
      { codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "none" },
    ];
    for (const encoding of encodings) {
      const sizes = planeSizes(encoding, components, length);
      const each = sizes.codes / components;
      const groups = encoding.codec === "trellis" ? 1 : 3;
      const bits = encoding.codec === "affine" ? encoding.bits : encoding.codec === "sign" ? 1 : 2;
      for (let c = 0; c < components; c++)
        for (let g = 0; g < groups; g++) {
          const scales = new Uint8Array(sizes.scales);
          const size = sizes.scales / components / groups;
          for (let i = 0; i < components * groups; i++)
            if (i !== c * groups + g) scales[size * i + size - 1] = 0x3c;
          const zeroPoints = new Uint8Array(sizes.zeroPoints);
          const codes = new Uint8Array(sizes.codes);
          // The first bit of the group's first weight.
          const at = c * each + ((16 * g * bits) >> 3);
          codes[at] = 1 << ((16 * g * bits) & 7);
          const seen: unknown[] = [];
          checkPlanes(encoding, { scales, zeroPoints, codes }, length, ({ kind }, plane, offset, about) => {
            seen.push([kind, plane, offset, about.component, about.group]);
            return false;
          });
          const place = size * (c * groups + g);
          expect(seen, encodingLabel(encoding)).toEqual([["NONCANONICAL_CODES", "scales", place, c, g]]);
          if (sizes.zeroPoints === 0) continue;
          const point = c * (sizes.zeroPoints / components) + ((g * bits) >> 3);
          zeroPoints[point] = 1 << ((g * bits) & 7);
          codes.fill(0);
          expect(findings(encoding, { scales, zeroPoints, codes }, length)).toEqual([
            `NONCANONICAL_CODES scales ${place}`,
          ]);
        }
    }
    const raw = Uint8Array.from({ length: 24 }, (_, i) => (i === 19 ? 0x7f : i === 18 ? 0x80 : 0));
    const about: unknown[] = [];
    checkPlanes(
      { codec: "raw", element: "f32" },
      { scales: none, zeroPoints: none, codes: raw },
      2,
      ({ kind }, plane, at, { component }) => {
        about.push([kind, plane, at, component]);
        return false;
      },
    );
    expect(about).toEqual([["NONFINITE_VALUE", "codes", 16, 2]]);
    expect(findings({ codec: "zero" }, {}, 2)).toEqual([]);
  });

  it("bounds trellis scales by 127", () => {
    const encoding: Encoding = { codec: "trellis", table: 1, group: 0, scale: "bf16", rotation: "none" };
    const scale = (high: number) => ({ scales: Uint8Array.of(0, high), codes: new Uint8Array(1) });
    expect(findings(encoding, scale(0x7c), 4)).toEqual([]);
    expect(findings(encoding, scale(0x7e), 4)).toEqual(["SCALE_VALUE scales 0"]);
  });

  it("refuses raw Inf and NaN", () => {
    const codes = Uint8Array.of(0, 0x7c, 0, 0x3c, 1, 0xfc);
    const raw: Encoding = { codec: "raw", element: "f16" };
    expect(findings(raw, { codes }, 3)).toEqual(["NONFINITE_VALUE codes 0", "NONFINITE_VALUE codes 4"]);
  });

  it("finds something whenever a weight is not finite, and reports in plane order", () => {
    const order = ["scales", "zeroPoints", "codes"];
    fc.assert(
      fc.property(samples, (sample) => {
        const seen: [number, number][] = [];
        checkPlanes(sample.encoding, sample.planes, sample.length, (_, plane, at) => {
          seen.push([order.indexOf(plane), at]);
        });
        expect(seen).toEqual([...seen].sort(([p, x], [q, y]) => p - q || x - y));
        if (seen.length > 0) return;
        for (let i = 0; i < sample.length; i++)
          expect(expectedWeight(sample, 0, i)).toSatisfy(Number.isFinite);
      }),
      { numRuns: 300 },
    );
  });
});

describe("encoding labels", () => {
  it("are short and tell encodings apart", () => {
    expect(encodingLabel(sign)).toBe("sign g16 f16");
    expect(encodingLabel(affine(2))).toBe("affine2 g16 f16");
    expect(encodingLabel(affine(3, "bf16"))).toBe("affine3 g16 bf16");
    expect(encodingLabel({ codec: "raw", element: "bf16" })).toBe("raw bf16");
    expect(encodingLabel({ codec: "trellis", table: 3, group: 0, scale: "bf16", rotation: "none" })).toBe(
      "trellis1.5 whole bf16",
    );
    expect(
      encodingLabel({ codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "hadamard64" }),
    ).toBe("trellis2r whole bf16");
    expect(encodingLabel({ codec: "zero" })).toBe("zero");
    expect(encodingLabel({ codec: "sign", group: 0, scale: "f16" })).toBe("sign whole f16");
  });
});

it("finds scales two at a time as one by one, wherever they stand", () => {
  const patterns = [
    0, 1, 0x3c00, 0x46ff, 0x4700, 0x7bff, 0x7c00, 0x7c01, 0x7f80, 0x8000, 0x8001, 0xbc00, 0xffff,
  ];
  const pattern = fc.oneof({ weight: 12, arbitrary: fc.constant(0x3800) }, fc.constantFrom(...patterns));
  const scales = fc.array(pattern, { maxLength: 24 });
  const encodings = (["f16", "bf16"] as const).flatMap((scale): Encoding[] => [
    { codec: "sign", group: 0, scale },
    { codec: "affine", bits: 8, group: 0, scale },
  ]);
  fc.assert(
    fc.property(scales, fc.nat(3), fc.constantFrom(...encodings), (list, offset, encoding) => {
      const bytes = new Uint8Array(new ArrayBuffer(offset + 2 * list.length), offset);
      for (const [i, one] of list.entries()) bytes.set([one & 255, one >> 8], 2 * i);
      const found = (used?: () => boolean): number[] => {
        const offsets: number[] = [];
        checkScales(lower(encoding), bytes, 1, (_kind, _plane, at) => void offsets.push(at), used);
        return offsets;
      };
      expect(found()).toEqual(found(() => false));
    }),
    { numRuns: 3000 },
  );
});
