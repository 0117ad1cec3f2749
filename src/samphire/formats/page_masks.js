"use strict";

// Masks as pixels: from COCO's run lengths to a canvas. Knows nothing of the page.

const EDGE = 2, INNER_EDGE = 3; // values of a mask's pixels beside 1, inside, and 0, outside

/** Counts of COCO's compressed string: differences to the last but one, 5 bits a letter. */
function countsOf(text) {
  const counts = [];
  let value = 0, shift = 0;
  for (let at = 0; at < text.length; at++) {
    const bits = text.charCodeAt(at) - 48;
    value |= (bits & 31) << shift;
    shift += 5;
    if (bits & 32) continue;
    if (bits & 16) value -= 1 << shift;
    counts.push(value + (counts.length > 2 ? counts[counts.length - 2] : 0));
    value = shift = 0;
  }
  return counts;
}

/** The pixels of a mask of a picture of this size, inside its window, row by row; made once. */
function pixelsOf(mask, size) {
  if (mask.pixels) return mask.pixels;
  const [x0, y0, x1, y1] = mask.window;
  const width = x1 - x0, height = y1 - y0;
  const pixels = (mask.pixels = new Uint8Array(width * height));
  let place = 0;
  countsOf(mask.counts).forEach((count, run) => {
    let x = Math.floor(place / size.height) - x0, y = place % size.height;
    place += count;
    for (let left = run % 2 ? count : 0; left > 0; left--) {
      pixels[(y - y0) * width + x] = 1;
      if (++y === size.height) [x, y] = [x + 1, 0];
    }
  });
  const thick = Math.max(1, Math.round(Math.max(size.width, size.height) / 500));
  markEdges(pixels, width, height, thick);
  return pixels;
}

/** Give the pixels near the outside the values EDGE and, behind it, INNER_EDGE. */
function markEdges(pixels, width, height, thick) {
  const outside = (x, y) => x < 0 || y < 0 || x >= width || y >= height || !pixels[y * width + x];
  const near = (x, y, by) =>
    outside(x - by, y) || outside(x + by, y) || outside(x, y - by) || outside(x, y + by);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!pixels[y * width + x]) continue;
      if (near(x, y, 1) || near(x, y, thick)) pixels[y * width + x] = EDGE;
      else if (near(x, y, 2 * thick)) pixels[y * width + x] = INNER_EDGE;
    }
  }
}

function contains(mask, size, x, y) {
  const [x0, y0, x1, y1] = mask.window;
  if (x < x0 || x >= x1 || y < y0 || y >= y1) return false;
  return pixelsOf(mask, size)[(y - y0) * (x1 - x0) + x - x0] > 0;
}

/** Lay masks over each other; look(mask) gives [red, green, blue, alpha] of each pixel value. */
function paint(canvas, masks, look) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (const mask of masks) {
    const [x0, y0, x1, y1] = mask.window;
    const pixels = pixelsOf(mask, canvas), colours = look(mask);
    for (let y = y0, from = 0; y < y1; y++) {
      for (let to = 4 * (y * canvas.width + x0), end = to + 4 * (x1 - x0); to < end; to += 4) {
        const colour = colours[pixels[from++]];
        if (colour) blend(image.data, to, colour);
      }
    }
  }
  context.putImageData(image, 0, 0);
}

/** Lay a colour over a pixel that may be clear, as "source-over" does. */
function blend(data, at, colour) {
  const alpha = colour[3], below = (data[at + 3] / 255) * (1 - alpha), whole = alpha + below;
  const share = alpha / whole;
  for (let part = 0; part < 3; part++) {
    data[at + part] += (colour[part] - data[at + part]) * share;
  }
  data[at + 3] = 255 * whole;
}
