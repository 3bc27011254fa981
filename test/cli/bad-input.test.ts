import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { lqa, lqaIn, type Run } from "../helpers/cli.ts";
import { type TestAdapter, writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory, tinyDisk } from "../helpers/temporary.ts";

const folder = temporaryDirectory();
const source = writePeftDirectory(join(folder, "adapter"), { layers: 1 });
const file = join(folder, "good.lqa");
expect(lqa("encode", source, "-o", file).code).toBe(0);
const good = readFileSync(file);
const disk = tinyDisk(4);
if ("skipped" in disk) console.log(`full disk: skipped, ${disk.skipped}`);

/** The error of a run with --json; asserts that nothing else was printed. */
function errorOf(run: Run): Record<string, unknown> {
  expect(run.err).toBe("");
  return run.json<{ error: Record<string, unknown> }>().error;
}

/** Encodes an adapter that must be refused, and looks that nothing was left behind. */
function refused(options: TestAdapter): Record<string, unknown> & { exit: number | null } {
  const place = temporaryDirectory();
  writePeftDirectory(join(place, "adapter"), options);
  const run = lqa("encode", join(place, "adapter"), "-o", join(place, "x.lqa"), "--json");
  expect(listing(place)).toEqual(["adapter"]);
  return { ...errorOf(run), exit: run.code };
}

describe("a broken adapter is refused by name, and nothing is written", () => {
  const q = "base_model.model.model.layers.0.self_attn.q_proj";

  it("NaN and infinite weights", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const error = refused({
        change: (tensors) => {
          tensors.get(`${q}.lora_B.weight`)!.values[5] = value;
        },
      });
      expect(error).toMatchObject({ kind: "SOURCE_NONFINITE", exit: 1 });
      expect(error.where).toContain("q_proj");
    }
  });

  it("A without B", () => {
    const error = refused({ change: (tensors) => void tensors.delete(`${q}.lora_B.weight`) });
    expect(error).toMatchObject({ kind: "SOURCE_UNPAIRED_FACTOR", exit: 1 });
    expect(error.where).toContain("q_proj");
  });

  it("factors whose shapes do not fit", () => {
    const wrong = { shape: [64, 3], values: new Float32Array(192) };
    const error = refused({ change: (tensors) => void tensors.set(`${q}.lora_B.weight`, wrong) });
    expect(error).toMatchObject({ kind: "SOURCE_SHAPE", exit: 1 });
  });

  it("a configuration that is none, or asks for what the format cannot say", () => {
    expect(refused({ config: { r: "four" } })).toMatchObject({ kind: "SOURCE_CONFIG", exit: 1 });
    const error = refused({ config: { alora_invocation_tokens: [1, 2] } });
    expect(error).toMatchObject({ kind: "UNSUPPORTED_ADAPTER_FEATURE", exit: 3 });
    expect(JSON.stringify(error)).toContain("alora");
  });

  it("half a weights file", () => {
    const place = temporaryDirectory();
    const adapter = writePeftDirectory(join(place, "adapter"));
    for (const length of [1000, 100, 5, 0]) {
      truncateSync(join(adapter, "adapter_model.safetensors"), length);
      const run = lqa("encode", adapter, "-o", join(place, "x.lqa"), "--json");
      expect(errorOf(run)).toMatchObject({ kind: "TRUNCATED_SOURCE" });
      expect(run.code).toBe(1);
    }
    expect(listing(place)).toEqual(["adapter"]);
  });

  it("a missing path, and a directory without an adapter", () => {
    const run = lqa("encode", join(folder, "nothing"), "-o", join(folder, "x.lqa"), "--json");
    expect(errorOf(run)).toMatchObject({ kind: "NOT_FOUND", code: "LQA-X003" });
    expect(run.code).toBe(2);
    const { code, err } = lqa("encode", temporaryDirectory(), "-o", join(folder, "x.lqa"));
    expect(code).toBe(2);
    expect(err).toMatch(/is an empty directory \([\s\S]*expected +adapter_model\.safetensors/);
  });
});

describe("an output below a directory that does not exist", () => {
  it.each([
    ["encode", source, "-o", "none/x.lqa"],
    ["decode", file, "-o", "none/x"],
    ["decode", file, "-o", "none/x.gguf"],
    ["decode", file, "-o", "none/x", "--to", "mlx", "--force"],
    ["convert", source, "none/x", "--to", "kohya"],
  ])("is an error with what to do: %j", (...words: string[]) => {
    const place = temporaryDirectory();
    const run = lqa(...words.map((word) => word.replace("none/", `${place}/none/`)), "--json");
    expect([run.code, errorOf(run)]).toMatchObject([
      2,
      { kind: "IO", actual: expect.stringContaining("does not exist") },
    ]);
    expect(listing(place)).toEqual([]);
  });
});

describe("a broken .lqa file", () => {
  function damaged(bytes: Uint8Array): string {
    const path = join(temporaryDirectory(), "bad.lqa");
    writeFileSync(path, bytes);
    return path;
  }

  it("is found out wherever it was cut, by every command", () => {
    for (const length of [0, 7, 63, 64, 200, good.length - 64, good.length - 1]) {
      const path = damaged(good.subarray(0, length));
      for (const words of [
        ["validate", path],
        ["inspect", path],
        ["decode", path, "-o", `${path}.out`],
      ]) {
        const run = lqa(...words, "--json");
        const shown = run.json<{ error?: { class: string }; files?: { findings: { class: string }[] }[] }>();
        expect({ length, words, code: run.code, err: run.err }).toEqual({ length, words, code: 1, err: "" });
        expect((shown.error ?? shown.files![0]!.findings[0]!).class).toBe("T");
      }
      expect(listing(join(path, ".."))).toEqual(["bad.lqa"]);
    }
  });

  it("is found out by one changed bit, anywhere", () => {
    const path = damaged(good);
    const out = `${path}.out`;
    // Every 97th byte: prologue, index, chunks, sections, digests and trailer are all hit.
    for (let at = 3; at < good.length; at += Math.max(97, Math.floor(good.length / 24))) {
      const bytes = Uint8Array.from(good);
      bytes[at]! ^= 1 << (at % 8);
      writeFileSync(path, bytes);
      const run = lqa("decode", path, "-o", out, "--json");
      expect([1, 3, 4], `byte ${at}`).toContain(run.code);
      expect(errorOf(run).code).toMatch(/^LQA-[A-Z]\d{3}$/);
      expect(listing(join(path, ".."))).toEqual(["bad.lqa"]);
    }
  });

  it("is not a text file, and not empty", () => {
    const path = damaged(new TextEncoder().encode("hello\n".repeat(100)));
    const { code, err } = lqa("inspect", path);
    expect(code).toBe(1);
    expect(err).toMatch(/^lqa: This is a text, not an \.lqa file \(LQA-M001 BAD_MAGIC\)/);
  });

  it("does not keep others from being validated, and the worst code counts", () => {
    const bad = damaged(good.subarray(0, 300));
    const missing = join(folder, "none.lqa");
    expect(lqa("validate", file, bad).code).toBe(1);
    const run = lqa("validate", bad, missing, file, "--json");
    expect(run.code).toBe(2);
    const { valid, files, error } = run.json<{
      valid: boolean;
      files: { valid: boolean }[];
      error: { kind: string };
    }>();
    expect(valid).toBe(false);
    expect(files.map((one) => one.valid)).toEqual([false, false, true]);
    expect(error.kind).toBe("NOT_FOUND");
  });
});

describe("outputs", () => {
  it("are not replaced without --force", () => {
    const place = temporaryDirectory();
    const path = join(place, "x.lqa");
    writeFileSync(path, "precious");
    const run = lqa("encode", source, "-o", path, "--json");
    expect(run.code).toBe(2);
    expect(errorOf(run)).toMatchObject({
      code: "LQA-X002",
      kind: "OUTPUT_EXISTS",
      advice: expect.stringContaining("--force"),
    });
    expect(readFileSync(path, "utf8")).toBe("precious");
    expect(lqa("encode", source, "-o", path, "--force").code).toBe(0);
    expect(readFileSync(path)).toEqual(good);

    const out = join(place, "out");
    expect(lqa("decode", file, "-o", out).code).toBe(0);
    expect(lqa("decode", file, "-o", out).code).toBe(2);
    expect(lqa("decode", file, "-o", out, "--force").code).toBe(0);
    writeFileSync(join(out, "notes.txt"), "precious");
    expect(lqa("decode", file, "-o", out, "--force").err).toMatch(/also holds "notes\.txt"/);
    expect(listing(place)).toEqual(["out", "x.lqa"]);
  });

  it("need a directory that exists", () => {
    const run = lqa("encode", source, "-o", join(folder, "none", "x.lqa"), "--json");
    expect(errorOf(run)).toMatchObject({ kind: "IO", actual: "a directory of this path does not exist" });
  });

  it("may be what was the input", () => {
    const place = temporaryDirectory();
    writePeftDirectory(join(place, "adapter"), { layers: 1 });
    mkdirSync(join(place, "empty"));
    expect(lqaIn({ cwd: place }, "encode", "adapter", "-o", "x.lqa").code).toBe(0);
    expect(lqaIn({ cwd: place }, "decode", "x.lqa", "-o", "adapter", "--force").code).toBe(0);
    expect(lqaIn({ cwd: place }, "decode", "x.lqa", "-o", "empty").code).toBe(0);
    expect(lqaIn({ cwd: place }, "decode", "x.lqa", "-o", "x.lqa", "--force").code).toBe(2);
    expect(listing(place)).toEqual(["adapter", "empty", "x.lqa"]);
  });

  it.skipIf("skipped" in disk)("leave nothing on a full disk", () => {
    if ("skipped" in disk) return;
    for (const words of [
      ["encode", source, "-o", join(disk.path, "x.lqa"), "--profile", "raw"],
      ["decode", file, "-o", join(disk.path, "out")],
    ]) {
      const { code, err } = lqa(...words);
      expect(code).toBe(2);
      expect(err).toMatch(/the disk is full \(ENOSPC\)[\s\S]*free some space/);
      expect(listing(disk.path)).toEqual([]);
    }
  });

  it.skipIf(process.platform === "win32")("may go to a reader that stops reading", () => {
    const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
    const command = `"$0" "$1" inspect "$2" --modules --json | head -c 1; echo " \${PIPESTATUS[0]}"`;
    const result = spawnSync("bash", ["-c", command, process.execPath, main, file], { encoding: "utf8" });
    expect(result.stderr).toBe("");
    expect(result.stdout).toBe("{ 0\n");
  });
});
