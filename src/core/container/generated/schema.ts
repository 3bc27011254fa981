// Generated from schema/lqa.fbs by schema/generate.mjs. Do not edit.
import { type Schema, schemaOf } from "../schema-types.ts";

/** Layout of the index: drives src/core/container/index-read.ts, index-read.ts and index-write.ts. */
export const SCHEMA: Schema = /* @__PURE__ */ schemaOf({
  "identifier": "LQI1",
  "table": "Index",
  "vectors": {
    "encodings": "Encoding",
    "bands": "Band",
    "plans": "u16",
    "types": "ModuleType",
    "modules": "Module",
    "tensors": "Tensor",
    "dimensions": "u32",
    "sections": "Section",
    "names": "u8",
    "start": "u32",
    "positions": "u32",
    "parent": "u32",
    "parentModules": "u32"
  },
  "optional": [
    "start",
    "positions",
    "parent",
    "parentModules"
  ],
  "structs": {
    "Band": {
      "components": "u16",
      "b": "u8",
      "a": "u8"
    },
    "Encoding": {
      "codec": "u8",
      "element": "u8",
      "scale": "u8",
      "bits": "u8",
      "mixture": "u8",
      "groupExponent": "u8",
      "table": "u8",
      "rotation": "u8"
    },
    "Module": {
      "chunkLength": "u32",
      "nameSuffix": "u16",
      "nameShared": "u8",
      "reserved": "u8",
      "moduleType": "u16",
      "plan": "u16"
    },
    "ModuleType": {
      "outSize": "u32",
      "inSize": "u32",
      "multiplier": "f32",
      "alpha": "f32",
      "kernel0": "u16",
      "kernel1": "u16",
      "kernel2": "u16",
      "experts": "u16",
      "role": "u8",
      "baseLayout": "u8",
      "rule": "u8",
      "reserved": "u8"
    },
    "Section": {
      "tag": "u32",
      "chunkLength": "u32",
      "rawLength": "u32",
      "compression": "u8",
      "flags": "u8",
      "reserved": "u16"
    },
    "Tensor": {
      "chunkLength": "u32",
      "nameSuffix": "u16",
      "nameShared": "u8",
      "compression": "u8",
      "element": "u8",
      "role": "u8",
      "axis": "u8",
      "dimensions": "u8"
    }
  }
});

export const BaseLayout = {"OutIn":0,"InOut":1} as const;
export const Codec = {"Zero":0,"Raw":1,"Affine":2,"Sign":3,"Trellis":4} as const;
export const Compression = {"None":0,"Zstd":1,"ShuffledZstd":2,"TextZstd":3} as const;
export const ElementType = {"None":0,"F32":1,"F16":2,"BF16":3,"F64":4,"I8":5,"I16":6,"I32":7,"I64":8,"U8":9,"U16":10,"U32":11,"U64":12,"Bool":13} as const;
export const ModuleRole = {"Linear":0,"Embedding":1,"Conv1d":2,"Conv2d":3,"Conv3d":4} as const;
export const MultiplierRule = {"None":0,"AlphaOverRank":1,"AlphaOverSqrtRank":2,"Explicit":3} as const;
export const Rotation = {"None":0,"Hadamard64":1} as const;
export const TensorRole = {"Replace":0,"Bias":1,"LoraBias":2,"Magnitude":3,"TokenRows":4,"TokenIndices":5,"Carried":6} as const;

export interface BandRecord {
  components: number;
  b: number;
  a: number;
}

export interface EncodingRecord {
  codec: number;
  element: number;
  scale: number;
  bits: number;
  mixture: number;
  groupExponent: number;
  table: number;
  rotation: number;
}

export interface ModuleRecord {
  chunkLength: number;
  nameSuffix: number;
  nameShared: number;
  reserved: number;
  moduleType: number;
  plan: number;
}

export interface ModuleTypeRecord {
  outSize: number;
  inSize: number;
  multiplier: number;
  alpha: number;
  kernel0: number;
  kernel1: number;
  kernel2: number;
  experts: number;
  role: number;
  baseLayout: number;
  rule: number;
  reserved: number;
}

export interface SectionRecord {
  tag: number;
  chunkLength: number;
  rawLength: number;
  compression: number;
  flags: number;
  reserved: number;
}

export interface TensorRecord {
  chunkLength: number;
  nameSuffix: number;
  nameShared: number;
  compression: number;
  element: number;
  role: number;
  axis: number;
  dimensions: number;
}

/** The vectors of the root table. */
export interface IndexVectors {
  encodings: EncodingRecord[];
  bands: BandRecord[];
  plans: number[];
  types: ModuleTypeRecord[];
  modules: ModuleRecord[];
  tensors: TensorRecord[];
  dimensions: number[];
  sections: SectionRecord[];
  names: Uint8Array;
  start?: number[];
  positions?: number[];
  parent?: number[];
  parentModules?: number[];
}
