// zstd frames with entropy-coded blocks, as bytes: made once by zstd 1.5 at level 19 and kept, so that making the suite
// needs no compressor. The payloads are formulas.
import { f32, text } from "./bytes.mjs";
import { meta } from "./messagepack.mjs";

const words = "low rank adapters change layers of a base model by updates of low rank; ";
export const payloads = {
  text: { payload: text(words.repeat(3) + words.toUpperCase()), width: 1 },
  "two-blocks": { payload: Uint8Array.from({ length: 140000 }, (_, i) => ((i >> 10) * 7) & 15), width: 1 },
  "shuffled-ramp": { payload: f32(...Array.from({ length: 96 }, (_, i) => i / 64)), width: 4 },
};
const ORIG_DOCUMENT = {
  adapter_config: JSON.stringify({
    base_model_name_or_path: "tiny",
    bias: "none",
    lora_alpha: 16,
    peft_type: "LORA",
    r: 8,
    target_modules: ["q_proj", "v_proj"],
    task_type: "CAUSAL_LM",
  }),
  dialect: "peft",
};
const FRAMES = {
  text: "KLUv/WAgAK0DAOJGFxhQdw6zomZfNyBwM2bRSId6pJqZwcnM7IQHmFmYNH+CR4byOC8bfD/IZ+OZQLYQvijMJAv3BrLKHRkPUK5n1v2DXunErNOtofcl7Ot6Ol1NRd80ymU9+9XV2j2sBgcAQSiQzxjEBLmxIO0Ak83nDcKaeQ==",
  "two-blocks":
    "KLUv/aDgIgIAxAEAgAAHDgUMAwoBCA8GDQQLAgkRqDA+8PXPEP7//9+vHf2/AwB//vz58+c/f/788+fPnz9//vw5nwFVAAAAAgDeDnrgv7pA",
  "shuffled-ramp":
    "KLUv/WCAAJUDAFQGAIAAQICgwOAAECAwQFBgcICIkJigqLC4wMjQ2ODo8PgABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICChIaIioyOkJKUlpianJ6goqSmqKqsrrCytLa4ury+ADw9Pj8EEACUpJ4onB4lBA==",
  orig: "KLUv/SC1VQIA+IKuYWRhcHRlctmWeyJ0aW55Iiw4LFtdLH2npHBlZnQPIBBQsa0HJpVxI6TgyBSJr8UlbVB6FrnQYA4OwKwOLAPvk5kAsqOCS44=",
};
const frame = (name) => Uint8Array.from(Buffer.from(FRAMES[name], "base64"));
const plain = (name) => ({
  payload: payloads[name].payload,
  element: "U8",
  shape: [payloads[name].payload.length],
  compression: 1,
  stored: frame(name),
});

export const CODED = {
  tensors: {
    text: plain("text"),
    "two-blocks": plain("two-blocks"),
    "shuffled-ramp": {
      payload: payloads["shuffled-ramp"].payload,
      element: "F32",
      shape: [96],
      compression: 2,
      stored: frame("shuffled-ramp"),
    },
  },
  orig: { document: ORIG_DOCUMENT, payload: meta(ORIG_DOCUMENT), stored: frame("orig") },
};
