/**
 * Opens files on web servers. Readers import this file, and with it the requests (`io/http-ranges.ts`), with the first URL.
 *
 * @module
 */
import { httpRanges } from "../../io/http-ranges.ts";
import type { OpenOptions } from "./lqa-file.ts";
import { type OpenedHeader, openHeader } from "./open-header.ts";

export { httpRanges } from "../../io/http-ranges.ts";

/** Opens the header of the file at a URL. @throws LqaError as {@link openHeader}; USAGE as {@link httpRanges} */
export function openUrl(url: URL, options: OpenOptions): Promise<OpenedHeader> {
  return openHeader(httpRanges(url), options);
}
