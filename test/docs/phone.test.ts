/**
 * The tutorial "From a PEFT adapter to a phone", step by step as it stands. Only the package is this checkout instead of one from
 * the registry, and the address of the page is a name without https, as addresses of a home network are.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
// @ts-expect-error: plain JavaScript
import { findBrowser, launch } from "../../conformance/adapters/browser.mjs";
import { blocksOf, root, runCommands } from "../helpers/documents.ts";
import { temporaryDirectory } from "../helpers/temporary.ts";

const HOST = "phone.test";
const folder = temporaryDirectory();
const [setUp, encode, said, look, program, runIt, page, script, serve, ...others] =
  blocksOf("docs/guide/phone.md");

let server: ChildProcess | undefined;
afterAll(() => void server?.kill());

/** What installing the packed package and Vite gives, from this checkout. */
function install(): void {
  mkdirSync(join(folder, "node_modules/.bin"), { recursive: true });
  const packages = {
    lqa: [root, "dist/cli/main.js"],
    vite: [join(root, "node_modules/vite"), "bin/vite.js"],
  };
  for (const [name, [path, main]] of Object.entries(packages)) {
    symlinkSync(path!, join(folder, "node_modules", name));
    writeFileSync(join(folder, "node_modules/.bin", name), `#!/bin/sh\nexec node "${path}/${main}" "$@"\n`, {
      mode: 0o755,
    });
  }
  symlinkSync(root, join(folder, "lqa-repository"));
}

/** The address that Vite prints. */
function address(vite: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let told = "";
    vite.stdout!.on("data", (piece) => {
      told += piece;
      const port = /:(\d+)\//.exec(told)?.[1];
      if (port !== undefined) resolve(`http://${HOST}:${port}/`);
    });
    vite.on("exit", (code) => reject(new Error(`vite ended with ${code}: ${told}`)));
  });
}

describe("from a PEFT adapter to a phone", { timeout: 180_000 }, () => {
  let printed: string;

  it("encodes, looks and applies in Node", () => {
    expect(others).toEqual([]);
    install();
    runCommands(setUp!.code.replace("npm install lqa-repository/lqa-0.1.0.tgz vite\n", ""), folder);
    const report = runCommands(encode!.code, folder);
    for (const line of said!.code.trim().split("\n")) expect(report).toContain(line);
    expect(report).toMatch(/answers +(very likely|may change|expect)/);
    expect(runCommands(look!.code, folder)).toMatch(/SmolLM2-135M-Instruct[\s\S]*valid/);
    writeFileSync(join(folder, "apply.mjs"), program!.code);
    printed = runCommands(runIt!.code, folder).trim();
    expect(printed).toMatch(/^576 -?\d+\.\d+$/);
  });

  it("shows the same numbers in the browser of a phone", async () => {
    let browserPath: string;
    try {
      browserPath = findBrowser();
    } catch (error) {
      console.log(`skipped: the page of the tutorial: ${(error as Error).message}`);
      return;
    }
    writeFileSync(join(folder, "index.html"), page!.code);
    writeFileSync(join(folder, "phone.js"), script!.code);
    const words = serve!.code.trim().replace("--host", "--host 127.0.0.1").split(" ");
    const env = { ...process.env, NO_COLOR: "1", __VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS: HOST };
    server = spawn(process.execPath, [join(root, "node_modules/vite/bin/vite.js"), ...words.slice(2)], {
      cwd: folder,
      env,
    });
    const url = await address(server);
    const browser = await launch(browserPath, [
      "--disable-gpu",
      `--host-resolver-rules=MAP ${HOST} 127.0.0.1`,
    ]);
    try {
      const tab = await browser.newPage({ viewport: { width: 390, height: 844 } });
      await tab.goto(url);
      await tab.waitForFunction('!document.querySelector("output").textContent.includes("…")', null, {
        timeout: 60_000,
      });
      expect(await tab.textContent("output")).toBe(printed);
      expect(await tab.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(390);
      expect(await tab.evaluate("isSecureContext")).toBe(false);
    } finally {
      await browser.close();
    }
  });
});
