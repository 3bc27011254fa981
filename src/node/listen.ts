/**
 * Where a server listens: a port, or a Unix socket for its user alone.
 *
 * @module
 */
import type { Server } from "node:http";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { removeDeadSocket } from "./files/dead-socket.ts";
import { quotePath, systemCode } from "./files/os-error.ts";

/** A port of an address, or the path of a Unix socket. */
export type Place = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Makes a server listen. A socket that an ended process left behind is replaced; one that is in use is not.
 *
 * @returns the place as text, with the port that was chosen for port 0
 * @throws LqaError IO: the place is taken, or is not ours to take
 */
export async function listen(server: Server, place: Place): Promise<string> {
  if ("path" in place) await removeDeadSocket(place.path);
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(place, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (error) {
    const where = "path" in place ? quotePath(place.path) : `${place.host}:${place.port}`;
    const taken = systemCode(error) === "EADDRINUSE";
    fail(KIND.IO, {
      where,
      actual: taken ? "another process listens there" : String((error as Error).message),
      advice: taken ? "Choose another port or socket, or end that process." : "Choose another address.",
      cause: error,
    });
  } finally {
    process.umask(mask);
  }
  const address = server.address();
  if (address === null || typeof address === "string") return String(address);
  return `http://${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`;
}
