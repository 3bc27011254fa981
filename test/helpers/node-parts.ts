/** As parts.ts, of what needs Node: browsers and Deno run tests that import parts.ts. */
export { findAdapters } from "../../src/node/objects/find-adapters.ts";
export { openObjects } from "../../src/node/objects/open-store.ts";
