/**
 * Fields of a configuration that make PEFT, diffusers or mlx-lm import, open, search or allocate: named by `validate`, `inspect` and
 * `decode`, and not written unless somebody asks for them. SECURITY.md has the table.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type ConfigRisk, readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import type { Adapter } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { lqa } from "../helpers/cli.ts";
import { writeSafetensors } from "../helpers/safetensors.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { bytesOf, directory, floats, pair } from "./build.ts";

const NAME = "model.layers.0.q_proj";

function read(config: object): Adapter {
  return readAdapter(directory(pair(NAME), config));
}

/** What is written, as JSON, and the risks. */
function written(
  adapter: Adapter,
  keepConfig = false,
): { config: Record<string, unknown>; risks: ConfigRisk[] } {
  const risks: ConfigRisk[] = [];
  const onConfigRisk = (risk: ConfigRisk): void => void risks.push(risk);
  const files = writeAdapter(adapter, { factors: "source", keepConfig, onConfigRisk });
  return { config: JSON.parse(new TextDecoder().decode(files.get("adapter_config.json"))), risks };
}

/** An adapter whose origin record says what no reader of ours lets through. */
function forged(field: string, value: unknown): Adapter {
  const adapter = read({});
  const config = bytesOf(JSON.stringify({ peft_type: "LORA", r: 2, lora_alpha: 8, [field]: value }));
  return { ...adapter, origin: { ...adapter.origin!, config } };
}

/** A value of each field that is a risk, and what is written in its place: absent if it is left out. */
const RISKS: readonly (readonly [field: string, value: unknown, instead?: unknown])[] = [
  ["auto_mapping", { base_model_class: "Model", parent_library: "evil_payload" }],
  ["auto_mapping", { base_model_class: "Model", parent_library: "transformers_modules.evil" }],
  ["auto_mapping", "evil"],
  ["megatron_core", "evil_payload"],
  ["corda_config", { cache_file: "/tmp/cache.pt" }],
  ["corda_config", { covariance_file: "cov.pt", corda_method: "ipm" }],
  ["base_model_name_or_path", "\\\\host\\share\\model"],
  ["base_model_name_or_path", "//host/share"],
  ["base_model_name_or_path", "https://host/model"],
  ["monteclora_config", { buffer_size: 1e9 }],
  ["monteclora_config", { num_samples: "many" }],
  ["r", 200_000_000, 2],
  ["rank_pattern", { elsewhere: 200_000_000 }, {}],
  ["rank_pattern", { "(a+)+b": 2 }, {}],
  ["alpha_pattern", { "(a|a)*b": 3 }, {}],
  ["target_modules", "(.*.*)*x", [NAME]],
  ["exclude_modules", "(a?){60}(a){60}"],
  ["layers_pattern", ["(a*)*"]],
  ["trainable_token_indices", [1, 2, 3], null],
];

const HARMLESS: readonly (readonly [field: string, value: unknown])[] = [
  ["auto_mapping", { base_model_class: "UNet2DConditionModel", parent_library: "diffusers.models.unets" }],
  ["auto_mapping", null],
  ["megatron_core", "megatron.core"],
  ["corda_config", { cache_file: null, covariance_file: null, corda_method: "ipm" }],
  ["base_model_name_or_path", "/home/someone/models/base"],
  ["base_model_name_or_path", "owner/model"],
  ["monteclora_config", { buffer_size: 150, num_samples: 8 }],
  ["rank_pattern", { elsewhere: 1 }],
  // As Unsloth writes it.
  [
    "target_modules",
    "(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|k_proj).*?)|(?:\\bmodel\\.layers\\.[\\d]{1,}\\.(?:self_attn|mlp)\\.(?:(?:q_proj|k_proj)))",
  ],
];

describe("a configuration that is a risk for who loads it", () => {
  it.each(RISKS)("%s: %j is named and not written", (...row) => {
    const [field, value, instead] = row as unknown as (typeof RISKS)[number];
    const adapter =
      field === "trainable_token_indices"
        ? forged(field, value)
        : read(field === "r" ? { rank_pattern: { q_proj: 2 }, r: value } : { [field]: value });
    const { config, risks } = written(adapter);
    expect(risks.map((risk) => risk.field)).toEqual([field]);
    expect(config[field]).toEqual(instead);
    const again = readAdapter(directory(pair(NAME), JSON.stringify(config))).modules[0]!;
    expect(again.multiplier).toBe(adapter.modules[0]!.multiplier);
    const kept = written(adapter, true);
    expect(kept.config[field]).toEqual(value);
    expect(kept.risks).toEqual(risks);
  });

  it.each(HARMLESS)("%s: %j is written byte for byte", (...row) => {
    const [field, value] = row as unknown as (typeof HARMLESS)[number];
    const files = directory(pair(NAME), { [field]: value });
    const back = writeAdapter(readAdapter(files), {
      factors: "source",
      onConfigRisk: () => expect.unreachable(),
    });
    expect(back.get("adapter_config.json")).toEqual(files.get("adapter_config.json"));
  });

  it.each([
    ["megatron_config", { x: 1 }],
    ["layer_replication", [[0, 1_000_000_000]]],
  ])("%s in a forged record is refused, with keepConfig too", (field, value) => {
    for (const keepConfig of [false, true])
      expect(() => written(forged(field, value), keepConfig)).toThrow(field);
  });

  it("has a row in SECURITY.md for each field, and every risky field is tested here", () => {
    const page = readFileSync(new URL("../../SECURITY.md", import.meta.url), "utf8");
    const tested = new Set([...RISKS.map(([field]) => field), "megatron_config", "layer_replication"]);
    // The table's first column, without the fields of other programs.
    const [table = ""] = /^\| field \| what loading does [\s\S]*?\n\n/m.exec(page) ?? [];
    const named = [...table.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(([, cell]) =>
      [...cell!.matchAll(/`(\w+)`/g)].map(([, field]) => field!),
    );
    expect([...tested].sort()).toEqual(named.sort());
    // No door has the list, and a new field must not be forgotten here.
    const source = readFileSync(new URL("../../src/adapters/config-risks.ts", import.meta.url), "utf8");
    const [, listed = ""] = /RISKY_FIELDS: [\s\S]*?\(\[\n([\s\S]*?)\n\]\);/.exec(source) ?? [];
    const known = [...listed.matchAll(/^ {2}\[\s*"(\w+)",/gm)].map(([, field]) => field!);
    expect(known.sort()).toEqual([...tested].sort());
  });

  it("is found in the metadata of diffusers, component by component", () => {
    const metadata = (fields: object): Adapter => {
      const config = { "unet.r": 2, "unet.lora_alpha": 4, ...fields };
      const tensors = new Map([
        ["unet.down.to_q.lora_A.weight", floats([2, 6])],
        ["unet.down.to_q.lora_B.weight", floats([5, 2], 3)],
      ]);
      const rows = new Map([["lora_adapter_metadata", JSON.stringify(config)]]);
      return readAdapter(new Map([["a.safetensors", writeSafetensors(tensors, { metadata: rows })]]));
    };
    const back = (adapter: Adapter): [Adapter, string, string[]] => {
      const risks: string[] = [];
      const files = writeAdapter(adapter, {
        factors: "source",
        onConfigRisk: ({ field }) => risks.push(field),
      });
      const text = new TextDecoder().decode([...files.values()][0]);
      return [readAdapter(files), text, risks];
    };
    const left = metadata({ "unet.megatron_core": "evil_payload" });
    const [adapter, text, risks] = back(left);
    expect(risks).toEqual(["unet.megatron_core"]);
    expect(text).toContain("lora_adapter_metadata");
    expect(text).not.toContain("evil_payload");
    expect(adapter.modules[0]!.multiplier).toBe(2);
    const [derived, without, found] = back(metadata({ "unet.rank_pattern": { other: 1e9 } }));
    expect(found).toEqual(["unet.rank_pattern"]);
    expect(without).not.toContain("lora_adapter_metadata");
    const effect = ({ multiplier, b }: Adapter["modules"][number]): number => multiplier * b[0]!;
    expect(effect(derived.modules[0]!)).toBe(effect(left.modules[0]!));
  });

  it("is found in the rank of mlx-lm", () => {
    const files = new Map([
      [
        "adapters.safetensors",
        writeSafetensors(
          new Map([
            ["a.q.lora_a", floats([6, 2])],
            ["a.q.lora_b", floats([2, 5])],
          ]),
        ),
      ],
      [
        "adapter_config.json",
        bytesOf(JSON.stringify({ lora_parameters: { rank: 1e9, scale: 3 }, num_layers: 4 })),
      ],
    ]);
    const { config, risks } = written(readAdapter(files));
    expect(risks.map(({ field }) => field)).toEqual(["lora_parameters"]);
    expect(config.lora_parameters).toMatchObject({ rank: 2, scale: 3 });
  });
});

describe("patterns that Python may search forever", () => {
  const risksOf = (pattern: string): string[] =>
    written(read({ alpha_pattern: { [pattern]: 3 } })).risks.map(({ field }) => field);
  it.each(["(a+)+", "(a|b)*", "((a)|b){3}", "(?:a?)*", "(a{1,9}){1,9}", ".*.*.*.*.*.*.*", "([)]+)+"])(
    "%s",
    (pattern) => expect(risksOf(pattern)).toEqual(["alpha_pattern"]),
  );
  it.each(["(a|b)c+", "[(a+)+]", "\\(a+\\)+", "(?:ab)+", "a{2}b{3,}", ".*\\.(q|k)_proj", ""])(
    "but not %s",
    (pattern) => expect(risksOf(pattern)).toEqual([]),
  );
});

describe("the command line", () => {
  const place = temporaryDirectory();
  const path = (name: string): string => join(place, name);
  beforeAll(async () => {
    const config = {
      auto_mapping: { base_model_class: "M", parent_library: "evil_payload" },
      megatron_core: "evil_payload",
    };
    mkdirSync(path("evil"));
    for (const [name, bytes] of directory(pair(NAME), config)) writeFileSync(path(`evil/${name}`), bytes);
    writeFileSync(path("evil.lqa"), (await encodeAdapter(read(config))).bytes);
  });

  it("names the fields in validate, whose exit code stays 0", () => {
    const run = lqa("validate", path("evil.lqa"), "--json");
    expect(run.code).toBe(0);
    const [file] = run.json<{ files: { valid: boolean; warnings: { kind: string; where: string }[] }[] }>()
      .files;
    expect(file).toMatchObject({ valid: true });
    expect(file!.warnings.filter(({ kind }) => kind === "CONFIG_FIELD").map(({ where }) => where)).toEqual([
      'field "auto_mapping"',
      'field "megatron_core"',
    ]);
    const told = lqa("validate", path("evil.lqa"));
    expect(told.code).toBe(0);
    expect(told.err).toMatch(/"megatron_core".*names a module that PEFT imports/s);
    expect(lqa("validate", path("evil.lqa"), "--no-warnings").err).toBe("");
  });

  it("names the fields in inspect", () => {
    expect(lqa("inspect", path("evil.lqa")).out).toMatch(/warning: the configuration has "auto_mapping"/);
    const { configRisks } = lqa("inspect", path("evil.lqa"), "--json").json<{ configRisks: ConfigRisk[] }>();
    expect(configRisks.map(({ field }) => field)).toEqual(["auto_mapping", "megatron_core"]);
  });

  it.each([
    ["decode", "evil.lqa"],
    ["convert", "evil"],
  ])("leaves the fields out in %s, and keeps them with --keep-config", (command, input) => {
    const to = (name: string): string[] =>
      command === "decode" ? [path(input), "-o", path(name)] : [path(input), path(name)];
    const run = lqa(command, ...to(`${command}-1`));
    expect(run.out).toMatch(/warning: "auto_mapping" is left out/);
    expect(readFileSync(path(`${command}-1/adapter_config.json`), "utf8")).not.toContain("evil");
    const kept = lqa(command, ...to(`${command}-2`), "--keep-config", "--json");
    expect(kept.json<{ configRisks: object[] }>().configRisks).toHaveLength(2);
    expect(readFileSync(path(`${command}-2/adapter_config.json`), "utf8")).toContain("evil");
  });
});
