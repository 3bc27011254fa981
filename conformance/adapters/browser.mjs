// A page of headless Chromium with a module of this repository in it, bundled as an application for browsers would be.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { rolldown } from "rolldown";
import { installed } from "../runtimes.mjs";

/** No such host: every request is answered here. The scheme makes it a secure context, as pages of users are. */
const ORIGIN = "https://lqa.invalid";

/** What zstd-codec asks for where it finds itself in Node, and no page has. */
const ONLY_IN_NODE = ["fs", "path", "crypto"];

/** A module and all it imports as one text for browsers. Throws an Error if anything in it needs Node. */
export async function bundle(entry) {
  const missing = [];
  const build = await rolldown({
    input: fileURLToPath(entry),
    platform: "browser",
    external: ONLY_IN_NODE,
    onLog: (level, log) => level !== "debug" && level !== "info" && missing.push(log.message),
  });
  const { output } = await build.generate({ format: "es", codeSplitting: false });
  await build.close();
  const [{ code, fileName, imports, dynamicImports }] = output;
  missing.push(...imports, ...dynamicImports.filter((name) => name !== fileName));
  if (missing.length > 0) throw new Error(`not for browsers: ${missing.join(", ")}`);
  return code;
}

/** What keeps Chromium off graphics drivers, and what gives it WebGPU in software. */
const WITHOUT_GPU = ["--disable-gpu"];
export const WEBGPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
];

/** Headless Chromium. Throws an Error if it does not start. */
export function launch(executable, graphics = WITHOUT_GPU) {
  const libraries = join(dirname(executable), "lib");
  const env = existsSync(libraries) ? { ...process.env, LD_LIBRARY_PATH: libraries } : process.env;
  return chromium
    .launch({
      executablePath: executable,
      env,
      // Containers have neither what its sandbox needs nor much of /dev/shm.
      args: ["--no-sandbox", "--disable-dev-shm-usage", ...graphics],
    })
    .catch((error) => {
      // What follows the first line is its whole command line and log.
      throw new Error(`${executable} does not start: ${error.message.split("\n")[0]}`);
    });
}

/**
 * Opens it: { page, version, close }. `files` gives the bytes of a path that the page fetches, or undefined; `onEnd` is
 * called when the page or the browser has crashed.
 */
export async function openPage(entry, { executable, graphics, files = () => undefined, onEnd = () => {} }) {
  const code = await bundle(entry);
  const browser = await launch(executable, graphics);
  const page = await browser.newPage();
  const served = new Map([
    [
      "/",
      {
        contentType: "text/html",
        // Isolated: its clock is exact, and it may share memory.
        headers: {
          "cross-origin-opener-policy": "same-origin",
          "cross-origin-embedder-policy": "require-corp",
        },
        body: '<!doctype html><script type="module" src="/page.js"></script>',
      },
    ],
    ["/page.js", { contentType: "text/javascript", body: code }],
  ]);
  await page.route("**", (route) => {
    const { pathname } = new URL(route.request().url());
    const bytes = served.has(pathname) ? undefined : files(pathname);
    if (bytes !== undefined)
      return route.fulfill({ body: Buffer.from(bytes), contentType: "application/octet-stream" });
    return route.fulfill(served.get(pathname) ?? { status: 404 });
  });
  let closed = false;
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("crash", () => onEnd("the page crashed"));
  browser.on("disconnected", () => closed || onEnd("Chromium ended"));
  await page.goto(`${ORIGIN}/`);
  if (errors.length > 0) throw new Error(errors.join("; "));
  return {
    page,
    version: browser.version(),
    close: () => {
      closed = true;
      return browser.close();
    },
  };
}

/** This browser, or the one that LQA_CHROMIUM names, or the installed one. */
export function findBrowser(executable = process.env.LQA_CHROMIUM || installed("chromium")) {
  if (!executable)
    throw new Error(
      "no browser is installed, nor named by LQA_CHROMIUM: node conformance/runtimes.mjs installs one",
    );
  return executable;
}
