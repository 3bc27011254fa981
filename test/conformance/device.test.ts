/**
 * The device profile (spec clause 14.1), shown by the suite: with the limits of a device each valid file is accepted, or refused
 * for being above them or for needing zstd, and each file of `limits/device` is accepted.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { validate } from "../../src/core/index.ts";

const suite = new URL("../../conformance/suite/", import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL("manifest.json", suite), "utf8")) as {
  cases: { id: string; file?: string; level: string; operation?: string; expected: { valid: boolean } }[];
};
const valid = cases.filter(({ expected, operation }) => expected.valid && (operation ?? "read") === "read");

async function refusal(file: string): Promise<string | undefined> {
  const bytes = new Uint8Array(readFileSync(new URL(file, suite)));
  return (await validate(bytes, { level: "structure", limits: "device", warnings: false })).error?.kind;
}

describe("with the limits of a device", () => {
  test("every valid file is accepted, or refused as unsupported or above a limit", async () => {
    const seen = new Set<string | undefined>();
    for (const { id, file } of valid) {
      const kind = await refusal(file ?? `${id}.lqa`);
      expect([undefined, "CORE_LIMIT", "UNSUPPORTED_FEATURE"], id).toContain(kind);
      if (id.startsWith("limits/device/")) expect(kind, id).toBeUndefined();
      if (id.startsWith("limits/above-device/")) expect(kind, id).toBeDefined();
      seen.add(kind);
    }
    expect(seen.size).toBe(3);
  });
});
