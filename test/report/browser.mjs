// Reports of `lqa inspect --html` in headless Chromium: on a desktop and on a phone, light and dark. Each must pass the rules
// of axe, fit its width, ask for nothing and run nothing.
//
//   node test/report/browser.mjs [--counts FILE] [--screenshots FOLDER] [FILE.html...]
//
// Without files, of the example in this repository: beside its source, without it, and damaged. The browser is the one that
// conformance/runtimes.mjs installed, or LQA_CHROMIUM.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { findBrowser, launch } from "../../conformance/adapters/browser.mjs";

const { values, positionals } = parseArgs({
  options: { counts: { type: "string" }, screenshots: { type: "string" } },
  allowPositionals: true,
});
const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const EXAMPLE = fileURLToPath(new URL("../../examples/number-words/adapter", import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
/** What a page is looked at on. Pixels of a screenshot are those of the page. */
const VIEWS = [
  { name: "desktop", width: 1180, height: 900, colorScheme: "light" },
  { name: "dark", width: 1180, height: 900, colorScheme: "dark" },
  { name: "wide", width: 1920, height: 1080, colorScheme: "light" },
  { name: "phone", width: 390, height: 844, colorScheme: "light" },
  { name: "phone-dark", width: 390, height: 844, colorScheme: "dark" },
];
/** Parts of a page that the documentation shows, by view. */
const SHOWN = { desktop: [undefined, "curve"], dark: ["spectra"], phone: [undefined] };

const folder = mkdtempSync(join(tmpdir(), "lqa-report-"));
let passed = 0;
let failed = 0;
const check = (name, problems) => {
  if (problems.length === 0) passed++;
  else failed++;
  console.log(
    `${problems.length === 0 ? "ok" : "FAILED"}: ${name}${problems.map((p) => `\n  ${p}`).join("")}`,
  );
};

try {
  const files = positionals.length > 0 ? positionals : exampleReports();
  // As a reader has it: a page with scripts switched off would not tell that it needs one; axe needs them.
  const browser = await launch(findBrowser());
  for (const file of files) for (const view of VIEWS) await look(browser, file, view);
  for (const view of VIEWS) await embed(browser, files[0], view);
  await browser.close();
} finally {
  rmSync(folder, { recursive: true });
}
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify({ passed, failed }));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** Reports of the example, as the command makes them. */
function exampleReports() {
  const lqa = (...words) =>
    execFileSync(process.execPath, [MAIN, ...words], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  lqa("encode", EXAMPLE, "-o", "number-words.lqa");
  lqa("inspect", "number-words.lqa", "--html", "number-words.html", "--source", EXAMPLE, "--compare");
  lqa("inspect", "number-words.lqa", "--html", "no-source.html");
  const damaged = readFileSync(join(folder, "number-words.lqa"));
  damaged[damaged.length >> 1] ^= 1;
  writeFileSync(join(folder, "damaged.lqa"), damaged);
  try {
    lqa("inspect", "damaged.lqa", "--html", "damaged.html", "--source", EXAMPLE);
  } catch (error) {
    if (error.status !== 1) throw error;
  }
  return ["number-words.html", "no-source.html", "damaged.html"].map((name) => join(folder, name));
}

async function look(browser, file, { name, width, height, colorScheme }) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    bypassCSP: true,
  });
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => problems.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`script: ${error.message}`));
  page.on(
    "request",
    (request) => request.url() === pathToFileURL(file).href || problems.push(`asks for ${request.url()}`),
  );
  await page.goto(pathToFileURL(file).href);
  const folded = page.locator("details");
  if (values.screenshots !== undefined) await shoot(page, file, name);
  await folded.evaluateAll((all) => {
    for (const one of all) one.open = true;
  });
  const [wide, scripts] = await page.evaluate(() => [
    document.documentElement.scrollWidth - document.documentElement.clientWidth,
    document.querySelectorAll(
      "script,link:not([rel=icon][href^='data:']),img,iframe,object,[onclick],[onload],[onerror]",
    ).length,
  ]);
  if (wide > 0) problems.push(`${wide} pixels wider than the window`);
  if (scripts > 0) problems.push(`${scripts} elements that a report must not have`);
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() =>
    globalThis.axe.run({ resultTypes: ["violations"] }),
  );
  if (passes.length < 15) problems.push(`axe looked at ${passes.length} rules only`);
  for (const { id, nodes } of violations)
    problems.push(
      `axe: ${id}, ${nodes.length} times, as ${nodes[0].html.slice(0, 160)} ${nodes[0].failureSummary}`,
    );
  check(`${basename(file)}, ${name}`, problems);
  await context.close();
}

/** A report in a frame without any right, in a page of another origin: it is drawn, fits, and its links to sections work. What the frame blocks of the test's own scripts is on the console. */
async function embed(browser, file, { name, width, height, colorScheme }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  const problems = [];
  const [hub, report] = ["https://hub.invalid/", "https://files.invalid/report.html"];
  await context.route("**", (route) => {
    const url = route.request().url().replace(/#.*/, "");
    const body = {
      [hub]: `<!doctype html><body style="margin:0"><iframe src="${report}" title="Report" sandbox loading="lazy" style="width:100%;height:600px;border:0"></iframe>`,
      [report]: readFileSync(file),
    }[url];
    if (body === undefined && !url.endsWith("/favicon.ico")) problems.push(`asks for ${url}`);
    return route.fulfill({
      status: body === undefined ? 404 : 200,
      contentType: "text/html",
      body: body ?? "",
    });
  });
  await page.goto(hub);
  const frame = page.frameLocator("iframe");
  const heading = frame.locator("h1");
  if (!(await heading.isVisible())) problems.push("has no heading");
  const top = async () => Math.round((await frame.locator("#modules").boundingBox()).y);
  const before = await top();
  await frame.locator("nav a[href='#modules']").click();
  if (before < 600 || (await top()) >= 600) problems.push("does not go to the list of modules");
  const { scrollWidth } = await frame.locator("html").evaluate((root) => ({ scrollWidth: root.scrollWidth }));
  if (scrollWidth > width) problems.push(`${scrollWidth - width} pixels wider than the frame`);
  check(`${basename(file)} in a frame, ${name}`, problems);
  await context.close();
}

/** The first screen, and the sections that the documentation shows; of a file that was named, all sections. */
async function shoot(page, file, view) {
  mkdirSync(values.screenshots, { recursive: true });
  const stem = basename(file, ".html");
  if (positionals.length > 0) {
    for (const id of await page.locator("section").evaluateAll((all) => all.map((one) => one.id)))
      await page
        .locator(`#${id}`)
        .screenshot({ path: join(values.screenshots, `${stem}-${view}-${id}.png`) });
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: join(values.screenshots, `${stem}-${view}.png`) });
    return;
  }
  if (stem !== "number-words") return;
  for (const part of SHOWN[view] ?? []) {
    const path = join(values.screenshots, `report-${view}${part === undefined ? "" : `-${part}`}.png`);
    if (part === undefined) await page.screenshot({ path });
    else await page.locator(`#${part}`).screenshot({ path });
  }
}
