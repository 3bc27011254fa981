/**
 * A real web server for tests: Debian's nginx, where it is installed.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import { afterAll } from "vitest";
import { temporaryDirectory } from "./temporary.ts";

const running: ChildProcess[] = [];
afterAll(async () => {
  for (const process of running) {
    const ended = new Promise((resolve) => process.once("exit", resolve));
    process.kill("SIGQUIT");
    await ended;
  }
});

/** Path of nginx: `$LQA_NGINX`, else where distributions put it, which only root looks at. Undefined if there is none. */
export function findNginx(): string | undefined {
  const { LQA_NGINX: given } = process.env;
  return (given === undefined ? ["nginx", "/usr/sbin/nginx"] : [given]).find(
    (path) => spawnSync(path, ["-v"]).status === 0,
  );
}

export interface Nginx {
  readonly url: string;
  /** What is served: files written here have addresses under `url`. */
  readonly folder: string;
}

/** Starts nginx on a free port, until the tests of the file have ended. */
export async function startNginx(path: string): Promise<Nginx> {
  const base = temporaryDirectory();
  const folder = join(base, "html");
  mkdirSync(folder);
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${base}/${name};`,
  );
  const user = process.getuid?.() === 0 ? "user root;" : "";
  writeFileSync(
    join(base, "nginx.conf"),
    `daemon off; master_process off; worker_processes 1; pid ${base}/pid; error_log ${base}/error.log; ${user}
     events { worker_connections 64; }
     http { access_log off; ${temporary.join(" ")} gzip on; gzip_types *; gzip_min_length 1;
       server { listen 127.0.0.1:${port}; root ${folder};
         location /whole/ { alias ${folder}/; max_ranges 0; } } }`,
  );
  running.push(
    spawn(path, ["-c", join(base, "nginx.conf"), "-e", join(base, "error.log")], { stdio: "ignore" }),
  );
  for (let i = 0; i < 100 && !(await listens(port)); i++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  return { url: `http://127.0.0.1:${port}`, folder };
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

export function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
