/**
 * `text` with control characters written as escapes (`\u001b`): names from files and servers of strangers must not command
 * a terminal, nor begin a line of their own.
 */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, escaped);
}

/** The same for a text of several lines. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
