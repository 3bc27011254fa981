// One-sided Jacobi rotations, with the same bits as ../../plain-engine.ts (contract: ../../engine.ts).

/** Two columns count as orthogonal if their cosine is below this: a few units of binary64. */
const ORTHOGONAL: f64 = 4 * f64.EPSILON;

/** The squares of two columns, and their product. */
let alpha: f64 = 0;
let beta: f64 = 0;
let gamma: f64 = 0;

function products(p: usize, q: usize, bytes: usize): void {
  let x = 0.0, y = 0.0, z = 0.0;
  for (const end = p + bytes; p < end; p += 8, q += 8) {
    const a = f64.load(p);
    const b = f64.load(q);
    x += a * a;
    y += b * b;
    z += a * b;
  }
  alpha = x;
  beta = y;
  gamma = z;
}

/**
 * Rotates columns p and q of the matrix, and columns at `u` and `v` of the rotations, then sums the products of p with column `next`.
 * The sums take one number after the other, so all the rest is done while they wait.
 */
function rotate(p: usize, q: usize, next: usize, u: usize, v: usize, bytes: usize, cosine: f64, sine: f64): void {
  const c = f64x2.splat(cosine);
  const s = f64x2.splat(sine);
  let x = 0.0, y = 0.0, z = 0.0;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const a = v128.load(p + i);
    const b = v128.load(q + i);
    const rotated = f64x2.sub(f64x2.mul(c, a), f64x2.mul(s, b));
    v128.store(p + i, rotated);
    v128.store(q + i, f64x2.add(f64x2.mul(s, a), f64x2.mul(c, b)));
    const other = v128.load(next + i);
    const xx = f64x2.mul(rotated, rotated);
    const yy = f64x2.mul(other, other);
    const zz = f64x2.mul(rotated, other);
    x = x + f64x2.extract_lane(xx, 0) + f64x2.extract_lane(xx, 1);
    y = y + f64x2.extract_lane(yy, 0) + f64x2.extract_lane(yy, 1);
    z = z + f64x2.extract_lane(zz, 0) + f64x2.extract_lane(zz, 1);
    const d = v128.load(u + i);
    const e = v128.load(v + i);
    v128.store(u + i, f64x2.sub(f64x2.mul(c, d), f64x2.mul(s, e)));
    v128.store(v + i, f64x2.add(f64x2.mul(s, d), f64x2.mul(c, e)));
  }
  if (i < bytes) {
    const a = f64.load(p + i);
    const b = f64.load(q + i);
    const rotated = cosine * a - sine * b;
    f64.store(p + i, rotated);
    f64.store(q + i, sine * a + cosine * b);
    const other = f64.load(next + i);
    x += rotated * rotated;
    y += other * other;
    z += rotated * other;
    const d = f64.load(u + i);
    const e = f64.load(v + i);
    f64.store(u + i, cosine * d - sine * e);
    f64.store(v + i, sine * d + cosine * e);
  }
  alpha = x;
  beta = y;
  gamma = z;
}

/** One sweep over all pairs of columns of a k × k matrix. Returns whether anything was rotated. */
export function rotateAll(matrix: usize, rotations: usize, k: usize): bool {
  const bytes = k << 3;
  let any = false;
  for (let p: usize = 0; p + 1 < k; p++) {
    const pAt = matrix + p * bytes;
    products(pAt, pAt + bytes, bytes);
    for (let q = p + 1; q < k; q++) {
      const qAt = matrix + q * bytes;
      // After the last pair of p the sums are not needed.
      const next = q + 1 < k ? qAt + bytes : pAt;
      if (!(abs(gamma) > ORTHOGONAL * sqrt(alpha) * sqrt(beta))) {
        products(pAt, next, bytes);
        continue;
      }
      const zeta = (beta - alpha) / (2 * gamma);
      const magnitude = abs(zeta);
      const t = magnitude > 1e150 ? 0.5 / magnitude : 1 / (magnitude + sqrt(1 + zeta * zeta));
      const tangent = zeta >= 0 ? t : -t;
      const cosine = 1 / sqrt(1 + tangent * tangent);
      rotate(pAt, qAt, next, rotations + p * bytes, rotations + q * bytes, bytes, cosine, cosine * tangent);
      any = true;
    }
  }
  return any;
}
