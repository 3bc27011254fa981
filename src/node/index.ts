/**
 * Files by path, and threads (Node only). Outputs are whole or absent, and replace existing files only with `force`. If an output
 * cannot be written, the error comes before the work. The command line is a thin layer over this entry.
 *
 * @module
 */
export { type LocationOptions, readSourceFiles } from "./adapter-source.ts";
export { baseDigest } from "./base-digest.ts";
export {
  type ConvertedFile,
  type ConvertFileOptions,
  convertFile,
  type Rounding,
  readBaseDescription,
  type TargetOptions,
} from "./convert-file.ts";
export { type DecodedFile, type DecodeFileOptions, decodeFile } from "./decode-file.ts";
export { directoryStore } from "./directory-store.ts";
export type { DoraError } from "./dora-error.ts";
export {
  type CalibrationUse,
  type EncodedFile,
  type EncodeFileControls,
  type EncodeFileOptions,
  encodeFile,
} from "./encode-file.ts";
export { type EncodedItem, type EncodeManyOptions, encodeMany } from "./encode-many.ts";
export {
  type FileSource,
  openFileSource,
  readWholeFile,
} from "./files/file.ts";
export { writeDirectoryAtomic } from "./files/write-directory.ts";
export { type OutputOptions, writeFileAtomic } from "./files/write-file.ts";
export type { StoreOptions } from "./objects/open-store.ts";
export type { S3Options } from "./objects/s3-objects.ts";
export { openAdapters } from "./open-adapters.ts";
export { type OpenModel, openModel } from "./open-model.ts";
export { openParents } from "./open-parents.ts";
export { type AdapterOptions, readLocation } from "./read-valid.ts";
export { type RebasedFile, type RebaseFileOptions, rebaseFile } from "./rebase-file.ts";
export { openPush } from "./remote/hub-push.ts";
export type { ListedFile } from "./remote/listed-file.ts";
export type { PushOptions, PushPlan, PushTarget } from "./remote/push-plan.ts";
export { openRemoteFile, type RemoteFile } from "./remote/remote-file.ts";
export type { Shard } from "./shard.ts";
export {
  type DecodedAdapter,
  type DecodeWithWorkersOptions,
  decodeWithWorkers,
} from "./workers/decode.ts";
export { createWorkerPool, type WorkerPool } from "./workers/pool.ts";
export type {
  DecodeTask,
  PackedPayload,
  PoolInput,
  PoolKind,
  PoolOutput,
  SharedTarget,
} from "./workers/tasks.ts";
