/** Entries of the built library, with the types of its sources: what starts threads needs JavaScript. `npm test` builds it first. */
const entry = (name: string): Promise<unknown> =>
  import(new URL(`../../dist/${name}/index.js`, import.meta.url).href);

export const core = (await entry("core")) as typeof import("../../src/core/index.ts");
export const encode = (await entry("encode")) as typeof import("../../src/encode/index.ts");
export const node = (await entry("node")) as typeof import("../../src/node/index.ts");
