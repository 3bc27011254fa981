// Inputs made from others, by plain mutation: bits, bytes, numbers at which parsers decide, stretches copied, added and cut.

/** Values at which parsers decide. */
const NUMBERS = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 1024, 4095, 4096]
  .concat([32767, 32768, 65535, 65536, 2 ** 20, 2 ** 24, 2 ** 26, 2 ** 30, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])
  .concat([0x7fc00000, 0x7f800000, 0x80000000]);

/** sfc32 (Small Fast Counter of PractRand): 128 bits of state, so that runs of 10^8 inputs do not go in a circle. */
export function generator(seed) {
  let [a, b, c, count] = [0, seed | 0, Math.imul(seed, 2654435761), 1];
  const next = () => {
    const result = (a + b + count++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + result) | 0;
    return result >>> 0;
  };
  for (let i = 0; i < 12; i++) next();
  return (below) => next() % below;
}

/** One input, made from the corpus. Its last byte is the variant. */
export function mutate(corpus, random) {
  const origin = corpus[random(corpus.length)];
  let data = Buffer.from(origin);
  for (let changes = 1 + random(1 + random(8)); changes > 0; changes--) {
    const at = random(data.length);
    switch (random(10)) {
      case 0:
      case 1:
        data[at] ^= 1 << random(8);
        break;
      case 2:
        data[at] = random(256);
        break;
      case 3:
        data[at] = NUMBERS[random(NUMBERS.length)];
        break;
      case 4:
        if (data.length >= 4)
          data.writeUInt32LE(NUMBERS[random(NUMBERS.length)] >>> 0, random(data.length - 3) & ~3);
        break;
      case 5:
        if (data.length >= 2)
          data.writeUInt16LE(NUMBERS[random(NUMBERS.length)] & 65535, random(data.length - 1) & ~1);
        break;
      case 6: {
        // A stretch of this or another input, copied to somewhere else.
        const from = corpus[random(corpus.length)];
        const start = random(from.length);
        from.copy(data, at, start, Math.min(from.length, start + 1 + random(32)));
        break;
      }
      case 7: {
        const extra = random(9);
        data = Buffer.concat([data.subarray(0, at), Buffer.alloc(extra, random(256)), data.subarray(at)]);
        break;
      }
      case 8:
        if (random(4) === 0)
          data = Buffer.concat([
            data.subarray(0, at),
            data.subarray(Math.min(data.length, at + 1 + random(16))),
          ]);
        break;
      default:
        data[at] = data[at] + (random(2) === 0 ? 1 : 255);
    }
    if (data.length === 0) data = Buffer.of(0);
  }
  if (random(4) === 0) data[data.length - 1] = random(256);
  return data;
}
