/**
 * `lqa decode --rank`: the first components of each module, with the multiplier they had, and what is left out said.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeFile } from "../../src/node/index.ts";
import { lqa } from "../helpers/cli.ts";
import { readSafetensors, writePeftDirectory } from "../helpers/peft.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const file = join(place, "x.lqa");
await encodeFile(writePeftDirectory(join(place, "source")), file, { bits: 8 });
const whole = join(place, "whole");
lqa("decode", file, "-o", whole, "--dtype", "f32");

/** What a directory holds, with the multiplier of its configuration. */
function read(folder: string): {
  scale: number;
  rank: number;
  tensors: ReturnType<typeof readSafetensors>;
} {
  const config = JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"));
  const tensors = readSafetensors(readFileSync(join(folder, "adapter_model.safetensors")));
  return { scale: config.lora_alpha / config.r, rank: config.r, tensors };
}

/** ‖scale · B · A‖² over all modules, with the components from `first` on. */
function energy({ scale, tensors }: ReturnType<typeof read>, first: number): number {
  let sum = 0;
  for (const [key, b] of tensors) {
    if (!key.includes("lora_B")) continue;
    const a = tensors.get(key.replace("lora_B", "lora_A"))!;
    const [out, rank] = b.shape as [number, number];
    const length = a.shape[1]!;
    for (let row = 0; row < out; row++)
      for (let column = 0; column < length; column++) {
        let value = 0;
        for (let i = first; i < rank; i++)
          value += b.values[row * rank + i]! * a.values[i * length + column]!;
        sum += (scale * value) ** 2;
      }
  }
  return sum;
}

describe("lqa decode --rank", () => {
  it("keeps the first components and the multiplier, and says what the others had", () => {
    const low = join(place, "low");
    const run = lqa("decode", file, "-o", low, "--dtype", "f32", "--rank", "2", "--json");
    expect(run).toMatchObject({ code: 0, err: "" });
    const [before, after] = [read(whole), read(low)];
    expect([before.rank, after.rank]).toEqual([4, 2]);
    expect(after.scale).toBe(before.scale);
    for (const [key, { shape, values }] of after.tensors) {
      const old = before.tensors.get(key)!;
      const kept = key.includes("lora_A")
        ? old.values.slice(0, 2 * shape[1]!)
        : old.values.filter((_, at) => at % old.shape[1]! < 2);
      expect(values).toEqual(kept);
    }
    const { rankError } = run.json<{ rankError: number }>();
    expect(rankError).toBeCloseTo(energy(before, 2) / energy(before, 0), 10);
    expect(rankError).toBeGreaterThan(0.001);
    expect(rankError).toBeLessThan(0.5);
    expect(lqa("decode", file, "-o", join(place, "said"), "--rank", "2").out).toMatch(
      /at most 2: [\d.]+ % of the energy of ΔW left out/,
    );
  });

  it("of the rank that it has, or more, changes nothing; --portable gives all modules one", () => {
    for (const rank of ["4", "64"]) {
      const same = join(place, `same-${rank}`);
      expect(lqa("decode", file, "-o", same, "--dtype", "f32", "--rank", rank).code).toBe(0);
      for (const name of ["adapter_config.json", "adapter_model.safetensors"])
        expect(readFileSync(join(same, name)).equals(readFileSync(join(whole, name)))).toBe(true);
    }
    const served = join(place, "served");
    expect(lqa("decode", file, "-o", served, "--rank", "3", "--portable")).toMatchObject({ code: 0 });
    expect(read(served)).toMatchObject({ rank: 3, scale: 1 });
  });

  it("refuses a rank that is none", () => {
    expect(lqa("decode", file, "-o", join(place, "none"), "--rank", "0").code).toBe(2);
  });
});
