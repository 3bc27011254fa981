/**
 * Many adapters on many machines (Node only): a queue, workers, object storage.
 *
 * `lqa fleet` is a thin layer over this. Packages that only this needs are optional: `bullmq` and `ioredis` for a queue in
 * Redis, `@aws-sdk/client-s3` for object storage, `hyparquet-writer` for Parquet.
 *
 * @module
 */
export { openAdapters } from "./fleet/adapter-store.ts";
export {
  type Bin,
  type CatalogueSummary,
  type Duplicates,
  type FailureGroup,
  readCatalogue,
  type Summing,
  summing,
} from "./fleet/catalogue.ts";
export type { FleetFailure } from "./fleet/failure.ts";
export type { FleetJob, JobFile, QueuedJob } from "./fleet/job.ts";
export { openQueue } from "./fleet/open-queue.ts";
export { createStores, openObjects, type StoreOptions, type Stores } from "./fleet/open-store.ts";
export type { NamedJob } from "./fleet/perform.ts";
export type { DeadJob, Process, QueueCounts, Verdict, WorkOptions, WorkQueue } from "./fleet/queue.ts";
export type { FailureRecord, FleetRecord, ResultRecord } from "./fleet/records.ts";
export type { RedisOptions } from "./fleet/redis-queue.ts";
export { drawFleetReport } from "./fleet/report.ts";
export type { S3Options } from "./fleet/s3-objects.ts";
export type { FleetSettings } from "./fleet/settings.ts";
export type { ObjectInfo, ObjectStore, PutOptions, ReadableStore } from "./fleet/store.ts";
export { type Submission, type SubmitOptions, submitFleet } from "./fleet/submit.ts";
export { type Verification, type VerifyFinding, type VerifyOptions, verifyFleet } from "./fleet/verify.ts";
export { type WorkDone, type WorkerOptions, workFleet } from "./fleet/work.ts";
export { type CatalogueFormat, writeCatalogue } from "./fleet/write-catalogue.ts";
