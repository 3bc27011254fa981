// The command line of the server.
import { parseArgs } from "node:util";

const MIB = 2 ** 20;

/** Limits, and what they are without options. */
export const DEFAULTS = {
  /** Bytes of packed adapters and decoded factors. */
  budgetBytes: 1024 * MIB,
  /** Largest body, and largest answer of rows. */
  bodyBytes: 16 * MIB,
  answerBytes: 64 * MIB,
  /** Most requests at work at the same time: at most this many answers are in memory. */
  concurrency: 32,
  /** Bytes of bodies that are arriving, all together. */
  arrivingBytes: 512 * MIB,
  /** Least bytes of a body in each window of milliseconds; a client that sends less is cut off. */
  leastBodyBytes: 4096,
  bodyWindowMilliseconds: 4000,
  /** Most connections. */
  connections: 1024,
  /** How long headers and body may take together, and how long a connection may be silent while something is sent. */
  bodyMilliseconds: 30_000,
  silenceMilliseconds: 60_000,
  /** After a stop request: how long new requests are still taken, and after that how long running ones may take. */
  graceMilliseconds: 0,
  drainMilliseconds: 25_000,
  /** Where decoded factors are put as files, and how many bytes of them. */
  sharedDirectory: undefined,
  sharedBytes: 1024 * MIB,
};

const HELP = `Holds a directory of .lqa files packed, applies them, hands out factors.

  node server.mjs --adapters DIRECTORY [options]

  --adapters DIRECTORY   NAME.lqa for each adapter
  --port N               port on 127.0.0.1 (default 8080; 0: any that is free)
  --host ADDRESS         another address to listen on
  --socket PATH          a unix socket instead of a port
  --budget-mib N         packed adapters and decoded factors (default 1024)
  --body-mib N           largest body of a request (default 16)
  --answer-mib N         largest answer of rows (default 64)
  --concurrency N        requests at work at the same time (default 32)
  --grace-seconds N      after SIGTERM: not ready, but still taking requests (default 0)
  --drain-seconds N      then: time for those under way (default 25)
  --shared DIRECTORY     decoded factors as files there, e.g. /dev/shm
  --shared-mib N         how many of them (default 1024)
  --help

SIGTERM and SIGINT end it in order, a second one at once. Exit codes: 0 ended in
order, 1 requests were cut off, 2 usage, or nothing could be opened or listened on.
`;

/** @returns what to listen on, the directory and limits; or `{ help }`, or `{ problem }` */
export function readOptions(args) {
  const text = { type: "string" };
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        adapters: text,
        port: text,
        host: text,
        socket: text,
        "budget-mib": text,
        "body-mib": text,
        "answer-mib": text,
        concurrency: text,
        "grace-seconds": text,
        "drain-seconds": text,
        shared: text,
        "shared-mib": text,
        help: { type: "boolean" },
      },
    }));
    if (values.help) return { help: HELP };
    const number = (name, least, most, factor = 1) => {
      if (values[name] === undefined) return undefined;
      const value = values[name].trim() === "" ? Number.NaN : Number(values[name]);
      if (!(value >= least && value <= most) || (factor === 1 && !Number.isInteger(value)))
        throw new Error(`--${name}: expected a number from ${least} to ${most}, found "${values[name]}"`);
      return value * factor;
    };
    if (values.adapters === undefined) throw new Error("--adapters DIRECTORY is missing");
    if (values.socket !== undefined && (values.port ?? values.host) !== undefined)
      throw new Error("--socket goes without --port and --host");
    const limits = {
      budgetBytes: number("budget-mib", 1 / 1024, 2 ** 30, MIB),
      bodyBytes: number("body-mib", 1 / 1024, 1024, MIB),
      answerBytes: number("answer-mib", 1 / 1024, 1024, MIB),
      concurrency: number("concurrency", 1, 10_000),
      graceMilliseconds: number("grace-seconds", 0, 3600, 1000),
      drainMilliseconds: number("drain-seconds", 0, 3600, 1000),
      sharedDirectory: values.shared,
      sharedBytes: number("shared-mib", 1 / 1024, 2 ** 30, MIB),
    };
    return {
      directory: values.adapters,
      listen:
        values.socket === undefined
          ? { host: values.host ?? "127.0.0.1", port: number("port", 0, 65535) ?? 8080 }
          : { path: values.socket },
      limits: Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined)),
    };
  } catch (error) {
    return { problem: `${error.message}\nSee --help.` };
  }
}
