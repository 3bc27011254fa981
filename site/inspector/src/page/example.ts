/**
 * A small file to begin with: the one that the specification explains byte by byte.
 *
 * @module
 */
import { EXAMPLE } from "virtual:example";

/** The annotated example, as a file of the visitor would be. */
export function exampleFile(): File {
  return new File([Uint8Array.from(atob(EXAMPLE), (letter) => letter.charCodeAt(0))], "example.lqa");
}
