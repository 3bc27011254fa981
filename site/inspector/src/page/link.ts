/**
 * The address of the page says what is looked at: `?url=ADDRESS#module=NAME`. An address with a query or a password may hold a
 * secret, and stays out of it.
 *
 * @module
 */

const MODULE = "#module=";

/** The address of a file that a link asks for. */
export function linkedAddress(): string | undefined {
  return new URLSearchParams(location.search).get("url")?.trim() || undefined;
}

/** The module that a link asks for. */
export function linkedModule(): string | undefined {
  if (!location.hash.startsWith(MODULE)) return undefined;
  try {
    return decodeURIComponent(location.hash.slice(MODULE.length));
  } catch {
    // A link may be cut within an escape.
    return undefined;
  }
}

/** Makes the address of the page one of a file, or of nothing that can be linked to. */
export function linkTo(address: string | undefined): void {
  if (address === linkedAddress()) return;
  const open = address !== undefined && shareable(address) ? `?url=${encodeURIComponent(address)}` : "";
  history.replaceState(null, "", `${location.pathname}${open}`);
}

/** Adds a module to the address of the page. */
export function linkToModule(name: string): void {
  history.replaceState(
    null,
    "",
    `${location.pathname}${location.search}${MODULE}${encodeURIComponent(name)}`,
  );
}

function shareable(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { search, username, password } = new URL(address);
  return `${search}${username}${password}` === "";
}
