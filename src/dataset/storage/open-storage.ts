import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { LabelmillError } from "../../shared/errors.js";
import { openLocalStorage } from "./local.js";
import type { Storage } from "./storage.js";

/**
 * Opens the storage at `location`, a local directory as a path or `file:` uri. Writes nothing, and holds nothing open.
 */
export function openStorage(location: string): Storage {
  if (location.startsWith("file://")) return openLocalStorage(resolve(fileURLToPath(location)));
  if (location === "" || /^[a-z][a-z0-9+.-]*:\/\//i.test(location)) {
    const details = { option: "out", expected: "a local directory", value: location, from: "the place of a dataset" };
    throw new LabelmillError("OPTION_INVALID", details);
  }
  return openLocalStorage(resolve(location));
}
