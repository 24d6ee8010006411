/**
 * The address of a server as it may be shown: without user name, password and parameters. Whoever mistypes a url has a
 * password with `@`, `/` or `?` in it more often than not, so all that could belong to one goes, for a url of any form.
 */
export function redactUrl(url: string): string {
  const [, scheme = "", rest = ""] = /^([a-z][a-z0-9+.-]*:\/\/)?(.*)$/is.exec(url) ?? [];
  const at = rest.lastIndexOf("@");
  const question = rest.indexOf("?");
  if (question < 0) return `${scheme}${at < 0 ? rest : `***${rest.slice(at)}`}`;
  // Of a question mark before an @ nobody can say where the password ends.
  if (at > question) return `${scheme}***`;
  return `${scheme}${at < 0 ? "" : "***"}${rest.slice(Math.max(at, 0), question)}?***`;
}
