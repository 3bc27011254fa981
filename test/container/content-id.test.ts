import { describe, expect, it } from "vitest";
import type { Encoding } from "../../src/core/index.ts";
import { moduleContent } from "../helpers/parts.ts";
import { shape } from "./fixtures.ts";

describe("the content record of a module", () => {
  const bytes = (b: Encoding): string =>
    Buffer.from(
      moduleContent({ ...shape("q"), bands: [{ components: 4, b, a: { codec: "zero" } }] }),
    ).toString("hex");

  it("holds every field of its encodings: no two that decode differently have one id", () => {
    // The bytes of a record: codec, element, scale, bits, 0, exponent of the group, table, rotation.
    const encodings: [Encoding, record: string][] = [
      [{ codec: "zero" }, "0000000000000000"],
      [{ codec: "raw", element: "f16" }, "0102000000000000"],
      [{ codec: "raw", element: "f32" }, "0101000000000000"],
      [{ codec: "sign", group: 0, scale: "f16" }, "0300020000000000"],
      [{ codec: "sign", group: 16, scale: "f16" }, "0300020000040000"],
      [{ codec: "affine", bits: 2, group: 128, scale: "f16" }, "0200020200070000"],
      [{ codec: "affine", bits: 3, group: 128, scale: "f16" }, "0200020300070000"],
      [{ codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "none" }, "0400030000000400"],
      [{ codec: "trellis", table: 4, group: 0, scale: "bf16", rotation: "hadamard64" }, "0400030000000401"],
      [{ codec: "trellis", table: 5, group: 0, scale: "bf16", rotation: "none" }, "0400030000000500"],
    ];
    expect(new Set(encodings.map(([encoding]) => bytes(encoding))).size).toBe(encodings.length);
    for (const [encoding, record] of encodings) expect(bytes(encoding)).toContain(record);
  });
});
