import { describe, expect, it } from "vitest";
import { moduleContent } from "../../src/core/container/digests.ts";
import { writeEncoding } from "../../src/core/container/encoding-record.ts";
import type { Encoding } from "../../src/core/index.ts";
import { shape } from "./fixtures.ts";

describe("the content record of a module", () => {
  const bytes = (b: Encoding): string =>
    Buffer.from(
      moduleContent({ ...shape("q"), bands: [{ components: 4, b, a: { codec: "zero" } }] }),
    ).toString("hex");

  it("holds every field of its encodings: no two that decode differently have one id", () => {
    const encodings: Encoding[] = [
      { codec: "zero" },
      { codec: "raw", element: "f16" },
      { codec: "raw", element: "f32" },
      { codec: "sign", group: 0, scale: "f16" },
      { codec: "sign", group: 16, scale: "f16" },
      { codec: "affine", bits: 2, group: 128, scale: "f16" },
      { codec: "affine", bits: 3, group: 128, scale: "f16" },
      { codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "none" },
      { codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "hadamard64" },
      { codec: "trellis", table: 5, group: 0, scale: "bf16", rotation: "none" },
    ];
    expect(new Set(encodings.map(bytes)).size).toBe(encodings.length);
    for (const encoding of encodings) {
      const record = writeEncoding(encoding);
      const { codec, element, scale, bits, reserved, groupExponent, table, rotation } = record;
      const stored = [codec, element, scale, bits, reserved, groupExponent, table, rotation];
      expect(stored).toHaveLength(Object.keys(record).length);
      expect(bytes(encoding)).toContain(Buffer.from(stored).toString("hex"));
    }
  });
});
