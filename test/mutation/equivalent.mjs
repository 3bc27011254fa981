// Mutants that no file and no test can tell from the original, by kind: why, and which they are. They count as alive; the report
// lists them apart from those that nobody has sorted. An entry is a file, a piece of the mutated line, and what it was replaced by.
export const KINDS = [
  {
    reason: "another way to the same result: one of two is faster, or spares memory",
    mutants: [
      ["codecs/bits", "if (bits === 8) {", "false", "{}"],
      ["codecs/check", "nonfiniteElement(element.toUpperCase() as ElementType, codes) < 0", "false"],
      ["codecs/grouped", "if (bits <= TABLE_BITS)", "false", "bits < TABLE_BITS"],
      [
        "codecs/nonfinite",
        "data.byteOffset % 4 === 0",
        "false",
        "data.byteOffset % 4 !== 0",
        "data.byteOffset * 4",
        "{}",
      ],
      ["codecs/nonfinite", "at + 8 <= words.length", "false", "at + 8 < words.length"],
      ["common/bytes", "i < end; i += 8", "false"],
      ["common/bytes", "nodeZlib?.crc32 === undefined", "true", "false", "nodeZlib?.crc32 !== undefined"],
      ["common/sha256", "if (native !== null)", "true", "false", "native === null", "{}"],
    ],
  },
  {
    reason: "a step beyond the end, where typed arrays have nothing and take nothing",
    mutants: [
      ["codecs/bits", "if (held < bits) {", "held <= bits"],
      ["codecs/check", "for (let i = 0; i < count; i++) {", "i <= count"],
      ["codecs/check", "for (let g = 0; g < groups; g++)", "g <= groups"],
      ["codecs/grouped", "for (let q = 0; q < 1 << bits; q++)", "q <= 1 << bits"],
      ["codecs/grouped", "for (let g = 0; g < groups; g++)", "g <= groups"],
      ["codecs/nonfinite", "for (let i = from; i < words.length; i += step)", "i <= words.length"],
      ["codecs/rotation", "i < integers.length; i++", "i <= integers.length"],
      ["codecs/trellis", "for (let i = 0; i < length; i++) integers", "i <= length"],
      ["codecs/trellis", "for (let j = 0; j < windows.length; j++)", "j <= windows.length"],
      ["codecs/check", "last < bytes.length", "last <= bytes.length"],
      ["container/compression", "for (let b = 0, to = 0; b < elementSize; b++)", "b <= elementSize"],
      ["common/bytes", "for (let i = 0; i < 256; i++)", "i <= 256"],
      ["common/bytes", "for (let i = 256; i < tables.length; i++)", "i <= tables.length"],
    ],
  },
  {
    reason: "the condition is there for the compiler, or repeats what the types or the caller say",
    mutants: [
      ["codecs/rotation", "if (sign > 0) continue;", "sign >= 0"],
      ["codecs/check", "bytes.length === 0 ||", "false", '""'],
    ],
  },
  {
    reason:
      "a check behind it refuses the same file with the same error; this one says more exactly what is wrong",
    mutants: [["codecs/check", "if (mask === 0) return -1;", "false"]],
  },
];

/** The reason why a mutant cannot be noticed; undefined if nobody has found one. */
export const reasonOf = ({ name, text, replacement }) =>
  KINDS.find(({ mutants }) =>
    mutants.some(
      ([file, piece, ...replacements]) =>
        name.endsWith(`/${file}.ts`) && text.includes(piece) && replacements.includes(replacement),
    ),
  )?.reason;
