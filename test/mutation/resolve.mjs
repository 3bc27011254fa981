// A hook of module resolution: `vitest` is vitest.mjs.
export const resolve = (name, context, next) =>
  name === "vitest"
    ? { url: new URL("vitest.mjs", import.meta.url).href, shortCircuit: true }
    : next(name, context);
