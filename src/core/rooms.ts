/**
 * What the encoder, the pool, the shaders and the reports of this package need of the format in addition to `format.ts`: known
 * starts, kernels, bytes. Not an entry of the package.
 *
 * @module
 */

export { bandsText } from "./codecs/bands-text.ts";
export { FLOAT_NUMBERS, kindNumber } from "./codecs/encoding.ts";
export { FREE, kindOf, prepareTable, type TablePreparing } from "./codecs/kernels/encoding-kinds.ts";
export { givenParent } from "./codecs/packed.ts";
export { decodeStarted } from "./codecs/start/decode-started.ts";
export { drawsOf, localStart } from "./codecs/start/draws.ts";
export { materialize } from "./codecs/start/materialize.ts";
export { addMixture, DRAW_UNIT, readMixture } from "./codecs/start/mixture.ts";
export { MIX_BITS, mixEncoding, STATE_DRAWS, startOperations } from "./codecs/start/start.ts";
export { checkSums } from "./codecs/sums.ts";
export { largestInteger } from "./codecs/trellis.ts";
export { sortByName } from "./container/names.ts";
export { checkParentModule } from "./container/parent-module.ts";
export { checkLimit, PROLOGUE_BYTES } from "./container/prologue.ts";
