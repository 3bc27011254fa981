// Texts made by a grammar rather than by changing bytes: nested groups and counted repeats of regular expressions, and
// configurations whose every field may hold what no program writes there.

/** One of some values. */
export const pick = (random, values) => values[random(values.length)];
const times = (random, most, make) => Array.from({ length: random(most + 1) }, make);

const CHARACTERS = [
  ..."abqv01_.-",
  "é",
  "\\.",
  "\\-",
  "\\d",
  "\\w",
  "\\W",
  "\\s",
  "\\S",
  "\\D",
  ".",
  "]",
  "}",
  ",",
];
const COUNTS = [0, 1, 2, 3, 7, 32, 100, 999, 20000, 65536, "99999999999999999999"];

/** A regular expression of Python, mostly sound. `depth`: how deep its groups may nest. */
export function pattern(random, depth = 4) {
  const branches = 1 + (random(4) === 0 ? random(3) : 0);
  return Array.from({ length: branches }, () => sequence(random, depth)).join("|");
}

function sequence(random, depth) {
  const items = times(random, 4, () => atom(random, depth) + quantifier(random));
  if (random(12) === 0) items.unshift("^");
  if (random(12) === 0) items.push("$");
  return items.join("");
}

function atom(random, depth) {
  const kind = random(12);
  if (kind < 3 && depth > 0) return `(${random(3) === 0 ? "?:" : ""}${pattern(random, depth - 1)})`;
  if (kind === 3) return set(random);
  if (kind === 4) return pick(random, ["q_proj", "model\\.", "layers.", "k_proj", "0.", ".*"]);
  // Now and then what is refused, or means nothing.
  if (kind === 5 && random(6) === 0)
    return pick(random, [
      "(?i)",
      "(?=a)",
      "\\1",
      "\\Z",
      "(?P<n>a)",
      "[",
      "(",
      ")",
      "*",
      "{2",
      "{,3}",
      "{}",
      "\\",
      "[b-a]",
      ")|(",
    ]);
  return pick(random, CHARACTERS);
}

function set(random) {
  const members = times(random, 6, () =>
    pick(random, ["a", "b-d", "0-9", "_", ".", "q", "\\d", "\\w", "\\W", "\\.", "\\]", "^", "é-ü", "]", "-"]),
  );
  return `[${random(4) === 0 ? "^" : ""}${members.join("") || "a"}]`;
}

function quantifier(random) {
  const kind = random(16);
  if (kind < 8) return "";
  const lazy = random(8) === 0 ? "?" : "";
  if (kind < 13) return pick(random, ["*", "+", "?"]) + lazy;
  // Large counts rarely: what they multiply to ends the work at once.
  const count = () => pick(random, random(8) === 0 ? COUNTS : COUNTS.slice(0, 5));
  return pick(random, [`{${count()}}`, `{${count()},}`, `{,${count()}}`, `{${count()},${count()}}`]) + lazy;
}

/** A path that some of these expressions match. */
export function path(random) {
  return times(random, 5, () =>
    pick(random, ["a", "b", "q_proj", "k_proj", "model", "layers", "0", "11", "é", "v-1", ""]),
  ).join(".");
}

const FIELDS = [
  ...[
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "fan_in_fan_out",
    "bias",
  ],
  ...[
    "lora_bias",
    "use_dora",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "target_modules",
  ],
  ...[
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "init_lora_weights",
    "lora_dropout",
    "revision",
  ],
  ...[
    "base_model_name_or_path",
    "peft_version",
    "eva_config",
    "loftq_config",
    "layer_replication",
    "use_qalora",
  ],
  ...[
    "megatron_config",
    "arrow_config",
    "alora_invocation_tokens",
    "fine_tune_type",
    "lora_parameters",
    "lora_layers",
  ],
  ...["scale", "rank", "alpha", "model", "num_attention_heads", "weight_map", "__proto__", "constructor", ""],
];
const METHODS = [
  "LORA",
  "LORA",
  "LORA",
  "LORA",
  "ADALORA",
  "IA3",
  "LOHA",
  "LOKR",
  "OFT",
  "VERA",
  "PREFIX_TUNING",
  "lora",
  "",
];

/** A configuration: fields of all methods with values that are right, hostile, or of another type. */
export function configuration(random) {
  const fields = new Map();
  if (random(16) > 0) fields.set("peft_type", JSON.stringify(pick(random, METHODS)));
  for (let more = random(8); more > 0; more--) {
    const field = pick(random, FIELDS);
    fields.set(field, random(3) === 0 ? value(random, 4) : fieldValue(random, field));
  }
  const text = [...fields].map(([key, json]) => `${JSON.stringify(key)}:${json}`);
  // A field that is there twice.
  if (random(32) === 0 && text.length > 0) text.push(text[0]);
  return `{${text.join(",")}}`;
}

function fieldValue(random, field) {
  const list = (make, most = 6) => `[${times(random, most, make).join(",")}]`;
  const table = (key, make) =>
    `{${[...new Map(times(random, 5, () => [JSON.stringify(key()), make()]))].map((pair) => pair.join(":")).join(",")}}`;
  const name = () => JSON.stringify(path(random));
  switch (field) {
    case "peft_type":
      return '"LORA"';
    case "rank_pattern":
    case "alpha_pattern":
      return table(
        () => pattern(random),
        () => number(random),
      );
    case "modules_to_save":
    case "target_parameters":
    case "target_modules":
    case "exclude_modules":
      return list(name, random(8) === 0 ? 400 : 6);
    case "trainable_token_indices":
      return random(2) === 0
        ? list(() => number(random))
        : table(
            () => path(random),
            () => list(() => number(random)),
          );
    case "bias":
      return pick(random, ['"none"', '"all"', '"lora_only"', '"x"']);
    case "fine_tune_type":
      return pick(random, ['"lora"', '"dora"', '"full"']);
    case "lora_parameters":
      return table(
        () => pick(random, ["rank", "scale", "alpha", "keys"]),
        () => number(random),
      );
    case "weight_map":
      return table(
        () => path(random),
        () => pick(random, ['"a.safetensors"', '"../x"', '"a/b"', "1"]),
      );
    case "init_lora_weights":
      return pick(random, ["true", '"pissa"', '"gaussian"', '"pissa_niter_9"', '"x"']);
    default:
      return pick(random, ["true", "false", "null", number(random), name()]);
  }
}

function number(random) {
  return pick(random, [
    "2",
    "2",
    "2",
    "4",
    "0",
    "-1",
    "1e400",
    "1e-400",
    "0.1",
    "9007199254740993",
    "-0",
    "1e308",
    "4294967296",
    "01",
    "+1",
  ]);
}

function value(random, depth) {
  const kind = random(depth > 0 ? 8 : 5);
  if (kind === 0) return number(random);
  if (kind === 1) return pick(random, ["null", "true", "false", "nul", "NaN", ""]);
  if (kind < 5)
    return pick(random, [
      '"x"',
      '"\\ud800"',
      '"\\u0000"',
      '"\\u202e"',
      `"${"x".repeat(random(300))}"`,
      '"\\x"',
    ]);
  if (kind === 5) return `[${times(random, 5, () => value(random, depth - 1)).join(",")}]`;
  if (kind === 6) return "[".repeat(random(40)) + "]".repeat(random(40));
  return `{${times(random, 4, () => `"${pick(random, ["a", "b", "r", "__proto__"])}":${value(random, depth - 1)}`).join(",")}}`;
}
