/**
 * Makes a server listen on a port, or on a Unix socket that only its user can open.
 *
 * @module
 */
import type { Server } from "node:http";
import * as KIND from "../error-catalogue.ts";
import { fail } from "../errors.ts";
import { removeDeadSocket } from "./files/dead-socket.ts";
import { quotePath, systemCode } from "./files/os-error.ts";

/** A host and its port, or the path of a Unix socket. */
export type Place = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Makes a server listen. Replaces a socket that an ended process left behind, but not one that is in use.
 *
 * @returns the place as text; for port 0, with the port that the system chose
 * @throws LqaError IO if the place is taken or not permitted
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
