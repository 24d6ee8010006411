/**
 * Where an image's pixels go: the plan of cutting, resizing and turning that gives the model's square input. Pure
 * arithmetic, the same as torchvision's `Resize(shortest)` + `CenterCrop(size)` on the image as displayed. It decodes
 * nothing; `decode` carries the plan out.
 */

/** A rectangle in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** How a stored image becomes upright: mirrored top to bottom, then left to right, then turned clockwise. */
export interface Turn {
  readonly flip: boolean;
  readonly flop: boolean;
  readonly degrees: 0 | 90 | 180 | 270;
}

/** The square that a model is fed with. */
export interface CropGeometry {
  /** The shortest side is resized to this. */
  readonly shortestSide: number;
  /** Side of the square that is cut from the centre. */
  readonly cropSize: number;
}

/** Steps in this order: cut `band` from the stored image, resize to `resized`, apply `turn`, cut `crop`. */
export interface CropPlan {
  /** Of the stored image; null where all of it is resized. */
  readonly band: Box | null;
  /** Size after the resize, still as stored. */
  readonly resized: ImageSize;
  readonly turn: Turn;
  /** Of the upright, resized image; always `cropSize` square. */
  readonly crop: Box;
  /** The whole image as displayed, before any cutting. */
  readonly displayed: ImageSize;
}

/**
 * Beyond this ratio of the sides, only a centred band is resized: a 1x16000 image would otherwise become 256x4096000. Up to it the
 * resized image is at most 4096x256, and the decoder's shrink-on-load stays usable, which a cut before the resize rules out.
 */
const longestWholeRatio = 16;
/** Length of that band in short sides; the crop needs less than one, and the resize kernel a few pixels more. */
const bandRatio = 4;

const upright: Turn = { flip: false, flop: false, degrees: 0 };

/** The turns of EXIF orientations 1 to 8 (Exif 2.32, tag 0x0112). */
const turns: readonly Turn[] = [
  upright,
  { flip: false, flop: true, degrees: 0 },
  { flip: false, flop: false, degrees: 180 },
  { flip: true, flop: false, degrees: 0 },
  { flip: true, flop: false, degrees: 90 },
  { flip: false, flop: false, degrees: 90 },
  { flip: true, flop: false, degrees: 270 },
  { flip: false, flop: false, degrees: 270 },
];

/** Plans the crop of a stored image; an `orientation` outside 1 to 8 means upright. */
export function planCrop(stored: ImageSize, orientation: number, geometry: CropGeometry): CropPlan {
  const turn = turns[orientation - 1] ?? upright;
  const swap = turn.degrees === 90 || turn.degrees === 270;
  const cut = planBand(stored);
  const resized = resizeShortest(cut ?? stored, geometry.shortestSide);
  return {
    band: cut,
    resized,
    turn,
    crop: centreCrop(swap ? swapSides(resized) : resized, geometry.cropSize),
    displayed: swap ? swapSides(stored) : stored,
  };
}

function planBand({ width, height }: ImageSize): Box | null {
  const short = Math.min(width, height);
  const long = Math.max(width, height);
  if (long <= longestWholeRatio * short) return null;
  // Of the long side's parity, so that the band is exactly centred and mirror images are cut alike.
  const length = bandRatio * short + ((long - bandRatio * short) % 2);
  const start = (long - length) / 2;
  return width > height
    ? { left: start, top: 0, width: length, height }
    : { left: 0, top: start, width, height: length };
}

/** torchvision truncates the longer side (`int(size * long / short)`). */
function resizeShortest({ width, height }: ImageSize, side: number): ImageSize {
  return width <= height
    ? { width: side, height: Math.floor((side * height) / width) }
    : { width: Math.floor((side * width) / height), height: side };
}

function centreCrop({ width, height }: ImageSize, size: number): Box {
  return {
    left: roundHalfEven((width - size) / 2),
    top: roundHalfEven((height - size) / 2),
    width: size,
    height: size,
  };
}

/** Python's `round`, which torchvision's offsets come from. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

const swapSides = ({ width, height }: ImageSize): ImageSize => ({ width: height, height: width });
