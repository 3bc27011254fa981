/** The digest of the base model's weights (spec clause 10.6): written by encode, compared by validate. */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { encodeMeta } from "../../src/core/format.ts";
import { open } from "../../src/core/index.ts";
import { bands, fileBytes, packed, shape } from "../container/fixtures.ts";
import { lqa } from "../helpers/cli.ts";
import { baseModel, changed, noise, type TestModel, tensor, writeModel } from "../helpers/models.ts";
import { type TestTensor, writePeftDirectory } from "../helpers/peft.ts";
import type { SafeTensor } from "../helpers/safetensors.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const place = temporaryDirectory();
const path = (name: string): string => join(place, name);
const LAYERS = [0, 1].map((layer) => `model.layers.${layer}.self_attn.q_proj`);
const model = baseModel("BF16");
const [q0, q1] = LAYERS.map((name) => `${name}.weight`) as [string, string];

/** The digest by the words of the specification, from nothing of the library. */
function digestOf(base: TestModel, numbers: Readonly<Record<string, number>>): string {
  const hash = createHash("sha256").update("LQA base 1\n");
  for (const name of LAYERS) {
    const { element, shape: sizes, data } = base.get(`${name}.weight`)!;
    const head = Buffer.alloc(3);
    head.writeUInt8(1, 0);
    head.writeUInt16LE(name.length, 1);
    const rest = Buffer.alloc(4 + 4 * sizes.length);
    rest.set([0, numbers[element]!, 0, sizes.length]);
    sizes.forEach((size, i) => {
      rest.writeUInt32LE(size, 4 + 4 * i);
    });
    hash.update(head).update(name).update(rest).update(createHash("sha256").update(data).digest());
  }
  return hash.digest("hex");
}

const change = (tensors: Map<string, TestTensor>): void => {
  tensors.clear();
  for (const [i, name] of LAYERS.entries()) {
    tensors.set(`base_model.model.${name}.lora_A.weight`, { shape: [4, 24], values: noise(96, 2 * i + 1) });
    tensors.set(`base_model.model.${name}.lora_B.weight`, { shape: [32, 4], values: noise(128, 2 * i + 2) });
  }
};
const one = (name: string, value: SafeTensor): TestModel => changed(model, { [name]: value });
/** The same values except for one element of one weight. */
const other = one(q1, {
  ...model.get(q1)!,
  data: model.get(q1)!.data.map((byte, i) => (i === 700 ? byte ^ 1 : byte)),
});

beforeAll(() => {
  writePeftDirectory(path("adapter"), { change });
  writeModel(path("base"), model);
  writeModel(path("sharded"), model, 3);
  writeModel(path("other"), other);
  expect(lqa("encode", path("adapter"), "-o", path("a.lqa"), "--base", path("base")).code).toBe(0);
  expect(lqa("encode", path("adapter"), "-o", path("plain.lqa")).code).toBe(0);
});

const validate = (
  file: string,
  base: string,
): { code: number | null; kinds: string[]; warnings: string[] } => {
  const done = lqa("validate", path(file), "--base", path(base), "--json");
  const { findings, warnings } = done.json<{
    files: { findings: { kind: string }[]; warnings: { kind: string }[] }[];
  }>().files[0]!;
  return {
    code: done.code,
    kinds: findings.map(({ kind }) => kind),
    warnings: warnings.map(({ kind }) => kind),
  };
};

describe("encode --base", () => {
  it("writes the digest of clause 10.6, and says it", async () => {
    const meta = await (await open(new Uint8Array(readFileSync(path("a.lqa"))))).meta();
    const expected = digestOf(model, { BF16: 3 });
    expect(Buffer.from(meta.base_digest as Uint8Array).toString("hex")).toBe(expected);
    const again = lqa("encode", path("adapter"), "-o", path("b.lqa"), "--base", path("sharded"), "--json");
    expect(again.json()).toMatchObject({ baseDigest: expected });
    expect(readFileSync(path("b.lqa")).equals(readFileSync(path("a.lqa")))).toBe(true);
  });

  it("writes it into each of many adapters", () => {
    writePeftDirectory(path("second"), { change });
    const inputs = [path("adapter"), path("second")];
    expect(lqa("encode", ...inputs, "--out-dir", path("out"), "--base", path("base")).code).toBe(0);
    for (const name of ["adapter", "second"])
      expect(readFileSync(path(`out/${name}.lqa`)).equals(readFileSync(path("a.lqa"))), name).toBe(true);
  });

  it("writes nothing for a model that does not fit", () => {
    writeModel(path("wide"), one(q0, tensor([33, 24], noise(33 * 24, 9))));
    writeModel(path("without"), changed(model, { [q0]: undefined }));
    for (const [base, kind] of [
      ["wide", "BASE_SHAPE"],
      ["without", "BASE_MODULE_MISSING"],
      ["nowhere", "NOT_FOUND"],
    ] as const) {
      const done = lqa("encode", path("adapter"), "-o", path("c.lqa"), "--base", path(base));
      expect(done.err, base).toContain(kind);
      expect(listing(place)).not.toContain("c.lqa");
    }
  });
});

describe("validate --base", () => {
  it("accepts the model, in shards, and with other weights in layers that are not adapted", () => {
    writeModel(path("head"), one("lm_head.weight", tensor([40, 24], noise(960, 77), "BF16")));
    for (const base of ["base", "sharded", "head"])
      expect(validate("a.lqa", base), base).toEqual({ code: 0, kinds: [], warnings: [] });
  });

  it("accepts the model under other names", () => {
    writeModel(
      path("bare"),
      new Map([...model].map(([name, value]) => [name.replace(/^model\./, ""), value])),
    );
    expect(validate("a.lqa", "bare").kinds).toEqual([]);
  });

  it("notices another model of the same shapes, by one bit or by the element type", () => {
    writeModel(path("f32"), baseModel("F32"));
    for (const base of ["other", "f32"])
      expect(validate("a.lqa", base), base).toEqual({ code: 1, kinds: ["BASE_WEIGHTS"], warnings: [] });
    // Which is all there is to see of it without the digest.
    expect(validate("plain.lqa", "other")).toMatchObject({ code: 0, kinds: [] });
  });

  it("says that a configuration has no weights", () => {
    mkdirSync(path("config"));
    writeFileSync(
      path("config/config.json"),
      JSON.stringify({ hidden_size: 24, num_attention_heads: 1, head_dim: 32 }),
    );
    expect(validate("a.lqa", "config")).toMatchObject({ code: 0, warnings: ["BASE_WEIGHTS_UNREAD"] });
    expect(validate("plain.lqa", "config").warnings).toEqual([]);
  });

  it("refuses a digest of another form", async () => {
    for (const value of ["text", new Uint8Array(31), 5]) {
      const module = packed(shape(LAYERS[0]!, { out: 32, in: 24 }), bands(1, 3));
      const data = encodeMeta({ base_digest: value }, "META");
      const section = { type: "META", data, critical: false, safeToCopy: true, compress: false } as const;
      writeFileSync(
        path("form.lqa"),
        await fileBytes({ modules: [module], tensors: [], sections: [section] }),
      );
      expect(validate("form.lqa", "base")).toMatchObject({ code: 1, kinds: ["META_ENCODING"] });
    }
  });
});

describe("a diffusion pipeline", () => {
  it("is read component by component", () => {
    const name = "to_q";
    const parts = ["unet", "text_encoder"];
    const components = (tensors: Map<string, TestTensor>): void => {
      tensors.clear();
      for (const [i, part] of parts.entries()) {
        tensors.set(`base_model.model.${part}.${name}.lora_A.weight`, {
          shape: [4, 24],
          values: noise(96, i + 1),
        });
        tensors.set(`base_model.model.${part}.${name}.lora_B.weight`, {
          shape: [32, 4],
          values: noise(128, i + 5),
        });
      }
    };
    writePeftDirectory(path("components"), { change: components });
    mkdirSync(path("pipeline"));
    writeFileSync(path("pipeline/model_index.json"), "{}");
    for (const [i, part] of parts.entries())
      writeModel(
        path(`pipeline/${part}`),
        new Map([[`${name}.weight`, tensor([32, 24], noise(768, i + 20))]]),
      );
    mkdirSync(path("pipeline/scheduler"));
    expect(lqa("encode", path("components"), "-o", path("p.lqa"), "--base", path("pipeline")).err).toBe("");
    expect(validate("p.lqa", "pipeline")).toMatchObject({ code: 0, kinds: [] });
    writeModel(path("pipeline/unet"), new Map([[`${name}.weight`, tensor([32, 24], noise(768, 99))]]));
    expect(validate("p.lqa", "pipeline").kinds).toEqual(["BASE_WEIGHTS"]);
  });
});
