/**
 * `lqa serve`: run a server of adapters.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { openAdapters } from "../../fleet/adapter-store.ts";
import { isDirectory } from "../../node/files/file.ts";
import { listen, type Place } from "../../server/listen.ts";
import type { LogRecord } from "../../server/options.ts";
import { type Reload, WatchedDirectory } from "../../server/reload.ts";
import { type AdapterServer, createAdapterServer, type ServerOptions } from "../../server/server.ts";
import { type Arguments, numberOption, textOption } from "../command.ts";
import { counted, duration, jsonText, printable } from "../format.ts";
import type { Terminal } from "../terminal.ts";

export async function run(args: Arguments, terminal: Terminal): Promise<number> {
  const [location] = args.positionals;
  const place = placeOf(args);
  const write = textOption(args, "log") === "json" ? jsonLine : textLine;
  const quiet = args.values.has("quiet");
  const log = (record: LogRecord): void => {
    // Of a quiet server only what is its own trouble.
    if (quiet && record.event === "request" && !isServerError(record)) return;
    terminal.err(`${write(record)}\n`);
  };
  // The SDK's warnings about versions of Node are for developers, not for users of a command.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
  const isLocal = !location.includes("://");
  if (isLocal && !(await isDirectory(location)))
    fail(KIND.NOT_FOUND, {
      where: location,
      expected: "a directory of .lqa files",
      actual: "a file",
      advice:
        "Give the directory that holds NAME.lqa for each adapter, s3://bucket/prefix, or https://host/path/.",
    });
  const store = await openAdapters(location, { s3: { endpoint: textOption(args, "endpoint") } });
  const watched = isLocal ? new WatchedDirectory(location, store) : undefined;
  const adapters = await createAdapterServer({
    ...limitsOf(args),
    store: watched?.store ?? store,
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
  const cut = await untilStopped(adapters, watched, numberOption(args, "reload") ?? 0, log);
  const { loads, evictions } = adapters.pool.statistics;
  const seconds = (performance.now() - started) / 1000;
  if (args.values.has("json")) terminal.out(jsonText({ location, seconds, loads, evictions, cutOff: cut }));
  else
    terminal.out(
      `ended after ${duration(seconds)}: ${counted(loads, "adapter")} loaded, ${counted(cut, "request")} cut off\n`,
    );
  return cut > 0 ? 1 : 0;
}

/** Runs until a signal asks it to end. A second one ends it at once. */
async function untilStopped(
  { pool, metrics, stop }: AdapterServer,
  watched: WatchedDirectory | undefined,
  seconds: number,
  log: (record: LogRecord) => void,
): Promise<number> {
  const ended = new AbortController();
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
  const watching =
    watched === undefined || seconds === 0 ? undefined : watched.watch(pool, seconds, ended.signal, onReload);
  const signal = await new Promise<string>((resolve) => {
    process.once("SIGTERM", resolve).once("SIGINT", resolve);
  });
  const atOnce = (): never => process.exit(1);
  process.once("SIGTERM", atOnce).once("SIGINT", atOnce);
  log({ event: "stopping", signal });
  ended.abort();
  await watching;
  const cut = await stop();
  log({ event: "ended", cutOff: cut });
  process.off("SIGHUP", onHangUp).off("SIGTERM", atOnce).off("SIGINT", atOnce);
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

/** Limits of the server; those that the command line does not name are left out. */
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

/** Why the directory cannot be read, or undefined. */
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

function jsonLine(record: LogRecord): string {
  return jsonText({ time: new Date().toISOString(), ...record }, undefined, 0).trimEnd();
}

function textLine({ event, ...rest }: LogRecord): string {
  const facts = Object.entries(rest).map(([key, value]) => `${key}=${printable(String(value))}`);
  return `${new Date().toISOString()} ${event} ${facts.join(" ")}`;
}
