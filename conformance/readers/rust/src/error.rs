//! Errors (clause 15) and limits (clause 14).

/// Where a check looks: what an error says of its place.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// `prologue`, `index`, `encoding`, `plan`, `type`, `module`, `tensor`, `section`, `digests` or `trailer`.
    pub what: &'static str,
    /// Number of the record, where there are records.
    pub number: Option<usize>,
    /// In the file.
    pub offset: u64,
}

impl Spot {
    pub(crate) fn new(what: &'static str, offset: u64) -> Self {
        Spot { what, number: None, offset }
    }

    pub(crate) fn record(what: &'static str, number: usize, offset: u64) -> Self {
        Spot { what, number: Some(number), offset }
    }

    /// The same place, another byte.
    pub(crate) fn at(self, offset: u64) -> Self {
        Spot { offset, ..self }
    }

    pub(crate) fn fail<T>(self, code: Code) -> Result<T> {
        Err(Error { code, spot: self })
    }

    pub(crate) fn must(self, ok: bool, code: Code) -> Result<()> {
        if ok {
            Ok(())
        } else {
            self.fail(code)
        }
    }

    /// Hard first, then Core (clause 14).
    pub(crate) fn limit(self, value: u64, (hard, core): (u64, u64)) -> Result<()> {
        self.must(value <= hard, Code::HardLimit)?;
        self.must(value <= core, Code::CoreLimit)
    }
}

/// The first error of a file.
#[derive(Clone, Copy, Debug)]
pub struct Error {
    /// Its code.
    pub code: Code,
    /// Where it was found.
    pub spot: Spot,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} at byte {} ({}", self.code.text(), self.code.name(), self.spot.offset, self.spot.what)?;
        if let Some(number) = self.spot.number {
            write!(f, " {number}")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Error {}

/// What everything here returns.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! codes {
    ($($variant:ident $text:literal $name:literal)*) => {
        /// The codes of `spec/errors.json` that a reader can meet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Code { $($variant),* }

        impl Code {
            /// As in `LQA-M012`.
            pub fn text(self) -> &'static str {
                match self { $(Code::$variant => concat!("LQA-", $text)),* }
            }

            /// As in `PADDING_NONZERO`.
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name),* }
            }
        }
    };
}

codes! {
    TruncatedPrologue "T001" "TRUNCATED_PROLOGUE"
    TruncatedFile "T002" "TRUNCATED_FILE"
    BadMagic "M001" "BAD_MAGIC"
    MagicTextDamage "M002" "MAGIC_TEXT_DAMAGE"
    PrologueReservedNonzero "M003" "PROLOGUE_RESERVED_NONZERO"
    AlignmentOutOfRange "M004" "ALIGNMENT_OUT_OF_RANGE"
    FileLengthMismatch "M005" "FILE_LENGTH_MISMATCH"
    TrailingBytes "M006" "TRAILING_BYTES"
    IndexTable "M007" "INDEX_TABLE"
    IndexVector "M008" "INDEX_VECTOR"
    IndexIdentifier "M009" "INDEX_IDENTIFIER"
    IndexFieldMissing "M010" "INDEX_FIELD_MISSING"
    CountMismatch "M011" "COUNT_MISMATCH"
    PaddingNonzero "M012" "PADDING_NONZERO"
    NameEncoding "M013" "NAME_ENCODING"
    NameOrder "M014" "NAME_ORDER"
    NameHeap "M015" "NAME_HEAP"
    ChunkLengthMismatch "M016" "CHUNK_LENGTH_MISMATCH"
    RecordReservedNonzero "M017" "RECORD_RESERVED_NONZERO"
    RecordReference "M018" "RECORD_REFERENCE"
    ZstdFrame "M019" "ZSTD_FRAME"
    MetaEncoding "M020" "META_ENCODING"
    TrailerMismatch "M021" "TRAILER_MISMATCH"
    SectionOrder "M022" "SECTION_ORDER"
    DimensionRange "V001" "DIMENSION_RANGE"
    EncodingParameter "V002" "ENCODING_PARAMETER"
    Multiplier "V003" "MULTIPLIER"
    BandPlan "V004" "BAND_PLAN"
    RoleShape "V005" "ROLE_SHAPE"
    TensorRecord "V006" "TENSOR_RECORD"
    FeatureBits "V007" "FEATURE_BITS"
    ScaleValue "V008" "SCALE_VALUE"
    NonfiniteValue "V009" "NONFINITE_VALUE"
    SectionRecord "V011" "SECTION_RECORD"
    ParentMismatch "V012" "PARENT_MISMATCH"
    PrologueCrc "I001" "PROLOGUE_CRC"
    IndexCrc "I002" "INDEX_CRC"
    ChunkCrc "I003" "CHUNK_CRC"
    TrailerCrc "I004" "TRAILER_CRC"
    SpanDigest "I005" "SPAN_DIGEST"
    RootDigest "I006" "ROOT_DIGEST"
    ContentId "I007" "CONTENT_ID"
    UnsupportedVersion "U001" "UNSUPPORTED_VERSION"
    UnsupportedFeature "U002" "UNSUPPORTED_FEATURE"
    UnsupportedCodec "U003" "UNSUPPORTED_CODEC"
    UnsupportedRole "U004" "UNSUPPORTED_ROLE"
    UnsupportedCompression "U005" "UNSUPPORTED_COMPRESSION"
    UnsupportedSection "U006" "UNSUPPORTED_SECTION"
    ParentMissing "U010" "PARENT_MISSING"
    HardLimit "L001" "HARD_LIMIT"
    CoreLimit "L002" "CORE_LIMIT"
    Budget "L003" "BUDGET"
    BaseModuleMissing "B001" "BASE_MODULE_MISSING"
    BaseShape "B002" "BASE_SHAPE"
    Io "X001" "IO"
    NotFound "X003" "NOT_FOUND"
    NoncanonicalIndex "C001" "NONCANONICAL_INDEX"
    NoncanonicalCodes "C002" "NONCANONICAL_CODES"
    NoncanonicalName "C003" "NONCANONICAL_NAME"
}

impl Code {
    /// The letter of its class (15.1).
    pub fn class(self) -> &'static str {
        &self.text()[4..5]
    }

    /// The exit code of its class (15.1).
    pub fn exit(self) -> u8 {
        match self.class() {
            "U" => 3,
            "L" => 4,
            "X" => 2,
            _ => 1,
        }
    }
}

/// Hard and Core (clause 14).
pub(crate) mod limits {
    pub const FILE: (u64, u64) = ((1 << 53) - 1, 1 << 36);
    pub const INDEX: (u64, u64) = (1 << 26, 1 << 24);
    pub const MODULES: (u64, u64) = (1 << 20, 1 << 16);
    pub const TENSORS: (u64, u64) = MODULES;
    pub const SECTIONS: (u64, u64) = (1024, 64);
    pub const ENCODINGS: (u64, u64) = (256, 256);
    pub const SHARED: (u64, u64) = (1 << 16, 1 << 16);
    pub const BANDS: (u64, u64) = (1 << 23, 1 << 19);
    pub const EXPERT_BANDS: (u64, u64) = (1 << 24, 1 << 20);
    pub const NAMES: (u64, u64) = (1 << 26, 1 << 24);
    pub const RANK: (u64, u64) = (4096, 1024);
    pub const DIMENSION: (u64, u64) = (1 << 25, 1 << 24);
    pub const EXPERTS: (u64, u64) = (4096, 1024);
    pub const SHAPE: (u64, u64) = (8, 8);
    pub const STARTED: (u64, u64) = (1 << 16, 1 << 12);
    pub const STARTED_RANK: (u64, u64) = (256, 256);
    pub const STARTS: (u64, u64) = (1024, 64);
    pub const START_WORK: (u64, u64) = (1 << 20, 1 << 14);
    pub const GENERATIONS: (u64, u64) = (16, 4);
    pub const CHUNK: (u64, u64) = ((1 << 32) - 1, 1 << 30);
    pub const EXPANSION: (u64, u64) = (1 << 34, 1 << 28);
    pub const META: (u64, u64) = (1 << 24, 1 << 20);
}
