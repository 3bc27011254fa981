/**
 * `lqa encode --out-dir`: many adapters, what is printed about them, and their metrics.
 *
 * @module
 */
import type { LqaError } from "../errors.ts";
import { type EncodedItem, encodeMany } from "../node/encode-many.ts";
import type { EncodeFileOptions } from "../node/index.ts";
import { type Arguments, textOption } from "./command.ts";
import { encodeJson } from "./encode-json.ts";
import { metricsFile } from "./encode-metrics.ts";
import { count, counted, jsonLogLine, jsonText, percent, printable, size } from "./format.ts";
import { more, table, title } from "./layout.ts";
import { errorLines, worstExitCode } from "./report-error.ts";
import { shardOf } from "./shared-options.ts";
import { endSignal, type Terminal } from "./terminal.ts";

/** Most adapters that the table lists, and most failures that are explained; `--log json` and `--json` have all. */
const SHOWN = 100;

/** Encodes many adapters. The exit code is the most severe of theirs; 130 or 143 after a signal, as in a shell. */
export async function encodeManyCommand(
  args: Arguments,
  folder: string,
  asked: EncodeFileOptions,
  terminal: Terminal,
): Promise<number> {
  let stopped: number | undefined;
  const ending = endSignal((name) => {
    stopped = name === "SIGINT" ? 130 : 143;
    terminal.err("lqa: finishing the adapters in progress; stop again to end at once\n");
  });
  const shard = textOption(args, "shard");
  const metrics = metricsFile(textOption(args, "metrics"), shard);
  try {
    await metrics?.begin();
    const items = await encodeMany(args.positionals, folder, {
      ...asked,
      shard: shardOf(args),
      stop: ending.signal,
      onProgress(done, total, item) {
        if (args.values.has("log")) terminal.err(`${jsonLogLine(logLine(item))}\n`);
        else terminal.progress(done, total, item.input);
        metrics?.add(item);
      },
    });
    await metrics?.end();
    terminal.endProgress();
    terminal.out(
      args.values.has("json")
        ? jsonText(items.map(itemJson))
        : `${manyLines(items, folder, !args.values.has("log"), terminal).join("\n")}\n`,
    );
    const left = items.filter(({ state }) => state === "left").length;
    if (stopped !== undefined && left > 0) {
      const failed = items.filter(({ state }) => state === "failed").length;
      const done = `${count(items.length - left - failed)} of ${counted(items.length, "adapter")} done`;
      terminal.err(`lqa: ${done}${failed === 0 ? "" : `, ${count(failed)} failed`}; rerun to resume\n`);
      return stopped;
    }
    return worstExitCode(items.map((item) => (item.state === "failed" ? item.error.exitCode : 0)));
  } finally {
    ending.end();
  }
}

const errorOf = ({ code, kind, message }: LqaError): object => ({ code, kind, message });

function itemJson(item: EncodedItem): object {
  const { input, output, state } = item;
  if (item.state === "encoded") return { input, output, state, ...encodeJson(item.result) };
  if (item.state === "kept") return { input, output, state, outputBytes: item.outputBytes };
  return item.state === "failed"
    ? { input, output, state, error: errorOf(item.error) }
    : { input, output, state };
}

/** A line of `--log json`: few fields, the same ones for every adapter. */
function logLine(item: EncodedItem): object {
  const { input, output, state } = item;
  const result = item.state === "encoded" ? item.result : undefined;
  return {
    state,
    input,
    output,
    seconds: result === undefined ? null : Number(result.seconds.toFixed(3)),
    inputBytes: result?.inputBytes ?? null,
    outputBytes: item.state === "kept" ? item.outputBytes : (result?.outputBytes ?? null),
    contentId: result?.contentId ?? null,
    relativeError: result?.relativeError ?? null,
    error: item.state === "failed" ? errorOf(item.error) : null,
  };
}

/** Counts and bytes of a run. */
function totals(items: readonly EncodedItem[]): string {
  const sums = { encoded: 0, kept: 0, failed: 0, left: 0, from: 0, to: 0, keptBytes: 0 };
  for (const item of items) {
    sums[item.state]++;
    if (item.state === "kept") sums.keptBytes += item.outputBytes;
    if (item.state !== "encoded") continue;
    sums.from += item.result.inputBytes;
    sums.to += item.result.outputBytes;
  }
  const bytes = sums.encoded === 0 ? "" : ` (${size(sums.from)} → ${size(sums.to)})`;
  const kept = sums.kept === 0 ? "" : ` (${size(sums.keptBytes)})`;
  const left = sums.left === 0 ? "" : `, ${count(sums.left)} left`;
  return `${counted(sums.encoded, "adapter")} encoded${bytes}, ${count(sums.kept)} kept${kept}, ${count(sums.failed)} failed${left}`;
}

function manyLines(
  items: readonly EncodedItem[],
  folder: string,
  listed: boolean,
  terminal: Terminal,
): string[] {
  const failed = items.filter((item) => item.state === "failed");
  const shown = listed ? items.slice(0, SHOWN) : [];
  const rows = shown.map((item) => {
    if (item.state !== "encoded") return [printable(item.input), item.state, "", "", "", ""];
    const { dialect, inputBytes, outputBytes, bitsPerParameter, relativeError } = item.result;
    const bits = bitsPerParameter.toFixed(2);
    return [
      printable(item.input),
      dialect,
      size(inputBytes),
      size(outputBytes),
      bits,
      percent(relativeError),
    ];
  });
  const columns = [
    { title: "adapter", narrow: "cut" },
    { title: "dialect" },
    { title: "size", right: true },
    { title: "encoded", right: true },
    { title: "bits per weight", right: true, narrow: "omit" },
    { title: "error", right: true },
  ] as const;
  const explained = listed ? failed.slice(0, SHOWN) : [];
  // The totals come last, where they are seen.
  return [
    ...(listed ? table(columns, rows, terminal) : []),
    ...(listed ? more(items.length - shown.length, "--json") : []),
    ...explained.flatMap(({ input, error }) => [
      "",
      ...title(`${printable(input)}:`, "", terminal),
      ...errorLines(error, terminal),
    ]),
    ...(listed ? more(failed.length - explained.length, "--json") : []),
    ...(explained.length > 0 ? [""] : []),
    ...title(`${printable(folder)}:`, totals(items), terminal),
  ];
}
