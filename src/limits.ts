// Generated from spec/limits.json by spec/generate.mjs. Do not edit.

/** A column of the table in spec clause 14, by which a reader or validator bounds a file. */
export type LimitSet = "device" | "core" | "hard";

/**
 * One limit of spec clause 14: up to `device` a device accepts, up to `core` every other reader; above `hard` a file is
 * malformed.
 */
export interface Limit {
  readonly quantity: string;
  readonly device: number;
  readonly core: number;
  readonly hard: number;
}

/** Spec clause 14, index bytes. Stops a length field that makes a reader buffer gigabytes before the first check. */
export const INDEX_BYTES: Limit = { quantity: "index bytes", device: 262144, core: 16777216, hard: 67108864 };

/** Spec clause 14, modules. Stops counts of 2^32-1 in a file of 200 bytes. */
export const MODULES: Limit = { quantity: "modules", device: 4096, core: 65536, hard: 1048576 };

/** Spec clause 14, plain tensors. Stops the same for plain tensors. */
export const TENSORS: Limit = { quantity: "plain tensors", device: 4096, core: 65536, hard: 1048576 };

/** Spec clause 14, sections. Stops section tables used as a hiding place. */
export const SECTIONS: Limit = { quantity: "sections", device: 16, core: 64, hard: 1024 };

/** Spec clause 14, encodings. Stops more encodings than their 8-bit references can reach. */
export const ENCODINGS: Limit = { quantity: "encodings", device: 256, core: 256, hard: 256 };

/** Spec clause 14, band plans or module types (each). Stops more shared records than their 16-bit references can reach. */
export const SHARED_RECORDS: Limit = { quantity: "band plans or module types (each)", device: 4096, core: 65536, hard: 65536 };

/** Spec clause 14, bands in all plans together. Stops a table of records of four bytes that takes more memory than everything else. */
export const BANDS: Limit = { quantity: "bands in all plans together", device: 16384, core: 524288, hard: 8388608 };

/** Spec clause 14, bands of all experts of all modules together. Stops records that multiply (modules that share a plan of many bands, experts without bytes) into more work than the file has bytes. */
export const EXPERT_BANDS: Limit = { quantity: "bands of all experts of all modules together", device: 65536, core: 1048576, hard: 16777216 };

/** Spec clause 14, bytes of one name. Stops front-coded names that expand without bound. */
export const NAME_BYTES: Limit = { quantity: "bytes of one name", device: 512, core: 512, hard: 512 };

/** Spec clause 14, bytes of all expanded names together. Stops a few shared prefixes that expand to hundreds of megabytes. */
export const NAMES_TOTAL_BYTES: Limit = { quantity: "bytes of all expanded names together", device: 262144, core: 16777216, hard: 67108864 };

/** Spec clause 14, rank of a module. Stops rank times dimension overflowing. */
export const RANK: Limit = { quantity: "rank of a module", device: 256, core: 1024, hard: 4096 };

/** Spec clause 14, vector length (out, or in times kernel). Stops dimension products beyond 2^52, the exact range of a double. */
export const DIMENSION: Limit = { quantity: "vector length (out, or in times kernel)", device: 524288, core: 16777216, hard: 33554432 };

/** Spec clause 14, experts of a module. Stops the same, through the expert count. */
export const EXPERTS: Limit = { quantity: "experts of a module", device: 128, core: 1024, hard: 4096 };

/** Spec clause 14, dimensions of a plain tensor. Stops unbounded loops over a shape. */
export const TENSOR_DIMENSIONS: Limit = { quantity: "dimensions of a plain tensor", device: 8, core: 8, hard: 8 };

/** Spec clause 14, modules with a start. Stops up to 2^22 draws to be passed over for each of a million records of a few bytes. */
export const STARTED_MODULES: Limit = { quantity: "modules with a start", device: 256, core: 4096, hard: 65536 };

/** Spec clause 14, states of a start. Stops millions of blocks of a generator that have to be passed over. */
export const STARTS: Limit = { quantity: "states of a start", device: 16, core: 64, hard: 1024 };

/** Spec clause 14, rank of a module with a start. Stops thousands of multiplications for each weight that two bytes declare, and sums beyond 32 bits. */
export const STARTED_RANK: Limit = { quantity: "rank of a module with a start", device: 256, core: 256, hard: 256 };

/** Spec clause 14, operations of a start for each byte of its module's chunk. Stops a chunk of a few bytes whose weights are sums over any number of draws. */
export const START_WORK: Limit = { quantity: "operations of a start for each byte of its module's chunk", device: 4096, core: 16384, hard: 1048576 };

/** Spec clause 14, parents one behind the other. Stops a small file that makes a reader decode any number of files for each weight. */
export const GENERATIONS: Limit = { quantity: "parents one behind the other", device: 1, core: 4, hard: 16 };

/** Spec clause 14, bytes of one chunk or section, stored or raw. Stops one allocation that takes all memory; decompression bombs. */
export const CHUNK_BYTES: Limit = { quantity: "bytes of one chunk or section, stored or raw", device: 16777216, core: 1073741824, hard: 4294967295 };

/** Spec clause 14, payload bytes of all compressed chunks, beyond 16 times their stored bytes. Stops zeros that shrink 24,000 times: gigabytes to inflate, check and hash in a file of a few kilobytes. */
export const EXPANSION: Limit = { quantity: "payload bytes of all compressed chunks, beyond 16 times their stored bytes", device: 16777216, core: 268435456, hard: 17179869184 };

/** Spec clause 14, file bytes. Stops lengths that a double cannot count. */
export const FILE_BYTES: Limit = { quantity: "file bytes", device: 268435456, core: 68719476736, hard: 9007199254740991 };

/** Spec clause 14, bytes of a MessagePack section. Stops metadata that dwarfs the weights. */
export const META_BYTES: Limit = { quantity: "bytes of a MessagePack section", device: 65536, core: 1048576, hard: 16777216 };

/** Spec clause 14, nesting of a MessagePack section. Stops stack overflow in code that walks the metadata. */
export const META_DEPTH: Limit = { quantity: "nesting of a MessagePack section", device: 16, core: 16, hard: 16 };

/** Spec clause 14, raw bytes of one zstd frame. Stops decompression bombs: no frame can expand beyond this. */
export const ZSTD_FRAME_BYTES: Limit = { quantity: "raw bytes of one zstd frame", device: 1048576, core: 1048576, hard: 1048576 };
