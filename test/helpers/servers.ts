/**
 * Real servers for tests: an S3 server and an OCI registry, where they are to be had.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";
import { freePort, listens } from "./nginx.ts";
import { temporaryDirectory } from "./temporary.ts";

const running = new Set<ChildProcess>();
afterAll(async () => {
  await Promise.all([...running].map((child) => end(child, "SIGTERM")));
});

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
  running.delete(child);
}

async function started(
  path: string,
  words: readonly string[],
  port: number,
  env: NodeJS.ProcessEnv = {},
): Promise<ChildProcess> {
  const child = spawn(path, words, { stdio: "ignore", env: { ...process.env, ...env } });
  running.add(child);
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`${path} ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child;
}

function works(path: string): boolean {
  return spawnSync(path, ["--version"]).status === 0;
}

/** Path of versitygw: `$LQA_S3`, or one that is installed. */
export function findS3(): string | undefined {
  return [process.env.LQA_S3, "versitygw"].find((path) => path !== undefined && works(path));
}

/** Path of the registry of the Distribution project: `$LQA_REGISTRY`, or one that is installed. */
export function findRegistry(): string | undefined {
  return [process.env.LQA_REGISTRY, "docker-registry", "registry"].find(
    (path) => path !== undefined && works(path),
  );
}

/** Path of oras, a client of registries: `$LQA_ORAS`, or one that is installed. */
export function findOras(): string | undefined {
  return [process.env.LQA_ORAS, "oras"].find(
    (path) => path !== undefined && spawnSync(path, ["version"]).status === 0,
  );
}

/** An S3 server, with buckets `source` and `target`. */
export interface S3Server {
  readonly endpoint: string;
  readonly port: number;
  /** Credentials and region, as the SDK looks for them. */
  readonly env: Readonly<Record<string, string>>;
  /** Directory of a bucket: objects are its files. */
  folder(bucket: string): string;
}

export async function startS3(path: string): Promise<S3Server> {
  const [folder, port] = [temporaryDirectory(), await freePort()];
  for (const bucket of ["source", "target"]) mkdirSync(join(folder, bucket));
  const env = { ROOT_ACCESS_KEY: "test-key", ROOT_SECRET_KEY: "test-secret" };
  await started(path, ["--quiet", "--port", `127.0.0.1:${port}`, "posix", folder], port, env);
  const endpoint = `http://127.0.0.1:${port}`;
  return {
    endpoint,
    port,
    env: {
      AWS_ACCESS_KEY_ID: env.ROOT_ACCESS_KEY,
      AWS_SECRET_ACCESS_KEY: env.ROOT_SECRET_KEY,
      AWS_REGION: "us-east-1",
      AWS_ENDPOINT_URL_S3: endpoint,
    },
    folder: (bucket) => join(folder, bucket),
  };
}

/** A registry in which everybody may do everything. @returns `127.0.0.1:port` */
export async function startRegistry(path: string): Promise<string> {
  const [folder, port] = [temporaryDirectory(), await freePort()];
  const config = join(folder, "config.json");
  // YAML.
  const settings = {
    version: "0.1",
    storage: { filesystem: { rootdirectory: join(folder, "data") } },
    http: { addr: `127.0.0.1:${port}` },
  };
  writeFileSync(config, JSON.stringify(settings));
  await started(path, ["serve", config], port, { OTEL_TRACES_EXPORTER: "none" });
  return `127.0.0.1:${port}`;
}
