/**
 * A validator reads ahead. When it has seen enough, nobody may go on reading for it: a connection would stay open, and a
 * program would wait for the end of its input.
 */
import { spawn } from "node:child_process";
import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type ByteSource, validate } from "../../src/core/index.ts";

const BAD = new Uint8Array(5000);

describe("what a validator reads is left as soon as a file is found bad", () => {
  it.each([
    ["that goes on", false],
    ["that hangs", true],
  ])("a web stream %s", async (_, hangs) => {
    let cancelled = 0;
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => controller.enqueue(BAD),
        pull(controller) {
          if (!hangs) controller.enqueue(BAD);
        },
        cancel: () => void cancelled++,
      },
      { highWaterMark: 0 },
    );
    expect((await validate(stream)).error?.kind).toBe("BAD_MAGIC");
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(cancelled).toBe(1);
  });

  it("a Node stream that hangs", async () => {
    const stream = new PassThrough();
    stream.write(BAD);
    const closed = new Promise((resolve) => stream.once("close", resolve));
    expect((await validate(stream)).error?.kind).toBe("BAD_MAGIC");
    await closed;
  });

  it("a source of ranges that hangs", async () => {
    const signals: (AbortSignal | undefined)[] = [];
    const source: ByteSource = {
      read: async (offset, length, signal) => {
        if (offset === 0) return new Uint8Array(length);
        signals.push(signal);
        return new Promise<never>(() => {});
      },
    };
    expect((await validate(source)).error?.kind).toBe("BAD_MAGIC");
    expect(signals.map((signal) => signal?.aborted)).toEqual([true]);
  });

  it("standard input that stays open", async () => {
    const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
    const child = spawn(process.execPath, [main, "validate", "-"], { stdio: ["pipe", "ignore", "ignore"] });
    child.stdin.on("error", () => {});
    child.stdin.write(BAD);
    expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(1);
  });
});
