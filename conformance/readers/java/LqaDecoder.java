// SPDX-License-Identifier: CC0-1.0
//
// A decoder of .lqa files (clause 2.4), written from Part 1 of spec/lqa-v1.md alone. Numbers in comments are its clauses.
// It trusts a file to be valid and checks what 2.4 demands. Weights come as f32, component by component: [experts][rank][n].
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.zip.CRC32;

final class LqaDecoder {
  /** Why a file is not decoded: the name of an error of the specification. */
  static final class Refused extends RuntimeException {
    Refused(String name) { super(name); }
  }

  static final int B = 0, A = 1, MIXTURE = 2; // factors
  private static final int ZERO = 0, RAW = 1, AFFINE = 2, SIGN = 3, TRELLIS = 4, F32 = 1, F16 = 2, BF16 = 3;
  private static final int STEP_BITS[] = {0, 1, 1, 3, 2, 3, 4}, STEP_WEIGHTS[] = {0, 2, 1, 2, 1, 1, 1}; // 8.6
  private static final int START = 1 << 5, PARENT = 1 << 6, KNOWN = 127, STATE = 624;

  record Encoding(int codec, int element, int scale, int bits, int mixture, int groupExponent, int table, int rotation) {
    long groups(long n) {
      return codec < AFFINE ? 0 : groupExponent == 0 ? 1 : n + (1L << groupExponent) - 1 >> groupExponent;
    }
    long codeBytes(long n) { // of a component
      return switch (codec) {
        case RAW -> n * (element == F32 ? 4 : 2);
        case AFFINE -> (n * bits + 7) / 8;
        case SIGN -> (n + 7) / 8;
        case TRELLIS -> ((n + STEP_WEIGHTS[table] - 1) / STEP_WEIGHTS[table] * STEP_BITS[table] + 7) / 8;
        default -> 0;
      };
    }
    long zeroBytes(long n) { return codec == AFFINE ? (groups(n) * bits + 7) / 8 : 0; }
  }

  record Band(int components, Encoding b, Encoding a) {
    Encoding of(int factor) {
      if (factor != MIXTURE) return factor == B ? b : a;
      return a.mixture == 0 ? new Encoding(ZERO, 0, 0, 0, 0, 0, 0, 0) : new Encoding(AFFINE, 0, BF16, a.mixture, 0, 0, 0, 0); // 8.8.2
    }
  }

  /** A factor of a band; `at`: where its codes, zero points and scales begin in the payload of expert 0. */
  private record Plane(Encoding encoding, int components, int factor, long n, long[] at) {}

  static final class Module {
    String name;
    long out, in, vectorIn; // vectorIn: in times kernel
    float multiplier;
    int experts, rank, parent; // parent: 1 + the number of its module in the parent, or 0
    Band[] bands;
    boolean started;
    private long offset, position, stride;
    private int length, drawsBefore;
    private int[] state; // of the generator, not more than 624 draws before those of the module
    private final List<Plane> planes = new ArrayList<>();

    long n(int factor) { return factor == B ? out : factor == A ? vectorIn : rank; }
    long decodedBytes() { return Math.multiplyExact(4L * rank * experts, Math.addExact(out, vectorIn)); }
  }

  /** A vector of the index: where its elements begin, and how many there are. */
  private record Vector(long at, int count) {}

  final List<Module> modules = new ArrayList<>();
  /** The content id that the file names as its parent's, or null, and the one that it stores as its own. */
  byte[] parentId;
  final byte[] contentId;
  private final int[][] tables;
  private final ByteBuffer file;
  private final LqaDecoder parent;
  private final long indexLength;

  /** Opens a file. `tables` are the entries of the trellis tables by number (8.6); `parents` files of which one may be the parent. */
  LqaDecoder(byte[] bytes, int[][] tables, List<LqaDecoder> parents) {
    this.tables = tables;
    file = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    if (bytes.length < 64) throw new Refused("TRUNCATED_PROLOGUE");
    if (file.getLong(0) != 0x0A1A0A0D41514C89L) throw new Refused("BAD_MAGIC");
    if (crc(0, 60) != file.getInt(60)) throw new Refused("PROLOGUE_CRC");
    if (u16(8) != 1) throw new Refused("UNSUPPORTED_VERSION");
    int required = file.getInt(12);
    if ((required & ~KNOWN) != 0) throw new Refused("UNSUPPORTED_FEATURE");
    if (file.getLong(24) != bytes.length) throw new Refused(file.getLong(24) > bytes.length ? "TRUNCATED_FILE" : "TRAILING_BYTES");
    indexLength = u32(32);
    if (64 + indexLength > bytes.length) throw new Refused("TRUNCATED_FILE");
    if (crc(64, indexLength) != file.getInt(56)) throw new Refused("INDEX_CRC");
    contentId = Arrays.copyOfRange(bytes, Math.max(0, (int) (bytes.length - 64 - u32(bytes.length - 24))), bytes.length);

    Encoding[] encodings = new Encoding[vector(0, 8).count];
    for (int i = 0; i < encodings.length; i++) encodings[i] = encoding(vector(0, 8).at + 8 * i);
    Vector bands = vector(1, 4), counts = vector(2, 2), types = vector(3, 28), records = vector(4, 12), names = vector(8, 1);
    Band[][] plans = new Band[counts.count][];
    long at = bands.at;
    for (int i = 0; i < plans.length; i++) {
      plans[i] = new Band[u16(counts.at + 2 * i)];
      for (int k = 0; k < plans[i].length; k++, at += 4) {
        if (at + 4 > bands.at + 4L * bands.count) throw new Refused("RECORD_REFERENCE");
        plans[i][k] = new Band(u16(at), encodings[u8(at + 2)], encodings[u8(at + 3)]);
      }
    }
    long alignment = 1L << u8(48), next = align(64 + indexLength, alignment), nameAt = names.at;
    Vector starts = (required & START) == 0 ? null : vector(9, 4), positions = starts == null ? null : vector(10, 4);
    Vector ids = (required & PARENT) == 0 ? null : vector(11, 4), numbers = ids == null ? null : vector(12, 4);
    byte[] name = {};
    int started = 0;
    for (int i = 0; i < records.count; i++) {
      long record = records.at + 12L * i, type = types.at + 28L * u16(record + 8);
      if (type >= types.at + 28L * types.count) throw new Refused("RECORD_REFERENCE");
      Module m = new Module();
      int suffix = u16(record + 4), shared = u8(record + 6);
      if (nameAt + suffix > names.at + names.count || shared > name.length) throw new Refused("NAME_HEAP"); // 6.10
      name = Arrays.copyOf(name, shared + suffix);
      file.get((int) nameAt, name, shared, suffix);
      nameAt += suffix;
      m.name = new String(name, StandardCharsets.UTF_8);
      m.out = u32(type);
      m.in = m.vectorIn = u32(type + 4);
      for (int k = 16; k < 22; k += 2) m.vectorIn = Math.multiplyExact(m.vectorIn, Math.max(1, u16(type + k)));
      m.multiplier = file.getFloat((int) type + 8);
      m.experts = u16(type + 22);
      m.bands = plans[u16(record + 10)];
      for (Band band : m.bands) {
        m.rank += band.components;
        m.started |= band.a.mixture != 0;
      }
      if (m.started) m.position = u32(element(positions, started++));
      m.parent = numbers == null ? 0 : file.getInt((int) element(numbers, i));
      m.offset = next;
      m.length = file.getInt((int) record);
      long payload = layOut(m);
      if (payload + 4 != (m.length & 0xFFFFFFFFL)) throw new Refused("CHUNK_LENGTH_MISMATCH");
      if (m.offset + payload + 4 > bytes.length) throw new Refused("TRUNCATED_FILE");
      next = align(m.offset + m.length, alignment);
      modules.add(m);
    }
    if (starts != null) generate(starts);
    LqaDecoder found = null;
    if (ids != null) {
      parentId = new byte[32];
      file.get((int) element(ids, 0), parentId);
      for (LqaDecoder one : parents) if (Arrays.equals(parentId, 0, 32, one.contentId, 0, 32)) found = one;
    }
    parent = found;
  }

  private Encoding encoding(long at) { // 6.4
    Encoding e = new Encoding(u8(at), u8(at + 1), u8(at + 2), u8(at + 3), u8(at + 4), u8(at + 5), u8(at + 6), u8(at + 7));
    boolean known = e.codec <= TRELLIS && (e.codec != RAW || e.element >= F32 && e.element <= BF16)
        && (e.codec < AFFINE || e.scale == F16 || e.scale == BF16)
        && (e.codec != TRELLIS || e.table >= 1 && e.table <= 6 && e.rotation <= 1);
    if (!known) throw new Refused("UNSUPPORTED_CODEC");
    boolean allowed = e.mixture == 0 || e.mixture <= 8 && (file.getInt(12) & START) != 0;
    if (!allowed || e.codec == AFFINE && (e.bits < 1 || e.bits > 8) || e.groupExponent > 10) throw new Refused("ENCODING_PARAMETER");
    return e;
  }

  /** The vector of a slot of the root table, with elements of `size` bytes (6.1). */
  private Vector vector(int slot, int size) {
    long table = 64 + inIndex(u32(64), 4), vtable = 64 + inIndex(table - 64 - file.getInt((int) table), 4);
    long entry = vtable + 4 + 2 * slot;
    long place = 4 + 2 * slot < u16(vtable) ? u16(64 + inIndex(entry - 64, 2)) : 0;
    if (place == 0) throw new Refused("INDEX_FIELD_MISSING");
    long field = 64 + inIndex(table - 64 + place, 4), at = 64 + inIndex(field - 64 + u32(field), 4);
    long count = u32(at);
    if (at + 4 + count * size > 64 + indexLength) throw new Refused("INDEX_VECTOR");
    return new Vector(at + 4, (int) count);
  }

  private long inIndex(long at, int size) {
    if (at < 0 || at + size > indexLength) throw new Refused("INDEX_TABLE");
    return at;
  }

  private static long element(Vector vector, int i) {
    if (i >= vector.count) throw new Refused("RECORD_REFERENCE");
    return vector.at + 4L * i;
  }

  /** Places the planes of a module (7.2, 7.3) and returns the bytes of its payload. */
  private static long layOut(Module m) {
    for (int factor = B; factor <= (m.started ? MIXTURE : A); factor++)
      for (Band band : m.bands) m.planes.add(new Plane(band.of(factor), band.components, factor, m.n(factor), new long[3]));
    long at = 0;
    for (Plane p : m.planes) {
      p.at[0] = p.encoding.codec == RAW ? at = align(at, p.encoding.element == F32 ? 4 : 2) : at;
      at = Math.addExact(at, Math.multiplyExact(p.components, p.encoding.codeBytes(p.n)));
    }
    for (Plane p : m.planes) at = (p.at[1] = at) + p.components * p.encoding.zeroBytes(p.n);
    at = align(at, 2);
    for (Plane p : m.planes) at = (p.at[2] = at) + p.components * p.encoding.groups(p.n) * 2;
    m.stride = align(at, 16);
    return Math.addExact(Math.multiplyExact(m.stride, (long) m.experts - 1), at);
  }

  /** Whether the weights of a module can be had: false without its parent. */
  boolean canDecode(Module m) {
    return m.parent == 0 || parent != null && parent.canDecode(parentOf(m));
  }

  private Module parentOf(Module m) {
    if (m.parent < 0 || m.parent > parent.modules.size()) throw new Refused("PARENT_MISMATCH");
    return parent.modules.get(m.parent - 1);
  }

  /** A factor, B or A, as f32. The caller has compared decodedBytes with its budget. */
  float[] decode(Module m, int factor) {
    int at = (int) m.offset, payload = m.length - 4, n = (int) m.n(factor);
    if (crc(at, payload) != file.getInt(at + payload)) throw new Refused("CHUNK_CRC");
    float[] weights = new float[Math.toIntExact((long) m.experts * m.rank * n)];
    int[][] draws = m.started && factor == A ? draws(m, n) : null;
    int to = 0;
    for (int expert = 0; expert < m.experts; expert++)
      for (int k = 0; k < m.planes.size(); k++) {
        Plane p = m.planes.get(k);
        long base = m.offset + expert * m.stride;
        for (int i = 0; i < p.components && p.factor == factor; i++, to += n) {
          decodeVector(p, i, base, weights, to);
          if (draws != null && p.encoding.mixture != 0) mix(m.planes.get(k + m.bands.length), i, base, draws, weights, to, n);
        }
      }
    if (m.parent != 0) addParent(m, factor, weights, n);
    return weights;
  }

  private void decodeVector(Plane p, int component, long base, float[] w, int to) {
    Encoding e = p.encoding;
    int n = (int) p.n;
    long codes = base + p.at[0] + component * e.codeBytes(n), zeros = base + p.at[1] + component * e.zeroBytes(n);
    long scales = base + p.at[2] + component * e.groups(n) * 2;
    int[] integers = e.codec == TRELLIS ? trellis(e, codes, n) : null;
    for (int i = 0; i < n && e.codec != ZERO; i++) {
      if (e.codec == RAW) {
        w[to + i] = e.element == F32 ? file.getFloat((int) codes + 4 * i) : small(codes + 2L * i, e.element);
        continue;
      }
      int group = e.groupExponent == 0 ? 0 : i >> e.groupExponent;
      float s = small(scales + 2L * group, e.scale);
      if (e.codec == AFFINE) w[to + i] = (bits(codes, (long) i * e.bits, e.bits) - bits(zeros, (long) group * e.bits, e.bits)) * s;
      else if (e.codec == SIGN) w[to + i] = bits(codes, i, 1) == 0 ? s : -s;
      else w[to + i] = integers[i] * s;
    }
  }

  private int[] trellis(Encoding e, long codes, int n) { // 8.6
    int k = STEP_BITS[e.table], v = STEP_WEIGHTS[e.table], window = 0;
    int[] t = new int[n];
    for (int i = 0; i < n; i++) {
      if (i % v == 0) window = window >> k | bits(codes, (long) (i / v) * k, k) << 8 - k;
      t[i] = tables[e.table][window * v + i % v];
    }
    if (e.rotation == 0) return t;
    int c = n / 64; // 8.6.1
    for (int i = 64 * c; i < n; i++) t[i] *= 8;
    for (int h = c; h < 64 * c; h *= 2)
      for (int i = 0; i < 64 * c; i++) {
        if ((i / h & 1) != 0) continue;
        int sum = t[i] + t[i + h];
        t[i + h] = t[i] - t[i + h];
        t[i] = sum;
      }
    for (int r = 0; r < 64; r++)
      for (int i = 0; i < c && ((r & r >> 1) + (r >> 2 & r >> 3) + (r >> 4 & r >> 5) & 1) == 1; i++) t[r * c + i] = -t[r * c + i];
    return t;
  }

  private void mix(Plane p, int component, long base, int[][] draws, float[] w, int to, int n) { // 8.8.4
    int bits = p.encoding.bits, rank = draws.length;
    long codes = base + p.at[0] + component * p.encoding.codeBytes(rank);
    int z = bits(base + p.at[1] + component, 0, bits);
    double s = small(base + p.at[2] + 2L * component, BF16) / 32768.0;
    int[] sums = new int[n];
    for (int k = 0; k < rank; k++) {
      int q = bits(codes, (long) k * bits, bits) - z;
      for (int i = 0; i < n; i++) sums[i] += q * draws[k][i];
    }
    for (int i = 0; i < n; i++) w[to + i] = (float) (w[to + i] + s * sums[i]);
  }

  private void addParent(Module m, int factor, float[] w, int n) { // 8.9.3
    Module own = parent == null ? null : parentOf(m);
    if (own == null) throw new Refused("PARENT_MISSING");
    if (own.n(factor) != n || own.experts != m.experts || own.rank > m.rank) throw new Refused("PARENT_MISMATCH");
    float[] p = parent.decode(own, factor);
    int size = own.rank * n;
    for (int i = 0; i < w.length; i++) {
      int expert = i / (m.rank * n), within = i - expert * m.rank * n;
      w[i] += within < size ? p[expert * size + within] : 0f; // -0 + 0 is 0
      if (Float.isInfinite(w[i])) throw new Refused("NONFINITE_VALUE");
    }
  }

  // ---- MT19937 (8.8.3)

  /** Keeps for each module the state of the block in which its draws begin, in one pass over the draws of each state. */
  private void generate(Vector starts) {
    if (starts.count == 0 || u32(starts.at) != 1) throw new Refused("UNSUPPORTED_CODEC");
    List<Module> sorted = new ArrayList<>(modules.stream().filter(m -> m.started).toList());
    sorted.sort(Comparator.comparingLong(m -> m.position));
    int[] x = null;
    long state = -1, at = 0;
    for (Module m : sorted) {
      if (x == null || m.position >> 22 != state) {
        state = m.position >> 22;
        at = 0;
        x = new int[STATE];
        for (int i = 0; i < STATE; i++)
          if (starts.count > 2) x[i] = file.getInt((int) element(starts, (int) (1 + STATE * state + i)));
          else x[i] = i == 0 ? file.getInt((int) element(starts, 1)) : 1812433253 * (x[i - 1] ^ x[i - 1] >>> 30) + i;
      }
      long first = m.position & 0x3FFFFF;
      for (; at + STATE <= first; at += STATE) twist(x);
      m.state = x.clone();
      m.drawsBefore = (int) (first - at);
    }
  }

  private static void twist(int[] x) {
    for (int i = 0; i < STATE; i++) {
      int y = x[i] & 0x80000000 | x[(i + 1) % STATE] & 0x7FFFFFFF;
      x[i] = x[(i + 397) % STATE] ^ y >>> 1 ^ ((y & 1) == 0 ? 0 : 0x9908B0DF);
    }
  }

  private static int[][] draws(Module m, int n) {
    int[] x = m.state.clone();
    int[][] z = new int[m.rank][n];
    twist(x);
    int next = m.drawsBefore;
    for (int k = 0; k < m.rank; k++)
      for (int i = 0; i < n; i++) {
        if (next == STATE) twist(x);
        int y = x[next %= STATE];
        next++;
        y ^= y >>> 11;
        y ^= y << 7 & 0x9D2C5680;
        y ^= y << 15 & 0xEFC60000;
        z[k][i] = ((y ^ y >>> 18) >>> 8 & 0xFFFF) - 32768;
      }
    return z;
  }

  // ---- Bytes and numbers (3)

  private int u8(long at) { return file.get((int) at) & 0xFF; }
  private int u16(long at) { return file.getShort((int) at) & 0xFFFF; }
  private long u32(long at) { return file.getInt((int) at) & 0xFFFFFFFFL; }
  private static long align(long x, long to) { return (x + to - 1) / to * to; }

  /** Up to 8 bits of a string that begins at byte `at`, the lowest first. */
  private int bits(long at, long first, int count) {
    long byteAt = at + (first >> 3);
    int shift = (int) (first & 7), x = u8(byteAt);
    if (shift + count > 8) x |= u8(byteAt + 1) << 8;
    return x >> shift & (1 << count) - 1;
  }

  /** An f16 or bf16 as f32. */
  private float small(long at, int element) {
    int h = u16(at);
    if (element == BF16) return Float.intBitsToFloat(h << 16);
    float magnitude = Float.intBitsToFloat((h & 0x7FFF) << 13) * 0x1p112f;
    return (h & 0x8000) == 0 ? magnitude : -magnitude;
  }

  /** The nearest f16 of an f32, ties to even; from 65520 on infinity (3.2, 8.7). */
  static short toF16(float value) {
    int bits = Float.floatToRawIntBits(value), sign = bits >>> 16 & 0x8000;
    float magnitude = Math.abs(value);
    if (magnitude >= 65520) return (short) (sign | 0x7C00);
    if (magnitude < 0x1p-14f) return (short) (sign | (int) Math.rint(magnitude * 0x1p24f));
    int all = bits & 0x7FFFFFFF;
    return (short) (sign | (all + 0xFFF + (all >> 13 & 1) - 0x38000000 >> 13));
  }

  private int crc(long at, long length) {
    CRC32 crc = new CRC32();
    crc.update(file.array(), (int) at, (int) length);
    return (int) crc.getValue();
  }
}
