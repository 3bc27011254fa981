// Starts redis-server and an S3 server for benches and trials, in a directory of their own.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";

const listens = (port) =>
  new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });

export const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** Path of a program: that of the variable, or one that is installed. Ends the process with a reason if there is none. */
function program(variable, names) {
  const found = [process.env[variable], ...names].find(
    (path) => path !== undefined && spawnSync(path, ["--version"]).status === 0,
  );
  if (found !== undefined) return found;
  console.log(`skipped: ${names[0]} is absent; set ${variable} to its path`);
  process.exit(0);
}

/** Starts a program that listens on a port, and waits until it does. */
export async function launch(path, words, port, env = {}) {
  const child = spawn(path, words, { stdio: "ignore", env: { ...process.env, ...env } });
  while (!(await listens(port))) {
    if (hasEnded(child))
      throw new Error(`${path} ${words[0]} ended with ${child.exitCode ?? child.signalCode}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child;
}

const hasEnded = ({ exitCode, signalCode }) => exitCode !== null || signalCode !== null;

/** Ends a program, unless it has ended. */
export async function end(child, signal = "SIGTERM") {
  if (hasEnded(child)) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

/** A Redis that persists its data to disk. */
export async function redis(folder) {
  const path = program("LQA_REDIS", ["redis-server", "valkey-server"]);
  const port = await freePort();
  mkdirSync(folder, { recursive: true });
  const words = [
    "--port",
    `${port}`,
    "--bind",
    "127.0.0.1",
    "--dir",
    folder,
    "--appendonly",
    "yes",
    "--save",
    "",
  ];
  let child = await launch(path, words, port);
  return {
    url: `redis://127.0.0.1:${port}`,
    pid: () => child.pid,
    async restart() {
      await end(child, "SIGKILL");
      child = await launch(path, words, port);
    },
    stop: () => end(child),
  };
}

/** An S3 server over a directory whose subdirectories are its buckets. */
export async function s3(folder, buckets) {
  const path = program("LQA_S3", ["versitygw"]);
  const port = await freePort();
  for (const bucket of buckets) mkdirSync(join(folder, bucket), { recursive: true });
  const env = { ROOT_ACCESS_KEY: "trial-key", ROOT_SECRET_KEY: "trial-secret" };
  const child = await launch(path, ["--quiet", "--port", `127.0.0.1:${port}`, "posix", folder], port, env);
  return {
    pid: () => child.pid,
    env: {
      AWS_ACCESS_KEY_ID: env.ROOT_ACCESS_KEY,
      AWS_SECRET_ACCESS_KEY: env.ROOT_SECRET_KEY,
      AWS_REGION: "us-east-1",
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
    },
    stop: () => end(child),
  };
}
