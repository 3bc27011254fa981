// Draws the dashboard with what a real Prometheus found, by Grafana's own panels, into docs/images/dashboard.png:
//
//   node bench/fleet/watch.mjs --series series.json
//   npm ci --ignore-scripts --prefix deploy/screenshot && node deploy/screenshot/make.mjs series.json
//
// Grafana itself comes in no package that a registry has. What it adds is the choice of data source, server and time.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { findBrowser, launch } from "../../conformance/adapters/browser.mjs";

const here = import.meta.dirname;
const dashboard = readFileSync(join(here, "../dashboard.json"), "utf8");
const { outputFiles } = await build({
  entryPoints: [join(here, "page.jsx")],
  bundle: true,
  jsx: "automatic",
  write: false,
  outdir: "page",
  loader: { ".svg": "dataurl", ".ttf": "empty" },
  define: {
    "process.env.NODE_ENV": '"production"',
    global: "window",
    DASHBOARD: dashboard,
    SERIES: readFileSync(process.argv[2], "utf8"),
  },
  logLevel: "error",
});
const file = (ending) => outputFiles.find(({ path }) => path.endsWith(ending)).text;

const browser = await launch(findBrowser());
const rows = Math.max(...JSON.parse(dashboard).panels.map(({ gridPos: { y, h } }) => y + h));
const tab = await browser.newPage({ locale: "en-US", viewport: { width: 1440, height: 38 * rows } });
const problems = [];
tab.on("pageerror", ({ message }) => problems.push(message));
await tab.route("**", (route) => {
  const { pathname } = new URL(route.request().url());
  if (pathname !== "/") return route.fulfill({ status: 404 });
  const contentType = "text/html; charset=utf-8";
  return route.fulfill({ contentType, body: '<!doctype html><div id="root"></div>' });
});
await tab.goto("https://dashboard.invalid/");
await tab.addStyleTag({ content: file(".css") });
await tab.addScriptTag({ content: file(".js") });
await tab.locator("canvas").last().waitFor();
await tab.waitForTimeout(1000);
await tab.screenshot({ path: join(here, "../../docs/images/dashboard.png") });
await browser.close();
if (problems.length > 0) throw new Error(problems.join("\n"));
