/**
 * The built program against the real world: every adapter of the shared set, real PEFT, other Node versions.
 *
 *   node test/interop/roundtrip.mjs [--python PYTHON] [--node NAME=PATH]... [--counts FILE]
 *
 * Without --python the checks with real PEFT are skipped, without --node those of other versions. Adapters from outside the
 * repository are looked for in $LQA_ADAPTERS, then ../shared/adapters. Prints one line per check. `--counts` receives
 * {"passed", "failed", "skipped"}; the exit code is 1 if anything failed.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { runShared } from "../helpers/cli-shared.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..", "..");
const { values: options } = parseArgs({
  options: {
    python: { type: "string" },
    node: { type: "string", multiple: true, default: [] },
    counts: { type: "string" },
  },
});

/** What must happen to each adapter of the shared set: `true` (PEFT, it passes), the words that another dialect needs to pass, or why it is refused. */
const SHARED = {
  "gpt2-tigrinya-r8": true,
  "opencalm-1b-r1-fp16": true,
  "peft-regression-conv2d": true,
  "peft-regression-emb-conv1d": true,
  "roberta-agnews-r4-biasall": true,
  "sd-skin-r4-partial-zero": true,
  "smollm2-135m-r8": true,
  "mlx-qwen2.5-0.5b-r8": [],
  "roberta-mnli-r8-loralib": ["--alpha", "16"],
  "sam-vit-b-r16": /LoRA-ViT/,
  "sam-vit-b-r4-untrained": /LoRA-ViT/,
  "sam-vit-b-r6": /LoRA-ViT/,
  "sd15-analog-svd-r4-fp16": [],
  "sd15-disney-inpaint-r1-mixed": [],
  "sd15-pokemon-r4": [],
  "sd15-weapons-r4": [],
};

const work = mkdtempSync(join(tmpdir(), "lqa-interop-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));
const counts = { passed: 0, failed: 0, skipped: 0 };
let numbered = 0;

/** A new path in the working directory. */
const fresh = (suffix = "") => join(work, `${numbered++}${suffix}`);

function check(name, test) {
  try {
    const note = test();
    counts.passed += 1;
    console.log(`ok    ${name}${typeof note === "string" ? `: ${note}` : ""}`);
  } catch (error) {
    counts.failed += 1;
    console.log(`FAIL  ${name}: ${error.message}`);
  }
}

function skip(name, reason) {
  counts.skipped += 1;
  console.log(`skip  ${name}: ${reason}`);
}

function assert(holds, message) {
  if (!holds) throw new Error(message);
}

/** Runs `lqa … --json`, by this Node or another, and returns exit code and document. */
function lqa(words, node) {
  const { code, out, err } = runShared(process.cwd(), [...words, "--json"], { node });
  try {
    return { code, json: JSON.parse(out) };
  } catch {
    throw new Error(
      `lqa ${words[0]} printed no JSON (code ${code}): ${out.slice(0, 200)}${err.slice(0, 500)}`,
    );
  }
}

function run(command, words) {
  const result = spawnSync(command, words, { encoding: "utf8", maxBuffer: 2 ** 28 });
  const text = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`.trim();
  assert(result.status === 0, `code ${result.status}: ${text.slice(-1500)}`);
  return result.stdout;
}

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Hash of a file, or of the files of a directory with their names. */
function hash(path) {
  if (statSync(path).isFile()) return sha256(readFileSync(path));
  return sha256(
    readdirSync(path)
      .sort()
      .map((name) => `${name} ${hash(join(path, name))}\n`)
      .join(""),
  );
}

function encode(adapter, words = [], node = undefined) {
  const file = fresh(".lqa");
  const { code, json } = lqa(["encode", adapter, "-o", file, ...words], node);
  assert(code === 0, `encode failed with ${code}: ${json.error?.message}`);
  return { file, report: json };
}

function decode(file, words = []) {
  const directory = fresh();
  const { code, json } = lqa(["decode", file, "-o", directory, ...words]);
  assert(code === 0, `decode failed with ${code}: ${json.error?.message}`);
  return directory;
}

function validate(file) {
  const { code, json } = lqa(["validate", file, "--level", "canonical"]);
  assert(
    code === 0 && json.valid,
    `not valid: ${json.files?.[0]?.findings?.[0]?.message ?? json.error?.message}`,
  );
}

/** Hashes of what this version writes, by adapter and words. */
const own = new Map();

/** encode → validate → decode, and encode and decode again: both runs must give the same bytes. Returns what `encode` reports. */
function roundTrip(adapter, words = []) {
  const [first, second] = [0, 1].map(() => {
    const { file, report } = encode(adapter, words);
    return { file, report, hashes: [hash(file), hash(decode(file))] };
  });
  validate(first.file);
  assert(first.hashes.join() === second.hashes.join(), "the second run gave other bytes");
  own.set([adapter, ...words].join(" "), first.hashes[0]);
  return first.report;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const figures = (r) =>
  `${r.inputBytes} → ${r.outputBytes} bytes, ${r.averageBits.toFixed(3)} bits, error ${percent(r.relativeError)}`;

// 1. The shared adapters ---------------------------------------------------------------------------------------------
const shared = process.env.LQA_ADAPTERS || join(root, "..", "shared", "adapters");
const passing = [];
for (const [name, expected] of Object.entries(SHARED)) {
  const adapter = join(shared, name);
  if (!existsSync(adapter)) {
    skip(`adapter ${name}`, `not found: ${adapter}`);
  } else if (expected === true) {
    passing.push([name, adapter]);
    check(`adapter ${name}`, () => figures(roundTrip(adapter)));
  } else if (Array.isArray(expected)) {
    check(`adapter ${name}`, () => figures(roundTrip(adapter, expected)));
  } else {
    check(`adapter ${name} is refused`, () => {
      const file = fresh(".lqa");
      const { code, json } = lqa(["encode", adapter, "-o", file]);
      assert(code === 3, `expected exit code 3, found ${code}`);
      assert(
        json.error.kind === "UNSUPPORTED_DIALECT",
        `expected UNSUPPORTED_DIALECT, found ${json.error.message}`,
      );
      assert(
        expected.test(json.error.message),
        `expected ${expected} to be named, found ${json.error.message}`,
      );
      assert(!existsSync(file), "a file was left behind");
      return json.error.message;
    });
  }
}
const example = join(root, "examples", "number-words", "adapter");
if (existsSync(example)) {
  passing.push(["number-words", example]);
  check("adapter number-words", () => figures(roundTrip(example)));
} else {
  skip("adapter number-words", "not in this checkout");
}

// 2. The encoder on other Node versions -----------------------------------------------------------------------------
if (options.node.length === 0) skip("other Node versions", "none given");
for (const given of options.node) {
  const [label, path] = [given.slice(0, given.indexOf("=")), given.slice(given.indexOf("=") + 1)];
  for (const [name, adapter] of passing) {
    check(`${label} encodes ${name} to the same bytes as ${process.version}`, () => {
      for (const words of [
        [],
        ["--max-error", "0.1"],
        ["--profile", "rtn", "--code-bits", "3"],
        ["--profile", "raw", "--element", "bf16"],
      ]) {
        const key = [adapter, ...words].join(" ");
        if (!own.has(key)) own.set(key, hash(encode(adapter, words).file));
        assert(
          own.get(key) === hash(encode(adapter, words, path).file),
          `other bytes with ${words.join(" ") || "the defaults"}`,
        );
      }
    });
  }
  if (passing.length === 0) skip(label, "no adapter to encode");
}

// 3. Real PEFT --------------------------------------------------------------------------------------------------------
const load = (entry) => import(pathToFileURL(join(root, "dist", entry, "index.js")).href);
const { open } = await load("core");
const { readAdapter, writeAdapter } = await load("adapters");

/** Writes what an adapter means for check_peft.py (which documents the form). */
function dumpFactors(adapter) {
  const folder = fresh();
  mkdirSync(folder);
  const store = (name, values) => {
    writeFileSync(join(folder, name), new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return name;
  };
  const bits = (value) => new Uint32Array(Float32Array.of(value).buffer)[0].toString(16).padStart(8, "0");
  const modules = adapter.modules.map(({ multiplier, b, a, ...shape }, i) => ({
    ...shape,
    multiplier: bits(multiplier),
    b: store(`${i}.b.f32`, b),
    a: store(`${i}.a.f32`, a),
  }));
  const tensors = adapter.tensors.map(({ data, ...rest }, i) => ({
    ...rest,
    data: store(`${i}.tensor`, data),
  }));
  writeFileSync(join(folder, "factors.json"), JSON.stringify({ modules, tensors }));
  return folder;
}

/** An adapter by our own decoder. */
const meaning = async (file) => (await open(new Uint8Array(readFileSync(file)))).adapter();

/** Runs check_peft.py over many triples of directories in one Python process: importing torch takes seconds. */
const CHECK_MANY = `
import contextlib, io, json, sys, traceback
sys.path.insert(0, sys.argv[1])
import check_peft
for triple in json.load(open(sys.argv[2])):
    check_peft.passed, check_peft.failures, sys.argv = 0, [], ["check_peft.py", *triple]
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            check_peft.main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        code = 1
        text.write(traceback.format_exc())
    print("\\n" + json.dumps({"code": code, "text": text.getvalue()}), flush=True)
`;

function checkPeft(cases) {
  const list = fresh(".json");
  writeFileSync(list, JSON.stringify(cases.map(({ triple }) => triple)));
  const result = spawnSync(options.python, ["-c", CHECK_MANY, here, list], {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  const lines = (result.stdout ?? "").split("\n").filter((line) => line.startsWith('{"code"'));
  for (const [i, { name }] of cases.entries()) {
    check(name, () => {
      assert(lines[i] !== undefined, `Python stopped: ${result.stderr?.slice(-1000)}`);
      const { code, text } = JSON.parse(lines[i]);
      assert(code === 0, text.trim().slice(-1500));
      return text.trim();
    });
  }
}

if (options.python === undefined) {
  skip("real PEFT, safetensors and gguf", "no Python given");
} else {
  const made = fresh();
  check("PEFT writes adapters of every kind", () =>
    run(options.python, [join(here, "make_peft.py"), made]).trim(),
  );
  const sound = existsSync(join(made, "sound")) ? readdirSync(join(made, "sound")).sort() : [];
  const refused = existsSync(join(made, "refused")) ? readdirSync(join(made, "refused")).sort() : [];
  const adapters = [...sound.map((name) => [`peft ${name}`, join(made, "sound", name)]), ...passing];
  const cases = [];
  for (const [name, adapter] of adapters) {
    // The dialect alone: every difference is the dialect's, and nothing may change at all.
    check(`${name} is read and written again`, () => {
      const decoded = fresh();
      mkdirSync(decoded);
      const read = (file) => [file, new Uint8Array(readFileSync(join(adapter, file)))];
      const meant = readAdapter(new Map(["adapter_config.json", "adapter_model.safetensors"].map(read)));
      for (const [file, bytes] of writeAdapter(meant, { factors: "source", keepConfig: true }))
        writeFileSync(join(decoded, file), bytes);
      cases.push({ name: `${name}, loaded by PEFT`, triple: [adapter, decoded, dumpFactors(meant)] });
    });
    // The whole path, exact by definition: f32 holds every decoded value.
    for (const words of [
      ["--profile", "rtn", "--code-bits", "2"],
      ["--profile", "raw", "--element", "f32"],
    ]) {
      const label = `${name}, ${words[3]}`;
      try {
        const { file } = encode(adapter, words);
        validate(file);
        const directory = decode(file, ["--keep-config", ...(words[1] === "raw" ? [] : ["--dtype", "f32"])]);
        cases.push({
          name: `${label}, loaded by PEFT`,
          triple: [adapter, directory, dumpFactors(await meaning(file))],
        });
      } catch (error) {
        check(label, () => assert(false, error.message));
      }
    }
  }
  checkPeft(cases);
  for (const name of refused) {
    check(`peft ${name} is refused`, () => {
      const file = fresh(".lqa");
      const { code, json } = lqa(["encode", join(made, "refused", name), "-o", file]);
      const kind = json.error?.kind;
      assert(
        code === 3 && kind === "UNSUPPORTED_ADAPTER_FEATURE",
        `code ${code}, ${json.error?.message ?? "no error"}`,
      );
      assert(!existsSync(file), "a file was left behind");
      return json.error.message;
    });
  }
  const script = join(here, "check_safetensors.py");
  if (!existsSync(script)) skip("real safetensors", "check_safetensors.py is not in this checkout");
  else {
    const directories = cases.map(({ triple }) => triple[1]);
    check("real safetensors reads what we write", () =>
      run(options.python, [script, ...directories])
        .trim()
        .split("\n")
        .at(-1),
    );
  }
  check("importance matrices and GGUF files of the gguf package", () => {
    const directory = fresh();
    run(options.python, [join(here, "make_gguf.py"), directory]);
    return run(process.execPath, [join(here, "check_gguf.mjs"), directory]).trim();
  });
}

const { passed, failed, skipped } = counts;
if (options.counts !== undefined) writeFileSync(options.counts, JSON.stringify(counts));
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 ? 1 : 0;
