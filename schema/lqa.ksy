meta:
  id: lqa
  title: Quantized LoRA adapter (.lqa), version 1.0
  file-extension: lqa
  license: CC0-1.0
  ks-version: "0.10"
  endian: le
  bit-endian: le
doc: |
  Every part of an .lqa file: prologue, index, chunks, digest list, trailer. No position is stored but inside the index;
  everything else follows from lengths, in order.

  This describes valid files and checks little: for files from strangers use a reader that keeps all rules of the
  specification. What it leaves as bytes: names (front-coded, clause 6.10), and payloads (planes, clause 7.2; elements,
  clause 7.4; MessagePack, clause 10.2), which may be compressed (clause 7.5).
doc-ref: spec/lqa-v1.md
seq:
  - id: prologue
    type: prologue
    size: 64
  - id: index
    type: index
    size: prologue.index_length
  - id: index_padding
    type: padding(_io.pos)
  - id: modules
    type: chunk(index.root.modules.items[_index].chunk_length)
    repeat: expr
    repeat-expr: prologue.num_modules
  - id: tensors
    type: chunk(index.root.tensors.items[_index].chunk_length)
    repeat: expr
    repeat-expr: prologue.num_tensors
  - id: sections
    type: chunk(index.root.sections.items[_index].chunk_length)
    repeat: expr
    repeat-expr: prologue.num_sections
  - id: digests
    type: digests
    size: prologue.file_length - 64 - _io.pos
  - id: trailer
    type: trailer
    size: 64
instances:
  alignment:
    value: 1 << prologue.alignment_exponent
    doc: Clause 4.3. Chunks and the digest list start at a multiple of it.
types:
  prologue:
    doc-ref: spec/lqa-v1.md, clause 5
    seq:
      - id: magic
        contents: [0x89, LQA, 0x0d, 0x0a, 0x1a, 0x0a]
      - id: major
        type: u2
        valid: 1
      - id: minor
        type: u2
      - id: required
        type: required_features
        size: 4
      - id: read_only_compatible
        type: u4
      - id: compatible
        type: compatible_features
        size: 4
      - id: file_length
        type: u8
      - id: index_length
        type: u4
      - id: num_modules
        type: u4
      - id: num_tensors
        type: u4
      - id: num_sections
        type: u4
      - id: alignment_exponent
        type: u1
        valid:
          min: 2
          max: 12
      - id: reserved
        contents: [0, 0, 0, 0, 0, 0, 0]
      - id: index_crc32
        type: u4
      - id: crc32
        type: u4
        doc: CRC-32 of bytes 0 to 59.
  required_features:
    doc-ref: spec/lqa-v1.md, clause 5.3
    seq:
      - id: zstd
        type: b1
      - id: trellis
        type: b1
      - id: experts
        type: b1
      - id: magnitude
        type: b1
      - id: replacement
        type: b1
      - id: start
        type: b1
        doc: Clause 8.8.
      - id: parent
        type: b1
        doc: Clause 8.9.
      - id: unknown
        type: b25
        valid: 0
  compatible_features:
    doc-ref: spec/lqa-v1.md, clause 5.3
    seq:
      - id: unknown
        type: b32
  padding:
    doc: Zero bytes up to the chunk alignment.
    params:
      - id: from
        type: u8
    seq:
      - id: zeros
        size: -from & (_root.alignment - 1)
  chunk:
    doc-ref: spec/lqa-v1.md, clause 7.1
    params:
      - id: length
        type: u4
    seq:
      - id: stored
        size: length - 4
        doc: The payload, compressed if the record says so.
      - id: crc32
        type: u4
        doc: CRC-32 of the stored payload.
      - id: padding
        type: padding(_io.pos)
  digests:
    doc: SHA-256 digests.
    doc-ref: spec/lqa-v1.md, clause 11
    seq:
      - id: content_id
        size: 32
      - id: spans
        size: 32
        repeat: eos
        doc: Of runs of chunks with their padding, each closed when it has 32,768 bytes.
  trailer:
    doc-ref: spec/lqa-v1.md, clause 11.4
    seq:
      - id: root_digest
        size: 32
        doc: The file id.
      - id: file_length
        type: u8
        valid: _root.prologue.file_length
      - id: digests_length
        type: u4
      - id: index_length
        type: u4
        valid: _root.prologue.index_length
      - id: reserved
        contents: [0, 0, 0, 0]
      - id: crc32
        type: u4
        doc: CRC-32 of the 52 bytes before it.
      - id: magic
        contents: [0x0a, 0x1a, 0x0a, 0x0d, AQL, 0x89]
  index:
    doc: A FlatBuffer. Offsets are counted from the place where they stand.
    doc-ref: spec/lqa-v1.md, clause 6
    seq:
      - id: root_offset
        type: u4
      - id: identifier
        contents: LQI1
    instances:
      root:
        pos: root_offset
        type: root_table(root_offset)
  root_table:
    doc-ref: spec/lqa-v1.md, clause 6.3
    params:
      - id: start
        type: u4
    seq:
      - id: vtable_distance
        type: s4
        doc: The vtable stands so many bytes before the table, or behind it if this is negative.
    instances:
      vtable:
        pos: start - vtable_distance
        type: vtable
      encodings:
        pos: start + vtable.fields[0]
        type: encodings(start + vtable.fields[0])
      bands:
        pos: start + vtable.fields[1]
        type: bands(start + vtable.fields[1])
      plans:
        pos: start + vtable.fields[2]
        type: plans(start + vtable.fields[2])
      types:
        pos: start + vtable.fields[3]
        type: module_types(start + vtable.fields[3])
      modules:
        pos: start + vtable.fields[4]
        type: modules(start + vtable.fields[4])
      tensors:
        pos: start + vtable.fields[5]
        type: tensors(start + vtable.fields[5])
      dimensions:
        pos: start + vtable.fields[6]
        type: dimensions(start + vtable.fields[6])
      sections:
        pos: start + vtable.fields[7]
        type: sections(start + vtable.fields[7])
      names:
        pos: start + vtable.fields[8]
        type: names(start + vtable.fields[8])
      starts:
        pos: start + vtable.fields[9]
        type: dimensions(start + vtable.fields[9])
        if: _root.prologue.required.start
        doc: Clause 8.8.1. A generator, then a seed or states.
      positions:
        pos: start + vtable.fields[10]
        type: dimensions(start + vtable.fields[10])
        if: _root.prologue.required.start
        doc: Clause 8.8.1. State and first draw of each module with a start.
      parent:
        pos: start + vtable.fields[11]
        type: dimensions(start + vtable.fields[11])
        if: _root.prologue.required.parent
        doc: Clause 8.9.1. The content id of the parent.
      parent_modules:
        pos: start + vtable.fields[12]
        type: dimensions(start + vtable.fields[12])
        if: _root.prologue.required.parent
        doc: Clause 8.9.1. Of each module, 1 + the number of its module in the parent, or 0.
  vtable:
    seq:
      - id: size
        type: u2
      - id: table_size
        type: u2
      - id: fields
        type: u2
        repeat: expr
        repeat-expr: (size - 4) / 2
        doc: Where in the table each field stands; 0 would be a field that is not there, and the first nine are required, with a start two more, with a parent the two after those.
  encodings:
    params:
      - id: start
        type: u4
    seq:
      - id: distance
        type: u4
    instances:
      count:
        pos: start + distance
        type: u4
      items:
        pos: start + distance + 4
        type: encoding
        repeat: expr
        repeat-expr: count
  bands:
    params:
      - id: start
        type: u4
    seq:
      - id: distance
        type: u4
    instances:
      count:
        pos: start + distance
        type: u4
      items:
        pos: start + distance + 4
        type: band
        repeat: expr
        repeat-expr: count
  plans:
    params:
      - id: start
        type: u4
    seq:
      - id: distance
        type: u4
    instances:
      count:
        pos: start + distance
        type: u4
      items:
        pos: start + distance + 4
        type: u2
        repeat: expr
        repeat-expr: count
  module_types:
    params:
      - id: start
        type: u4
    seq:
      - id: distance
        type: u4
    instances:
      count:
        pos: start + distance
        type: u4
      items:
        pos: start + distance + 4
        type: module_type
        repeat: expr
        repeat-expr: count
  modules:
    params:
      - id: start
        type: u4
    seq:
      - id: distance
        type: u4
    instances:
      count:
        pos: start + distance
        type: u4
      items:
        pos: start + distance + 4
        type: module
        repeat: expr
        repeat-expr: count
  tensors:
    params:
      - id: start
        type: u4
    seq:
      - id: distance
        type: u4
    instances:
      count:
        pos: start + distance
        type: u4
      items:
        pos: start + distance + 4
        type: tensor
        repeat: expr
        repeat-expr: count
  dimensions:
    params:
      - id: start
        type: u4
    seq:
      - id: distance
        type: u4
    instances:
      count:
        pos: start + distance
        type: u4
      items:
        pos: start + distance + 4
        type: u4
        repeat: expr
        repeat-expr: count
  sections:
    params:
      - id: start
        type: u4
    seq:
      - id: distance
        type: u4
    instances:
      count:
        pos: start + distance
        type: u4
      items:
        pos: start + distance + 4
        type: section
        repeat: expr
        repeat-expr: count
  names:
    doc: Suffixes of the names of all modules, then of all tensors (clause 6.10).
    params:
      - id: start
        type: u4
    seq:
      - id: distance
        type: u4
    instances:
      count:
        pos: start + distance
        type: u4
      suffixes:
        pos: start + distance + 4
        size: count
  encoding:
    doc-ref: spec/lqa-v1.md, clause 6.4
    seq:
      - id: codec
        type: u1
        enum: codec
      - id: element
        type: u1
        enum: element_type
      - id: scale
        type: u1
        enum: element_type
      - id: bits
        type: u1
      - id: mixture
        type: u1
        doc: Clause 8.8.1. With a start the bits of the mixture of A', 4 or 8; else 0.
      - id: group_exponent
        type: u1
      - id: table
        type: u1
      - id: rotation
        type: u1
        enum: rotation
  band:
    doc-ref: spec/lqa-v1.md, clause 6.5
    seq:
      - id: components
        type: u2
      - id: b
        type: u1
        doc: Number of an encoding.
      - id: a
        type: u1
        doc: Number of an encoding.
  module_type:
    doc-ref: spec/lqa-v1.md, clause 6.6
    seq:
      - id: out_size
        type: u4
      - id: in_size
        type: u4
      - id: multiplier
        type: f4
      - id: alpha
        type: f4
      - id: kernel0
        type: u2
      - id: kernel1
        type: u2
      - id: kernel2
        type: u2
      - id: experts
        type: u2
      - id: role
        type: u1
        enum: module_role
      - id: base_layout
        type: u1
        enum: base_layout
      - id: rule
        type: u1
        enum: multiplier_rule
      - id: reserved
        type: u1
  module:
    doc-ref: spec/lqa-v1.md, clause 6.7
    seq:
      - id: chunk_length
        type: u4
      - id: name_suffix
        type: u2
      - id: name_shared
        type: u1
      - id: reserved
        type: u1
      - id: module_type
        type: u2
        doc: Number of a module type.
      - id: plan
        type: u2
        doc: Number of a plan.
  tensor:
    doc-ref: spec/lqa-v1.md, clause 6.8
    seq:
      - id: chunk_length
        type: u4
      - id: name_suffix
        type: u2
      - id: name_shared
        type: u1
      - id: compression
        type: u1
        enum: compression
      - id: element
        type: u1
        enum: element_type
      - id: role
        type: u1
        enum: tensor_role
      - id: axis
        type: u1
      - id: dimensions
        type: u1
        doc: How many entries of `dimensions` belong to it.
  section:
    doc-ref: spec/lqa-v1.md, clause 6.9
    seq:
      - id: tag
        type: str
        size: 4
        encoding: ASCII
      - id: chunk_length
        type: u4
      - id: raw_length
        type: u4
      - id: compression
        type: u1
        enum: compression
      - id: flags
        type: section_flags
        size: 1
      - id: reserved
        type: u2
  section_flags:
    seq:
      - id: critical
        type: b1
      - id: safe_to_copy
        type: b1
      - id: reserved
        type: b6
enums:
  codec:
    0: zero
    1: raw
    2: affine
    3: sign
    4: trellis
  element_type:
    0: none
    1: f32
    2: f16
    3: bf16
    4: f64
    5: i8
    6: i16
    7: i32
    8: i64
    9: u8
    10: u16
    11: u32
    12: u64
    13: bool
  module_role:
    0: linear
    1: embedding
    2: conv1d
    3: conv2d
    4: conv3d
  base_layout:
    0: out_in
    1: in_out
  multiplier_rule:
    0: none
    1: alpha_over_rank
    2: alpha_over_sqrt_rank
    3: explicit
  tensor_role:
    0: replace
    1: bias
    2: lora_bias
    3: magnitude
    4: token_rows
    5: token_indices
    6: carried
  compression:
    0: none
    1: zstd
    2: shuffled_zstd
    3: text_zstd
  rotation:
    0: none
    1: hadamard64
