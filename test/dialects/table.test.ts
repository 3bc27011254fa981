/**
 * Writes docs/dialects.md from what the tests find, and checks that it is current: `npx vitest run
 * test/dialects/table.test.ts -u` rewrites it.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DIALECTS, type DialectName, readAdapter, writeAdapter } from "../../src/adapters/index.ts";
import { type Adapter, isLqaError, open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { deltaOf, difference } from "./delta.ts";
import { SMALL_ADAPTERS, type SmallAdapter } from "./small.ts";

const root = join(import.meta.dirname, "../..");
const file = join(root, "docs/dialects.md");
const adapters = process.env.LQA_ADAPTERS ?? join(root, "../shared/adapters");

const json = (path: string): unknown => JSON.parse(readFileSync(join(root, path), "utf8"));
/** The version that a check is made with. */
function pinned(name: string, path = "test/interop/requirements.txt"): string {
  const version = path.endsWith(".json")
    ? (json(path) as { dependencies: Record<string, string> }).dependencies[name]
    : new RegExp(`^${name}==(.+)$`, "m").exec(readFileSync(join(root, path), "utf8"))?.[1];
  if (version === undefined) throw new Error(`${path} has no ${name}`);
  return `${name} ${version}`;
}

/** What test/interop/programs/check.py found: by dialect and program, what was loaded. */
const LOADED = json("test/interop/programs/programs.json") as Record<string, Record<string, string[]>>;

/** Programs that load what is written in the checks of other folders, or why there is none. */
const ELSEWHERE: Partial<Record<DialectName, string>> = {
  peft: `${pinned("peft")} (\`test/interop\`, \`integrations/python\`); rules of vLLM, SGLang, LoRAX (\`servers.test.ts\`)`,
  gguf: `llama.cpp, by ${pinned("node-llama-cpp", "integrations/llama-cpp/package.json")} (\`integrations/llama-cpp\`)`,
  onnx: `${pinned("onnxruntime")} \`LoraAdapter\`; ${pinned("onnxruntime-node", "integrations/onnxruntime/package.json")} and -web as inputs (\`integrations/onnxruntime\`)`,
};

function consumers(name: DialectName): string {
  const programs = Object.keys(LOADED[name] ?? {});
  const here = programs.length === 0 ? [] : [`${programs.join(", ")} ([below](#loaded-in))`];
  return [...here, ...(ELSEWHERE[name] === undefined ? [] : [ELSEWHERE[name]])].join("; ");
}

const yes = (ok: boolean): string => (ok ? "yes" : "**no**");
const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");

/** The dialect that an adapter is read as where nobody names one. variants.test.ts holds that no other takes it for its own. */
function detected({ files, read }: SmallAdapter): string | undefined {
  return readAdapter(files, { ...read, from: undefined }).origin?.dialect;
}

function sameDeltas(small: SmallAdapter, adapter: Adapter): boolean {
  return (
    adapter.modules.length === small.modules.size &&
    adapter.modules.every((module) => {
      const expected = small.modules.get(module.name);
      return expected !== undefined && difference(expected.delta, deltaOf(module)) === 0;
    })
  );
}

async function roundTrip(small: SmallAdapter): Promise<{ imports: boolean; returns: boolean }> {
  const adapter = readAdapter(small.files, small.read);
  const { bytes } = await encodeAdapter(adapter, { profile: "raw", tensors: "keep" });
  const written = writeAdapter(await (await open(bytes)).adapter(), { factors: "source", keepConfig: true });
  const told = small.dialect === "loralib" || !written.has("adapter_config.json");
  const again = readAdapter(written, told ? small.read : { ...small.read, multiplier: undefined });
  const same = [...written].every(([name, contents]) => {
    const original = small.files.get(name);
    return original !== undefined && Buffer.compare(contents, original.subarray(0, original.length)) === 0;
  });
  return { imports: sameDeltas(small, adapter), returns: sameDeltas(small, again) && (same || !small.same) };
}

/** What one adapter becomes in another dialect: how far ΔW is off, or why it is refused. */
function convert(small: SmallAdapter, to: DialectName): number | string {
  const adapter = readAdapter(small.files, small.read);
  const base = { architecture: small.dialect === "gguf" ? "llama" : "qwen2", heads: 1, keyHeads: 1 };
  try {
    const files = writeAdapter(adapter, { factors: "F32", to, base });
    const again = readAdapter(files, {
      from: to,
      ...small.read,
      alpha: undefined,
      multiplier: to === "loralib" ? 1 : undefined,
    });
    return again.modules.length === adapter.modules.length ? 0 : "lost modules";
  } catch (error) {
    if (isLqaError(error, "UNSUPPORTED_DIALECT")) return `${error.expected}`;
    throw error;
  }
}

/** The weights under the name that a program saved them by on the way; mlx-lm's are written under another. */
function weightsOf(files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  return [...files].find(([name]) => name.endsWith(".safetensors"))![1];
}

function realRows(): string[][] {
  return readdirSync(adapters, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => {
      const path = join(adapters, name);
      const files = new Map(
        readdirSync(path).map((each) => [each, new Uint8Array(readFileSync(join(path, each)))]),
      );
      const alpha = name.includes("loralib") ? 16 : undefined;
      try {
        const adapter = readAdapter(files, { alpha });
        const written = writeAdapter(adapter, { factors: "source", keepConfig: true });
        const same = [...written].every(
          ([each, contents]) => Buffer.compare(contents, files.get(each) ?? weightsOf(files)) === 0,
        );
        const dialect = adapter.origin!.dialect;
        return [
          `\`${name}\``,
          dialect,
          `${adapter.modules.length}`,
          `${adapter.tensors.length}`,
          same ? "every byte" : "names, order, values; the header is padded",
        ];
      } catch (error) {
        if (!isLqaError(error)) throw error;
        return [`\`${name}\``, "refused", "", "", `${error.kind}: ${error.summary}`];
      }
    });
}

describe("docs/dialects.md", () => {
  it("says what the tests find", async () => {
    const parts: string[] = [];
    const dialects = DIALECTS.map(({ name }) => name);
    const rows: string[][] = [];
    for (const { name, title } of DIALECTS) {
      const mine = SMALL_ADAPTERS.filter(({ dialect }) => dialect === name);
      const trips = await Promise.all(mine.map(roundTrip));
      rows.push([
        `\`${name}\``,
        title.replace(/^[^(]*\(/, "").replace(/\)$/, ""),
        yes(mine.every((small) => detected(small) === name)),
        yes(trips.every(({ imports }) => imports)),
        yes(trips.every(({ returns }) => returns)),
        `${mine.length}`,
        consumers(name),
      ]);
    }
    parts.push(
      table(
        [
          "dialect",
          "recognised by",
          "detected",
          "import: ΔW exact",
          "export: as it was",
          "variants",
          "loaded by",
        ],
        rows,
      ),
    );
    const variants = DIALECTS.map(({ name }) => {
      const mine = SMALL_ADAPTERS.filter(({ dialect }) => dialect === name);
      return `- \`${name}\`: ${mine.map(({ variant, same }) => variant + (same ? "" : " (ΔW only: written in another container or type)")).join(" · ")}`;
    });
    const matrix = dialects.map((from) => {
      const mine = SMALL_ADAPTERS.filter(({ dialect }) => dialect === from);
      return [
        `**${from}**`,
        ...dialects.map(
          (to) => `${mine.filter((small) => convert(small, to) === 0).length} / ${mine.length}`,
        ),
      ];
    });
    const reasons = new Map<string, Set<string>>();
    for (const small of SMALL_ADAPTERS) {
      for (const to of dialects) {
        const result = convert(small, to);
        if (result === 0) continue;
        reasons.set(`${result}`, (reasons.get(`${result}`) ?? new Set()).add(`${small.dialect} → ${to}`));
      }
    }
    const listed = [...reasons].map(([reason, pairs]) => [
      reason.replaceAll("|", "\\|"),
      [...pairs].sort().join(", "),
    ]);
    const loaded = dialects.flatMap((name) =>
      Object.entries(LOADED[name] ?? {}).map(([program, what]) => [`\`${name}\``, program, what.join(" · ")]),
    );
    const present = existsSync(adapters);
    if (!present)
      console.log(
        "the part about real adapters is not checked: their folder is not there (set LQA_ADAPTERS)",
      );
    const before = existsSync(file) ? readFileSync(file, "utf8") : "";
    const kept = /<!-- real -->\n([\s\S]*?)\n<!-- \/real -->/.exec(before)?.[1] ?? "";
    const real = present
      ? table(["file", "dialect", "modules", "plain tensors", "written again"], realRows())
      : kept;
    const results = join(root, "integrations/llama-cpp/results.json");
    const { model, ...figures } = JSON.parse(readFileSync(results, "utf8")) as Record<string, unknown>;
    const shown = (value: unknown): string =>
      typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(3) : `${value}`;
    const text = `<!-- Written by test/dialects/table.test.ts from what the tests find; do not edit. -->

# Dialects

${parts[0]}

*Detected*: every variant is recognised as this dialect and no other. *Import*: ΔW is, bit for bit, what the tensors say by the
dialect's rule. *Export*: through an \`.lqa\` file of the profile \`raw\` the same files come back, byte for byte, except for what is marked
below.

## Variants

${variants.join("\n")}

## From each into each

How many of a dialect's variants the other can say. ΔW is the same then (bit for bit, except for multipliers folded into B that are no power
of two, which round each weight of B once; \`any-to-any.test.ts\`); the others are refused with the reason.

${table(["from \\ to", ...dialects], matrix)}

${table(["refused; what was expected", "from → to"], listed)}

## Real adapters

<!-- real -->
${real}
<!-- /real -->

## Loaded in

\`test/interop/programs/check.py\` adapts small random models, sends the adapter through \`.lqa\` files, and compares the outputs with the
adapter as each program loads it with the outputs of the weights that clause 9.6 makes of it. They agree to 1e-5 of the largest output.

${table(["dialect", "program", "what"], loaded)}

videogen-hub is the package that has cloneofsimo's program, as one of its files. It numbers the layers of Stable Diffusion 1 in the order
in which diffusers registers them, which changed with diffusers 0.15. lqa knows both orders by the sizes of the layers.

Limits of these programs, for any file: diffusers 0.42 takes the most common alpha of a kohya file for all layers of the
attention of a UNet (\`--to diffusers\` says each multiplier). LyCORIS 4.1 reads every DoRA as one by output unless you configure it.
In kohya files of transformers diffusers 0.42 reads layers under the names of the authors' code. So an adapter of Flux becomes one of
sd-scripts (queries, keys and values in one layer); what diffusers converts is compared by its values, and it leaves out layers outside
blocks (\`img_in\`, \`final_layer\`, …). \`--to diffusers\` takes the layers of such a file apart again, and diffusers loads all of them.
Other transformers keep diffusers' paths (\`lora_transformer_…\`), for ComfyUI.

## In the programs that use them

SmolLM2-135M, the adapter of \`examples/number-words\` encoded with \`--bits 1.31\`, as \`integrations/llama-cpp/check.py ${model}\` measured
it. Differences are the largest of the logarithm of a next token's probability.

${table(
  ["what", "measured"],
  Object.entries(figures).map(([name, value]) => [name, shown(value)]),
)}
`;
    await expect(text).toMatchFileSnapshot(file);
  });
});
