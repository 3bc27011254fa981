// Runs the built program again and again in one process, for cli-shared.mjs: a line of JSON in, { cwd, words, env }, and one out,
// { code, out, err }, through two named pipes. What a start of Node and the loading of modules cost is paid once. A command that leaves
// a file open has code -1.
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const open = promises.open;
const left = new Map();
promises.open = async (path, ...rest) => {
  const file = await open(path, ...rest);
  const close = file.close.bind(file);
  left.set(file, path);
  file.close = () => {
    left.delete(file);
    return close();
  };
  return file;
};
syncBuiltinESMExports();

// Before the import: a caller waits for the other ends of the pipes, and learns from their end that the program cannot be loaded.
const [requests, answers] = process.argv.slice(2);
const [input, output] = [openSync(requests, "r"), openSync(answers, "w")];
const { run } = await import("../../dist/cli/run.js");

const written = { stdout: "", stderr: "" };
for (const name of ["stdout", "stderr"])
  process[name].write = (text, ...rest) => {
    written[name] += typeof text === "string" ? text : Buffer.from(text).toString();
    rest.find((one) => typeof one === "function")?.();
    return true;
  };
const first = { ...process.env };

const chunk = Buffer.alloc(65536);
let waiting = Buffer.alloc(0);
for (;;) {
  const end = waiting.indexOf(10);
  if (end < 0) {
    const read = readSync(input, chunk);
    if (read === 0) break;
    waiting = Buffer.concat([waiting, chunk.subarray(0, read)]);
    continue;
  }
  const { cwd, words, env } = JSON.parse(waiting.subarray(0, end).toString());
  waiting = waiting.subarray(end + 1);
  process.chdir(cwd);
  Object.assign(process.env, env);
  written.stdout = written.stderr = "";
  let code = await run(words);
  // A command may leave work of its own for a moment, and settings that the next one must not see.
  await new Promise((resolve) => setImmediate(resolve));
  for (const name of Object.keys(process.env)) if (!(name in first)) delete process.env[name];
  Object.assign(process.env, first);
  if (left.size > 0) {
    code = -1;
    written.stderr += `left open: ${[...left.values()].join(", ")}\n`;
    left.clear();
  }
  const answer = Buffer.from(`${JSON.stringify({ code, out: written.stdout, err: written.stderr })}\n`);
  for (let at = 0; at < answer.length; ) at += writeSync(output, answer, at);
}
closeSync(output);
process.exit(0);
