/**
 * Reads a tree of TypeScript sources into plain facts about each module: what it imports, how long it and its functions
 * are, where it touches `process`. It judges nothing; `rules.ts` does. The tree is a map from path to text, so a test
 * can plant a violation without writing a file.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path/posix";
import ts from "typescript";

/** Path relative to the repository's root, with `/`, to the file's text. */
export type SourceTree = ReadonlyMap<string, string>;

interface Import {
  readonly specifier: string;
  readonly line: number;
  /** Erased by the compiler: `import type`, `export type`, `import("x").T`. */
  readonly typeOnly: boolean;
  /** A path in the tree, a package's name, or `node:x`; null where it leads nowhere in the tree or is not a literal. */
  readonly target: string | null;
  readonly kind: "module" | "package" | "builtin";
}

interface FunctionLength {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

export interface Module {
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  readonly functions: readonly FunctionLength[];
  /** Lines that use the `process` global or import `node:process`. */
  readonly processLines: readonly number[];
}

/** Reads every `.ts` and `.mjs` file below `root`/`folder` for each of `folders`, except generated `*_pb.ts`. */
export function readTree(root: string, folders: readonly string[]): SourceTree {
  const tree = new Map<string, string>();
  for (const folder of folders) {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true, recursive: true })) {
      if (!entry.isFile() || !/\.(ts|mjs)$/.test(entry.name) || entry.name.endsWith("_pb.ts")) continue;
      const path = join(entry.parentPath, entry.name).slice(root.length).replace(/^\/+/, "");
      tree.set(path, readFileSync(join(entry.parentPath, entry.name), "utf8"));
    }
  }
  return tree;
}

/** The facts of every module of `tree`, in path order. */
export function readModules(tree: SourceTree): readonly Module[] {
  return [...tree.keys()].sort().map((path) => readModule(path, tree));
}

function readModule(path: string, tree: SourceTree): Module {
  const text = tree.get(path) ?? "";
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const lineOf = (node: ts.Node) => file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
  const imports: Import[] = [];
  const functions: FunctionLength[] = [];
  const processLines: number[] = [];
  const visit = (node: ts.Node): void => {
    const found = importOf(node);
    if (found !== null) imports.push({ ...found, ...resolve(path, found.specifier, tree), line: lineOf(node) });
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
      const last = file.getLineAndCharacterOfPosition(node.getEnd()).line + 1;
      functions.push({ name: nameOf(node), line: lineOf(node), lines: last - lineOf(node) + 1 });
    }
    if (isProcess(node) || found?.specifier === "node:process") processLines.push(lineOf(node));
    ts.forEachChild(node, visit);
  };
  visit(file);
  return { path, lines: text.replace(/\n$/, "").split("\n").length, imports, functions, processLines };
}

/** With verbatimModuleSyntax `import { type A } from "x"` still loads x, so only a type clause makes it a type import. */
function importOf(node: ts.Node): { readonly specifier: string; readonly typeOnly: boolean } | null {
  if (ts.isImportDeclaration(node)) {
    return { specifier: literal(node.moduleSpecifier), typeOnly: node.importClause?.isTypeOnly ?? false };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
    return { specifier: literal(node.moduleSpecifier), typeOnly: node.isTypeOnly };
  }
  if (ts.isImportTypeNode(node)) {
    const argument = ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
    return { specifier: literal(argument), typeOnly: true };
  }
  if (ts.isCallExpression(node)) {
    const isImport = node.expression.kind === ts.SyntaxKind.ImportKeyword;
    const isRequire = ts.isIdentifier(node.expression) && node.expression.text === "require";
    if (isImport || isRequire) return { specifier: literal(node.arguments[0]), typeOnly: false };
  }
  return null;
}

/** The text of a string literal; empty for anything computed, which resolves to nothing. */
function literal(node: ts.Node | undefined): string {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : "";
}

function resolve(from: string, specifier: string, tree: SourceTree): Pick<Import, "target" | "kind"> {
  if (specifier.startsWith("node:")) return { target: specifier, kind: "builtin" };
  if (specifier.startsWith(".")) {
    const path = normalize(join(dirname(from), specifier));
    const source = path.replace(/\.js$/, ".ts");
    const generated = source.endsWith("_pb.ts");
    return { target: tree.has(source) || generated ? source : tree.has(path) ? path : null, kind: "module" };
  }
  const name = /^(@[^/]+\/[^/]+|[^/]+)/.exec(specifier)?.[1];
  return { target: name ?? null, kind: "package" };
}

function nameOf(node: ts.SignatureDeclaration): string {
  if (node.name !== undefined) return node.name.getText();
  const parent = node.parent;
  const named = ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent);
  return named ? parent.name.getText() : ts.isConstructorDeclaration(node) ? "constructor" : "(anonymous)";
}

function isProcess(node: ts.Node): boolean {
  if (!ts.isIdentifier(node) || node.text !== "process") return false;
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node)
    return parent.expression.getText() === "globalThis";
  const isMemberName =
    (ts.isPropertyAssignment(parent) || ts.isClassElement(parent) || ts.isTypeElement(parent)) && parent.name === node;
  return !isMemberName;
}
