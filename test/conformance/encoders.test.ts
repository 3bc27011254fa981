/**
 * The comparison of encoders: its settings reach what could differ between engines, and it notices an encoder that differs.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
// The conformance suite is plain JavaScript, without types.
// @ts-expect-error
import { ENCODINGS, encodings } from "../../conformance/encoders/settings.mjs";
import { readAdapter } from "../../src/adapters/index.ts";
import { open } from "../../src/core/index.ts";
import { encodeAdapter } from "../../src/encode/index.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const names = ["adapter_config.json", "adapter_model.safetensors"];
const files = new Map(
  names.map((name) => [name, new Uint8Array(readFileSync(path(`examples/number-words/adapter/${name}`)))]),
);
const root = temporaryDirectory();

describe("the comparison of encoders", () => {
  it("has every codec, rotation, compression and policy in its encodings", async () => {
    const seen = new Map<string, Set<unknown>>();
    const see = (what: string, value: unknown) => seen.set(what, (seen.get(what) ?? new Set()).add(value));
    let made = 0;
    for await (const { bytes } of encodings({ encodeAdapter, readAdapter }, files, { filter: "mixed/" })) {
      made++;
      const { modules, tensors, sections } = await open(bytes);
      for (const one of modules.flatMap(({ bands }) => bands.flatMap(({ b, a }) => [b, a]))) {
        see("codec", one.codec);
        if (one.codec !== "trellis") continue;
        see("rotation", one.rotation);
        see("table", one.table);
      }
      for (const { compression } of [...tensors, ...sections]) see("compression", compression);
      for (const { element } of tensors) see("element", element);
    }
    expect(made).toBe(ENCODINGS.filter(([id]: [string]) => id.startsWith("mixed/")).length);
    expect(seen.get("codec")).toEqual(new Set(["zero", "raw", "affine", "sign", "trellis"]));
    expect(seen.get("rotation")).toEqual(new Set(["none", "hadamard64"]));
    expect(seen.get("table")!.size).toBeGreaterThan(2);
    expect(seen.get("compression")).toEqual(new Set(["none", "zstd", "shuffled-zstd", "text-zstd"]));
    expect(seen.get("element")).toEqual(new Set(["F32", "F16"]));
  });

  it("fails a runtime that writes other bytes, or nothing, and names it", () => {
    // Under the name of Bun, Node with one letter of each hash changed; under that of Deno something that stops at once.
    const program = (name: string, code: string): string => {
      const file = join(root, name);
      const version = 'if (process.argv.includes("--version")) { console.log("1.0"); process.exit(0); }';
      writeFileSync(file, `#!${process.execPath}\n${version}\n${code}\n`, { mode: 0o755 });
      return file;
    };
    const bun = program(
      "bun",
      `const { stdout } = require("node:child_process").spawnSync(process.execPath, process.argv.slice(2));
       process.stdout.write(String(stdout).replaceAll('"sha256":"', '"sha256":"0'));`,
    );
    const deno = program("deno", 'console.error("out of memory"); process.exit(1);');
    const counts = join(root, "counts.json");
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        path("conformance/encoders.mjs"),
        "--filter",
        "mixed/sign",
        "--counts",
        counts,
        "--keep",
        join(root, "kept"),
      ],
      { encoding: "utf8", env: { LQA_RUNTIMES: root, LQA_BUN: bun, LQA_DENO: deno, PATH: root } },
    );
    expect(stderr).toBe("");
    expect(stdout).toMatch(
      /^failed: Bun: mixed\/sign: with 1 worker: expected \d+ bytes \w+, found \d+ bytes 0/m,
    );
    expect(stdout).toMatch(/^crash: Deno: mixed\/sign: out of memory$/m);
    expect(stdout).toMatch(/^skipped: Chromium: chromium is not here/m);
    expect(stdout).toMatch(/^Readers: documents compared with that of lqa, Node \d+$/m);
    // This Node wrote and read it; the substitute for Bun and Deno reads nothing.
    expect(JSON.parse(readFileSync(counts, "utf8")).passed).toBe(2);
    expect(status).toBe(1);
    const kept = readFileSync(join(root, "kept/mixed/sign.lqa"));
    expect(stdout).toContain(createHash("sha256").update(kept).digest("hex"));
  });
});
