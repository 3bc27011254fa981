/** A module applied twice: by the kernel, and by plain code. */
import { inputLength } from "../../src/core/index.ts";
import { rowsOf } from "../../src/serve/activations.ts";
import { applyRowsPlainly } from "../../src/serve/apply.ts";
import { applyPacked, type ResidentModule } from "../../src/serve/index.ts";

export { applyRowsPlainly, rowsOf };

export function waves(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(i * i));
}

/** y of a module, by the kernel, and by plain code. */
export function applied(
  module: ResidentModule,
  rows: number,
  expert: number,
  batchInvariant: boolean,
): Float32Array[] {
  const x = waves(rows * inputLength(module.shape));
  const [fast, plain] = [waves(rows * module.shape.out), waves(rows * module.shape.out)];
  applyPacked(module, x, fast, { expert, batchInvariant });
  applyRowsPlainly(module, expert, rowsOf(module.shape, x, plain, undefined, batchInvariant), 0);
  return [fast, plain];
}
