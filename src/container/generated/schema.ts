// Generated from schema/lqa.fbs by schema/generate.mjs. Do not edit.
import type { Schema } from "../schema-types.ts";

/** Layout of the index: drives src/container/index-verify.ts, index-read.ts and index-write.ts. */
export const SCHEMA: Schema = {
  "identifier": "LQA1",
  "table": "Index",
  "vectors": [
    {
      "name": "encodings",
      "element": {
        "struct": "Encoding"
      }
    },
    {
      "name": "bands",
      "element": {
        "struct": "Band"
      }
    },
    {
      "name": "plans",
      "element": {
        "scalar": "u16"
      }
    },
    {
      "name": "types",
      "element": {
        "struct": "ModuleType"
      }
    },
    {
      "name": "modules",
      "element": {
        "struct": "Module"
      }
    },
    {
      "name": "tensors",
      "element": {
        "struct": "Tensor"
      }
    },
    {
      "name": "dimensions",
      "element": {
        "scalar": "u32"
      }
    },
    {
      "name": "sections",
      "element": {
        "struct": "Section"
      }
    },
    {
      "name": "names",
      "element": {
        "scalar": "u8"
      }
    }
  ],
  "structs": {
    "Band": {
      "size": 4,
      "align": 2,
      "fields": [
        {
          "name": "components",
          "offset": 0,
          "type": "u16"
        },
        {
          "name": "b",
          "offset": 2,
          "type": "u8"
        },
        {
          "name": "a",
          "offset": 3,
          "type": "u8"
        }
      ]
    },
    "Encoding": {
      "size": 8,
      "align": 1,
      "fields": [
        {
          "name": "codec",
          "offset": 0,
          "type": "u8"
        },
        {
          "name": "element",
          "offset": 1,
          "type": "u8"
        },
        {
          "name": "scale",
          "offset": 2,
          "type": "u8"
        },
        {
          "name": "bits",
          "offset": 3,
          "type": "u8"
        },
        {
          "name": "zeroPoint",
          "offset": 4,
          "type": "u8"
        },
        {
          "name": "groupExponent",
          "offset": 5,
          "type": "u8"
        },
        {
          "name": "table",
          "offset": 6,
          "type": "u8"
        },
        {
          "name": "rotation",
          "offset": 7,
          "type": "u8"
        }
      ]
    },
    "Module": {
      "size": 12,
      "align": 4,
      "fields": [
        {
          "name": "chunkLength",
          "offset": 0,
          "type": "u32"
        },
        {
          "name": "nameSuffix",
          "offset": 4,
          "type": "u16"
        },
        {
          "name": "nameShared",
          "offset": 6,
          "type": "u8"
        },
        {
          "name": "compression",
          "offset": 7,
          "type": "u8"
        },
        {
          "name": "moduleType",
          "offset": 8,
          "type": "u16"
        },
        {
          "name": "plan",
          "offset": 10,
          "type": "u16"
        }
      ]
    },
    "ModuleType": {
      "size": 32,
      "align": 4,
      "fields": [
        {
          "name": "outSize",
          "offset": 0,
          "type": "u32"
        },
        {
          "name": "inSize",
          "offset": 4,
          "type": "u32"
        },
        {
          "name": "groups",
          "offset": 8,
          "type": "u32"
        },
        {
          "name": "multiplier",
          "offset": 12,
          "type": "f32"
        },
        {
          "name": "alpha",
          "offset": 16,
          "type": "f32"
        },
        {
          "name": "kernel0",
          "offset": 20,
          "type": "u16"
        },
        {
          "name": "kernel1",
          "offset": 22,
          "type": "u16"
        },
        {
          "name": "kernel2",
          "offset": 24,
          "type": "u16"
        },
        {
          "name": "experts",
          "offset": 26,
          "type": "u16"
        },
        {
          "name": "role",
          "offset": 28,
          "type": "u8"
        },
        {
          "name": "baseLayout",
          "offset": 29,
          "type": "u8"
        },
        {
          "name": "rule",
          "offset": 30,
          "type": "u8"
        },
        {
          "name": "reserved",
          "offset": 31,
          "type": "u8"
        }
      ]
    },
    "Section": {
      "size": 16,
      "align": 4,
      "fields": [
        {
          "name": "tag",
          "offset": 0,
          "type": "u32"
        },
        {
          "name": "chunkLength",
          "offset": 4,
          "type": "u32"
        },
        {
          "name": "rawLength",
          "offset": 8,
          "type": "u32"
        },
        {
          "name": "compression",
          "offset": 12,
          "type": "u8"
        },
        {
          "name": "flags",
          "offset": 13,
          "type": "u8"
        },
        {
          "name": "reserved",
          "offset": 14,
          "type": "u16"
        }
      ]
    },
    "Tensor": {
      "size": 12,
      "align": 4,
      "fields": [
        {
          "name": "chunkLength",
          "offset": 0,
          "type": "u32"
        },
        {
          "name": "nameSuffix",
          "offset": 4,
          "type": "u16"
        },
        {
          "name": "nameShared",
          "offset": 6,
          "type": "u8"
        },
        {
          "name": "compression",
          "offset": 7,
          "type": "u8"
        },
        {
          "name": "element",
          "offset": 8,
          "type": "u8"
        },
        {
          "name": "role",
          "offset": 9,
          "type": "u8"
        },
        {
          "name": "axis",
          "offset": 10,
          "type": "u8"
        },
        {
          "name": "dimensions",
          "offset": 11,
          "type": "u8"
        }
      ]
    }
  }
};

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
  zeroPoint: number;
  groupExponent: number;
  table: number;
  rotation: number;
}

export interface ModuleRecord {
  chunkLength: number;
  nameSuffix: number;
  nameShared: number;
  compression: number;
  moduleType: number;
  plan: number;
}

export interface ModuleTypeRecord {
  outSize: number;
  inSize: number;
  groups: number;
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
}
