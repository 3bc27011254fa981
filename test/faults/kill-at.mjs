// Preloaded into a process: SIGKILL to itself before the n-th operation on files that changes something (LQA_KILL_AT), so
// that a test can end a program at every such moment. Operations are counted from 1; what only reads is not counted.
import { writeSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const at = Number(process.env.LQA_KILL_AT);
let count = 0;

/** Ends the process if this is the one. */
function operation() {
  if (++count === at) process.kill(process.pid, "SIGKILL");
}

function counted(holder, name, changes = () => true) {
  const original = holder[name];
  holder[name] = function (...words) {
    if (changes(...words)) operation();
    return original.apply(this, words);
  };
}

const probe = await promises.open("/dev/null");
const handle = Object.getPrototypeOf(probe);
await probe.close();
for (const name of ["write", "writev", "writeFile", "sync", "datasync", "truncate"]) counted(handle, name);
for (const name of [
  "link",
  "rename",
  "rm",
  "unlink",
  "mkdir",
  "rmdir",
  "writeFile",
  "symlink",
  "copyFile",
  "cp",
])
  counted(promises, name);
counted(promises, "open", (_path, flags = "r") => flags !== "r" && flags !== 0);
syncBuiltinESMExports();
process.on("exit", () => writeSync(3, String(count)));
