/**
 * `lqa validate` as scripts use it: levels, all findings, JSON by its published schema, SARIF, patterns, standard input,
 * addresses, base models, the bytes around a fault, exit codes.
 */

import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { crc32 } from "node:zlib";
import { Ajv2020 } from "ajv/dist/2020.js";
import { beforeAll, describe, expect, it } from "vitest";
import { ERRORS, open } from "../../src/core/index.ts";
import { bands, fileBytes, packed, shape, smallInput } from "../container/fixtures.ts";
import { floats } from "../dialects/build.ts";
import { lqa, lqaIn, type Run } from "../helpers/cli.ts";
import { writeSafetensors } from "../helpers/safetensors.ts";
import { good, serve } from "../helpers/server.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";
import { thorough } from "../helpers/thorough.ts";

const place = temporaryDirectory();
const path = (name: string): string => join(place, name);
const SCHEMA = fileURLToPath(new URL("../../schema/validate.schema.json", import.meta.url));
const fits = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(SCHEMA, "utf8")),
);

/** The JSON of a run, which must fit the schema. */
function report(run: Run): {
  valid: boolean;
  error?: { kind: string };
  files: {
    file: string;
    valid: boolean;
    findings: { kind: string; offset: number }[];
    [key: string]: unknown;
  }[];
} {
  const value = run.json<never>();
  expect(fits(value), JSON.stringify(fits.errors)).toBe(true);
  return value;
}

let small: Uint8Array;
/** The small file with bytes changed, and the checksums of prologue and index right. */
function variant(name: string, change: (bytes: Uint8Array, view: DataView) => void, seal = true): string {
  const bytes = small.slice();
  const view = new DataView(bytes.buffer);
  change(bytes, view);
  if (seal) {
    const end = 64 + view.getUint32(32, true);
    view.setUint32(56, crc32(bytes.subarray(64, end)), true);
    view.setUint32(60, crc32(bytes.subarray(0, 60)), true);
  }
  writeFileSync(path(name), bytes);
  return path(name);
}

beforeAll(async () => {
  small = await fileBytes(smallInput());
  writeFileSync(path("good.lqa"), small);
  variant("version.lqa", (_, view) => view.setUint16(8, 9, true));
  variant("magic.lqa", (bytes) => bytes.fill(0, 0, 4), false);
  variant("limit.lqa", (_, view) => view.setUint32(32, 2 ** 26 + 4, true));
  const chunks = (await open(small)).index.modules.map(({ chunk }) => chunk.offset);
  variant("crc.lqa", (bytes) => {
    bytes[chunks[1]!]! ^= 1;
  });
  variant("damaged.lqa", (bytes) => {
    for (const at of [...chunks, bytes.length - 1]) bytes[at]! ^= 1;
  });
  const sound = packed(shape("transformer.c_attn"), bands(1, 3));
  writeFileSync(path("sound.lqa"), await fileBytes({ modules: [sound], tensors: [], sections: [] }));
});

describe("levels", () => {
  it("contain each other, and structure looks at lengths only", () => {
    for (const level of ["structure", "integrity", "values", "canonical"]) {
      expect(report(lqa("validate", path("good.lqa"), "--level", level, "--json"))).toMatchObject({
        valid: true,
        files: [{ valid: true, level, bytes: small.length, modules: 4, tensors: 6 }],
      });
      const { code } = lqa("validate", path("crc.lqa"), "--level", level);
      expect(code, level).toBe(level === "structure" ? 0 : 1);
    }
    const cut = path("cut.lqa");
    writeFileSync(cut, small.subarray(0, small.length - 1));
    expect(report(lqa("validate", cut, "--level", "structure", "--json")).files[0]!.findings).toMatchObject([
      { kind: "TRUNCATED_FILE", offset: small.length - 1 },
    ]);
  });

  it("give ids where every byte was looked at", () => {
    const ids = (level: string): unknown => {
      const [file] = report(lqa("validate", path("good.lqa"), "--level", level, "--json")).files;
      return [file!.fileId, file!.contentId];
    };
    expect(ids("structure")).toEqual([null, null]);
    expect(ids("integrity")).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), expect.any(String)]);
  });

  it("are four", () => {
    const { code, err } = lqa("validate", path("good.lqa"), "--level", "deep");
    expect(code).toBe(2);
    expect(err).toMatch(/structure/);
  });
});

describe("totals", () => {
  const names = ["good.lqa", "crc.lqa", "absent.lqa"];
  it("are the last line after several files, with their bytes", () => {
    const { out } = lqa("validate", ...names.map(path));
    expect(out.trimEnd().split("\n").at(-1)).toMatch(
      /^total: 3 files \([\d.,]+ \w+\), 1 valid, 1 invalid, 1 unread$/,
    );
  });

  it("are left out after one file", () => {
    expect(lqa("validate", path("good.lqa")).out).not.toMatch(/total/);
  });
});

describe("findings", () => {
  it("are the first, or all that do not depend on another", () => {
    const first = report(lqa("validate", path("damaged.lqa"), "--json")).files[0]!;
    const all = report(lqa("validate", path("damaged.lqa"), "--all", "--json")).files[0]!;
    expect(first.findings).toHaveLength(1);
    expect(all.findings.length).toBeGreaterThan(3);
    expect(all.findings[0]).toEqual(first.findings[0]);
    expect(all.findings.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(["CHUNK_CRC", "SPAN_DIGEST"]),
    );
    // In file order, chunk by chunk.
    const chunks = all.findings.filter(({ kind }) => kind === "CHUNK_CRC").map(({ offset }) => offset);
    expect(chunks).toEqual(chunks.toSorted((x, y) => x - y));
  });

  it("are shown with the clause, the advice and the bytes around them", () => {
    const { out, err } = lqa("validate", path("magic.lqa"));
    expect(out).toMatch(/^invalid {2}.*magic\.lqa\n$/);
    expect(err).toContain("LQA-M001 BAD_MAGIC");
    expect(err).toContain("specification, clause");
    expect(err).toContain("what to do");
    const rows = err.split("\n").filter((line) => /^ +\d+ {2}([0-9a-f]{2} ){15}[0-9a-f]{2} /.test(line));
    expect(rows.map((row) => row.trim().split(/ +/).slice(0, 5))).toEqual([
      ["0", "00", "00", "00", "00"],
      ["16", ...Array.from(small.subarray(16, 20), (byte) => byte.toString(16).padStart(2, "0"))],
    ]);
    expect(err).toMatch(/\n {14}\^\^\n/);
  });

  it("show where the file ends, if that is the fault", () => {
    writeFileSync(path("short.lqa"), small.subarray(0, small.length - 16));
    expect(lqa("validate", path("short.lqa")).err).toContain("end of the file");
  });

  it("are at most twenty for people, and said to be more", async () => {
    const modules = Array.from({ length: 40 }, (_, i) => packed(shape(`m${i}`), bands(1, 3), i + 1));
    const bytes = await fileBytes({ modules, tensors: [], sections: [] });
    const end = bytes.length;
    for (let at = 64 + 900; at < end - 200; at += 64) bytes[at]! ^= 1;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const chunks = 64 + view.getUint32(32, true);
    bytes.set((await fileBytes({ modules, tensors: [], sections: [] })).subarray(0, chunks + 64));
    writeFileSync(path("many.lqa"), bytes);
    const { err } = lqa("validate", path("many.lqa"), "--all");
    expect(err.match(/LQA-I003/g)).toHaveLength(20);
    expect(err).toMatch(/… \d+ more; see --json\n$/);
  });
});

describe("exit codes", () => {
  it.each([
    ["good.lqa", 0],
    ["crc.lqa", 1],
    ["magic.lqa", 1],
    ["absent.lqa", 2],
    [".", 4],
    ["version.lqa", 3],
    ["limit.lqa", 4],
  ])("%s: %i", (name, expected) => {
    const run = lqa("validate", path(name), "--json");
    expect(run.code).toBe(expected);
    expect(report(run).valid).toBe(expected === 0);
  });

  it("of several files are the worst: 2, 4, 3, 1, 0", () => {
    const code = (...names: string[]): number | null => lqa("validate", ...names.map(path)).code;
    expect(code("good.lqa", "crc.lqa")).toBe(1);
    expect(code("version.lqa", "crc.lqa")).toBe(3);
    expect(code("limit.lqa", "version.lqa")).toBe(4);
    expect(code("absent.lqa", "limit.lqa", "good.lqa")).toBe(2);
  });

  it("a file that cannot be read keeps no other from being checked", () => {
    const run = lqa("validate", path("absent.lqa"), path("good.lqa"), "--json");
    expect(report(run)).toMatchObject({
      valid: false,
      error: { kind: "NOT_FOUND" },
      files: [{ valid: false, error: { kind: "NOT_FOUND" } }, { valid: true }],
    });
  });

  it("many files need no more memory than one", { timeout: 120_000 }, async () => {
    const modules = Array.from({ length: 5000 }, (_, i) =>
      packed(shape(`layers.${i}.q`, { out: 4, in: 4 }), bands(1, 3), i + 1),
    );
    writeFileSync(path("wide.lqa"), await fileBytes({ modules, tensors: [], sections: [] }));
    // The indexes of thirty would not fit.
    const words = Array.from({ length: 30 }, () => path("wide.lqa"));
    const options = { env: { NODE_OPTIONS: "--max-old-space-size=64" } };
    expect(lqaIn(options, "validate", "--level", "structure", ...words)).toMatchObject({ code: 0 });
  });

  it("a wrong command has an error that fits the schema too", () => {
    for (const words of [
      ["--level", "x"],
      ["--json", "--nothing"],
      ["--json", "--sarif"],
    ]) {
      const run = lqa("validate", path("good.lqa"), "--json", ...words);
      expect(run.code).toBe(2);
      expect(fits(run.json()), JSON.stringify(fits.errors)).toBe(true);
    }
  });
});

describe("patterns", () => {
  const tree = path("tree");
  beforeAll(() => {
    for (const folder of ["a", "a/b", ".hidden"]) mkdirSync(join(tree, folder), { recursive: true });
    for (const name of [
      "x.lqa",
      "a/y.lqa",
      "a/b/z.lqa",
      "a/b/10.lqa",
      ".hidden/h.lqa",
      "a/note.txt",
      "[1]*.lqa",
    ])
      cpSync(path("good.lqa"), join(tree, name));
    symlinkSync(tree, join(tree, "a/circle"));
  });
  const found = (...words: string[]): string[] =>
    report(lqaIn({ cwd: tree }, "validate", "--json", "--level", "structure", ...words)).files.map(
      ({ file }) => file,
    );

  it("stand for the files that match, sorted", () => {
    expect(found("*.lqa")).toEqual(["[1]*.lqa", "x.lqa"]);
    expect(found("a/?.lqa")).toEqual(["a/y.lqa"]);
    expect(found("a/b/*.lqa")).toEqual(["a/b/10.lqa", "a/b/z.lqa"]);
    expect(found("*/*/z.lqa")).toEqual(["a/b/z.lqa"]);
  });

  it("reach any depth with **, without hidden directories and circles", () => {
    expect(found("**/*.lqa").sort()).toEqual(["[1]*.lqa", "a/b/10.lqa", "a/b/z.lqa", "a/y.lqa", "x.lqa"]);
    expect(found(join(tree, "a/**/*.lqa"))).toHaveLength(3);
  });

  it("give way to a file of exactly that name", () => {
    expect(found("[1]*.lqa")).toEqual(["[1]*.lqa"]);
  });

  it("that match nothing are files that are not found", () => {
    const run = lqaIn({ cwd: tree }, "validate", "none/*.lqa", "x.lqa", "--json");
    expect(run.code).toBe(2);
    expect(report(run).files).toMatchObject([
      { file: "none/*.lqa", error: { kind: "NOT_FOUND" } },
      { valid: true },
    ]);
  });
});

/** Not a synchronous process: a server of this process must be able to answer. */
function run(
  words: readonly string[],
  input?: Uint8Array,
): Promise<{ code: number | null; out: string; err: string }> {
  const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
  const { FORCE_COLOR: _, ...env } = process.env;
  const child = spawn(process.execPath, [main, "validate", ...words], { env: { ...env, NO_COLOR: "1" } });
  let [out, err] = ["", ""];
  child.stdout.on("data", (text) => (out += text));
  child.stderr.on("data", (text) => (err += text));
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, out, err })));
}

describe("standard input and addresses", () => {
  it("are validated like files, at every level", async () => {
    const server = await serve(good(small));
    for (const level of thorough ? ["structure", "canonical"] : ["canonical"])
      for (const word of ["-", server.url]) {
        const { code, out } = await run([word, "--json", "--level", level], small);
        expect(code).toBe(0);
        expect(fits(JSON.parse(out))).toBe(true);
        expect(JSON.parse(out).files[0]).toMatchObject({ file: word, valid: true, modules: 4 });
      }
  });

  it("show the bytes around a fault where they can be asked for again", async () => {
    const bytes = readFileSync(path("crc.lqa"));
    const server = await serve(good(bytes));
    const remote = await run([server.url]);
    expect(remote.code).toBe(1);
    expect(remote.err).toContain("^^");
    const piped = await run(["-"], bytes);
    expect(piped.code).toBe(1);
    expect(piped.err).toContain("CHUNK_CRC");
    expect(piped.err).not.toContain("^^");
  });

  it("end early or late as files do", async () => {
    for (const level of thorough ? ["structure", "values"] : ["values"]) {
      const words = ["-", "--json", "--level", level];
      const kind = async (bytes: Uint8Array): Promise<string> =>
        JSON.parse((await run(words, bytes)).out).files[0].findings[0].kind;
      expect(await kind(small.subarray(0, small.length - 5))).toBe("TRUNCATED_FILE");
      expect(await kind(Buffer.concat([small, Buffer.of(0)]))).toBe("TRAILING_BYTES");
      expect(await kind(new Uint8Array(0))).toBe("TRUNCATED_PROLOGUE");
    }
  });

  it("that do not answer are given up after --timeout", async () => {
    const silent = await serve(() => {});
    const begun = performance.now();
    const { code, out } = await run([silent.url, "--timeout", "1", "--json"]);
    expect(code).toBe(2);
    expect(JSON.parse(out).files).toMatchObject([
      { error: { kind: "NETWORK", expected: expect.stringMatching(/^an end within (1000|99\d) ms$/) } },
    ]);
    expect(performance.now() - begun).toBeLessThan(20_000);
    expect(await run([silent.url, "--timeout", "0"])).toMatchObject({ code: 2 });
  });

  it("that fail are unread, not invalid", async () => {
    const gone = await serve((_request, response) => {
      response.writeHead(404);
      response.end();
    });
    const { code, out } = await run([gone.url, path("good.lqa"), "--json"]);
    expect(code).toBe(2);
    expect(JSON.parse(out).files).toMatchObject([{ error: { kind: "NOT_FOUND" } }, { valid: true }]);
    const twice = await run(["-", "-"], small);
    expect(twice).toMatchObject({ code: 2, err: expect.stringContaining("standard input once") });
  });
});

describe("--sarif", () => {
  interface Log {
    version: string;
    $schema: string;
    runs: {
      tool: {
        driver: {
          name: string;
          semanticVersion: string;
          rules: { id: string; name: string; [key: string]: unknown }[];
        };
      };
      invocations: { executionSuccessful: boolean }[];
      results: {
        ruleId: string;
        ruleIndex: number;
        level: string;
        message: { text: string };
        locations: {
          physicalLocation: { artifactLocation: { uri: string }; region?: { byteOffset: number } };
          logicalLocations?: { fullyQualifiedName: string }[];
        }[];
      }[];
    }[];
  }

  it("is one run that keeps the rules of SARIF 2.1.0", () => {
    const odd = path("odd name #1%.lqa");
    cpSync(path("damaged.lqa"), odd);
    const files = [path("good.lqa"), path("damaged.lqa"), odd];
    const done = lqa("validate", ...files, "--all", "--no-warnings", "--sarif");
    expect(done.code).toBe(1);
    const log = done.json<Log>();
    expect(log.version).toBe("2.1.0");
    expect(log.runs).toHaveLength(1);
    const [{ tool, results, invocations }] = log.runs as [Log["runs"][number]];
    expect(invocations).toEqual([{ executionSuccessful: true }]);
    const { rules } = tool.driver;
    expect(tool.driver.semanticVersion).toMatch(/^\d+\.\d+\.\d+/);
    // 3.19.23: ids are unique; 3.27.5, 3.27.6: ruleIndex points at the rule of ruleId.
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
    expect(results.length).toBeGreaterThan(6);
    for (const result of results) {
      expect(rules[result.ruleIndex]!.id).toBe(result.ruleId);
      // 3.27.10 and 3.11: a level of the four, a message that is not empty.
      expect(["error", "warning"]).toContain(result.level);
      expect(result.message.text.length).toBeGreaterThan(10);
      const [{ physicalLocation }] = result.locations as [(typeof result.locations)[number]];
      // 3.4.3: a URI reference that a parser takes apart and gives the path back from.
      const { uri } = physicalLocation.artifactLocation;
      expect(files).toContain(fileURLToPath(new URL(uri, pathToFileURL(`${place}/`))));
      // 3.30.9: a region of a binary artifact has a byte offset that is not negative.
      if (physicalLocation.region !== undefined)
        expect(physicalLocation.region.byteOffset).toBeGreaterThanOrEqual(0);
    }
    for (const rule of rules) {
      const entry = ERRORS[rule.name as keyof typeof ERRORS];
      expect(rule).toMatchObject({
        id: entry.code,
        shortDescription: { text: entry.summary },
        help: { text: entry.advice },
        properties: { clause: entry.clause },
      });
    }
    const named = results.flatMap(({ locations }) => locations[0]!.logicalLocations ?? []);
    expect(named.map(({ fullyQualifiedName }) => fullyQualifiedName)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^(module|tensor) "/)]),
    );
  });

  it("has warnings, relative paths and files that could not be read", async () => {
    const module = packed(shape("m", { multiplier: 0, alpha: 0 }), bands(1, 3));
    writeFileSync(path("w.lqa"), await fileBytes({ modules: [module], tensors: [], sections: [] }));
    const done = lqaIn({ cwd: place }, "validate", "w.lqa", "not there.lqa", "--sarif");
    expect(done.code).toBe(2);
    const [one] = done.json<Log>().runs as [Log["runs"][number]];
    expect(one.invocations).toEqual([{ executionSuccessful: false }]);
    expect(one.results.map(({ level, ruleId }) => `${level} ${ruleId}`)).toEqual([
      "warning LQA-W005",
      "error LQA-X003",
    ]);
    const uris = one.results.map(({ locations }) => locations[0]!.physicalLocation.artifactLocation.uri);
    expect(uris).toEqual(["w.lqa", "not%20there.lqa"]);
  });

  it("of sound files has no results and no rules", () => {
    const [one] = lqa("validate", path("sound.lqa"), "--sarif").json<Log>().runs as [Log["runs"][number]];
    expect(one.results).toEqual([]);
    expect(one.tool.driver.rules).toEqual([]);
  });
});

describe("--base", () => {
  beforeAll(async () => {
    const q = shape("model.layers.0.self_attn.q_proj", { out: 32, in: 32 });
    const bytes = await fileBytes({ modules: [packed(q, bands(1, 3))], tensors: [], sections: [] });
    writeFileSync(path("q.lqa"), bytes);
    const config = { hidden_size: 32, num_attention_heads: 4, num_hidden_layers: 2, intermediate_size: 64 };
    mkdirSync(path("model"));
    writeFileSync(path("model/config.json"), JSON.stringify(config));
    writeFileSync(path("other.json"), JSON.stringify({ ...config, hidden_size: 64 }));
    const weight = (size: number) =>
      new Map([["model.layers.0.self_attn.q_proj.weight", floats([size, 32])]]);
    writeFileSync(path("base.safetensors"), writeSafetensors(weight(32)));
    writeFileSync(path("wrong.safetensors"), writeSafetensors(weight(48)));
  });
  const against = (base: string, ...words: string[]): Run =>
    lqa("validate", path("q.lqa"), "--base", path(base), "--json", ...words);

  it("fits a configuration, a directory with one, and the header of a safetensors file", () => {
    for (const base of ["model/config.json", "model", "base.safetensors"])
      expect(report(against(base)).files, base).toMatchObject([{ valid: true, warnings: [] }]);
  });

  it("shows modules of another shape", () => {
    for (const base of ["other.json", "wrong.safetensors"]) {
      const done = against(base);
      expect(done.code).toBe(1);
      expect(report(done).files[0]!.findings).toMatchObject([{ kind: "BASE_SHAPE", class: "B" }]);
    }
  });

  it("that cannot be read is an error of the command", () => {
    writeFileSync(path("broken.json"), "{");
    for (const base of ["nowhere.json", "broken.json"]) {
      const done = against(base);
      expect(done.code).toBeGreaterThan(0);
      expect(fits(done.json()), JSON.stringify(fits.errors)).toBe(true);
    }
  });

  it("says what it could not compare", () => {
    const done = lqa("validate", path("sound.lqa"), "--base", path("model"), "--json");
    expect(report(done).files[0]).toMatchObject({ valid: true, warnings: [{ kind: "BASE_LAYER_UNKNOWN" }] });
    const quiet = lqa("validate", path("sound.lqa"), "--base", path("model"), "--json", "--no-warnings");
    expect(report(quiet).files[0]).toMatchObject({ warnings: [] });
  });
});

describe("warnings", () => {
  it("are shown for people and change no exit code", () => {
    const { code, err } = lqa("validate", path("w.lqa"));
    expect(code).toBe(0);
    expect(err).toMatch(/^lqa: warning LQA-W005 MULTIPLIER_ZERO/);
    expect(lqa("validate", path("w.lqa"), "--no-warnings").err).toBe("");
  });
});
