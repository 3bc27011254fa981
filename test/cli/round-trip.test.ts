import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lqa, lqaIn } from "../helpers/cli.ts";
import { readSafetensors, testTensors, writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

interface Report {
  readonly [key: string]: unknown;
  readonly inputBytes: number;
  readonly outputBytes: number;
  readonly relativeError: number;
  readonly fileId: string;
  readonly contentId: string;
  readonly modules: readonly Record<string, unknown>[];
}

const folder = temporaryDirectory();
const source = writePeftDirectory(join(folder, "adapter"));
const file = join(folder, "x.lqa");
const encoded = lqa("encode", source, "-o", file, "--json");

describe("lqa encode", () => {
  it("reports what the encoding cost and kept", () => {
    expect(encoded.err).toBe("");
    expect(encoded.code).toBe(0);
    const report = encoded.json<Report>();
    expect(Object.keys(report).sort()).toEqual(
      [
        "dialect",
        "notes",
        "parameters",
        "parent",
        "inputBytes",
        "outputBytes",
        "averageBits",
        "bitsPerParameter",
        "relativeError",
        "snrDb",
        "errorEnergy",
        "outputError",
        "divergence",
        "divergenceFrom",
        "outlook",
        "start",
        "energy",
        "calibration",
        "seconds",
        "modules",
        "profile",
        "quality",
        "baseDigest",
        "doraError",
        "bits",
        "codeBits",
        "maxBytes",
        "maxError",
        "floor",
        "gain",
        "restoredError",
        "droppedModules",
        "weakModules",
        "fit",
        "weighted",
        "group",
        "element",
        "tensors",
        "tensorBytes",
        "tensorPolicy",
        "narrowed",
        "fileId",
        "contentId",
      ].sort(),
    );
    expect(report).toMatchObject({ profile: "rd", quality: "balanced", floor: 0, fit: "unbiased" });
    expect(report).toMatchObject({ bits: null, codeBits: null });
    expect(report).toMatchObject({ dialect: "peft", notes: [] });
    // Two layers of q (64 to 64) and v (64 to 32) at rank 4.
    expect(report.parameters).toBe(2 * 4 * (64 + 64 + 64 + 32));
    expect(report.outputBytes).toBe(statSync(file).size);
    const names = ["adapter_config.json", "adapter_model.safetensors"];
    expect(report.inputBytes).toBe(names.reduce((sum, name) => sum + statSync(join(source, name)).size, 0));
    expect(report.relativeError).toBeGreaterThan(0.01);
    expect(report.relativeError).toBeLessThan(0.8);
    expect(report.modules).toHaveLength(4);
    for (const module of report.modules) {
      expect(module).toMatchObject({
        name: expect.stringMatching(/^model\.layers\.[01]\.self_attn\.[qv]_proj$/),
        rank: 4,
        parameters: expect.any(Number),
        bytes: expect.any(Number),
        averageBits: expect.any(Number),
        bitsPerParameter: expect.any(Number),
        relativeError: expect.any(Number),
        snrDb: expect.any(Number),
        bands: expect.any(Array),
      });
    }
  });

  it("gives the same bytes every time", () => {
    const again = join(folder, "again.lqa");
    expect(lqa("encode", source, "-o", again).code).toBe(0);
    expect(readFileSync(again)).toEqual(readFileSync(file));
  });

  it("tells people the same in a few lines", () => {
    const { code, out, err } = lqa("encode", source, "-o", join(folder, "people.lqa"));
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/size +[\d.]+ KB → [\d.]+ KB, [\d.]+× smaller, [\d.]+ bits per weight\n/);
    expect(out).toMatch(/next +lqa inspect/);
    expect(
      out
        .trimEnd()
        .split("\n")
        .filter((line) => !line.includes("warning")),
    ).toHaveLength(5);
    const more = lqa("encode", source, "-o", join(folder, "people.lqa"), "--force", "--verbose").out;
    expect(more).toMatch(/encoding +rd quality=balanced/);
    expect(more).toMatch(/largest error/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: looks for colours where none belong
    expect(out).not.toMatch(/\u001b/);
  });

  it("says what should happen to answers, without a number", () => {
    const path = join(folder, "risk.lqa");
    const json = ["--force", "--json"];
    const sound = lqa("encode", source, "-o", path, "--quality", "near-lossless");
    expect(sound.out).toMatch(/answers +(very likely|may change)[^\d%]*\(a guess from the weights\)\n/);
    expect(sound.out).not.toContain("warning");
    const starved = lqa("encode", source, "-o", path, "--profile", "sign", "--force");
    expect(starved.out).toMatch(/answers +expect changes: use a higher --quality or more --bits/);
    expect(starved.out).toMatch(/warning: \d+ of 4 modules lost over half of their energy; use more bits/);
    const most = lqa("encode", source, "-o", path, "--profile", "sign", ...json).json<Report>();
    expect(most).toMatchObject({ outlook: "changes", divergenceFrom: "weights", start: null });
  });

  it("says that an adapter whose B is zero does nothing", () => {
    const change = (tensors: ReturnType<typeof testTensors>): void => {
      for (const [name, { values }] of tensors) if (name.includes("lora_B")) values.fill(0);
    };
    const untrained = writePeftDirectory(join(folder, "untrained"), { change });
    const told = lqa("encode", untrained, "-o", join(folder, "untrained.lqa"));
    expect(told).toMatchObject({ code: 0, out: expect.stringMatching(/warning: this adapter does nothing/) });
    expect(told.out).not.toMatch(/answers/);
  });

  it("keeps every bit with --profile raw, and says so", () => {
    const raw = join(folder, "raw.lqa");
    const report = lqa(
      "encode",
      source,
      "-o",
      raw,
      "--profile",
      "raw",
      "--element",
      "f32",
      "--json",
    ).json<Report>();
    expect(report).toMatchObject({
      profile: "raw",
      element: "f32",
      codeBits: null,
      relativeError: 0,
      snrDb: null,
    });
    expect(lqa("decode", raw, "-o", join(folder, "raw"), "--json").code).toBe(0);
    const [before, after] = [source, join(folder, "raw")].map((path) =>
      join(path, "adapter_model.safetensors"),
    ) as [string, string];
    expect(readFileSync(after)).toEqual(readFileSync(before));
  });

  it("takes every option", () => {
    const out = join(folder, "options.lqa");
    const words = ["--profile", "rtn", "--code-bits", "3", "--group", "64", "--align", "64"];
    const run = lqa(
      "encode",
      join(source, "adapter_model.safetensors"),
      `--output=${out}`,
      ...words,
      "--json",
    );
    expect(run.json<Report>()).toMatchObject({ profile: "rtn", codeBits: 3, group: 64 });
    expect(lqa("inspect", out, "--json").json()).toMatchObject({ alignment: 64 });
  });
});

describe("lqa decode", () => {
  it("gives a PEFT directory back", () => {
    const out = join(folder, "decoded");
    const run = lqa("decode", file, "-o", out, "--json");
    expect(run.err).toBe("");
    const report = encoded.json<Report>();
    expect(run.json<Report>()).toMatchObject({
      fileId: report.fileId,
      contentId: report.contentId,
      dtype: "source",
    });
    expect(listing(out)).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    const config = "adapter_config.json";
    expect(readFileSync(join(out, config))).toEqual(readFileSync(join(source, config)));
    const tensors = readSafetensors(readFileSync(join(out, "adapter_model.safetensors")));
    const original = testTensors();
    expect([...tensors.keys()].sort()).toEqual([...original.keys()].sort());
    for (const [name, { shape, dtype }] of tensors) {
      expect({ name, shape, dtype }).toEqual({ name, shape: original.get(name)!.shape, dtype: "F32" });
    }
  });

  it.each(["f16", "bf16", "f32"])("writes factors as %s", (dtype) => {
    const out = join(folder, dtype);
    expect(lqa("decode", file, "-o", out, "--dtype", dtype).code).toBe(0);
    for (const tensor of readSafetensors(readFileSync(join(out, "adapter_model.safetensors"))).values()) {
      expect(tensor.dtype).toBe(dtype.toUpperCase());
    }
  });
});

describe("lqa inspect", () => {
  it("accounts for every byte", () => {
    const info = lqa("inspect", file, "--json", "--modules").json<{
      fileLength: number;
      fileId: string;
      parts: Record<string, number>;
      modules: unknown[];
    }>();
    expect(info.fileLength).toBe(statSync(file).size);
    expect(info.fileId).toBe(encoded.json<Report>().fileId);
    expect(Object.values(info.parts).every((bytes) => bytes >= 0)).toBe(true);
    expect(Object.values(info.parts).reduce((sum, bytes) => sum + bytes, 0)).toBe(info.fileLength);
    expect(info.modules).toHaveLength(4);
  });

  it("shows people the file, and its modules if asked", () => {
    const brief = lqa("inspect", file).out;
    expect(brief).toContain("example/tiny");
    expect(brief).toContain("peft");
    expect(brief).not.toContain("q_proj");
    expect(lqa("inspect", file, "--modules").out).toMatch(
      /layers\.0\.self_attn\.q_proj +64×64 +4 +×2 .*\d×\(?trellis/,
    );
  });
});

describe("lqa validate", () => {
  it("finds nothing wrong at any level", () => {
    for (const level of ["structure", "integrity", "values", "canonical"]) {
      const run = lqa("validate", file, "--level", level, "--json");
      expect(run.code).toBe(0);
      expect(run.json()).toMatchObject({
        valid: true,
        files: [{ file, valid: true, level, findings: [], modules: 4 }],
      });
    }
    expect(lqa("validate", file).out).toMatch(/^valid +.*x\.lqa/);
  });
});

describe("names", () => {
  it("may have spaces, other scripts and dots", () => {
    const place = join(folder, "mein Ordner", "ዐማርኛ 🙂");
    mkdirSync(place, { recursive: true });
    const adapter = writePeftDirectory(join(place, "a d.apter"));
    const at = { cwd: place };
    expect(lqaIn(at, "encode", "a d.apter", "-o", "ä ö.lqa").code).toBe(0);
    expect(lqaIn(at, "validate", "./ä ö.lqa").code).toBe(0);
    expect(lqaIn(at, "decode", "ä ö.lqa", "-o", "zurück/".replace("/", "")).code).toBe(0);
    expect(lqaIn(at, "encode", "--output", "--dashed.lqa", adapter).code).toBe(2);
    expect(lqaIn(at, "encode", "--output=-dashed.lqa", "--", adapter).code).toBe(0);
    expect(listing(place)).toEqual(["-dashed.lqa", "a d.apter", "zurück", "ä ö.lqa"]);
  });
});
