// Protocol A: a process for each file.
import { closeSync, openSync } from "node:fs";
import { Child, describeEnd, textOf } from "./child.mjs";

export class OneShot {
  name;

  constructor(command, { timeout, cap, env }) {
    Object.assign(this, { command, timeout, cap, env });
    this.name = command.join(" ");
  }

  async start() {
    return { about: { name: this.name }, levels: undefined, operations: ["read", "decode"], without: {} };
  }

  /** { exit, document }, or { crash } or { timeout } with what happened. */
  async run({ path, hex, level, budget, parents = [] }) {
    const fd = path === undefined ? "pipe" : openSync(path, "r");
    const options = ["--budget", String(budget)];
    if (level !== undefined) options.unshift("--level", level);
    for (const parent of parents) options.push("--parent", parent);
    const child = new Child([...this.command, ...options], fd, this.env);
    if (path === undefined) child.process.stdin.end(Buffer.from(hex, "hex"));
    else closeSync(fd);
    let output = [];
    let length = 0;
    let problem;
    child.process.stdout.on("data", (piece) => {
      length += piece.length;
      if (length <= this.cap) output.push(piece);
      else if (problem === undefined) {
        problem = { crash: `printed more than ${this.cap} bytes` };
        output = [];
        child.kill();
      }
    });
    const timer = setTimeout(() => {
      problem ??= { timeout: `no end after ${this.timeout} ms` };
      child.kill();
    }, this.timeout);
    const end = await child.ended;
    clearTimeout(timer);
    if (problem !== undefined) return problem;
    if (end.problem !== undefined || end.signal || ![0, 1, 2, 3, 4].includes(end.code))
      return { crash: describeEnd(end, child.stderr) };
    const text = textOf(output);
    if (text === undefined) return { crash: `${describeEnd(end, child.stderr)} and printed no UTF-8` };
    try {
      return { exit: end.code, document: JSON.parse(text) };
    } catch {
      return {
        crash: `${describeEnd(end, child.stderr)} and printed no JSON: ${JSON.stringify(text.slice(0, 100))}`,
      };
    }
  }

  async stop() {}
}
