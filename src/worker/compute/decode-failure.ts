/**
 * Turns what the image library says of bytes that it cannot decode into one of our codes. The library has messages only,
 * so this looks at their wording, and where that is ambiguous (a cut PNG and one with a wrong checksum fail alike) at the
 * container's own ending. Anything it does not know is `DECODE_CORRUPT` with the library's sentence.
 */
import { type Failure, failure, messageOf } from "../../shared/errors.js";

const truncatedWording = /premature end|unexpected end of|ended prematurely|truncated/i;
/** "Bad labq format" is what libvips 8.18 makes of a sound TIFF in 8-bit CIE L*a*b*. */
const unsupportedWording =
  /unsupported image format|has not been built in|unsupported (codec|feature|compression)|bad labq format|exceeds channel limit/i;
const pixelLimitWording = /exceeds pixel limit|maximum supported image dimension/i;
/** Long chains of seek warnings precede the reason in AVIF messages. */
const longestReason = 200;

/** The failure of `bytes`, given what the decoder threw. */
export function decodeFailure(bytes: Uint8Array, thrown: unknown, maxPixels: number): Failure {
  if (bytes.length === 0) return failure("DECODE_TRUNCATED", { reason: "there are no bytes" });
  const message = messageOf(thrown);
  if (pixelLimitWording.test(message)) return failure("LIMIT_PIXELS", { limit: maxPixels, reason: reasonOf(message) });
  if (isHevc(bytes)) return failure("DECODE_UNSUPPORTED", { reason: "it is HEIC, whose HEVC coding is not included" });
  const container = sniffContainer(bytes);
  if (truncatedWording.test(message)) return failure("DECODE_TRUNCATED", { reason: reasonOf(message) });
  if (container !== null && endsEarly[container](bytes)) {
    return failure("DECODE_TRUNCATED", { reason: `the ${container} data is not complete` });
  }
  if (unsupportedWording.test(message)) {
    // A loader that refuses its own format at first sight could not follow the header.
    const isUnread = container === "TIFF" && /unsupported image format/i.test(message);
    if (isUnread) return failure("DECODE_CORRUPT", { reason: "the TIFF header is unreadable" });
    return failure("DECODE_UNSUPPORTED", { reason: describeBytes(bytes, message) });
  }
  return failure("DECODE_CORRUPT", { reason: reasonOf(message) });
}

type Container = "PNG" | "WebP" | "TIFF";

function sniffContainer(bytes: Uint8Array): Container | null {
  const head = Buffer.from(bytes.subarray(0, 12)).toString("latin1");
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "PNG";
  if (head.startsWith("RIFF") && head.endsWith("WEBP")) return "WebP";
  return head.startsWith("II*\0") || head.startsWith("MM\0*") ? "TIFF" : null;
}

/** Whether the file type box (ISO/IEC 23008-12, annex B) names an HEVC-coded brand, as photos of iPhones do. */
function isHevc(bytes: Uint8Array): boolean {
  return /^ftyphe(ic|ix|im|is|vc|vx)/.test(Buffer.from(bytes.subarray(4, 12)).toString("latin1"));
}

/** Whether the container states more than the bytes hold. */
const endsEarly: Readonly<Record<Container, (bytes: Uint8Array) => boolean>> = {
  PNG: (bytes) => !Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes("IEND"),
  WebP: (bytes) => viewOf(bytes).getUint32(4, true) + 8 > bytes.length,
  // The first directory usually stands behind the pixels that it describes.
  TIFF: (bytes) => bytes.length < 8 || viewOf(bytes).getUint32(4, bytes[0] === 0x49) + 2 > bytes.length,
};

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** What an undecodable file looks like, for the person who finds the row: error pages saved as images are common. */
function describeBytes(bytes: Uint8Array, message: string): string {
  if (!/unsupported image format/i.test(message)) return reasonOf(message);
  const start = Buffer.from(bytes.subarray(0, 256)).toString("latin1").trimStart();
  if (/^(<!doctype html|<html)/i.test(start)) return "it looks like an HTML page";
  if (/^(\ufeff|\xef\xbb\xbf)?<(\?xml|svg)/i.test(start)) return "it looks like XML or SVG";
  if (start.startsWith("version https://git-lfs")) return "it is a git-lfs pointer, not the file itself";
  return `it starts with bytes ${Buffer.from(bytes.subarray(0, 8)).toString("hex")}`;
}

/** The last, most specific part of the library's message, on one line. */
function reasonOf(message: string): string {
  const text = message.replace(/^Input buffer has corrupt header:\s*/, "");
  const parts = [...new Set(text.split("; "))].filter((part) => !part.startsWith("source: bad seek"));
  return parts.join("; ").slice(0, longestReason) || "the header is unreadable";
}
