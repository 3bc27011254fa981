/**
 * Writes docs/dialects.md from what the tests find, and checks that it is current: `npx vitest run test/dialects/table.test.ts -u`
 * writes it anew.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { DialectName } from "../../src/dialects/dialect.ts";
import { DIALECTS, readAdapter, writeAdapter } from "../../src/dialects/index.ts";
import { openSource } from "../../src/dialects/source.ts";
import { encodeAdapter } from "../../src/encode.ts";
import { isLqaError } from "../../src/errors.ts";
import type { Adapter } from "../../src/model/adapter.ts";
import { openLqa } from "../../src/read/open.ts";
import { deltaOf, difference } from "./delta.ts";
import { SMALL_ADAPTERS, type SmallAdapter } from "./small.ts";

const root = join(import.meta.dirname, "../..");
const file = join(root, "docs/dialects.md");
const adapters = process.env.LQA_ADAPTERS ?? join(root, "../shared/adapters");

/** Programs that load what is written, and where that is checked. */
const CONSUMERS: Record<DialectName, string> = {
  peft: "PEFT 0.21 (`test/interop`, `integrations/python`); rules of vLLM, SGLang, LoRAX (`servers.test.ts`)",
  kohya: "none: no program that loads it is among the checks",
  diffusers: "none: no program that loads it is among the checks",
  cloneofsimo: "none: no program that loads it is among the checks",
  loralib: "none: no program that loads it is among the checks",
  mlx: "none: MLX needs a Mac",
  gguf: "llama.cpp, by node-llama-cpp 3.22.1 (`integrations/llama-cpp`)",
  onnx: "ONNX Runtime 1.32 `LoraAdapter`; onnxruntime-node and -web 1.30 as inputs (`integrations/onnxruntime`)",
};

const yes = (ok: boolean): string => (ok ? "yes" : "**no**");
const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");

function detected(files: SmallAdapter["files"]): string[] {
  const source = openSource(files);
  return DIALECTS.filter((each) => each.detect(source)).map(({ name }) => name);
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
  const written = writeAdapter(await (await openLqa(bytes)).readAdapter(), { factors: "source" });
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
      ...(to === "loralib" && { alpha: undefined, multiplier: 1 }),
    });
    return again.modules.length === adapter.modules.length ? 0 : "lost modules";
  } catch (error) {
    if (isLqaError(error, "UNSUPPORTED_DIALECT")) return `${error.expected}`;
    throw error;
  }
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
        const written = writeAdapter(adapter, { factors: "source" });
        const same = [...written].every(
          ([each, contents]) => Buffer.compare(contents, files.get(each)!) === 0,
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
        return [`\`${name}\``, "refused", "", "", `${error.kind}: ${error.actual}`];
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
        yes(mine.every(({ files }) => detected(files).join() === name)),
        yes(trips.every(({ imports }) => imports)),
        yes(trips.every(({ returns }) => returns)),
        `${mine.length}`,
        CONSUMERS[name],
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
dialect's rule. *Export*: through an \`.lqa\` file of the profile \`raw\` the same files come back, byte for byte, but for what is marked
below. What no consumer is named for was checked against the dialect's description only.

## Variants

${variants.join("\n")}

## From each into each

How many of a dialect's variants the other can say. ΔW is the same then (bit for bit, but for multipliers folded into B that are no power
of two, which round each weight of B once; \`any-to-any.test.ts\`); the others are refused with the reason.

${table(["from \\ to", ...dialects], matrix)}

${table(["refused; what was expected", "from → to"], listed)}

## Real adapters

<!-- real -->
${real}
<!-- /real -->

## In the programs that use them

SmolLM2-135M, the adapter of \`examples/number-words\` encoded with \`--bits 1.31\`, as \`integrations/llama-cpp/check.py ${model}\` measured
it. Differences are the largest of the logarithm of a next token's probability.

${table(
  ["", "measured"],
  Object.entries(figures).map(([name, value]) => [name, shown(value)]),
)}
`;
    await expect(text).toMatchFileSnapshot(file);
  });
});
