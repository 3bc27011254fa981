/**
 * A small ONNX model whose LoRA factors are inputs of the graph: y = x · W + (x · A) · B for each of its layers, one after the other,
 * with the names that `lqa decode --to onnx` writes. The rank is left open, so that one model takes any adapter; rank 0 is none.
 *
 * @module
 */

/* Protocol buffers, as much as the model needs. */
const varint = (value) => {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    const low = Number(rest & 127n);
    if (rest < 128n) return [...bytes, low];
    bytes.push(low | 128);
  }
};
const number = (field, value) => [...varint(field << 3), ...varint(value)];
const bytes = (field, value) => [...varint((field << 3) | 2), ...varint(value.length), ...value];
const text = (field, value) => bytes(field, new TextEncoder().encode(value));

const FLOAT = 1;
const dimension = (size) => bytes(1, typeof size === "string" ? text(2, size) : number(1, size));
const valueInfo = (name, shape) => {
  const tensor = [...number(1, FLOAT), ...bytes(2, shape.flatMap(dimension))];
  return [...text(1, name), ...bytes(2, bytes(1, tensor))];
};
const node = (type, inputs, output) => [
  ...inputs.flatMap((name) => text(1, name)),
  ...text(2, output),
  ...text(4, type),
];
const initializer = (name, shape, values) => [
  ...shape.flatMap((size) => number(1, size)),
  ...number(2, FLOAT),
  ...text(8, name),
  ...bytes(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
];

/**
 * @param {readonly { name: string, in: number, out: number, weight: Float32Array }[]} layers weights as (in, out); each
 *   layer's input is the output of the one before it
 * @param {{ defaults?: boolean }} options defaults: factors of rank 0 are the default. ONNX Runtime's own loader of adapters
 *   asks for that; its JavaScript packages, which pass over inputs that have a default, for the contrary
 * @returns {Uint8Array} the model
 */
export function loraModel(layers, { defaults = false } = {}) {
  const graph = [];
  let value = "x";
  for (const { name } of layers) {
    const [a, b] = [`${name}.lora_A.weight`, `${name}.lora_B.weight`];
    for (const each of [
      node("MatMul", [value, `${name}.weight`], `${name}.base`),
      node("MatMul", [value, a], `${name}.down`),
      node("MatMul", [`${name}.down`, b], `${name}.up`),
      node("Add", [`${name}.base`, `${name}.up`], `${name}.out`),
    ]) {
      graph.push(...bytes(1, each));
    }
    value = `${name}.out`;
  }
  graph.push(...text(2, "lora"));
  for (const { name, in: inputs, out, weight } of layers) {
    graph.push(...bytes(5, initializer(`${name}.weight`, [inputs, out], weight)));
    if (!defaults) continue;
    graph.push(...bytes(5, initializer(`${name}.lora_A.weight`, [inputs, 0], new Float32Array())));
    graph.push(...bytes(5, initializer(`${name}.lora_B.weight`, [0, out], new Float32Array())));
  }
  graph.push(...bytes(11, valueInfo("x", ["rows", layers[0].in])));
  for (const { name, in: inputs, out } of layers) {
    graph.push(...bytes(11, valueInfo(`${name}.lora_A.weight`, [inputs, `${name}.rank`])));
    graph.push(...bytes(11, valueInfo(`${name}.lora_B.weight`, [`${name}.rank`, out])));
  }
  graph.push(...bytes(12, valueInfo(value, ["rows", layers.at(-1).out])));
  const opset = number(2, 17);
  return Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, opset)]);
}
