/** Whether an npm package that is optional is installed here; not whether it loads. */
export function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}
