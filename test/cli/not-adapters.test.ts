/** What people give in place of an adapter or an .lqa file: each is named, with what to do. One row for each of the table. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync, zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { bytesOf, floats, pair } from "../dialects/build.ts";
import { Pickle } from "../dialects/pickles.ts";
import { lqa } from "../helpers/cli.ts";
import { gguf } from "../helpers/gguf.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { writeSafetensors } from "../helpers/safetensors.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
let count = 0;
const adapter = writePeftDirectory(join(folder, "adapter"), { layers: 1 });
const encoded = join(folder, "adapter.lqa");
expect(lqa("encode", adapter, "-o", encoded).code).toBe(0);

/** Writes files into a new directory and returns its path. */
function put(files: Readonly<Record<string, Uint8Array | string>>): string {
  const path = join(folder, `d${count++}`);
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), bytes);
  }
  return path;
}
const emptyDirectory = (): string => {
  const path = join(folder, "empty");
  mkdirSync(path);
  return path;
};
const file = (name: string, bytes: Uint8Array | string): string => join(put({ [name]: bytes }), name);
const keys = (...names: string[]): Uint8Array =>
  writeSafetensors(new Map(names.map((name) => [name, floats([2, 2])])));
const peft = (config: object, ...names: string[]): string =>
  put({ "adapter_config.json": JSON.stringify(config), "adapter_model.safetensors": keys(...names) });
const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 27654312\n";
const tar = new Uint8Array(1024);
tar.set(bytesOf("adapter_config.json"));
tar.set(bytesOf("ustar"), 257);
const model = keys(
  "model.embed_tokens.weight",
  "model.layers.0.self_attn.q_proj.weight",
  "model.norm.weight",
);
const optimizer = new Pickle()
  .op(0x7d, 0x28)
  .text("state")
  .op(0x7d)
  .text("param_groups")
  .op(0x5d, 0x75)
  .done();

/** Files; what happened; what to do. */
const ADAPTERS: readonly (readonly [string, string, RegExp, RegExp])[] = [
  ["an .lqa file", encoded, /^This is an \.lqa file/, /lqa inspect.*lqa decode/],
  [
    "a Git LFS pointer beside a configuration",
    put({ "adapter_config.json": '{"peft_type":"LORA"}', "adapter_model.safetensors": pointer }),
    /^This is a Git LFS pointer \(the real file has 27654312 bytes\)/,
    /git lfs pull/,
  ],
  [
    "a Git LFS pointer without its size",
    file("a.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
    /^This is a Git LFS pointer/,
    /git lfs pull/,
  ],
  [
    "an HTML page",
    file("a.safetensors", "\ufeff\n<!DOCTYPE html>\n<html><head>"),
    /^This is an HTML page/,
    /Download the file again/,
  ],
  [
    "an XML answer",
    file("a.bin", '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
    /^This is an XML document/,
    /Download/,
  ],
  [
    "a JSON answer",
    file("a.safetensors", '{"error":"Repository not found"}'),
    /^This is a JSON document/,
    /Check the path/,
  ],
  ["an index alone", file("model.safetensors.index.json", "{}"), /^This is the index/, /Give the directory/],
  ["a text", file("README.md", "# My adapter\nTrained on …"), /^This is a text/, /Check the path/],
  ["a tar archive", file("a.tar", tar), /^This is a tar archive/, /Unpack/],
  ["a tar archive, packed", file("a.tar.gz", gzipSync(tar)), /^This is a gzip archive/, /Unpack/],
  [
    "a 7z archive",
    file("a.7z", Uint8Array.of(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0, 4)),
    /^This is an archive/,
    /Unpack/,
  ],
  [
    "a zip archive",
    file("a.zip", zipSync({ "x/adapter_config.json": bytesOf("{}") })),
    /^This is a zip archive/,
    /Unpack/,
  ],
  [
    "a zip archive under another name",
    file("a.bin", zipSync({ "x/adapter_config.json": bytesOf("{}") })),
    /^This is a zip archive without tensors/,
    /Unpack/,
  ],
  [
    "an HDF5 file",
    file("a.h5", Uint8Array.of(0x89, 0x48, 0x44, 0x46, 13, 10, 26, 10)),
    /^This is an HDF5 file/,
    /PEFT/,
  ],
  [
    "optimizer.pt",
    file("optimizer.pt", optimizer),
    /^This is the state of a training run \(optimizer\)/,
    /checkpoint/,
  ],
  [
    "an optimizer under another name",
    file("a.pt", optimizer),
    /^This is the state of a training run/,
    /weights alone/,
  ],
  [
    "an optimizer in safetensors",
    file("a.safetensors", keys("x.exp_avg", "x.exp_avg_sq")),
    /^This is the state of an optimizer/,
    /adapter_model/,
  ],
  [
    "one shard",
    file("model-00002-of-00003.safetensors", model),
    /^This is one shard \(2-of-3\)/,
    /directory that holds all shards/,
  ],
  ["a whole model", file("model.safetensors", model), /^This is a whole model/, /mergekit-extract-lora/],
  [
    "a whole model beside a LoRA configuration",
    put({ "adapter_config.json": '{"peft_type":"LORA"}', "adapter_model.safetensors": model }),
    /^This is a whole model/,
    /mergekit-extract-lora/,
  ],
  [
    "a whole model in GGUF",
    file("model.gguf", gguf({ metadata: [["general.architecture", [8, "llama"]]] })),
    /^This is a whole model in GGUF/,
    /mergekit-extract-lora/,
  ],
  ["a LoRA-ViT file", file("a.safetensors", keys("w_a_000", "w_b_000")), /^This is a LoRA-ViT file/, /PEFT/],
];

/** What to do with an adapter of a method that PEFT converts, and with the others. */
const CONVERT = /peft\.save_as_lora/;
const EXTRACT = /mergekit-extract-lora/;

/** Adapters of other methods: flags do not change that nothing here is LoRA. Files; what happened; what to do. */
const METHODS: readonly (readonly [string, string, RegExp, RegExp])[] = [
  ["AdaLoRA", peft({ peft_type: "ADALORA" }, "x.lora_A", "x.lora_B", "x.lora_E"), /AdaLoRA/, EXTRACT],
  ["LoHa", peft({ peft_type: "LOHA" }, "x.hada_w1_a"), /LoHa/, CONVERT],
  ["LoKr", peft({ peft_type: "LOKR" }, "x.lokr_w1"), /LoKr/, CONVERT],
  ["OFT", peft({ peft_type: "OFT" }, "x.oft_R"), /OFT/, EXTRACT],
  ["BOFT", peft({ peft_type: "BOFT" }, "x.boft_R"), /BOFT/, EXTRACT],
  ["IA³", peft({ peft_type: "IA3" }, "x.ia3_l"), /IA³/, EXTRACT],
  ["VeRA", peft({ peft_type: "VERA" }, "x.vera_lambda_b"), /VeRA/, EXTRACT],
  ["HRA", peft({ peft_type: "HRA" }, "x.hra_u"), /HRA/, EXTRACT],
  ["prompt tuning", peft({ peft_type: "PROMPT_TUNING" }, "prompt_embeddings"), /prompt tuning/, EXTRACT],
  [
    "FineGates, whose tensors look like a model's",
    peft({ peft_type: "FINEGATES" }, "x.q.weight", "x.k.weight", "x.v.weight"),
    /PEFT's method "FINEGATES"/,
    EXTRACT,
  ],
  [
    "a method of tomorrow",
    peft({ peft_type: "NEWLORA" }, "x.lora_A.weight"),
    /PEFT's method "NEWLORA"/,
    EXTRACT,
  ],
  [
    "LoKr of LyCORIS",
    file("a.safetensors", keys("lora_unet_x.lokr_w1", "lora_unet_x.lokr_w2")),
    /LoKr/,
    CONVERT,
  ],
  [
    "LoKr of LyCORIS with alphas",
    file(
      "a.safetensors",
      writeSafetensors(
        new Map([
          ["lora_unet_x.lokr_w1", floats([2, 2])],
          ["lora_unet_x.alpha", floats([])],
        ]),
      ),
    ),
    /LoKr/,
    CONVERT,
  ],
];

/** Not .lqa files; what happened; what to do. */
const FILES: readonly (readonly [string, string, RegExp, RegExp])[] = [
  ["the directory of an adapter", adapter, /^This is a directory with an adapter/, /lqa encode/],
  [
    "another directory",
    put({ "x/y": "" }),
    /^This is a directory without \.lqa files/,
    /path of an \.lqa file/,
  ],
  ["an empty directory", emptyDirectory(), /^This is an empty directory/, /path of an \.lqa file/],
  [
    "a safetensors file",
    join(adapter, "adapter_model.safetensors"),
    /^This is a safetensors file/,
    /lqa encode/,
  ],
  [
    "a GGUF file",
    file("a.gguf", gguf({ metadata: [["general.architecture", [8, "llama"]]] })),
    /^This is a GGUF file/,
    /lqa encode/,
  ],
  [
    "a zip archive",
    file("a.lqa", zipSync({ "adapter.lqa": readFileSync(encoded) })),
    /^This is a zip archive/,
    /lqa encode/,
  ],
  ["a pickle", file("a.bin", optimizer), /^This is a pickle/, /lqa encode/],
  ["a Git LFS pointer", file("a.lqa", pointer), /^This is a Git LFS pointer/, /git lfs pull/],
  ["an HTML page", file("a.lqa", "<!DOCTYPE html>"), /^This is an HTML page/, /Download/],
];

interface Failure {
  readonly error: { readonly kind: string; readonly message: string; readonly advice: string };
}
/** What an error says happened. */
const happened = ({ message }: Failure["error"]): string => message.replace(/^LQA-\w+ \w+: /, "");

describe("lqa encode", () => {
  it.each(ADAPTERS)("%s", (_name, path, what, advice) => {
    const out = join(folder, "out");
    mkdirSync(out, { recursive: true });
    for (const words of [[], ["--from", "kohya"], ["--keep-unsupported"]]) {
      const run = lqa("encode", path, "-o", join(out, "x.lqa"), "--json", ...words);
      const { error } = run.json<Failure>();
      expect(happened(error)).toMatch(what);
      expect(error.advice).toMatch(advice);
      // The GGUF reader reports a model in GGUF.
      expect(run.code).toBe(3);
      if (path.endsWith(".gguf") || path.endsWith("a.pt")) break;
    }
    expect(listing(out)).toEqual([]);
  });
  it("says first what happened, then where, then what to do", () => {
    const lines = lqa("encode", file("a.safetensors", pointer), "-o", join(folder, "x.lqa")).err.split("\n");
    expect(lines[0]).toMatch(/^lqa: This is a Git LFS pointer.*\(LQA-U008 UNSUPPORTED_DIALECT\)/);
    expect(lines.slice(1, 3).map((line) => line.trim().split(/ {2,}/)[0])).toEqual(["where", "what to do"]);
  });
  it.each(METHODS)("%s", (_name, path, method, advice) => {
    for (const words of [[], ["--keep-unsupported"], ["--from", "loralib", "--alpha", "1"]]) {
      const run = lqa("encode", path, "-o", join(folder, "x.lqa"), "--json", ...words);
      const { error } = run.json<Failure>();
      expect([run.code, error.kind]).toEqual([3, "UNSUPPORTED_ADAPTER_FEATURE"]);
      expect(happened(error)).toMatch(/^This adapter is not LoRA but /);
      expect(happened(error)).toMatch(method);
      expect(error.advice).toMatch(advice);
      expect(error.advice).not.toMatch(/--keep-unsupported/);
    }
  });
  it("--keep-unsupported carries modules of other methods with their alphas", () => {
    const path = file(
      "a.safetensors",
      writeSafetensors(
        new Map([
          ["lora_unet_conv_in.lora_down.weight", floats([2, 5])],
          ["lora_unet_conv_in.lora_up.weight", floats([6, 2])],
          ["lora_unet_conv_in.alpha", floats([])],
          ["lora_unet_conv_out.lokr_w1", floats([2, 2])],
          ["lora_unet_conv_out.alpha", floats([])],
        ]),
      ),
    );
    const [out, back] = [join(folder, "kept.lqa"), join(folder, "kept")];
    const refused = lqa("encode", path, "-o", out);
    expect(refused.err).toMatch(/Parts of this adapter are not LoRA but LoKr[\s\S]*--keep-unsupported/);
    expect(lqa("encode", path, "-o", out, "--profile", "raw", "--keep-unsupported").code).toBe(0);
    expect(lqa("decode", out, "-o", back).code).toBe(0);
    expect(readFileSync(join(back, "a.safetensors"))).toEqual(readFileSync(path));
  });
  it("--keep-unsupported is neither recommended nor obeyed where the factors would be wrong without the tensor", () => {
    for (const leaf of ["lora_mid.weight", "scalar"]) {
      const path = file(
        "a.safetensors",
        writeSafetensors(
          new Map([
            ["lora_unet_conv_in.lora_down.weight", floats([2, 5])],
            ["lora_unet_conv_in.lora_up.weight", floats([6, 2])],
            [`lora_unet_conv_in.${leaf}`, floats([2, 2])],
          ]),
        ),
      );
      expect(lqa("encode", path, "-o", join(folder, "x.lqa")).err).not.toMatch(/--keep-unsupported/);
      const run = lqa("encode", path, "-o", join(folder, "x.lqa"), "--keep-unsupported", "--json");
      expect(run.json<Failure>().error.kind).toBe("UNSUPPORTED_ADAPTER_FEATURE");
    }
  });
  it("a dictionary with a head is no model", () => {
    const bytes = writeSafetensors(new Map([...pair("q"), ["score.weight", floats([2, 2])]]));
    expect(lqa("encode", file("x.safetensors", bytes), "-o", join(folder, "x.lqa")).err).not.toMatch(
      /whole model/,
    );
  });
});

const MORE: Readonly<Record<string, readonly string[]>> = {
  decode: ["-o", join(folder, "y")],
  diff: [encoded],
  push: ["hf://owner/name", "--dry-run"],
};

describe.each(["inspect", "validate", "decode", "diff", "push"])("lqa %s", (command) => {
  it.each(FILES)("%s", (_name, path, what, advice) => {
    // lqa diff takes adapters of any dialect as well.
    if (command === "diff" && !path.endsWith(".lqa")) return;
    const { error, files } = lqa(command, path, ...(MORE[command] ?? []), "--json").json<
      Partial<Failure> & { files?: { findings: Failure["error"][] }[] }
    >();
    const told = error ?? files![0]!.findings[0]!;
    expect(happened(told)).toMatch(what);
    expect(told.advice).toMatch(advice);
  });
});
