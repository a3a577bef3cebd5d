/** Signed distance from a point to the edge of a figure of about unit radius around the origin; negative inside. y points down. */
export type Outline = (x: number, y: number) => number;

type Point = readonly [x: number, y: number];

/** Outline of a simple polygon. */
export function polygon(points: readonly Point[]): Outline {
  return (x, y) => {
    let nearest = Infinity;
    let inside = false;
    for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
      const [ax, ay] = points[i] as Point;
      const [bx, by] = points[j] as Point;
      const along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2);
      const t = Math.max(0, Math.min(1, along));
      nearest = Math.min(nearest, (x - ax - t * (bx - ax)) ** 2 + (y - ay - t * (by - ay)) ** 2);
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
    }
    return (inside ? -1 : 1) * Math.sqrt(nearest);
  };
}

export const disc =
  (radius: number, cx = 0, cy = 0): Outline =>
  (x, y) =>
    Math.hypot(x - cx, y - cy) - radius;

const without =
  (figure: Outline, hole: Outline): Outline =>
  (x, y) =>
    Math.max(figure(x, y), -hole(x, y));

/** Corners on circles of the given radii in turn, the first at the top. */
const corners = (count: number, ...radii: number[]): Point[] =>
  Array.from({ length: count }, (_, i): Point => {
    const radius = radii[i % radii.length] ?? 1;
    const angle = (2 * Math.PI * i) / count;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });

const box = (halfWidth: number, halfHeight: number): Outline =>
  polygon([
    [-halfWidth, -halfHeight],
    [halfWidth, -halfHeight],
    [halfWidth, halfHeight],
    [-halfWidth, halfHeight],
  ]);

const HEART: readonly Point[] = Array.from({ length: 24 }, (_, i): Point => {
  const t = (2 * Math.PI * i) / 24;
  return [Math.sin(t) ** 3, -(13 * Math.cos(t) - 5 * Math.cos(2 * t) - 2 * Math.cos(3 * t) - Math.cos(4 * t)) / 16];
});

/** Figures that stay distinct under small rotations, in the order that classes are taken. */
export const OUTLINES: readonly (readonly [name: string, outline: Outline])[] = [
  ['disc', disc(0.9)],
  ['square', box(0.8, 0.8)],
  ['triangle', polygon(corners(3, 1.05))],
  ['star', polygon(corners(10, 1.1, 0.45))],
  [
    'plus',
    polygon([
      [-0.3, -1],
      [0.3, -1],
      [0.3, -0.3],
      [1, -0.3],
      [1, 0.3],
      [0.3, 0.3],
      [0.3, 1],
      [-0.3, 1],
      [-0.3, 0.3],
      [-1, 0.3],
      [-1, -0.3],
      [-0.3, -0.3],
    ]),
  ],
  ['ring', without(disc(0.95), disc(0.5))],
  ['crescent', without(disc(0.95), disc(0.8, 0.5, -0.1))],
  ['heart', polygon(HEART)],
  [
    'arrow',
    polygon([
      [0, -1.05],
      [0.8, -0.15],
      [0.3, -0.15],
      [0.3, 0.95],
      [-0.3, 0.95],
      [-0.3, -0.15],
      [-0.8, -0.15],
    ]),
  ],
  ['frame', without(box(0.85, 0.85), box(0.42, 0.42))],
  [
    'ell',
    polygon([
      [-0.7, -1],
      [-0.15, -1],
      [-0.15, 0.45],
      [0.8, 0.45],
      [0.8, 1],
      [-0.7, 1],
    ]),
  ],
  [
    'tee',
    polygon([
      [-0.9, -0.9],
      [0.9, -0.9],
      [0.9, -0.35],
      [0.28, -0.35],
      [0.28, 1],
      [-0.28, 1],
      [-0.28, -0.35],
      [-0.9, -0.35],
    ]),
  ],
  ['bar', box(1.1, 0.3)],
  ['diamond', polygon(corners(4, 1.1, 0.6))],
  ['hexagon', polygon(corners(6, 1))],
  [
    'bolt',
    polygon([
      [0.25, -1.1],
      [-0.65, 0.2],
      [-0.08, 0.2],
      [-0.3, 1.1],
      [0.65, -0.25],
      [0.05, -0.25],
    ]),
  ],
];
