/**
 * Numeric ranges in braces, `train-{000000..000099}.tar`, as shells and WebDataset's users write them: names that all have
 * to be there, unlike what a glob matches. Commas in braces (`{train,val}`) are the glob's.
 */
import { LabelmillError } from "../../shared/errors.js";
import { redactUri } from "../../shared/http-uri.js";

const range = /\{(\d{1,15})\.\.(\d{1,15})\}/;
const mostNames = 100_000;

export function hasBraceRange(text: string): boolean {
  return range.test(text);
}

/** What `text` holds before its first range. */
export function beforeBraceRange(text: string): string {
  return text.slice(0, range.exec(text)?.index ?? text.length);
}

/**
 * Every name that `text` stands for, the last range counting fastest. Numbers are as wide as the wider end where an end
 * begins with 0, as in Bash. Throws RUN_SOURCE_KIND for more than 100,000 names.
 */
export function expandBraceRanges(text: string): readonly string[] {
  const names = expand(text, mostNames);
  if (names === null) {
    const found = `a range of more than ${mostNames} names`;
    throw new LabelmillError("RUN_SOURCE_KIND", { source: redactUri(text), found });
  }
  return names;
}

/** Null for more than `most`. */
function expand(text: string, most: number): string[] | null {
  const found = range.exec(text);
  if (found === null) return [text];
  const [whole, first = "", last = ""] = found;
  const [from, to] = [Number(first), Number(last)];
  const count = Math.abs(to - from) + 1;
  if (count > most) return null;
  const rest = expand(text.slice(found.index + whole.length), Math.floor(most / count));
  if (rest === null) return null;
  const width = [first, last].some((end) => /^0\d/.test(end)) ? Math.max(first.length, last.length) : 0;
  const step = to < from ? -1 : 1;
  const start = text.slice(0, found.index);
  return Array.from({ length: count }, (_, i) => String(from + i * step).padStart(width, "0")).flatMap((number) =>
    rest.map((end) => `${start}${number}${end}`),
  );
}
