// What is built: every link and anchor leads to something in the site, every clause and code has its place, and no page loads
// anything from another server. Links to other servers are not followed.
//
//   node site/check.mjs [--base /path/]
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { base: { type: "string", default: "/" } } });
const dist = fileURLToPath(new URL("dist/", import.meta.url));
const names = readdirSync(dist, { recursive: true }).map((name) => name.split(sep).join("/"));
const pages = names.filter((name) => name.endsWith(".html"));
const texts = new Map(pages.map((name) => [name, readFileSync(join(dist, name), "utf8")]));
const anchors = new Map(
  pages.map((name) => [
    name,
    new Set([...texts.get(name).matchAll(/\s(?:id|name)="([^"]+)"/g)].map(([, id]) => plainText(id))),
  ]),
);
const problems = [];
let links = 0;

for (const [page, text] of texts) {
  for (const [tag, name] of text.matchAll(/<(a|link|script|img|source|iframe)\s[^>]*>/g))
    for (const [, attribute, value] of tag.matchAll(/\s(href|src)="([^"]*)"/g)) {
      const target = plainText(value);
      const elsewhere = /^(?:https?:)?\/\//.test(target);
      if (elsewhere && !(name === "a" && attribute === "href")) problems.push(`${page} loads ${target}`);
      if (elsewhere || /^[a-z]+:/.test(target)) continue;
      links++;
      const found = lookUp(page, target);
      if (found !== undefined) problems.push(`${page}: ${target} ${found}`);
    }
}
for (const name of names.filter((name) => name.endsWith(".css")))
  if (/url\(["']?(?:https?:)?\/\//.test(readFileSync(join(dist, name), "utf8")))
    problems.push(`${name} loads something from another server`);

const source = (path) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
for (const [, clause] of source("spec/lqa-v1.md").matchAll(/^#+ (\d+(?:\.\d+)*) /gm))
  if (!anchors.get("spec/lqa-v1.html")?.has(`clause-${clause}`))
    problems.push(`clause ${clause} has no anchor`);
for (const { code } of JSON.parse(source("spec/errors.json")).errors)
  if (!texts.has(`errors/LQA-${code}.html`)) problems.push(`LQA-${code} has no page`);

for (const problem of problems) console.log(problem);
console.log(`${pages.length} pages, ${links} links, ${problems.length} problems`);
process.exitCode = problems.length === 0 && links > 1000 ? 0 : 1;

/** What is wrong with a link, or undefined. */
function lookUp(page, target) {
  const { pathname, hash } = new URL(target, `http://site${values.base}${page}`);
  if (!pathname.startsWith(values.base)) return `is not below ${values.base}`;
  let name = decodeURIComponent(pathname.slice(values.base.length));
  if (name === "" || name.endsWith("/")) name += "index.html";
  if (!existsSync(join(dist, name)) || statSync(join(dist, name)).isDirectory()) return "is not there";
  const anchor = decodeURIComponent(hash.slice(1));
  if (anchor !== "" && !anchors.get(name)?.has(anchor)) return "has no such anchor";
  return undefined;
}

function plainText(text) {
  return text.replace(
    /&(amp|lt|gt|quot|#39|#x27);/g,
    (whole) => ({ "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"' })[whole] ?? "'",
  );
}
