/**
 * `glob` with a backslash before each parenthesis that shells take literally: only those behind `?`, `*`, `+`, `@` or `!`
 * are wildcards (Bash manual, "Pattern Matching"), while picomatch makes a group of any.
 */
export function escapeParentheses(glob: string): string {
  const isWildcard: boolean[] = [];
  // Escaped characters and bracket expressions go by whole.
  return glob.replaceAll(/\\.|\[[^\]]*\]|([?*+@!]?)([()])/gs, (all, before?: string, parenthesis?: string) => {
    if (parenthesis === undefined) return all;
    if (parenthesis === "(") isWildcard.push(before !== "");
    const isKept = parenthesis === "(" ? before !== "" : isWildcard.pop() === true;
    return isKept ? all : `${before}\\${parenthesis}`;
  });
}
