/** `npm run docs:generate`: writes the papers that are made from tables in the code. */
import { writeFile } from "node:fs/promises";
import { renderErrors, renderOptions } from "./render-docs.js";

const docs = new URL("../../../docs/", import.meta.url);
await writeFile(new URL("errors.md", docs), renderErrors());
await writeFile(new URL("options.md", docs), renderOptions());
