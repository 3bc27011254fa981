// The inspector page in headless Chromium, as a visitor has it: from a plain file server, at a sub-path, with the policy of
// docs/inspector.md in a header. Nothing may be asked of anybody else, nothing may be refused by the policy, nothing may
// stand on the console, and whatever it makes has the bytes that the command line makes.
//
//   node test/site/inspector.mjs [--counts FILE] [--screenshots FOLDER] [NAME...]
//
// With names only the checks whose name has one of them. Needs `npm run build`; builds the page itself.
import { execFileSync } from "node:child_process";
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
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findBrowser, launch } from "../../conformance/adapters/browser.mjs";
import { readAdapter } from "../../dist/adapters/index.js";
import { isLqaError, open } from "../../dist/core/index.js";
import { readSourceFiles } from "../../dist/node/index.js";
import { POLICY, serve } from "./server.mjs";

const { values, positionals } = parseArgs({
  options: { counts: { type: "string" }, screenshots: { type: "string" } },
  allowPositionals: true,
});
const root = fileURLToPath(new URL("../../", import.meta.url));
const DIST = join(root, "site/dist/inspector");
const EXAMPLE = join(root, "examples/number-words/adapter");
const ADAPTERS = process.env.LQA_ADAPTERS ?? join(root, "../shared/adapters");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
/** What the documentation shows. */
const SHOWN = [
  "desktop-start",
  "desktop-report",
  "desktop-bytes",
  "dark-convert",
  "phone-report",
  "phone-bytes",
];
const SLOW = { timeout: 120_000 };

const folder = mkdtempSync(join(tmpdir(), "lqa-inspector-"));
let passed = 0;
let failed = 0;
let browser;
let server;

/** One check: a page of its own, which must stay silent and ask for nothing elsewhere. */
async function check(name, run, options = {}) {
  if (positionals.length > 0 && !positionals.some((word) => name.includes(word))) return;
  const context = await browser.newContext({ viewport: { width: 1180, height: 900 }, ...options });
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => options.noisy || problems.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`script: ${error.message}`));
  context.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(server.address) && !url.startsWith("blob:") && !(options.also ?? []).includes(url))
      problems.push(`asks for ${url}`);
  });
  const began = performance.now();
  try {
    await page.goto(server.address);
    await run(page);
  } catch (error) {
    problems.push(error.message ?? String(error));
    if (process.env.LQA_SHOT) await page.screenshot({ path: process.env.LQA_SHOT, fullPage: true });
  }
  await context.close();
  problems.push(...server.refused.splice(0).map((report) => `refused by the policy: ${report}`));
  if (problems.length === 0) passed++;
  else failed++;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(
    `${problems.length === 0 ? "ok" : "FAILED"}: ${name} (${seconds} s)${problems.map((p) => `\n  ${p}`).join("")}`,
  );
}

function expectEqual(what, found, expected) {
  if (found !== expected) throw new Error(`${what}: expected ${expected}, found ${found}`);
}
function expectText(what, text, part) {
  if (!text.includes(part))
    throw new Error(`${what}: expected ${JSON.stringify(part)} in ${JSON.stringify(text.slice(0, 600))}`);
}

const cli = (...words) =>
  execFileSync(process.execPath, [join(root, "dist/cli/main.js"), ...words], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });

/** Waits until the page has looked at all of it, or has failed. */
async function complete(page, state = "complete") {
  await page.waitForFunction(() => ["complete", "failed"].includes(document.body.dataset.state), null, SLOW);
  const found = await page.evaluate(() => document.body.dataset.state);
  if (found !== state) throw new Error(`${found}: ${await page.locator("#problem").textContent()}`);
}

/** Chooses files, or a folder, as the dialog would. */
async function choose(page, ...paths) {
  await page.evaluate(() => {
    document.body.dataset.state = "";
  });
  if (paths.length === 1 && statSync(paths[0]).isDirectory()) await page.setInputFiles("#folder", paths[0]);
  else await page.setInputFiles("#files", paths);
}

/** Begins to encode, and stops it once there is progress. */
async function stopEncoding(page) {
  await page.click("#encode-form button[type=submit]");
  await page.waitForFunction(
    () => /Encoding: .* %/.test(document.getElementById("work-text").textContent),
    null,
    SLOW,
  );
  await page.click("#work-stop");
}

/** Waits until only the worker is left that the page looks with. */
async function ended(page) {
  for (let i = 0; i < 100 && page.workers().length > 1; i++) await page.waitForTimeout(100);
  expectEqual("workers afterwards", page.workers().length, 1);
}

/** Bytes of a download that a link offers. */
async function saved(page, selector) {
  const [download] = await Promise.all([page.waitForEvent("download", SLOW), page.click(selector)]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

async function reading(page) {
  return await page.evaluate(() => {
    const { bytes, largest } = document.getElementById("reading").dataset;
    return { bytes: Number(bytes), largest: Number(largest) };
  });
}

async function axe(page, where) {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() =>
    globalThis.axe.run({ resultTypes: ["violations"] }),
  );
  if (passes.length < 15) throw new Error(`${where}: axe looked at ${passes.length} rules only`);
  if (violations.length > 0) {
    const list = violations.map(
      ({ id, nodes }) =>
        `${id}, ${nodes.length} times, as ${nodes[0].html.slice(0, 160)} ${nodes[0].failureSummary}`,
    );
    throw new Error(`${where}: axe: ${list.join("; ")}`);
  }
  const wide = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  if (wide > 0) throw new Error(`${where}: ${wide} pixels wider than the window`);
}

async function encode(page) {
  await page.click("#tab-convert");
  await page.click("#encode-form button[type=submit]");
  await page.waitForSelector("#encode-result a, #problem .finding", SLOW);
}

/** A PEFT adapter of one shape. */
function peft(name, names, { out, input, rank, fill = (i) => Math.sin(i) }) {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  const entries = names.flatMap((module) => [
    [`base_model.model.${module}.lora_A.weight`, [rank, input]],
    [`base_model.model.${module}.lora_B.weight`, [out, rank]],
  ]);
  const header = {};
  let at = 0;
  for (const [key, shape] of entries) {
    const length = 4 * shape[0] * shape[1];
    header[key] = { dtype: "F32", shape, data_offsets: [at, at + length] };
    at += length;
  }
  const text = JSON.stringify(header);
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8, " ");
  const head = Buffer.alloc(8 + Buffer.byteLength(padded));
  head.writeBigUInt64LE(BigInt(Buffer.byteLength(padded)));
  head.write(padded, 8);
  const data = new Float32Array(at / 4);
  for (let i = 0; i < data.length; i++) data[i] = fill(i);
  writeFileSync(join(path, "adapter_model.safetensors"), Buffer.concat([head, Buffer.from(data.buffer)]));
  const config = {
    peft_type: "LORA",
    r: rank,
    lora_alpha: rank,
    target_modules: [...new Set(names.map((n) => n.split(".").at(-1)))],
  };
  writeFileSync(join(path, "adapter_config.json"), JSON.stringify(config));
  return path;
}

try {
  console.log("building the page");
  execFileSync("npm", ["run", "--silent", "site:inspector"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
    shell: process.platform === "win32",
  });
  cli("encode", EXAMPLE, "-o", "number-words.lqa");
  const encoded = join(folder, "number-words.lqa");
  server = await serve(DIST, {
    "remote/adapter.lqa": encoded,
    ...Object.fromEntries(readdirSync(EXAMPLE).map((name) => [`remote/${name}`, join(EXAMPLE, name)])),
  });
  browser = await launch(findBrowser());

  await check(
    "is as it was built: the policy of the page is that of the header, and nothing is inline",
    async (page) => {
      const meta = await page.getAttribute('meta[http-equiv="Content-Security-Policy"]', "content");
      expectEqual("policy", `${meta}; frame-ancestors 'none'`, POLICY);
      expectText(
        "documentation",
        readFileSync(join(root, "docs/inspector.md"), "utf8"),
        `\nContent-Security-Policy: ${POLICY}\n`,
      );
      const inline = await page.evaluate(
        () => document.querySelectorAll("script:not([src]), style, [style], [onclick]").length,
      );
      expectEqual("inline code", inline, 0);
      expectEqual(
        "requests",
        server.asked.filter((path) => !/^(index\.html|assets\/[\w-]+\.(js|css))$/.test(path)).join(),
        "",
      );
    },
  );

  await check(
    "gets reports from the browser if it violates the policy",
    async (page) => {
      // So that the silence of all other checks means something.
      await page.click("#open-example");
      await complete(page);
      await page.evaluate(() => fetch("http://elsewhere.invalid/").catch(() => {}));
      await page.workers()[0].evaluate(() => {
        fetch("http://elsewhere.invalid/").catch(() => {});
        // What a debugger runs itself is allowed everything.
        setTimeout(() => {
          try {
            new Function("");
          } catch {}
        });
      });
      for (let i = 0; i < 100 && server.refused.length < 3; i++) await page.waitForTimeout(100);
      const told = server.refused
        .splice(0)
        .map((report) => JSON.parse(report)["csp-report"]["effective-directive"]);
      expectEqual("refused", told.sort().join(), "connect-src,connect-src,require-trusted-types-for");
    },
    { noisy: true },
  );

  await check("opens the example, a trained adapter, beside its source", async (page) => {
    await page.click("#open-example");
    await complete(page);
    const head = await page.locator("#head").textContent();
    expectText("head", head, "Valid");
    expectText("head", head, "measured against the source");
  });

  await check("looks at bytes and clauses", async (page) => {
    await choose(page, join(root, "spec/example.lqa"));
    await complete(page);
    await page.click("#tab-bytes");
    await page.click('#regions button:has-text("index")');
    await page.waitForSelector('#fields button:has-text("encodings[0].codec")');
    await page.click('#fields button:has-text("encodings[0].codec")');
    await page.waitForSelector("#clause:not([hidden])");
    expectText("clause", await page.locator("#clause").textContent(), "6.4 Encodings");
    expectEqual("marked bytes", await page.locator("#hex .selected").count(), 1);
    expectText("row", await page.locator("#fields tr.selected").textContent(), "2: affine");
    await page.fill("#goto-offset", "0x1d0");
    await page.press("#goto-offset", "Enter");
    await page.waitForSelector('#region-title:has-text("trailer")');
  });

  await check(
    "encodes an adapter to the bytes of the command line, and shows it beside its source",
    async (page) => {
      await choose(page, EXAMPLE);
      await complete(page);
      expectText("head", await page.locator("#head").textContent(), "read as peft");
      await encode(page);
      const { name, bytes } = await saved(page, "#encode-result a");
      expectEqual("name", name, "adapter.lqa");
      expectEqual("bytes equal those of the command line", bytes.equals(readFileSync(encoded)), true);
      await page.click("#encode-result button");
      await complete(page);
      expectText("head", await page.locator("#head").textContent(), "measured against the source");
      for (const id of [
        "findings",
        "bytes",
        "maps",
        "worst",
        "curve",
        "spectra",
        "codes",
        "modules",
        "metadata",
      ])
        expectEqual(`section ${id}`, await page.locator(`#report #${id}`).count(), 1);
      await page.click("#tab-convert");
      await page.selectOption("#goal", "bits");
      await page.click("#encode-form button[type=submit]");
      await page.waitForSelector("#encode-result a", SLOW);
      cli("encode", EXAMPLE, "-o", "bits.lqa", "--bits", "1.5");
      const made = await saved(page, "#encode-result a");
      expectEqual("bits", made.bytes.equals(readFileSync(join(folder, "bits.lqa"))), true);
    },
  );

  await check("encodes with workers what is large enough, to the same bytes, and ends them", async (page) => {
    const path = peft(
      "wide",
      Array.from({ length: 10 }, (_, i) => `model.layers.${i}.mlp.up_proj`),
      { out: 8192, input: 8192, rank: 16, fill: (i) => Math.sin(i * i) },
    );
    await choose(page, path);
    await complete(page);
    await page.click("#tab-convert");
    let most = 0;
    page.on("worker", () => {
      most = Math.max(most, page.workers().length);
    });
    await stopEncoding(page);
    await ended(page);
    await page.click("#encode-form button[type=submit]");
    await page.waitForSelector("#encode-result a", SLOW);
    const cores = await page.evaluate(() => navigator.hardwareConcurrency);
    // That of the page, that of the encoding, and those that it has itself.
    expectEqual("workers", most, cores < 2 ? 2 : 2 + Math.min(2, cores));
    cli("encode", path, "-o", "wide.lqa");
    const { bytes } = await saved(page, "#encode-result a");
    expectEqual(
      "bytes equal those of the command line",
      bytes.equals(readFileSync(join(folder, "wide.lqa"))),
      true,
    );
    await ended(page);
  });

  await check("decodes a module, and the whole file to PEFT, as the library does", async (page) => {
    await choose(page, encoded);
    await complete(page);
    const file = await open(new Uint8Array(readFileSync(encoded)));
    const name = file.modules[3].name;
    await page.click("#tab-decode");
    await page.selectOption("#module", name);
    await page.click("#decode-form button[type=submit]");
    await page.waitForSelector("#decode-result a", SLOW);
    const { data: b } = (await file.decode(name)).b;
    const npy = await saved(page, '#decode-result a:has-text(".B.npy")');
    expectEqual("magic", npy.bytes.subarray(1, 6).toString(), "NUMPY");
    expectEqual(
      "weights",
      npy.bytes
        .subarray(npy.bytes.readUInt16LE(8) + 10)
        .equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength)),
      true,
    );
    await page.click("#tab-convert");
    await page.click("#write-form button[type=submit]");
    await page.waitForSelector("#write-result a", SLOW);
    const weights = await saved(page, '#write-result a:has-text("adapter_model.safetensors")');
    cli("decode", encoded, "-o", "decoded", "--to", "peft");
    expectEqual(
      "weights",
      weights.bytes.equals(readFileSync(join(folder, "decoded/adapter_model.safetensors"))),
      true,
    );
    const zip = await saved(page, '#write-result a:has-text(".zip")');
    expectEqual("zip", zip.bytes.subarray(0, 2).toString(), "PK");
  });

  await check("stops an encoding at once, and does it after all", async (page) => {
    await choose(page, EXAMPLE);
    await complete(page);
    await page.click("#tab-convert");
    await stopEncoding(page);
    await page.waitForSelector('#encode-result:has-text("Stopped")');
    await ended(page);
    expectEqual("progress", await page.locator("#work").isVisible(), false);
    await page.click("#encode-form button[type=submit]");
    await page.waitForSelector("#encode-result a", SLOW);
  });

  await check("says what is wrong with a broken file, and where", async (page) => {
    const damaged = readFileSync(encoded);
    const { chunk } = (await open(new Uint8Array(damaged))).modules[5];
    damaged[chunk.offset + 9] ^= 1;
    const path = join(folder, "damaged.lqa");
    writeFileSync(path, damaged);
    await choose(page, path);
    await complete(page);
    const text = await page.locator("#findings").textContent();
    expectText("findings", text, "CHUNK_CRC");
    expectText("findings", text, "Clause 7.1");
    expectEqual("figures", await page.locator("#head .cards dt").allTextContents().then(String), "Size");
    expectEqual("Markdown", await page.locator('#report-actions button:has-text("Copy")').count(), 0);
    expectEqual("convert", await page.locator("#tab-convert").isVisible(), false);
    await page.click('#findings button:has-text("at byte")');
    await page.waitForSelector("#hex .byte");
    expectText("bytes", await page.locator("#region-title").textContent(), "module");
    for (const [name, bytes, kind] of [
      ["cut.lqa", damaged.subarray(0, 3000), "TRUNCATED"],
      ["empty.lqa", Buffer.alloc(0), "TRUNCATED_PROLOGUE"],
      ["noise.lqa", Buffer.alloc(5000, 0x41), "BAD_MAGIC"],
    ]) {
      writeFileSync(join(folder, name), bytes);
      await choose(page, join(folder, name));
      await complete(page);
      expectText(name, await page.locator("#findings").textContent(), kind);
    }
    await page.click("#tab-bytes");
    await page.waitForSelector('#fields:has-text("magic")');
    const text2 = join(folder, "notes.txt");
    writeFileSync(text2, "nothing of the kind");
    await choose(page, text2);
    await complete(page, "failed");
    expectText("problem", await page.locator("#problem").textContent(), "what to do");
  });

  await check("checks at the level that is chosen, and measures other methods", async (page) => {
    const source = peft("levels", ["layers.0.q_proj", "layers.1.q_proj"], { out: 24, input: 40, rank: 3 });
    cli("encode", source, "-o", "levels.lqa");
    await choose(page, join(folder, "levels.lqa"), ...readdirSync(source).map((name) => join(source, name)));
    await complete(page);
    await page.selectOption("#level", "canonical");
    await page.click('#report-actions button:has-text("Check again")');
    await page.waitForSelector('#findings:has-text("level canonical")', SLOW);
    await page.click('#report-actions button:has-text("Measure other methods")');
    await page.waitForSelector('#curve:has-text("rtn 2")', { ...SLOW, state: "attached" });
  });

  await check("takes names and metadata from files as text", async (page) => {
    const hostile = '<img src=x onerror="document.title=1">';
    const path = peft(
      `hostile`,
      [`layers.0.${hostile.replaceAll(".", "")}.q`, "layers.1.</select><script>alert(1)</script>.q"],
      { out: 8, input: 12, rank: 2 },
    );
    await choose(page, path);
    await complete(page);
    await encode(page);
    await page.click("#encode-result button");
    await complete(page);
    await page.evaluate(() => document.querySelector("#modules details").setAttribute("open", ""));
    expectText("names", await page.locator("#modules").textContent(), "onerror=");
    await page.click("#tab-bytes");
    await page.waitForSelector('#regions:has-text("onerror=")');
    await page.click("#tab-decode");
    await page.waitForSelector("#module option");
    await page.click("#decode-form button[type=submit]");
    await page.waitForSelector("#decode-result a", SLOW);
    expectEqual("elements", await page.locator("#opened img, #opened script").count(), 0);
  });

  await check("reads of 100 MB only what it shows", async (page) => {
    const path = peft(
      "large",
      Array.from({ length: 48 }, (_, i) => `model.layers.${i}.mlp.up_proj`),
      {
        ...{ out: 16384, input: 16384, rank: 16, fill: (i) => ((i * 2654435761) % 1000) / 1000 - 0.5 },
      },
    );
    const source = join(path, "adapter_model.safetensors");
    await choose(page, path);
    await page.waitForFunction(() => document.body.dataset.state === "opened", null, SLOW);
    const first = await reading(page);
    if (first.bytes > 200_000)
      throw new Error(`of a source of ${statSync(source).size} bytes it read ${first.bytes}`);
    await page.click("#work-stop");
    cli("encode", path, "-o", "large.lqa", "--profile", "raw", "--element", "f32");
    const file = join(folder, "large.lqa");
    if (statSync(file).size < 1e8) throw new Error(`only ${statSync(file).size} bytes`);
    await choose(page, file);
    await page.waitForFunction(() => document.body.dataset.state === "opened", null, SLOW);
    await page.click("#tab-bytes");
    await page.waitForSelector("#fields tbody tr");
    await page.fill("#goto-offset", "90000000");
    await page.press("#goto-offset", "Enter");
    await page.waitForSelector('#region-title:has-text("module")');
    await page.click("#tab-decode");
    await page.waitForSelector("#module option");
    await page.click("#decode-form button[type=submit]");
    await page.waitForSelector("#decode-result a", SLOW);
    const { bytes, largest } = await reading(page);
    if (bytes > 3e6) throw new Error(`it read ${bytes} bytes`);
    if (largest > 2.2e6) throw new Error(`it read ${largest} bytes at once`);
    await complete(page);
    expectText("head", await page.locator("#head").textContent(), "Valid");
  });

  await check("reads an address by ranges", async (page) => {
    server.asked.length = 0;
    server.sent.clear();
    await page.fill("#address", `${server.address}remote/adapter.lqa?signature=secret`);
    await page.press("#address", "Enter");
    await page.waitForFunction(() => document.body.dataset.state === "opened", null, SLOW);
    expectEqual("title", (await page.locator("#head h1").textContent()).includes("secret"), false);
    expectEqual("link", page.url(), server.address);
    const total = statSync(encoded).size;
    const sent = server.sent.get("remote/adapter.lqa");
    if (!(sent > 0 && sent < total * 0.7)) throw new Error(`of ${total} bytes it fetched ${sent}`);
    await page.click("#tab-decode");
    await page.waitForSelector("#module option");
    await page.click("#decode-form button[type=submit]");
    await page.waitForSelector("#decode-result a", SLOW);
    const then = server.sent.get("remote/adapter.lqa");
    if (then > sent + 20_000) throw new Error(`for one module it fetched ${then - sent}`);
    await page.click("#tab-report");
    await page.click("#report-actions button");
    await complete(page);
    expectText("head", await page.locator("#head").textContent(), "Valid");
  });

  await check("opens the file and the module of a link, and makes such links", async (page) => {
    const name = "model.layers.2.self_attn.q_proj";
    const link = `${server.address}?url=${encodeURIComponent(`${server.address}remote/adapter.lqa`)}#module=${name}`;
    await page.goto(link);
    await page.waitForSelector("#decode-result a", SLOW);
    expectEqual("module", await page.inputValue("#module"), name);
    expectEqual("link", page.url(), link);
    await page.fill("#module-filter", "layers.10.self_attn.k");
    await page.waitForFunction(() => document.querySelectorAll("#module option").length === 1);
    await page.click("#decode-form button[type=submit]");
    await page.waitForURL(/#module=model\.layers\.10\.self_attn\.k_proj$/);
    await choose(page, encoded);
    await complete(page);
    expectEqual("link of a file of the visitor", page.url(), server.address);
    for (const cut of ["?url=", "?url=nothing", "?url=%E0%A4%A", "#module=%E0%A4%A"]) {
      await page.goto("about:blank");
      await page.goto(`${server.address}${cut}`);
      await page.waitForSelector("#choose-files");
    }
  });

  await check("shows the modules as people count", async (page) => {
    await choose(page, encoded);
    await complete(page);
    await page.click("#tab-decode");
    await page.waitForSelector("#module option");
    const names = await page.locator("#module option").allTextContents();
    const layers = names.map((one) => Number(/layers\.(\d+)/.exec(one)[1]));
    expectEqual("layers", layers.join(), [...layers].sort((x, y) => x - y).join());
  });

  await check("compares two files", async (page) => {
    cli("encode", EXAMPLE, "-o", "number-words-small.lqa", "--quality", "low");
    await choose(page, encoded, join(folder, "number-words-small.lqa"));
    await complete(page);
    const text = await page.locator("#two").textContent();
    expectText("sizes", text, statSync(encoded).size.toLocaleString("en-US"));
    expectText("sizes", text, statSync(join(folder, "number-words-small.lqa")).size.toLocaleString("en-US"));
    const said = Number(/differ by ([\d.]+) %/.exec(text)[1]);
    const { relativeError } = JSON.parse(
      execFileSync(
        process.execPath,
        [join(root, "dist/cli/main.js"), "diff", encoded, join(folder, "number-words-small.lqa"), "--json"],
        { encoding: "utf8" },
      ),
    );
    if (Math.abs(said / (100 * relativeError) - 1) > 0.05)
      throw new Error(`differs by ${said} %, and by ${relativeError} in lqa diff`);
    expectEqual("cells", await page.locator("#two .heat td").count(), 120);
    await choose(page, encoded, encoded, join(folder, "number-words-small.lqa"));
    await complete(page, "failed");
    expectText("problem", await page.locator("#problem").textContent(), "one or two .lqa files");
  });

  await check(
    "copies lines for a model card, and shows them where it may not copy",
    async (page) => {
      await choose(page, encoded);
      await complete(page);
      await page.click('button:has-text("Copy as Markdown")');
      await page.waitForSelector(".copied p");
      const card = await page.evaluate(() => navigator.clipboard.readText());
      const base = "HuggingFaceTB/SmolLM2-135M-Instruct";
      expectText("card", card, `| base model | [${base}](https://huggingface.co/${base}) |`);
      expectText("card", card, `${statSync(encoded).size.toLocaleString("en-US")} bytes`);
      await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
      await page.click('button:has-text("Copy as Markdown")');
      expectEqual("text", await page.inputValue(".copied textarea"), card);
      await axe(page, "card");
    },
    { permissions: ["clipboard-read", "clipboard-write"] },
  );

  await check(
    "shows the file on the first screen of a phone, and the picture of the method before",
    async (page) => {
      await page.click("#method summary");
      await page.waitForFunction(() => document.querySelector("#method img").naturalWidth > 0);
      await axe(page, "method");
      await choose(page, encoded);
      await complete(page);
      await page.evaluate(() => scrollTo(0, 0));
      const bottom = await page.evaluate(
        () => document.querySelector("#head .cards div:nth-child(4)").getBoundingClientRect().bottom,
      );
      if (bottom > 844) throw new Error(`the fourth figure ends at ${bottom}`);
      expectEqual("start", await page.isVisible("#start"), false);
      await page.focus("#another");
      await page.keyboard.press("Enter");
      expectEqual("focus", await page.evaluate(() => document.activeElement.id), "choose-files");
      await axe(page, "another");
    },
    { viewport: { width: 390, height: 844 } },
  );

  await check("reads an adapter at an address by ranges, and encodes it", async (page) => {
    server.sent.clear();
    const address = `${server.address}remote/adapter_model.safetensors`;
    await page.fill("#address", address);
    await page.press("#address", "Enter");
    await page.waitForFunction(() => document.body.dataset.state === "opened", null, SLOW);
    expectText("head", await page.locator("#head").textContent(), "read as peft");
    const sent = server.sent.get("remote/adapter_model.safetensors");
    if (sent > 200_000) throw new Error(`of 3.5 MiB it fetched ${sent} bytes`);
    await encode(page);
    const { bytes } = await saved(page, "#encode-result a");
    expectEqual("bytes equal those of the command line", bytes.equals(readFileSync(encoded)), true);
  });

  await check("says what an address answers that has no file", async (page) => {
    await page.fill("#address", "ftp://example.org/adapter.lqa");
    await page.press("#address", "Enter");
    await complete(page, "failed");
    expectText("problem", await page.locator("#problem").textContent(), "an http or https URL");
  });

  await check("works by keyboard alone", async (page) => {
    const tabTo = async (selector) => {
      for (let i = 0; i < 80; i++) {
        if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector))
          return;
        await page.keyboard.press("Tab");
      }
      throw new Error(`Tab does not lead to ${selector}`);
    };
    await tabTo("#open-example");
    await page.keyboard.press("Enter");
    await complete(page);
    await tabTo("#tab-report");
    await page.keyboard.press("ArrowRight");
    expectEqual("tab", await page.getAttribute("#tab-bytes", "aria-selected"), "true");
    await page.waitForSelector("#fields tbody tr");
    await tabTo("#region-filter");
    await page.keyboard.type("META");
    await page.waitForFunction(() => document.querySelectorAll("#regions button").length === 1);
    await tabTo("#regions button");
    await page.keyboard.press("Enter");
    await page.waitForSelector('#region-title:has-text("META")');
    await tabTo("#fields button");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#clause:not([hidden])");
    expectText("clause", await page.locator("#clause").textContent(), "10.2");
    await page.keyboard.press("Shift+Tab");
    await page.evaluate(() => document.getElementById("tab-bytes").focus());
    await page.keyboard.press("ArrowRight");
    await page.waitForSelector("#module option");
    await tabTo("#decode-form button");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#decode-result a");
    await tabTo("#decode-result a");
    const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    expectEqual("download", download.suggestedFilename(), "model.layers.0.self_attn.k_proj.B.npy");
  });

  await check("takes what is dropped, a file beside its source", async (page) => {
    const data = await page.evaluateHandle(
      (files) => {
        const transfer = new DataTransfer();
        for (const [name, text] of files)
          transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
        return transfer;
      },
      [
        ["number-words.lqa", readFileSync(encoded, "base64")],
        ...readdirSync(EXAMPLE).map((name) => [name, readFileSync(join(EXAMPLE, name), "base64")]),
      ],
    );
    await page.dispatchEvent("#drop", "drop", { dataTransfer: data });
    await complete(page);
    expectText("head", await page.locator("#head").textContent(), "measured against the source");
  });

  for (const view of [
    { name: "desktop", viewport: { width: 1180, height: 900 }, colorScheme: "light" },
    { name: "dark", viewport: { width: 1180, height: 900 }, colorScheme: "dark" },
    { name: "phone", viewport: { width: 390, height: 844 }, colorScheme: "light" },
    { name: "phone-dark", viewport: { width: 390, height: 844 }, colorScheme: "dark" },
    { name: "wide", viewport: { width: 1920, height: 1080 }, colorScheme: "light" },
    { name: "wide-dark", viewport: { width: 1920, height: 1080 }, colorScheme: "dark" },
  ])
    await check(`passes axe, ${view.name}`, (page) => everyView(page, view.name), view);

  if (!existsSync(ADAPTERS)) console.log(`skipped: real adapters: ${ADAPTERS} is absent`);
  else
    for (const name of readdirSync(ADAPTERS).filter((one) => statSync(join(ADAPTERS, one)).isDirectory()))
      await check(`opens ${name} as the library does`, (page) => realAdapter(page, join(ADAPTERS, name)));
} finally {
  await browser?.close();
  server?.close();
  rmSync(folder, { recursive: true });
}
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify({ passed, failed }));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** Every view, each as axe wants it and no wider than the window. */
async function everyView(page, name) {
  const shots = values.screenshots;
  // Rules do not depend on how many modules there are, and axe takes its time for each.
  const [source, target] =
    shots === undefined
      ? [peft("small", ["layers.0.q_proj", "layers.1.q_proj"], { out: 24, input: 40, rank: 3 }), "small.lqa"]
      : [EXAMPLE, "number-words.lqa"];
  cli("encode", source, "-o", target, "--force");
  const file = join(folder, target);
  if (shots !== undefined) mkdirSync(shots, { recursive: true });
  const shoot = async (part) => {
    if (shots !== undefined && SHOWN.includes(`${name}-${part}`))
      await page.screenshot({ path: join(shots, `inspector-${name}-${part}.png`) });
  };
  await axe(page, "start");
  await shoot("start");
  await choose(page, file, ...readdirSync(source).map((one) => join(source, one)));
  await complete(page);
  await page.evaluate(() => scrollTo(0, 0));
  await shoot("report");
  await page.evaluate(() => {
    for (const one of document.querySelectorAll("details")) one.open = true;
  });
  await axe(page, "report");
  await page.click("#tab-bytes");
  await page.click('#regions button:has-text("q_proj") >> nth=0');
  await page.waitForSelector('#region-title:has-text("q_proj")');
  await page.click("#fields tbody button");
  await page.waitForSelector("#clause:not([hidden])");
  await axe(page, "bytes");
  await page.evaluate(() => document.getElementById("tabs").scrollIntoView());
  await shoot("bytes");
  await page.click("#tab-decode");
  await page.waitForSelector("#module option");
  await page.click("#decode-form button[type=submit]");
  await page.waitForSelector("#decode-result a", SLOW);
  await axe(page, "decode");
  await page.evaluate(() => document.getElementById("tabs").scrollIntoView());
  await shoot("decode");
  await page.click("#tab-convert");
  await page.click("#encode-form button[type=submit]");
  await page.waitForSelector("#encode-result a", SLOW);
  await axe(page, "convert");
  await page.evaluate(() => document.getElementById("tabs").scrollIntoView());
  await shoot("convert");
  await page.click("#another");
  await page.fill("#address", "ftp://example.org/");
  await page.press("#address", "Enter");
  await complete(page, "failed");
  await axe(page, "error");
}

/** The dialect and the modules that the library finds, or the error that it throws. */
async function realAdapter(page, path) {
  let expected;
  try {
    expected = readAdapter(await readSourceFiles(path), { lazy: true });
  } catch (error) {
    if (!isLqaError(error)) throw error;
    await choose(page, path);
    await complete(page, "failed");
    expectText("problem", await page.locator("#problem").textContent(), error.kind);
    return;
  }
  await choose(page, path);
  await page.waitForFunction(() => ["opened", "complete"].includes(document.body.dataset.state), null, SLOW);
  const head = await page.locator("#head").textContent();
  expectText("title", head, basename(path));
  expectText("dialect", head, `read as ${expected.origin.dialect}`);
  expectText("modules", head, expected.modules.length.toLocaleString("en-US"));
}
