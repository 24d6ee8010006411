import { createHash } from "node:crypto";
import type { OnnxFiles } from "./facts.js";

/**
 * The `modelSha256`, in hex, of a model that is an ONNX file: sha256 over the line `{"precision":"fp32"}` (and
 * `"labelsSha256"`, where the model has its own labels), then for the .onnx file and each file of external data, in the order in
 * which the graph first names them, the line `{"location":…,"bytes":…}` and the bytes; the .onnx file's location is null. Every
 * line is compact JSON in UTF-8 and ends in one newline.
 */
export function digestOnnxFiles({ onnx, external }: OnnxFiles, labelsSha256: string | null): string {
  const labels = labelsSha256 === null ? {} : { labelsSha256 };
  const hash = createHash("sha256").update(`${JSON.stringify({ precision: "fp32", ...labels })}\n`);
  for (const { location, data } of [{ location: null, data: onnx }, ...external]) {
    hash.update(`${JSON.stringify({ location, bytes: data.byteLength })}\n`).update(data);
  }
  return hash.digest("hex");
}
