/**
 * Command table entry of `lqa serve`.
 *
 * @module
 */
import { type CommandSpec, inSection, type OptionSpec } from "./command.ts";
import { ENDPOINT_OPTION, JSON_OPTION, logOption } from "./shared-options.ts";

const bytes = (name: string, value: string, help: string): OptionSpec => ({
  name,
  type: "bytes",
  placeholder: "<size>",
  defaultText: value,
  help,
});

const integer = (name: string, value: number | string, help: string): OptionSpec => ({
  name,
  type: "integer",
  placeholder: "<n>",
  pattern: /^(0|[1-9]\d{0,5})$/,
  expects: "a whole number up to 999999",
  ...(typeof value === "number" ? { default: value } : { defaultText: value }),
  help,
});

const seconds = (name: string, value: number, help: string): OptionSpec => ({
  name,
  type: "number",
  placeholder: "<seconds>",
  pattern: /^\d{1,6}(\.\d{1,3})?$/,
  expects: "seconds, such as 30 or 0.5",
  default: value,
  help,
});

export const SERVE: CommandSpec = {
  name: "serve",
  summary: "Run an HTTP server that applies adapters.",
  details:
    "Holds adapters packed in memory, loads them at their first request, applies them to activations, and hands decoded factors to inference processes. GET /openapi.json describes the calls; GET /health, /ready and /metrics are for operators. There is no authentication and no encryption: let it listen where only your inference processes reach it, or put a proxy in front. SIGTERM or SIGINT ends it after the requests under way, SIGHUP loads all adapters in memory again. Exit code 1 if requests were cut off.",
  positional: {
    placeholder: "<dir|s3://...|https://.../>",
    many: false,
    help: "The adapters: NAME.lqa for each, in a directory, below a prefix of a bucket, or on a web server.",
  },
  options: [
    ...inSection("Address", [
      integer("port", 8080, "Port to listen on; 0 for any that is free."),
      {
        name: "host",
        type: "text",
        placeholder: "<address>",
        default: "127.0.0.1",
        help: "Address to listen on; 0.0.0.0 or :: for all.",
      },
      {
        name: "socket",
        type: "text",
        placeholder: "<path>",
        help: "Listen on a Unix socket instead. Only your user can connect.",
      },
    ]),
    ...inSection("Limits", [
      bytes("budget", "1GiB", "Memory for packed adapters and decoded factors."),
      integer("concurrency", 32, "Maximum number of requests to compute at the same time."),
      integer("waiting", 128, "Maximum number of requests that wait; more get 503."),
      integer("per-client", "no limit", "Maximum number of requests under way of one client; more get 429."),
      {
        name: "client-header",
        type: "text",
        placeholder: "<name>",
        pattern: /^[A-Za-z0-9-]{1,64}$/,
        expects: "the name of a header",
        defaultText: "the address of the connection",
        help: "Header in which your proxy names the client, such as x-forwarded-for; its last entry counts.",
      },
      bytes("max-body", "16MiB", "Largest body of a request."),
      bytes("max-answer", "64MiB", "Largest answer of rows."),
      seconds(
        "request-timeout",
        60,
        "Time for a request after its body arrived, loading included; then 504.",
      ),
    ]),
    ...inSection("Operation", [
      {
        name: "parent",
        type: "text",
        placeholder: "<name>",
        repeated: true,
        help: "Name of an adapter that others may be children of (lqa encode --parent). Children find it by its content id, and share it in memory.",
      },
      seconds(
        "reload",
        2,
        "Directory: look for replaced and removed files of the adapters in memory after this many seconds; 0 for never.",
      ),
      seconds("grace", 0, "After SIGTERM: seconds in which /ready says no and requests are still taken."),
      seconds("drain", 25, "Then: seconds for the requests under way."),
      logOption(
        "Print a line on stderr for each request: time, id, client, call, status, seconds, error. With --quiet only errors of the server.",
      ),
      ENDPOINT_OPTION,
    ]),
    ...inSection("Shared memory", [
      {
        name: "shared",
        type: "text",
        placeholder: "<dir>",
        help: "Also hand out decoded factors as files below this directory, such as /dev/shm, for processes that map them.",
      },
      bytes("max-shared", "1GiB", "Memory for these files; the least recently used are removed first."),
    ]),
    JSON_OPTION,
  ],
  examples: [
    "serve adapters --budget 8GiB",
    "serve adapters --parent common",
    "serve adapters --socket /run/lqa.sock --shared /dev/shm",
    "serve s3://models/adapters --host 0.0.0.0 --per-client 8 --log json",
  ],
  load: () => import("./commands/serve.ts"),
};
