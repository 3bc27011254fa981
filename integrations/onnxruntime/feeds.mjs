/**
 * The factors of an .lqa file as inputs of an ONNX graph, in browsers as in Node: no file is written.
 *
 * @module
 */
/**
 * @param {import("lqa").LqaFile} file of `open`
 * @param {typeof import("onnxruntime-common").Tensor} Tensor onnxruntime-node's or onnxruntime-web's
 * @returns {Promise<Record<string, import("onnxruntime-common").Tensor>>} A as (in, rank), multiplier · B as (rank, out)
 */
export async function loraFeeds(file, Tensor) {
  const feeds = {};
  // Component after component: B is (rank, out) already, and A (rank, in) is turned.
  for await (const { name, a, b } of file.decodeAll({ layout: "component", multiplier: true })) {
    const [rank, inputs] = a.shape;
    feeds[`${name}.lora_A.weight`] = new Tensor("float32", transposed(a.data, rank, inputs), [inputs, rank]);
    feeds[`${name}.lora_B.weight`] = new Tensor("float32", b.data, b.shape);
  }
  return feeds;
}

/** No adapter: factors of rank 0. */
export function noFeeds(layers, Tensor) {
  return Object.fromEntries(
    layers.flatMap(({ name, in: inputs, out }) => [
      [`${name}.lora_A.weight`, new Tensor("float32", new Float32Array(), [inputs, 0])],
      [`${name}.lora_B.weight`, new Tensor("float32", new Float32Array(), [0, out])],
    ]),
  );
}

function transposed(values, rows, columns) {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++)
      turned[column * rows + row] = values[row * columns + column];
  }
  return turned;
}
