import picomatch from "picomatch";

/**
 * Whether a path matches `glob`, as shells have it: `[!a]` is any character but an a, which picomatch reads as `!` or `a`
 * without being told, and a name may hold a line feed, which its `**` stops at.
 */
export function compilePattern(
  glob: string,
  options: { readonly dot?: boolean; readonly basename?: boolean } = {},
): (path: string) => boolean {
  return picomatch(glob, { posix: true, flags: "s", ...options });
}
