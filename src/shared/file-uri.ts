/**
 * How a local file is named in items and rows: an absolute path where its name is valid UTF-8, and a percent-encoded
 * `file:` uri (RFC 8089) where it is not, since such a name has no text form that leads back to it.
 */
import { Buffer, isUtf8 } from "node:buffer";

const unreserved = /[A-Za-z0-9._~/-]/;

/** The uri of the absolute path `path`, given as the bytes that the file system holds. */
export function uriOfPath(path: Buffer): string {
  if (isUtf8(path)) return path.toString("utf8");
  let encoded = "";
  for (const byte of path) {
    const char = String.fromCharCode(byte);
    encoded += unreserved.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return `file://${encoded}`;
}

/** The bytes of the path that `uri` names, or null where it is neither an absolute path nor a local `file:` uri. */
export function pathOfUri(uri: string): Buffer | null {
  if (uri.startsWith("/")) return Buffer.from(uri, "utf8");
  const encoded = /^file:\/\/(?:localhost)?(\/.*)$/s.exec(uri)?.[1];
  if (encoded === undefined || /%(?![0-9A-Fa-f]{2})/.test(encoded)) return null;
  const bytes: Buffer[] = [];
  for (const piece of encoded.split(/(%[0-9A-Fa-f]{2})/)) {
    bytes.push(piece.startsWith("%") ? Buffer.from(piece.slice(1), "hex") : Buffer.from(piece, "utf8"));
  }
  return Buffer.concat(bytes);
}
