/**
 * The components of a module by the SVD of ml-matrix. Independent of the library's own linear algebra, so that a fault there cannot
 * hide itself.
 *
 * @module
 */
import { Matrix, QrDecomposition, SingularValueDecomposition } from "ml-matrix";
import type { LoraModule } from "../../src/core/index.ts";

/** A component: its singular value in B · A, and its vectors of B' and A', whose lengths are the root of it. The largest entry of b is positive. */
export interface Component {
  readonly strength: number;
  readonly b: readonly number[];
  readonly a: readonly number[];
}

/** The components of a linear module without experts whose rank is below its sizes, strongest first. */
export function componentsOf({ out, in: inputs, rank, b, a }: LoraModule): Component[] {
  const outer = new QrDecomposition(Matrix.from1DArray(out, rank, b));
  const inner = new QrDecomposition(Matrix.from1DArray(rank, inputs, a).transpose());
  const core = outer.upperTriangularMatrix.mmul(inner.upperTriangularMatrix.transpose());
  const found = new SingularValueDecomposition(core);
  const left = outer.orthogonalMatrix.mmul(found.leftSingularVectors);
  const right = inner.orthogonalMatrix.mmul(found.rightSingularVectors);
  return found.diagonal.map((strength, c) => {
    const [column, row] = [left.getColumn(c), right.getColumn(c)];
    const largest = column.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0);
    const factor = Math.sign(largest) * Math.sqrt(strength);
    return { strength, b: column.map((x) => x * factor), a: row.map((x) => x * factor) };
  });
}
