/** A TIFF whose every pixel has the same samples, in forms that an image library would not write. */
export interface PlainTiff {
  readonly width: number;
  readonly height: number;
  /** The samples of one pixel. */
  readonly samples: readonly number[];
  /** 8 and 16 are unsigned integers, 32 is IEEE float. */
  readonly bits: 8 | 16 | 32;
  /** TIFF 6.0: 1 grey (0 is black), 2 RGB, 5 CMYK, 8 CIE L*a*b*. */
  readonly photometric: 1 | 2 | 5 | 8;
  /** Samples beyond the colour's, by their kind: 0 unspecified, 2 alpha. */
  readonly extraSamples?: readonly number[];
}

/** Little-endian, one strip, uncompressed. */
export function writeTiff(tiff: PlainTiff): Buffer {
  const pixel = Buffer.concat(tiff.samples.map((sample) => writeSample(sample, tiff.bits)));
  const pixels = Buffer.concat(Array.from({ length: tiff.width * tiff.height }, () => pixel));
  const count = tiff.samples.length;
  const extra = tiff.extraSamples ?? [];
  const entries: [tag: number, values: readonly number[], type: 3 | 4][] = [
    [256, [tiff.width], 4],
    [257, [tiff.height], 4],
    [258, tiff.samples.map(() => tiff.bits), 3],
    [259, [1], 3],
    [262, [tiff.photometric], 3],
    [273, [8], 4],
    [277, [count], 3],
    [278, [tiff.height], 4],
    [279, [pixels.length], 4],
    [284, [1], 3],
    ...(extra.length > 0 ? [[338, extra, 3] as [number, readonly number[], 3]] : []),
    [339, tiff.samples.map(() => (tiff.bits === 32 ? 3 : 1)), 3],
  ];
  const directoryAt = 8 + pixels.length + (pixels.length % 2);
  const directory = Buffer.alloc(2 + entries.length * 12 + 4);
  directory.writeUInt16LE(entries.length, 0);
  const tail: Buffer[] = [];
  let tailAt = directoryAt + directory.length;
  for (const [index, [tag, values, type]] of entries.entries()) {
    const at = 2 + index * 12;
    directory.writeUInt16LE(tag, at);
    directory.writeUInt16LE(type, at + 2);
    directory.writeUInt32LE(values.length, at + 4);
    const written = Buffer.concat(values.map((value) => writeSample(value, type === 3 ? 16 : "long")));
    if (written.length <= 4) written.copy(directory, at + 8);
    else {
      directory.writeUInt32LE(tailAt, at + 8);
      tail.push(written);
      tailAt += written.length;
    }
  }
  const header = Buffer.from([0x49, 0x49, 42, 0, 0, 0, 0, 0]);
  header.writeUInt32LE(directoryAt, 4);
  return Buffer.concat([header, pixels, Buffer.alloc(pixels.length % 2), directory, ...tail]);
}

function writeSample(value: number, bits: 8 | 16 | 32 | "long"): Buffer {
  if (bits === 8) return Buffer.from([value & 0xff]);
  const bytes = Buffer.alloc(bits === 16 ? 2 : 4);
  if (bits === 16) bytes.writeUInt16LE(value);
  else if (bits === 32) bytes.writeFloatLE(value);
  else bytes.writeUInt32LE(value);
  return bytes;
}
