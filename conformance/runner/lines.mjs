// Protocol B: one process for many files, a line for each. After a crash or a timeout it is restarted.
import { Child, describeEnd, textOf } from "./child.mjs";
import { short } from "./compare.mjs";

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

export class Lines {
  child;
  buffer = [];
  length = 0;
  waiting;
  seq = 0;
  unasked;

  constructor(command, { timeout, startTimeout, cap, env }) {
    Object.assign(this, { command, timeout, startTimeout, cap, env });
  }

  /** Starts the reader and asks what it can. Throws an Error that says why it did not get so far. */
  async start() {
    const child = new Child(this.command, "pipe", this.env);
    this.child = child;
    this.buffer = [];
    this.length = 0;
    child.process.stdout.on("data", (piece) => this.#take(child, piece));
    child.ended.then((end) => this.#settle(child, { crash: describeEnd(end, child.stderr) }));
    const about = await this.#must({ cmd: "start", protocol: 1 });
    if (about.protocol !== 1) throw new Error(`start: answered ${short(about)}`);
    const caps = await this.#must({ cmd: "caps" });
    const { levels, operations, without = {} } = caps;
    const reasons =
      isObject(without) &&
      Object.values(without).every((reason) => typeof reason === "string" && reason !== "");
    if (!Array.isArray(levels) || !Array.isArray(operations) || !reasons)
      throw new Error(`caps: answered ${short(caps)}`);
    return { about, levels, operations, without };
  }

  /** { exit, document }, { skipped }, or { crash } or { timeout } with what happened. */
  async run({ id, ...about }) {
    if (this.child === undefined && this.unasked === undefined) {
      try {
        await this.start();
      } catch (error) {
        this.#drop();
        return { crash: error.message };
      }
    }
    const seq = ++this.seq;
    const { unasked } = this;
    this.unasked = undefined;
    const answer = unasked ?? (await this.#ask({ cmd: "run", seq, case: id, ...about }, this.timeout));
    if (answer.value === undefined) {
      this.#drop();
      return answer;
    }
    const { value } = answer;
    if (value.seq !== seq) {
      this.#drop();
      return { crash: `answered to ${short(value.seq)}, not to ${seq}` };
    }
    if (typeof value.errored === "string") return { crash: `errored: ${value.errored.slice(0, 500)}` };
    if (value.skipped !== undefined)
      return typeof value.skipped === "string" && value.skipped.trim() !== ""
        ? { skipped: value.skipped }
        : { crash: "skipped without a reason" };
    return { exit: value.exit, document: value.document };
  }

  /** Ends it: a reader that does not stop when told is killed. */
  async stop() {
    const { child } = this;
    if (child === undefined) return;
    this.child = undefined;
    child.process.stdin.end(`${JSON.stringify({ cmd: "stop" })}\n`);
    const timer = setTimeout(() => child.kill(), 2000);
    await child.ended;
    clearTimeout(timer);
  }

  async #must(command) {
    const answer = await this.#ask(command, this.startTimeout);
    if (answer.value === undefined) throw new Error(`${command.cmd}: ${answer.crash ?? answer.timeout}`);
    return answer.value;
  }

  #ask(command, timeout) {
    const { child } = this;
    // It may have ended since its last answer.
    if (child.end !== undefined) return { crash: describeEnd(child.end, child.stderr) };
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => this.#settle(child, { timeout: `no answer after ${timeout} ms` }),
        timeout,
      );
      this.waiting = (answer) => {
        clearTimeout(timer);
        this.waiting = undefined;
        resolve(answer);
      };
      child.process.stdin.write(`${JSON.stringify(command)}\n`);
    });
  }

  #settle(child, answer) {
    if (child === this.child) this.waiting?.(answer);
  }

  #take(child, piece) {
    if (child !== this.child) return;
    const end = piece.indexOf(10);
    this.length += piece.length;
    if (this.length > this.cap) {
      this.#settle(child, { crash: `printed more than ${this.cap} bytes` });
      return;
    }
    if (end < 0) {
      this.buffer.push(piece);
      return;
    }
    const line = textOf([...this.buffer, piece.subarray(0, end)]);
    const rest = piece.subarray(end + 1);
    this.buffer = [];
    this.length = 0;
    if (this.waiting === undefined || rest.length > 0) {
      // What an answer belongs to that nobody asked for cannot be known: the next case pays for it.
      const crash = { crash: "printed more than one line for one command" };
      if (this.waiting === undefined) this.unasked = crash;
      this.#settle(child, crash);
      this.#drop();
      return;
    }
    let value;
    try {
      value = JSON.parse(line);
    } catch {}
    const crash = line === undefined ? "printed no UTF-8" : `printed no JSON object: ${short(line)}`;
    this.#settle(child, isObject(value) ? { value } : { crash });
  }

  #drop() {
    this.child?.kill();
    this.child = undefined;
  }
}
