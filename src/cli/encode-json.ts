/**
 * The JSON document of `lqa encode --json`.
 *
 * @module
 */
import type { EncodedFile } from "../node/index.ts";

/** Every setting has a key; the value is null if the profile has no such setting or the user left it open. */
const NO_SETTINGS = {
  profile: null,
  quality: null,
  bits: null,
  codeBits: null,
  maxBytes: null,
  maxError: null,
  floor: null,
  fit: null,
  weighted: null,
  group: null,
  element: null,
};

/** The JSON document of `--json`; its keys are stable. */
export function encodeJson(result: EncodedFile): object {
  const { parameters, inputBytes, outputBytes, averageBits, bitsPerParameter } = result;
  const { relativeError, errorEnergy, snrDb, gain } = result;
  return {
    ...NO_SETTINGS,
    ...result.settings,
    dialect: result.dialect,
    notes: result.notes,
    parameters,
    inputBytes,
    outputBytes,
    averageBits,
    bitsPerParameter,
    relativeError,
    snrDb: finite(snrDb),
    energy: result.energy,
    errorEnergy,
    gain,
    restoredError: finite(result.restoredError),
    droppedModules: result.droppedModules,
    weakModules: result.weakModules,
    outputError: finite(result.outputError),
    divergence: finite(result.divergence),
    divergenceFrom: result.divergenceFrom ?? null,
    outlook: result.outlook ?? null,
    calibration: result.calibration ?? null,
    baseDigest: result.baseDigest ?? null,
    parent: result.parent ?? null,
    start: result.start === undefined ? null : { ...result.start, seed: result.start.seed ?? null },
    doraError: result.doraError ?? null,
    tensors: result.tensors,
    tensorBytes: result.tensorBytes,
    tensorPolicy: result.tensorPolicy,
    narrowed:
      result.narrowed === undefined ? null : { ...result.narrowed, worst: result.narrowed.worst ?? null },
    seconds: Number(result.seconds.toFixed(3)),
    fileId: result.fileId,
    contentId: result.contentId,
    modules: result.modules.map((module) => ({
      ...module,
      snrDb: finite(module.snrDb),
      outputError: finite(module.outputError),
    })),
  };
}

/** JSON has no number for ratios that are infinite (no noise), undefined or absent. */
function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}
