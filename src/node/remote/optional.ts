/**
 * Packages that only some functions need (object storage, pushing to the hub), loaded on demand.
 *
 * @module
 */
import * as KIND from "../../error-catalogue.ts";
import { LqaError } from "../../errors.ts";
import { systemCode } from "../files/os-error.ts";

/**
 * Loads an optional package.
 *
 * @param names packages to install, for the error
 * @param load imports it
 * @throws LqaError MISSING_PACKAGE, with the packages to install
 */
export async function optional<T>(names: readonly string[], load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if (systemCode(cause) !== "ERR_MODULE_NOT_FOUND" && systemCode(cause) !== "MODULE_NOT_FOUND") throw cause;
    throw new LqaError(KIND.MISSING_PACKAGE, {
      where: names.join(" "),
      advice: `npm install ${names.join(" ")}`,
      cause,
    });
  }
}
