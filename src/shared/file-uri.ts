/**
 * How a local file is named in items and rows: an absolute path where its name is valid UTF-8, and a percent-encoded
 * `file:` uri (RFC 8089) where it is not, since such a name has no text form that leads back to it.
 */
import { Buffer, isUtf8 } from "node:buffer";

const reserved = /[^A-Za-z0-9._~/-]/g;

/** The uri of the absolute path `path`, given as the bytes that the file system holds. */
export function uriOfPath(path: Buffer): string {
  return isUtf8(path) ? path.toString("utf8") : fileUriOfPath(path);
}

/** The `file:` uri of the absolute path `path`, whatever its bytes are. */
export function fileUriOfPath(path: Buffer): string {
  return `file://${percentEncode(path)}`;
}

/** Bytes as a uri has them: letters, digits, `._~/-` as they are, all others as `%XX`. */
export function percentEncode(bytes: Buffer): string {
  return bytes
    .toString("latin1")
    .replaceAll(reserved, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
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
