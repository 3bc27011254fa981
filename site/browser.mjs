// The built site in headless Chromium, as a file server has it: axe, width, colour schemes, search, and that nothing is
// fetched from elsewhere. On a phone, a desktop and a wide screen, light and dark.
//
//   node site/browser.mjs [--base /path/] [--counts FILE] [--screenshots FOLDER]
//   node site/browser.mjs --all [--base /path/]
//
// Every page in every size takes too long for each change. --all looks at every page on a desktop, light and dark, and puts the
// result into site/pages.md. It leaves out the reference of the library, which another generator writes, and of the pages of error
// codes, which have one template, all but one.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { extname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findBrowser, launch } from "../conformance/adapters/browser.mjs";

const { values } = parseArgs({
  options: {
    all: { type: "boolean", default: false },
    base: { type: "string", default: "/" },
    counts: { type: "string" },
    screenshots: { type: "string" },
  },
});
const dist = fileURLToPath(new URL("dist/", import.meta.url));
const ORIGIN = "https://lqa.invalid";
const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve("axe-core"), "utf8");
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".woff2": "font/woff2",
};
const PAGES = [
  "index.html",
  "docs/how-it-works.html",
  "docs/guide/phone.html",
  "docs/guide/reading.html",
  "docs/comparison.html",
  "docs/results.html",
  "docs/errors.html",
  "errors/LQA-M012.html",
  "spec/lqa-v1.html",
];
const VIEWS = [
  { name: "desktop", width: 1280, height: 900, colorScheme: "light" },
  { name: "desktop-dark", width: 1280, height: 900, colorScheme: "dark" },
  { name: "wide", width: 1920, height: 1080, colorScheme: "light" },
  { name: "wide-dark", width: 1920, height: 1080, colorScheme: "dark" },
  { name: "phone", width: 390, height: 844, colorScheme: "light" },
  { name: "phone-dark", width: 390, height: 844, colorScheme: "dark" },
];

let passed = 0;
const failures = [];
const browser = await launch(findBrowser());
const pages = values.all ? everyPage() : PAGES;
for (const view of values.all ? VIEWS.slice(0, 2) : VIEWS)
  for (const page of pages) await check(`${page}, ${view.name}`, view, (tab) => look(tab, page, view));
if (values.all) writeFileSync(new URL("pages.md", import.meta.url), report());
else {
  await check("search finds a code and opens its page", VIEWS[0], search);
  await check("keyboard alone: skip link, start, menu of a page", VIEWS[0], keyboard);
}
await browser.close();
const failed = failures.length;
if (values.counts !== undefined) writeFileSync(values.counts, JSON.stringify({ passed, failed }));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** Every page but those, and the two applications, which have their own tests. */
function everyPage() {
  return readdirSync(dist, { recursive: true })
    .map((name) => name.split(sep).join("/"))
    .filter((name) => name.endsWith(".html") && !/^(?:(?:api|errors|inspector|chat)\/|404)/.test(name))
    .concat("errors/LQA-M012.html")
    .sort();
}

function report() {
  const axe = JSON.parse(readFileSync(require.resolve("axe-core/package.json"), "utf8")).version;
  const rows = failures.map(({ name, problems }) => `- ${name}: ${problems.join("; ")}`);
  return `# Every page in a browser

Written by \`node site/browser.mjs --all\`: axe ${axe}, Chromium ${browser.version()}, 1280 pixels wide, light and dark.

${pages.length} pages, ${passed} of ${passed + failures.length} views without a finding.
${rows.length === 0 ? "" : `\n${rows.join("\n")}\n`}`;
}

/** Runs `steps` in a page of its own, and adds what the page asked for or complained about. */
async function check(name, { width, height, colorScheme }, steps) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const tab = await context.newPage();
  const problems = [];
  tab.on("pageerror", (error) => problems.push(error.message));
  await context.route("**", (route) => {
    const { origin, pathname } = new URL(route.request().url());
    const path = decodeURIComponent(pathname.slice(values.base.length));
    const file = join(dist, path === "" || path.endsWith("/") ? `${path}index.html` : path);
    if (origin === ORIGIN && pathname.startsWith(values.base) && existsSync(file) && statSync(file).isFile())
      return route.fulfill({
        contentType: TYPES[extname(file)] ?? "application/octet-stream",
        body: readFileSync(file),
      });
    if (!pathname.endsWith("/favicon.ico")) problems.push(`asks for ${route.request().url()}`);
    return route.fulfill({ status: 404 });
  });
  try {
    problems.push(...(await steps(tab)));
  } catch (error) {
    problems.push(error.message);
  }
  await context.close();
  if (problems.length === 0) passed++;
  else failures.push({ name, problems });
  console.log(
    `${problems.length === 0 ? "ok" : "FAILED"}: ${name}${problems.map((p) => `\n  ${p}`).join("")}`,
  );
}

async function look(tab, page, { name, width, colorScheme }) {
  // One view waits for what a page asks for later; the others ask for the same.
  const waitUntil = !values.all && name === VIEWS[0].name ? "networkidle" : "load";
  await tab.goto(`${ORIGIN}${values.base}${page}`, { waitUntil });
  const wide = await tab.evaluate(() => document.documentElement.scrollWidth);
  const problems = wide > width ? [`is ${wide} pixels wide`] : [];
  const dark = await tab.evaluate(() => document.documentElement.classList.contains("dark"));
  if (dark !== (colorScheme === "dark")) problems.push("has the wrong colours");
  // Reference pages have tables that scroll.
  if (!values.all) problems.push(...(await tab.evaluate(cutOff, width >= 1280)));
  if (values.screenshots !== undefined) {
    mkdirSync(values.screenshots, { recursive: true });
    await tab.screenshot({ path: join(values.screenshots, `${page.replaceAll("/", "-")}-${name}.png`) });
  }
  await tab.evaluate(AXE);
  const { violations } = await tab.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  for (const { id, help, nodes } of violations)
    problems.push(`axe: ${id}: ${help} (${nodes.length}): ${nodes[0].html.slice(0, 160)}`);
  return problems;
}

/** What is cut off, in the page: the command of the front page below the first view, and tables wider than their place. */
function cutOff(tables) {
  const below = [...document.querySelectorAll(".install, .VPHero img")].filter(
    (element) => element.getBoundingClientRect().bottom > innerHeight,
  );
  const wide = [...document.querySelectorAll(tables ? ".vp-doc table" : "none")].filter(
    ({ scrollWidth, clientWidth }) => scrollWidth > clientWidth,
  );
  return [
    ...below.map(({ tagName }) => `${tagName} is below the first view`),
    ...wide.map(({ textContent }) => `a table is cut off: ${textContent.slice(0, 60)}`),
  ];
}

/** Each thing that Tab reaches has a name and shows that it has the focus. */
async function keyboard(tab) {
  await tab.goto(`${ORIGIN}${values.base}index.html`, { waitUntil: "networkidle" });
  const problems = [];
  const reached = async (wanted) => {
    for (let i = 0; i < 40; i++) {
      await tab.keyboard.press("Tab");
      const { text, shown } = await tab.evaluate(() => {
        const { activeElement: at } = document;
        const style = getComputedStyle(at);
        return {
          text: (at.getAttribute("aria-label") ?? at.textContent ?? "").trim(),
          shown: style.outlineStyle !== "none" || style.boxShadow !== "none",
        };
      });
      if (text === "") problems.push(`focus ${i} has no name`);
      if (!shown) problems.push(`the focus of ${text} is not visible`);
      if (text === wanted) return true;
    }
    problems.push(`Tab does not lead to ${wanted}`);
    return false;
  };
  await reached("Skip to content");
  if (await reached("Start")) {
    await tab.keyboard.press("Enter");
    await tab.waitForURL(/guide/);
  }
  return problems;
}

async function search(tab) {
  await tab.goto(`${ORIGIN}${values.base}index.html`, { waitUntil: "networkidle" });
  const box = tab.locator(".VPLocalSearchBox");
  // The page may be shown before it listens.
  for (let i = 0; i < 30 && !(await box.isVisible()); i++) {
    await tab.keyboard.press("Control+k");
    await tab.waitForTimeout(300);
  }
  await tab.keyboard.type("PADDING_NONZERO");
  await box.locator(".result", { hasText: "LQA-M012" }).first().click();
  await tab.waitForURL(/LQA-M012/);
  return [];
}
