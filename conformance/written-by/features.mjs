// What a file can hold, by the tables of the specification, each with how to see it in a file (parts.mjs), and the commands that are
// tried. A row that no command writes needs a reason: it is reserved for other writers, or it goes out of the format.

/** Why a row stays although the encoder does not write it. */
export const RESERVED = {
  "Encodings: sign with a mixture":
    "R has the same bytes behind every codec; a rule that excludes one would be one more check of every reader",
  "Sections: flag critical":
    "what lets a later minor version add a section that old readers must not ignore (clause 16); the suite tests that they refuse it",
  "Sections: private tag":
    "for other writers: data of one organisation (registries.md); a reader skips them like any section it does not know",
  "META keys: author": "free text of people: `adapter.meta` of `encodeAdapter`",
  "META keys: description": "free text of people: `adapter.meta` of `encodeAdapter`",
  "META keys: license": "free text of people: `adapter.meta` of `encodeAdapter`",
};

const encoding = (test) => (file) => file.encodings.some(test);
const tensor = (test) => (file) => file.tensors.some(test);
const type = (test) => (file) => file.types.some(test);
const section = (test) => (file) => file.sections.some(test);
const SCALES = { 2: "F16", 3: "BF16" };
const GROUPS = [0, 4, 5, 6, 7, 8, 9, 10];
const groupName = (g) => (g === 0 ? "the whole vector" : `groups of ${2 ** g}`);
const between = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** Registry values: [title, number, name, clause]. */
function registered(registry) {
  const named = (title) => registry.registries.find((r) => r.title === title).values;
  const rows = (title, clause, of, test) =>
    named(title).map(({ number, name }) => ({
      group: of,
      name: `${number} ${name}`,
      clause,
      seen: test(number),
    }));
  return [
    ...rows(
      "Required feature bits",
      "5.3",
      "Required bits",
      (n) => (file) => (file.required & (2 ** n)) !== 0,
    ),
    ...rows("Module roles", "6.6", "Module types", (n) => type((t) => t.role === n)),
    ...rows("Base layouts", "6.6", "Base layouts of linear modules", (n) =>
      type((t) => t.role === 0 && t.layout === n),
    ),
    ...rows("Multiplier rules", "9.1", "Multiplier rules", (n) => type((t) => t.rule === n)),
    ...rows("Tensor roles", "9.4", "Tensor roles", (n) => tensor((t) => t.role === n)),
    ...rows("Element types", "6.8", "Element types of tensors", (n) => tensor((t) => t.element === n)).slice(
      1,
    ),
    ...rows(
      "Compression values",
      "7.5",
      "Compression",
      (n) => (file) => [...file.tensors, ...file.sections].some((x) => x.compression === n),
    ),
    ...named("Section tags").map(({ number }) => ({
      group: "Sections",
      name: number,
      clause: "6.9",
      seen: section((s) => s.tag === number),
    })),
    ...named("META keys").map(({ number }) => ({
      group: "META keys",
      name: number,
      clause: "10.2",
      seen: (file) => file.metaKeys.includes(number),
    })),
  ];
}

/** The values of the fields of an encoding (6.4). */
function encodings() {
  const row = (name, clause, test) => ({ group: "Encodings", name, clause, seen: encoding(test) });
  const CODECS = ["zero", "raw", "affine", "sign", "trellis"];
  return [
    row("zero", "8.2", (e) => e.codec === 0),
    ...[1, 2, 3].map((n) =>
      row(`raw, ${["F32", "F16", "BF16"][n - 1]}`, "8.3", (e) => e.codec === 1 && e.element === n),
    ),
    ...between(1, 8).map((bits) =>
      row(`affine of ${bits} bits`, "8.4", (e) => e.codec === 2 && e.bits === bits),
    ),
    ...[2, 3].flatMap((codec) => [
      ...GROUPS.map((g) =>
        row(`${CODECS[codec]}, ${groupName(g)}`, "6.4", (e) => e.codec === codec && e.group === g),
      ),
      ...[2, 3].map((scale) =>
        row(
          `${CODECS[codec]}, scales ${SCALES[scale]}`,
          "6.4",
          (e) => e.codec === codec && e.scale === scale,
        ),
      ),
    ]),
    ...between(1, 6).flatMap((table) =>
      [0, 1].map((rotation) =>
        row(
          `trellis, table ${table}, rotation ${rotation}`,
          "8.6",
          (e) => e.codec === 4 && e.table === table && e.rotation === rotation,
        ),
      ),
    ),
    ...[4, 8].map((bits) => row(`a mixture of ${bits} bits`, "8.8.1", (e) => e.mixture === bits)),
    ...CODECS.map((codec, n) =>
      row(`${codec} with a mixture`, "8.8.2", (e) => e.codec === n && e.mixture > 0),
    ),
  ];
}

function others() {
  return [
    ...between(2, 12).map((e) => ({
      group: "Alignment",
      name: `${2 ** e} bytes`,
      clause: "4.3",
      seen: (file) => file.alignment === e,
    })),
    { group: "Magnitudes", name: "axis 0", clause: "9.4", seen: tensor((t) => t.role === 3 && t.axis === 0) },
    { group: "Magnitudes", name: "axis 1", clause: "9.4", seen: tensor((t) => t.role === 3 && t.axis === 1) },
    {
      group: "Sections",
      name: "flag safe to copy",
      clause: "6.9",
      seen: section((s) => (s.flags & 2) !== 0),
    },
    { group: "Sections", name: "flag critical", clause: "6.9", seen: section((s) => (s.flags & 1) !== 0) },
    { group: "Sections", name: "private tag", clause: "6.9", seen: section((s) => /^[a-z]/.test(s.tag)) },
    { group: "Starts", name: "a seed", clause: "8.8.1", seen: (file) => file.start?.length === 2 },
    { group: "Starts", name: "one state", clause: "8.8.1", seen: (file) => file.start?.length === 625 },
    { group: "Starts", name: "several states", clause: "8.8.1", seen: (file) => file.start?.length > 625 },
    {
      group: "Parents",
      name: "a module with a parent",
      clause: "8.9.1",
      seen: (file) => file.parentModules?.some((n) => n > 0),
    },
    {
      group: "Parents",
      name: "one without, in the same file",
      clause: "8.9.1",
      seen: (file) => file.parentModules?.some((n) => n === 0),
    },
  ];
}

/** Every row: { group, name, clause, seen(file) }. */
export const featuresOf = (registry) => [...encodings(), ...registered(registry), ...others()];

const encode = (adapter, options = "") => `lqa encode ${adapter} -o OUT ${options}`.trim();
const perGroup = [0, 16, 32, 64, 128, 256, 512, 1024];

/** The commands, the usual ones first: a row names the first that writes it. */
export const COMMANDS = [
  encode("linear"),
  ...["low", "high", "near-lossless"].map((q) => encode("linear", `--quality ${q}`)),
  ...["2", "3", "5", "6", "7", "8", "9", "12"].map((bits) => encode("linear", `--bits ${bits}`)),
  encode("tiny"),
  encode("outliers", "--quality low"),
  ...["rslora", "kohya", "in-out", "embedding", "conv1d", "conv2d", "conv3d", "dora", "saved", "tokens"].map(
    (name) => encode(name),
  ),
  encode("loralib", "--alpha 16"),
  encode("loralib", "--multiplier 0.7"),
  encode("experts", "--expert-layout out-in"),
  encode("carried", "--keep-unsupported"),
  encode("saved", "--tensors keep"),
  encode("linear", "--base base.safetensors"),
  encode("begun", "--start auto"),
  encode("trained", "--start auto --quality high"),
  encode("begun", "--start auto --quality low"),
  encode("trained", "--start auto --quality low"),
  encode("trained", "--start auto --bits 2"),
  encode("begun", "--start auto --bits 8"),
  encode("trained", "--start auto --bits 14"),
  encode("late", "--start auto"),
  encode("later", "--start auto"),
  "lqa encode next -o OUT --parent linear.lqa --max-error 2% --step 20",
  "lqa encode both -o OUT --parent linear.lqa --max-error 2%",
  ...[1, 3, 4].map((bits) => encode("linear", `--profile rtn --code-bits ${bits}`)),
  ...perGroup.map((group) => encode("linear", `--profile rtn --group ${group}`)),
  ...perGroup.map((group) => encode("linear", `--profile sign --group ${group}`)),
  encode("tiny", "--profile rtn"),
  encode("tiny", "--profile sign"),
  ...["f32", "f16", "bf16"].map((element) => encode("linear", `--profile raw --element ${element}`)),
  ...between(2, 12).map((e) => encode("linear", `--align ${2 ** e}`)),
];
