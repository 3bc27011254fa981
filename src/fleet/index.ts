/**
 * Encodes many adapters on many machines (Node only): a queue, workers, object storage.
 *
 * `lqa fleet` is a thin layer over this entry. Packages that only this entry needs are optional: `bullmq` and `ioredis` for a
 * queue in Redis, `@aws-sdk/client-s3` for object storage, `hyparquet-writer` for Parquet, `prom-client` for metrics.
 *
 * @module
 */

export { createStores, openObjects, type StoreOptions, type Stores } from "../node/objects/open-store.ts";
export type { S3Options } from "../node/objects/s3-objects.ts";
export type { ObjectInfo, ObjectStore, PutOptions, ReadableStore } from "../node/objects/store.ts";
export { openAdapters } from "../node/open-adapters.ts";
export {
  type Bin,
  type CatalogueSummary,
  type Duplicates,
  type FailureGroup,
  readCatalogue,
  type Summing,
  summing,
} from "./catalogue.ts";
export { type EncodeFleetOptions, encodeFleet } from "./encode.ts";
export type { FleetFailure } from "./failure.ts";
export type { FleetJob, JobFile, QueuedJob } from "./job.ts";
export { openQueue } from "./open-queue.ts";
export type { Attempt, NamedJob } from "./perform.ts";
export type { DeadJob, Process, QueueCounts, Verdict, WorkOptions, WorkQueue } from "./queue.ts";
export type { FailureRecord, FleetRecord, ResultRecord } from "./records.ts";
export type { RedisOptions } from "./redis-queue.ts";
export { drawFleetReport } from "./report.ts";
export type { FleetSettings } from "./settings.ts";
export { type Submission, type SubmitOptions, submitFleet } from "./submit.ts";
export { type Verification, type VerifyFinding, type VerifyOptions, verifyFleet } from "./verify.ts";
export { type WorkDone, type WorkerOptions, workFleet } from "./work.ts";
export { type CatalogueFormat, writeCatalogue } from "./write-catalogue.ts";
