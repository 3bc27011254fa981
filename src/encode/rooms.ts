/**
 * What the reports of this package need of the encoder in addition to `index.ts`: its choices, and the error that no encoding of so
 * many components can go below. Not an entry of the package.
 *
 * @module
 */

export { boundComponents, relativeBound } from "./quantize/bound.ts";
export { checkSourceModule, resolveOptions } from "./quantize/profile.ts";
export { reparameterize } from "./quantize/reparameterize.ts";
