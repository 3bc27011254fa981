import { describe, expect, it } from "vitest";
import { isLqaError } from "../../src/core/index.ts";
import { parseVariant, strongComponents } from "../../src/encode/quantize/variant.ts";

describe("variants", () => {
  it("are written bits@coverage", () => {
    expect(parseVariant("2@0.8")).toEqual({ bits: 2, coverage: 0.8 });
    expect(parseVariant("3@.95")).toEqual({ bits: 3, coverage: 0.95 });
    expect(parseVariant("8@1")).toEqual({ bits: 8, coverage: 1 });
    expect(parseVariant("1@1.0")).toEqual({ bits: 1, coverage: 1 });
  });

  it("are refused with a USAGE error otherwise", () => {
    for (const text of [
      "",
      "2",
      "@0.8",
      "0@0.8",
      "9@0.8",
      "2@0",
      "2@1.1",
      "2@-1",
      "2@nan",
      "2@0.8 ",
      "2@8e-1",
      "2@.",
    ]) {
      expect(() => parseVariant(text), text).toThrow(expect.toSatisfy((error) => isLqaError(error, "USAGE")));
    }
  });
});

describe("the number of strong components", () => {
  const energies = Float64Array.of(5, 3, 1, 1);

  it("follows the paper's text or the authors' program", () => {
    expect(strongComponents(energies, 0.8, "text")).toBe(2);
    expect(strongComponents(energies, 0.8, "code")).toBe(1);
    expect(strongComponents(energies, 0.81, "text")).toBe(3);
    expect(strongComponents(energies, 0.81, "code")).toBe(2);
    expect(strongComponents(energies, 0.1, "text")).toBe(1);
    expect(strongComponents(energies, 0.1, "code")).toBe(1);
  });

  it("is all of them for coverage 1, minus one by the program's rule", () => {
    expect(strongComponents(energies, 1, "text")).toBe(4);
    expect(strongComponents(energies, 1, "code")).toBe(3);
    expect(strongComponents(Float64Array.of(1), 1, "code")).toBe(1);
  });
});
