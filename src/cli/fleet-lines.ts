/**
 * What the fleet commands that encode print: a line for each attempt at an adapter, and a last line.
 *
 * @module
 */
import { hostname } from "node:os";
import type { Attempt } from "../fleet/perform.ts";
import type { WorkDone } from "../fleet/work.ts";
import { type Arguments, textOption } from "./command.ts";
import { count, counted, duration, jsonLogLine, printable } from "./format.ts";

/** The last line. */
export function workText({ encoded, kept, failed, seconds }: WorkDone): string {
  return `${counted(encoded, "adapter")} encoded, ${count(kept)} already done, ${count(failed)} failed, in ${duration(seconds)}\n`;
}

/** The line of an attempt, without a line end, in the format of --log. */
export function attemptLine(args: Arguments): (attempt: Attempt) => string {
  return textOption(args, "log") === "json" ? jsonLine : textLine;
}

/** Identifies the worker that wrote a line: machine and process. */
const WORKER = `${hostname()}:${process.pid}`;

function textLine({ job, outcome, seconds, bytes, failure }: Attempt): string {
  const facts = [
    `${seconds.toFixed(2)} s`,
    ...(bytes === undefined ? [] : [counted(bytes, "byte")]),
    ...(failure === undefined ? [] : [printable(failure.message)]),
  ];
  return `${new Date().toISOString()} ${WORKER} ${outcome} ${printable(job.name)}: ${facts.join(", ")}`;
}

function jsonLine({ job, outcome, seconds, bytes, failure }: Attempt): string {
  return jsonLogLine({
    worker: WORKER,
    outcome,
    adapter: job.name,
    job: job.id,
    seconds: Number(seconds.toFixed(3)),
    bytes: bytes ?? null,
    error:
      failure === undefined ? null : { code: failure.code, kind: failure.kind, message: failure.message },
  });
}
