/** Many adapters at once: kept, encoded and failed ones told apart, resumed where it stopped, nothing half-written. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { SMALL_ADAPTERS } from "../dialects/small.ts";
import { lqa, lqaIn } from "../helpers/cli.ts";
import { writePeftDirectory } from "../helpers/peft.ts";
import { listing, temporaryDirectory } from "../helpers/temporary.ts";

interface Item {
  readonly input: string;
  readonly output: string;
  readonly state: string;
  readonly dialect?: string;
  readonly error?: { readonly kind: string };
}

/** A folder with adapters of several dialects, in files and directories, one of them broken and one no LoRA. */
function adapters(): string {
  const folder = temporaryDirectory();
  const root = join(folder, "adapters");
  writePeftDirectory(join(root, "llm", "one"), { seed: 1 });
  writePeftDirectory(join(root, "llm", "two"), { seed: 2 });
  const put = (path: string, dialect: string, variant: RegExp): void => {
    const small = SMALL_ADAPTERS.find((each) => each.dialect === dialect && variant.test(each.variant))!;
    mkdirSync(join(root, path), { recursive: true });
    for (const [name, bytes] of small.files) {
      const target =
        small.files.size > 1 ? join(root, path, name) : join(root, `${path}.${name.split(".").pop()}`);
      writeFileSync(target, bytes.subarray(0, bytes.length));
    }
    if (small.files.size === 1) rmSync(join(root, path), { recursive: true });
  };
  put("styles/kohya", "kohya", /^F16/);
  put("styles/diffusers", "diffusers", /^PEFT/);
  put("mac/mlx", "mlx", /2025/);
  put("mac/llama", "gguf", /^alpha,/);
  writeFileSync(join(root, "styles", "broken.safetensors"), "not a safetensors file");
  writeFileSync(join(root, "readme.txt"), "no adapter");
  return folder;
}

const states = (items: readonly Item[]): Record<string, string> =>
  Object.fromEntries(items.map(({ output, state, error }) => [output, error?.kind ?? state]));

const ALL = {
  "out/llm/one.lqa": "encoded",
  "out/llm/two.lqa": "encoded",
  "out/mac/llama.lqa": "encoded",
  "out/mac/mlx.lqa": "encoded",
  "out/styles/broken.lqa": "UNSUPPORTED_DIALECT",
  "out/styles/diffusers.lqa": "encoded",
  "out/styles/kohya.lqa": "encoded",
};

describe("lqa encode --out-dir", () => {
  const folder = adapters();
  const run = (...words: string[]) => lqaIn({ cwd: folder }, "encode", "--out-dir", "out", ...words);

  it("encodes a pattern; one bad file does not stop the rest, and decides the exit code", () => {
    const first = run("adapters/**", "--json");
    expect(first.err).toBe("");
    expect(first.code).toBe(3);
    const items = first.json<Item[]>();
    expect(states(items)).toEqual(ALL);
    expect(Object.fromEntries(items.map(({ output, dialect }) => [output, dialect]))).toMatchObject({
      "out/llm/one.lqa": "peft",
      "out/mac/llama.lqa": "gguf",
      "out/mac/mlx.lqa": "mlx",
      "out/styles/diffusers.lqa": "diffusers",
      "out/styles/kohya.lqa": "kohya",
    });
    expect(
      readdirSync(join(folder, "out"), { recursive: true })
        .map(String)
        .filter((name) => !name.endsWith(".lqa"))
        .sort(),
    ).toEqual(["llm", "mac", "styles"]);
    for (const { output, state } of items) {
      if (state === "encoded") expect(lqa("validate", join(folder, output)).code).toBe(0);
      else expect(existsSync(join(folder, output))).toBe(false);
    }
  });

  it("goes on where it stopped: what is there is kept, what is not is made, and comes out the same", () => {
    const before = readFileSync(join(folder, "out/llm/two.lqa"));
    const stamp = statSync(join(folder, "out/llm/one.lqa")).mtimeMs;
    rmSync(join(folder, "out/llm/two.lqa"));
    const again = states(run("adapters", "--json").json<Item[]>());
    expect(again).toEqual({
      ...Object.fromEntries(Object.keys(ALL).map((key) => [key, "kept"])),
      "out/llm/two.lqa": "encoded",
      "out/styles/broken.lqa": "UNSUPPORTED_DIALECT",
    });
    expect(readFileSync(join(folder, "out/llm/two.lqa"))).toEqual(before);
    expect(statSync(join(folder, "out/llm/one.lqa")).mtimeMs).toBe(stamp);
  });

  it("encodes everything again with --force, the same bytes with any number of workers", () => {
    const before = readFileSync(join(folder, "out/llm/one.lqa"));
    for (const workers of ["1", "2"]) {
      expect(states(run("adapters/llm/*", "--force", "--workers", workers, "--json").json<Item[]>())).toEqual(
        {
          "out/one.lqa": "encoded",
          "out/two.lqa": "encoded",
        },
      );
      expect(readFileSync(join(folder, "out/one.lqa"))).toEqual(before);
    }
  });

  it("looks into the directories that a pattern names, whatever is in them", () => {
    const found = (pattern: string) =>
      states(lqaIn({ cwd: folder }, "encode", "--out-dir", "new", pattern, "--force", "--json").json());
    const below = Object.fromEntries(
      Object.entries(ALL).map(([output, state]) => [output.replace("out/", "new/"), state]),
    );
    expect(found("adapters/*")).toEqual(below);
    expect(found("adapters/s*")).toEqual(
      Object.fromEntries(Object.entries(below).filter(([output]) => output.includes("/styles/"))),
    );
    expect(found("adapters/*/*.gguf")).toEqual({ "new/mac/llama.lqa": "encoded" });
  });

  it("takes checkpoints inside an adapter's directory as adapters of their own", () => {
    const own = temporaryDirectory();
    for (const name of ["run", "run/checkpoint-5"]) writePeftDirectory(join(own, "in", name), { layers: 1 });
    const made = lqaIn({ cwd: own }, "encode", "--out-dir", "out", "in/**", "--json").json<Item[]>();
    expect(states(made)).toEqual({ "out/run.lqa": "encoded", "out/run/checkpoint-5.lqa": "encoded" });
  });

  it("tells people in one table", () => {
    const { out, code } = run("adapters/**");
    expect(code).toBe(3);
    expect(out.trimEnd().split("\n").at(-1)).toMatch(
      /^out: 0 adapters encoded, 6 kept \([\d.]+ KB\), 1 failed$/,
    );
    expect(out).toMatch(/^ +adapter +dialect +size +encoded +bits per weight +error$/m);
    expect(out).toMatch(/^adapters\/styles\/broken\.safetensors:\nlqa: .*\(LQA-U/m);
    expect(run("adapters/llm/*", "--force").out).toMatch(
      /^ +adapters\/llm\/one +peft +[\d.]+ KB +[\d.]+ KB +[\d.]+ +[\d.]+ %$/m,
    );
  });

  it("two adapters of one name are not written over each other", () => {
    const items = run(
      "adapters/llm/one",
      "adapters/llm/one/adapter_model.safetensors",
      "adapters/mac/mlx",
      "--force",
      "--json",
    ).json<Item[]>();
    expect(items.map(({ state }) => state)).toEqual(["encoded", "encoded", "encoded"]);
    writePeftDirectory(join(folder, "other", "one"), { seed: 9 });
    const clash = run("adapters/llm/one", "other/one", "--force", "--json").json<Item[]>();
    expect(clash.map(({ state, error }) => error?.kind ?? state)).toEqual(["encoded", "OUTPUT_EXISTS"]);
  });

  it("nothing to encode, and words that do not go together", () => {
    const absent = run("absent/**");
    expect([absent.code, absent.err]).toEqual([
      2,
      expect.stringMatching(/no path of this pattern.*NOT_FOUND/),
    ]);
    mkdirSync(join(folder, "empty"));
    const empty = run("empty", "--json").json<Item[]>();
    expect(empty.map(({ error }) => error?.kind)).toEqual(["NOT_FOUND"]);
    // What could not be read is worse than what is unsupported, as in lqa validate.
    expect(run("adapters/styles/broken.safetensors", "nowhere").code).toBe(2);
    const kept = lqaIn({ cwd: folder }, "encode", "--out-dir", "empty", "adapters/styles/broken.safetensors");
    expect([kept.code, existsSync(join(folder, "empty"))]).toEqual([3, true]);
    expect(
      lqaIn({ cwd: folder }, "encode", "adapters/llm/one", "-o", "x.lqa", "--out-dir", "out").err,
    ).toMatch(/USAGE/);
    expect(
      lqaIn({ cwd: folder }, "encode", "adapters/llm/one", "adapters/llm/two", "-o", "x.lqa").err,
    ).toMatch(/USAGE/);
  });
});

it("a run that is interrupted leaves whole files only, and the next one makes the rest", async () => {
  // On a busy machine a run may be done before it is interrupted: then again, with more to do.
  for (const count of [12, 48, 192]) {
    const folder = temporaryDirectory();
    const names = Array.from({ length: count }, (_, i) => `a${String(i).padStart(3, "0")}`);
    for (const [seed, name] of names.entries())
      writePeftDirectory(join(folder, "in", name), { seed, layers: 6, width: 256, rank: 8 });
    // Comes first, and fails.
    writeFileSync(join(folder, "in", "a.safetensors"), "no adapter");
    const { code, err } = await interruptedAfterTwo(folder);
    if (code !== 130 && count < 192) continue;
    expect(code).toBe(130);
    const out = join(folder, "out");
    const written = listing(out);
    expect(err).toContain(
      `lqa: ${written.length} of ${count + 1} adapters done, 1 failed; rerun to resume\n`,
    );
    expect(written.length).toBeGreaterThanOrEqual(2);
    expect(written.length).toBeLessThan(names.length);
    expect(written.filter((name) => !/^a\d\d\d\.lqa$/.test(name))).toEqual([]);
    for (const name of written) expect(lqa("validate", join(out, name)).code, name).toBe(0);
    const rest = lqaIn({ cwd: folder }, "encode", "--out-dir", "out", "in", "--json").json<Item[]>();
    expect(rest.filter(({ state }) => state === "kept")).toHaveLength(written.length);
    expect(listing(out)).toEqual(names.map((name) => `${name}.lqa`));
    return;
  }
}, 240_000);

/** Runs `encode --out-dir out in`, and interrupts it as soon as two files are there. */
async function interruptedAfterTwo(folder: string): Promise<{ code: number | null; err: string }> {
  const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
  const child = spawn(process.execPath, [main, "encode", "--out-dir", "out", "in", "--workers", "1"], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let err = "";
  child.stderr.on("data", (piece) => (err += piece));
  const ended = new Promise<{ code: number | null; err: string }>((resolve) =>
    child.on("close", (code) => resolve({ code, err })),
  );
  const out = join(folder, "out");
  while (!existsSync(out) || readdirSync(out).filter((name) => name.endsWith(".lqa")).length < 2) {
    if (child.exitCode !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  child.kill("SIGINT");
  return ended;
}
