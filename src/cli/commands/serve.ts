/**
 * `lqa serve`: run a server of adapters.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { isDirectory } from "../../node/files/file.ts";
import { listen, type Place } from "../../node/listen.ts";
import { openAdapters } from "../../node/open-adapters.ts";
import type { LogRecord } from "../../server/options.ts";
import { type Reload, WatchedDirectory } from "../../server/reload.ts";
import { type AdapterServer, createAdapterServer, type ServerOptions } from "../../server/server.ts";
import { type Arguments, listOption, numberOption, textOption } from "../command.ts";
import { endSignal } from "../end-signal.ts";
import { counted, duration, jsonLogLine, jsonText, printable } from "../format.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [location] = args.positionals;
  const place = placeOf(args);
  const write = textOption(args, "log") === "json" ? jsonLogLine : textLine;
  const quiet = args.values.has("quiet");
  const log = (record: LogRecord): void => {
    // A quiet server reports only its own failures.
    if (quiet && record.event === "request" && !isServerError(record)) return;
    terminal.err(`${write(record)}\n`);
  };
  const isLocal = !location.includes("://");
  if (isLocal && !(await isDirectory(location)))
    fail(KIND.NOT_FOUND, {
      where: location,
      expected: "a directory of .lqa files",
      actual: "a file",
      advice:
        "Give the directory that holds NAME.lqa for each adapter, s3://bucket/prefix, or https://host/path/.",
    });
  const store = await openAdapters(location);
  const seconds = numberOption(args, "reload") ?? 0;
  const watched = isLocal && seconds > 0 ? new WatchedDirectory(location, store) : undefined;
  const adapters = await createAdapterServer({
    ...limitsOf(args),
    store: watched?.store ?? store,
    parents: listOption(args, "parent"),
    ...(isLocal ? { trouble: () => troubleOf(location) } : {}),
    log,
  });
  try {
    const address = await listen(adapters.server, place);
    log({ event: "listening", address, adapters: location });
  } catch (error) {
    await adapters.stop();
    throw error;
  }
  const started = performance.now();
  const cut = await untilStopped(
    adapters,
    (signal, onReload) => watched?.watch(adapters.pool, seconds, signal, onReload),
    log,
  );
  const { loads, evictions } = adapters.pool.statistics;
  const ran = (performance.now() - started) / 1000;
  if (args.values.has("json"))
    terminal.out(jsonText({ location, seconds: ran, loads, evictions, cutOff: cut }));
  else
    terminal.out(
      `ended after ${duration(ran)}: ${counted(loads, "adapter")} loaded, ${counted(cut, "request")} cut off\n`,
    );
  return cut > 0 ? 1 : 0;
}

/** Runs until a signal ends it. @returns the number of requests that were cut off */
async function untilStopped(
  { pool, metrics, stop }: AdapterServer,
  watch: (signal: AbortSignal, onReload: (reload: Reload) => void) => Promise<void> | undefined,
  log: (record: LogRecord) => void,
): Promise<number> {
  const onReload = ({ name, outcome, error }: Reload): void => {
    metrics.reloaded(outcome === "failed" ? "failed" : "ok");
    const message = error instanceof Error ? error.message : undefined;
    log({ event: outcome, adapter: name, ...(message === undefined ? {} : { message }) });
  };
  const reloadAll = async (): Promise<void> => {
    for (const name of [...pool.names].filter((one) => pool.isResident(one))) {
      try {
        await pool.replace(name);
        onReload({ name, outcome: "reloaded" });
      } catch (error) {
        onReload({ name, outcome: "failed", error });
      }
    }
  };
  const onHangUp = (): void => void reloadAll();
  process.on("SIGHUP", onHangUp);
  const { signal, end } = endSignal((name) => log({ event: "stopping", signal: name }));
  const watching = watch(signal, onReload);
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  await watching;
  const cut = await stop();
  log({ event: "ended", cutOff: cut });
  end();
  process.off("SIGHUP", onHangUp);
  return cut;
}

/** @throws LqaError USAGE */
function placeOf(args: Arguments): Place {
  const path = textOption(args, "socket");
  if (path !== undefined) return { path };
  const port = numberOption(args, "port") ?? 0;
  if (port > 65_535)
    fail(KIND.USAGE, { where: "--port", expected: "a number from 0 to 65535", actual: port });
  return { host: textOption(args, "host") ?? "127.0.0.1", port };
}

/** Limits of the server; omits those that the command line does not name. */
function limitsOf(args: Arguments): Partial<ServerOptions> {
  const concurrency = numberOption(args, "concurrency");
  if (concurrency === 0) fail(KIND.USAGE, { where: "--concurrency", expected: "at least 1", actual: 0 });
  const milliseconds = (name: string): number | undefined => {
    const value = numberOption(args, name);
    return value === undefined ? undefined : 1000 * value;
  };
  const limits = {
    budgetBytes: numberOption(args, "budget"),
    bodyBytes: numberOption(args, "max-body"),
    answerBytes: numberOption(args, "max-answer"),
    concurrency,
    waiting: numberOption(args, "waiting"),
    perClient: numberOption(args, "per-client"),
    clientHeader: textOption(args, "client-header"),
    requestMs: milliseconds("request-timeout"),
    graceMs: milliseconds("grace"),
    drainMs: milliseconds("drain"),
    sharedDirectory: textOption(args, "shared"),
    sharedBytes: numberOption(args, "max-shared"),
  };
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}

/** The reason why the directory cannot be read, or undefined. */
async function troubleOf(directory: string): Promise<string | undefined> {
  try {
    return (await isDirectory(directory)) ? undefined : "the directory of adapters is a file now";
  } catch (error) {
    return (error as Error).message;
  }
}

function isServerError({ status }: LogRecord): boolean {
  return typeof status === "string" && /^5(?!03)/.test(status);
}

function textLine({ event, ...rest }: LogRecord): string {
  const facts = Object.entries(rest).map(([key, value]) => `${key}=${quoted(printable(String(value)))}`);
  return `${new Date().toISOString()} ${event} ${facts.join(" ")}`;
}

/** A value of logfmt, in quotes if it is empty or has spaces, quotes or `=`. */
function quoted(value: string): string {
  return /^[^\s"=]+$/.test(value) ? value : `"${value.replace(/[\\"]/g, "\\$&")}"`;
}
