/**
 * Removes Unix sockets that an ended process left behind.
 *
 * @module
 */
import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import * as KIND from "../../error-catalogue.ts";
import { fail } from "../../errors.ts";
import { osError, quotePath, systemCode } from "./os-error.ts";

/**
 * Removes a socket on which no process listens, so that a server can listen there.
 *
 * @throws LqaError IO if another kind of file is there, or if a process listens on it
 */
export async function removeDeadSocket(path: string): Promise<void> {
  const where = quotePath(path);
  try {
    if (!lstatSync(path).isSocket())
      fail(KIND.IO, {
        where,
        expected: "a free path, or a Unix socket",
        actual: "another file",
        advice: "Choose another path for the socket.",
      });
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    throw osError(error, path, "read");
  }
  const isUsed = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => resolve(systemCode(error) !== "ECONNREFUSED"));
  });
  if (isUsed)
    fail(KIND.IO, {
      where,
      actual: "another process listens there",
      advice: "Choose another path, or end that process.",
    });
  try {
    unlinkSync(path);
  } catch (error) {
    throw osError(error, path, "write");
  }
}
