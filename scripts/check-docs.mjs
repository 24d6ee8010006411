/**
 * `npm run docs:check`: what a reader or an installer would stumble over and no compiler sees. Relative links of every
 * Markdown file lead to a file (and to a heading, where they name one), decision records are numbered without a gap, no
 * committed file is over 1 MiB, and the lock names no registry, so that it installs from whichever one npm is set to.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { root, runScript, StepError } from "./step.mjs";

const unread = new Set([".git", "node_modules", "dist", "coverage", "labelmill-out"]);
const maxFileBytes = 1024 * 1024;

async function main() {
  const files = filesBelow(root);
  const pages = files.filter((path) => path.endsWith(".md"));
  const problems = [...pages.flatMap(brokenLinks), ...misnumberedDecisions(), ...oversized(files), ...pinnedRegistry()];
  for (const problem of problems) console.error(problem);
  if (pages.length === 0) throw new StepError("Found no Markdown file to check.");
  if (problems.length > 0)
    throw new StepError(`${problems.length} problems in ${pages.length} pages and their surroundings.`);
  console.log(`${pages.length} pages, ${files.length} files: no problem.`);
}

/** @param {string} directory @returns {string[]} */
function filesBelow(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return unread.has(entry.name) ? [] : filesBelow(path);
    return entry.isFile() ? [path] : [];
  });
}

/** @param {string} page @returns {string[]} */
function brokenLinks(page) {
  const text = withoutCode(readFileSync(page, "utf8"));
  const targets = [...text.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)|^\[[^\]]+\]:\s+(\S+)/gm)].map(
    (match) => match[1] ?? match[2] ?? "",
  );
  return targets
    .filter((target) => !/^[a-z][a-z+.-]*:/i.test(target) && !leadsSomewhere(page, target))
    .map((target) => `${relative(root, page)}: the link ${target} leads nowhere`);
}

/** @param {string} page @param {string} link */
function leadsSomewhere(page, link) {
  const [path = "", heading] = decodeURI(link).split("#");
  const file = path === "" ? page : join(dirname(page), path);
  if (!existsSync(file)) return false;
  return heading === undefined || !file.endsWith(".md") || anchorsOf(file).has(heading);
}

/** The anchors that GitHub makes of a page's headings. @param {string} page */
function anchorsOf(page) {
  const headings = [...withoutFences(readFileSync(page, "utf8")).matchAll(/^#+\s+(.*?)\s*$/gm)].map(
    (match) => match[1] ?? "",
  );
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
        .replaceAll(/\s/g, "-"),
    ),
  );
}

/** @param {string} text */
const withoutFences = (text) => text.replaceAll(/^ *(```|~~~)[\s\S]*?^ *\1/gm, "");
/** @param {string} text */
const withoutCode = (text) => withoutFences(text).replaceAll(/`[^`\n]*`/g, "");

function misnumberedDecisions() {
  const names = readdirSync(join(root, "docs/decisions")).sort();
  return names
    .filter((name, index) => !new RegExp(`^${String(index + 1).padStart(4, "0")}-[a-z0-9-]+\\.md$`).test(name))
    .map((name) => `docs/decisions/${name}: expected NNNN-title.md, numbered from 0001 without a gap`);
}

/** @param {readonly string[]} files */
function oversized(files) {
  return files
    .map((path) => ({ path, bytes: statSync(path).size }))
    .filter(({ bytes }) => bytes > maxFileBytes)
    .map(({ path, bytes }) => `${relative(root, path)}: ${bytes} bytes, more than ${maxFileBytes}`);
}

function pinnedRegistry() {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  return Object.keys(packages)
    .filter((name) => packages[name].resolved !== undefined)
    .map((name) => `package-lock.json: ${name} has a "resolved" address; run npm install with the project's .npmrc`);
}

await runScript(main);
