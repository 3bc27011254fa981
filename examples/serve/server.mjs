// A small HTTP service that holds a directory of adapters packed, applies them to posted activations, and hands out decoded
// factors: `node server.mjs --adapters DIRECTORY`; README.md has the calls. It speaks to inference processes of the same
// machine: over a local port, a socket, or files in shared memory, without authentication or encryption.
import { existsSync, statSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { readOptions } from "./options.mjs";
import { createAdapterServer } from "./service.mjs";

const log = (what) => console.error(JSON.stringify({ time: new Date().toISOString(), ...what }));

/** A socket that an earlier process left behind is removed; one that somebody listens on is not. */
async function clear(path) {
  if (path === undefined || !existsSync(path)) return;
  if (!statSync(path).isSocket()) throw new Error(`${path} is there, and no socket`);
  const isUsed = await new Promise((resolve) => {
    const socket = connect(path);
    socket.on("connect", () => resolve(true)).on("error", ({ code }) => resolve(code !== "ECONNREFUSED"));
    socket.on("connect", () => socket.destroy());
  });
  if (isUsed) throw new Error(`somebody listens on ${path}`);
  unlinkSync(path);
}

async function main() {
  const { help, problem, directory, listen, limits } = readOptions(process.argv.slice(2));
  if (help !== undefined) return console.log(help);
  if (problem !== undefined) throw new Error(problem);
  if (!statSync(directory).isDirectory()) throw new Error(`${directory} is no directory`);
  await clear(listen.path);
  const { server, stop } = createAdapterServer(directory, { ...limits, log });
  // The socket is for this user alone.
  const mask = process.umask(0o177);
  try {
    await new Promise((resolve, reject) => server.once("error", reject).listen(listen, resolve));
  } catch (error) {
    await stop();
    throw error;
  } finally {
    process.umask(mask);
  }
  log({ listening: server.address() });

  let stopped = false;
  const end = async (signal) => {
    if (stopped) return process.exit(1);
    stopped = true;
    log({ stopping: signal });
    const cut = await stop();
    log({ stopped: true, cutOff: cut });
    process.exit(cut > 0 ? 1 : 0);
  };
  process.on("SIGTERM", end).on("SIGINT", end);
}

main().catch(({ message }) => {
  console.error(message);
  process.exit(2);
});
