/**
 * Places labels next to their points so that none covers another label, a mark, or the edge of the plot.
 *
 * The algorithm is greedy and deterministic: each point in turn takes the first free position of a fixed list, nearest first.
 * Labels further away get a leader line to their point. If no position is free, the label takes the nearest and overlaps.
 *
 * @module
 */

/** A label and the point it belongs to. */
export interface LabelledPoint {
  readonly x: number;
  readonly y: number;
  readonly label: string;
}

/** Start or end of a label's baseline, and the end of its leader line if it needs one. */
export interface LabelPlace {
  readonly x: number;
  readonly y: number;
  readonly anchor: "start" | "end";
  readonly leader: { readonly x: number; readonly y: number } | undefined;
}

/** Areas that must stay free. */
export interface Surface {
  readonly plot: {
    readonly left: number;
    readonly right: number;
    readonly top: number;
    readonly bottom: number;
  };
  /** Centres of marks, and places on lines. */
  readonly occupied: readonly { readonly x: number; readonly y: number }[];
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Width of a letter and height of a line of 12-pixel text; generous. */
const LETTER = 6.8;
const LINE = 14;
/** Half of a mark plus some space. */
const MARK = 7;
/** Distance from which a label needs a line to its point. */
const NEAR = 14;

/** Vertical offsets, nearest first. */
const STEPS = [0, -12, 12, -18, 18, -26, 26, -40, 40, -55, 55, -72, 72, -90, 90];

/** Places the labels of points, in the given order. */
export function labelPlaces(points: readonly LabelledPoint[], { plot, occupied }: Surface): LabelPlace[] {
  const taken: Box[] = occupied.map(({ x, y }) => ({
    left: x - MARK,
    right: x + MARK,
    top: y - MARK,
    bottom: y + MARK,
  }));
  return points.map((point) => {
    const candidates = STEPS.flatMap((step) =>
      [1, -1].flatMap((side) => [10, 34].map((distance) => ({ dx: side * distance, dy: step }))),
    ).sort((p, q) => Math.hypot(p.dx, p.dy) - Math.hypot(q.dx, q.dy));
    const free = candidates.find(({ dx, dy }) => {
      const box = boxOf(point, dx, dy);
      return (
        box.left >= plot.left &&
        box.right <= plot.right &&
        box.top >= plot.top &&
        box.bottom <= plot.bottom &&
        !taken.some((other) => overlap(box, other))
      );
    });
    const { dx, dy } = free ?? candidates[0]!;
    taken.push(boxOf(point, dx, dy));
    const place = { x: point.x + dx, y: point.y + dy };
    const far = Math.abs(dx) > NEAR || Math.abs(dy) > NEAR;
    return {
      x: place.x,
      y: place.y + 4,
      anchor: dx > 0 ? "start" : "end",
      leader: far ? { x: place.x - Math.sign(dx) * 2, y: place.y } : undefined,
    };
  });
}

function boxOf({ x, y, label }: LabelledPoint, dx: number, dy: number): Box {
  const width = LETTER * label.length;
  const left = dx > 0 ? x + dx : x + dx - width;
  return { left, right: left + width, top: y + dy - LINE / 2, bottom: y + dy + LINE / 2 };
}

function overlap(p: Box, q: Box): boolean {
  return p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom;
}
