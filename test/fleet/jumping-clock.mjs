// Preloaded into a process: its clock jumps by up to a day, back and forth, every 2 seconds of real time.
const Real = Date;
const now = () => {
  const real = Real.now();
  const step = Math.floor(real / 2000);
  return real + ((Math.imul(step, 2654435761) >>> 0) / 2 ** 31 - 1) * 86_400_000;
};
globalThis.Date = class extends Real {
  constructor(...words) {
    super(...(words.length === 0 ? [now()] : words));
  }
  static now() {
    return Math.floor(now());
  }
};
