import { access } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** Compiled, this file is dist/test/support/shared-data.js; the data set lies beside the checkout, if anywhere. */
const sharedRoot = new URL("../../../../shared/", import.meta.url);

/** The path of a data set that is not part of the project, or skips the test visibly where it is absent. */
export async function requireShared(context: Mocha.Context, name: string): Promise<string> {
  const path = fileURLToPath(new URL(name, sharedRoot));
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (!isThere) context.skip();
  return path;
}

/** Root of the checkout. */
export const projectRoot = fileURLToPath(new URL("../../../", import.meta.url));
