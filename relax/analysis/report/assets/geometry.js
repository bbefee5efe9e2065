"use strict";

// Vectors, periodic images, and bonds of structures.

const BOND = 1.2; // distance of a bond over the sum of the covalent radii
const EDGE = 0.3; // atoms that near (A) to a face of the cell are drawn on the opposite face too

/** Return vectors, three numbers each, from whole multiples of 1 / scale. */
function vectors(integers, scale) {
  const found = [];
  for (let k = 0; k < integers.length; k += 3) {
    found.push([integers[k] / scale, integers[k + 1] / scale, integers[k + 2] / scale]);
  }
  return found;
}

const plus = (a, b, times = 1) => [a[0] + times * b[0], a[1] + times * b[1], a[2] + times * b[2]];
const point = (a) => ({ x: a[0], y: a[1], z: a[2] });
const size = (a) => Math.hypot(a[0], a[1], a[2]);

/** Return the reciprocal vectors of a cell, without 2 pi; null if it is flat. */
function reciprocal(cell) {
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const volume = dot(cell[0], cross(cell[1], cell[2]));
  if (Math.abs(volume) < 1e-6) return null;
  return [0, 1, 2].map((k) => cross(cell[(k + 1) % 3], cell[(k + 2) % 3]).map((part) => part / volume));
}

/** Return the quaternion of a turn by so many degrees about an axis, after another turn. */
function turn(angle, axis, after = [0, 0, 0, 1]) {
  const half = (angle * Math.PI) / 360;
  const [a, b, c, d] = [...axis.map((part) => part * Math.sin(half)), Math.cos(half)];
  const [x, y, z, w] = after;
  return [
    a * w + d * x + b * z - c * y,
    b * w + d * y + c * x - a * z,
    c * w + d * z + a * y - b * x,
    d * w - a * x - b * y - c * z,
  ];
}

/** Return [atom, shift] of the periodic images that complete the faces of the cell. */
function faceImages(places, cell, pbc) {
  const inverse = cell && reciprocal(cell);
  if (!inverse || places.length > 2000) return [];
  const found = [];
  places.forEach((place, atom) => {
    const ways = [0, 1, 2].map((k) => {
      const along = place[0] * inverse[k][0] + place[1] * inverse[k][1] + place[2] * inverse[k][2];
      const near = EDGE / size(cell[k]);
      if (!pbc[k]) return [0];
      if (Math.abs(along) < near) return [0, 1];
      return Math.abs(along - 1) < near ? [0, -1] : [0];
    });
    for (const a of ways[0])
      for (const b of ways[1])
        for (const c of ways[2]) {
          if (a || b || c) found.push([atom, [a, b, c]]);
        }
  });
  return found;
}

/** Return the neighbours of each place that are bonded to it, found in boxes of the longest bond. */
function bondsOf(places, kinds) {
  const longest = 2 * BOND * Math.max(...kinds.map((kind) => kind.radius));
  const boxes = new Map();
  const box = (place) => place.map((x) => Math.floor(x / longest));
  places.forEach((place, k) => {
    const key = box(place).join();
    boxes.has(key) ? boxes.get(key).push(k) : boxes.set(key, [k]);
  });
  return places.map((place, i) => {
    const found = [];
    const [x, y, z] = box(place);
    for (let k = 0; k < 27; k++) {
      for (const j of boxes.get(
        [x + (k % 3) - 1, y + (((k / 3) | 0) % 3) - 1, z + ((k / 9) | 0) - 1].join(),
      ) || []) {
        const reach = BOND * (kinds[i].radius + kinds[j].radius);
        if (i !== j && !(kinds[i].metal && kinds[j].metal) && size(plus(places[j], place, -1)) < reach)
          found.push(j);
      }
    }
    return found;
  });
}
