/**
 * The element types of the source in whatever dialect is written: `factors: "source"`.
 */

import { describe, expect, it } from "vitest";
import { readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { ggufTypes } from "../helpers/gguf.ts";
import { readSafetensors } from "../helpers/safetensors.ts";
import { directory, floats } from "./build.ts";

const BASE = { architecture: "qwen2", heads: 2, keyHeads: 2 };

/** Two modules in F16; of the second A is F32. */
function files(alpha = 8): Map<string, Uint8Array> {
  const key = (layer: number, which: string): string =>
    `base_model.model.model.layers.${layer}.self_attn.q_proj.lora_${which}.weight`;
  return directory(
    [
      [key(0, "A"), floats([2, 6], 1, "F16")],
      [key(0, "B"), floats([4, 2], 2, "F16")],
      [key(1, "A"), floats([2, 6], 3, "F32")],
      [key(1, "B"), floats([4, 2], 4, "F16")],
    ],
    { lora_alpha: alpha, target_modules: ["q_proj"] },
  );
}

/** Elements by the number of the layer and the factor. */
function elementsIn(written: ReadonlyMap<string, Uint8Array>): Record<string, string> {
  const [name, bytes] = [...written].find(([file]) => !file.endsWith(".json"))!;
  const types = name.endsWith(".gguf")
    ? [...ggufTypes(bytes)]
    : [...readSafetensors(bytes).tensors].map(([key, { element }]): [string, string] => [key, element]);
  return Object.fromEntries(
    types.map(([key, type]) => [`${/\d/.exec(key)![0]}${/lora_([ab])/i.exec(key)![1]!.toLowerCase()}`, type]),
  );
}

const SAME = { "0a": "F16", "0b": "F16", "1a": "F32", "1b": "F16" };

describe("factors of the element types of the source", () => {
  it.each(["mlx", "loralib", "gguf"] as const)("in another dialect: %s", (to) => {
    const adapter = readAdapter(files());
    const written = writeAdapter(adapter, { factors: "source", to, base: BASE });
    expect(elementsIn(written)).toEqual(SAME);
    expect(
      new Set(Object.values(elementsIn(writeAdapter(adapter, { factors: "F32", to, base: BASE })))),
    ).toEqual(new Set(["F32"]));
  });

  it("back in PEFT, and portable", () => {
    const adapter = readAdapter(files());
    expect(elementsIn(writeAdapter(adapter, { factors: "source" }))).toEqual(SAME);
    expect(elementsIn(writeAdapter(adapter, { factors: "source", portable: true }))).toEqual(SAME);
    const mlx = readAdapter(writeAdapter(adapter, { factors: "source", to: "mlx" }));
    expect(elementsIn(writeAdapter(mlx, { factors: "source", to: "peft" }))).toEqual(SAME);
  });

  it("says to how many bits a folded multiplier is rounded", () => {
    const notes = (factors: "source" | "F32", alpha: number): string[] => {
      const found: string[] = [];
      const onNote = (note: string): void => void found.push(note);
      writeAdapter(readAdapter(files(alpha)), { factors, portable: true, onNote });
      return found.filter((note) => note.includes("folded"));
    };
    expect(notes("source", 6)).toEqual([expect.stringContaining("rounds 2 of them to 11 bits")]);
    expect(notes("F32", 6)).toEqual([expect.stringContaining("rounds 2 of them to 24 bits")]);
    expect(notes("source", 8)).toEqual([expect.stringContaining("exactly")]);
  });
});
