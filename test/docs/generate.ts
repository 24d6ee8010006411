/** `npm run docs:generate`: writes the papers that are made from tables in the code. */
import { readFile, writeFile } from "node:fs/promises";
import { renderControls, renderErrors, renderFaults, renderMetrics, renderOptions } from "./render-docs.js";

const docs = new URL("../../../docs/", import.meta.url);
await writeFile(new URL("errors.md", docs), renderErrors());
await writeFile(new URL("options.md", docs), renderOptions());
const fetchPage = new URL("fetch.md", docs);
await writeFile(fetchPage, renderFaults(await readFile(fetchPage, "utf8")));
const operationsPage = new URL("operations.md", docs);
await writeFile(operationsPage, renderMetrics(renderControls(await readFile(operationsPage, "utf8"))));
