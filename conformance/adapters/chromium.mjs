// The library of this repository in a page of headless Chromium, as a reader of PROTOCOL.md: protocol B only.
//
//   node conformance/adapters/chromium.mjs --lines
//
// The browser is the one that conformance/runtimes.mjs installed, or LQA_CHROMIUM.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { findBrowser, openPage } from "./browser.mjs";
import { LEVELS, OPERATIONS } from "./lqa-document.mjs";

/** The file of the command that is being answered. */
let current;
const { page, version, close } = await openPage(new URL("chromium-page.mjs", import.meta.url), {
  executable: findBrowser(),
  files(path) {
    const [, seq, number] = /^\/file\/(\d+)(?:\/(\d+))?$/.exec(path) ?? [];
    if (seq !== String(current?.seq)) return undefined;
    return readFileSync(number === undefined ? current.path : current.parents[number]);
  },
  onEnd(what) {
    console.error(what);
    process.exit(1);
  },
});

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.cmd === "stop") break;
  process.stdout.write(`${await reply(command)}\n`);
}
await close();

async function reply(command) {
  const { cmd } = command;
  if (cmd === "start")
    return JSON.stringify({
      protocol: 1,
      name: "lqa",
      version: await page.evaluate(() => globalThis.VERSION),
      language: `Chromium ${version}`,
    });
  if (cmd === "caps") return JSON.stringify({ levels: LEVELS, operations: OPERATIONS, without: {} });
  if (cmd !== "run") return JSON.stringify({ errored: `unknown command ${cmd}` });
  current = command;
  return page.evaluate((asked) => globalThis.answer(asked), command);
}
