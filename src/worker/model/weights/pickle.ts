/**
 * A pickle reader that executes nothing. It knows the opcodes that torch.save emits (protocol 2,
 * https://docs.python.org/3/library/pickle.html; meanings as in CPython's pickletools), builds plain data of them, and asks
 * its host about every global: a name that the host does not allow is an error, and one that it allows is still only a
 * name, which the host turns into data. Whatever the bytes are, it ends after one step a byte at most and allocates no more
 * than a few times their length, as long as its host does a bounded amount in a call: what the host is given may be a list
 * that a recall of two bytes names again and again. `torch-file` calls it.
 */
import { Buffer } from "node:buffer";

/** What the reader needs to know of the program whose pickles it reads. Its functions may throw an Error. */
export interface PickleHost {
  /** Whether the name `module.attribute` may occur at all. */
  isAllowed(global: string): boolean;
  /** The data that a call of `global` stands for. */
  call(global: string, args: readonly unknown[]): unknown;
  /** The data that a persistent id stands for. */
  persistent(id: unknown): unknown;
}

/** An allowed global that was named, not called. */
export class PickleGlobal {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/**
 * The value in `bytes`: null, booleans, numbers, strings, arrays (of lists and tuples), Maps (of dicts), `PickleGlobal`s
 * and what the host made. Throws an Error that names the byte.
 */
export function unpickle(bytes: Uint8Array, host: PickleHost): unknown {
  const machine = new PickleMachine(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), host);
  while (true) {
    const at = machine.offset;
    try {
      const opcode = machine.take(1).readUInt8(0);
      if (opcode === stop) return machine.pop();
      const operation = operations.get(opcode);
      if (operation === undefined) {
        const shown = `0x${opcode.toString(16).padStart(2, "0")}`;
        throw new Error(`opcode ${shown} is not one that torch.save writes`);
      }
      operation(machine);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`byte ${at} of the pickle: ${reason}`, { cause: error });
    }
  }
}

/** The pickle machine: a stack with marks, and a memo. */
class PickleMachine {
  readonly bytes: Buffer;
  readonly host: PickleHost;
  offset = 0;
  readonly memo = new Map<number, unknown>();
  readonly #stack: unknown[] = [];
  readonly #marks: number[] = [];

  constructor(bytes: Buffer, host: PickleHost) {
    this.bytes = bytes;
    this.host = host;
  }

  take(count: number): Buffer {
    if (this.offset + count > this.bytes.length) throw new Error("the pickle ends here");
    const taken = this.bytes.subarray(this.offset, this.offset + count);
    this.offset += count;
    return taken;
  }

  takeLine(): string {
    const end = this.bytes.indexOf(0x0a, this.offset);
    if (end < 0) throw new Error("the pickle ends inside a name");
    const line = this.take(end - this.offset).toString("utf8");
    this.offset += 1;
    return line;
  }

  push(value: unknown): void {
    this.#stack.push(value);
  }

  pop(): unknown {
    const floor = this.#marks.at(-1) ?? 0;
    if (this.#stack.length <= floor) throw new Error("the pickle takes a value that is not there");
    return this.#stack.pop();
  }

  top(): unknown {
    const value = this.pop();
    this.push(value);
    return value;
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  popMarked(): unknown[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw new Error("the pickle closes what it has not opened");
    return this.#stack.splice(mark);
  }

  recall(key: number): void {
    if (!this.memo.has(key)) throw new Error(`the pickle recalls ${key}, which it has not kept`);
    this.push(this.memo.get(key));
  }
}

const stop = 0x2e;

const operations: ReadonlyMap<number, (machine: PickleMachine) => void> = new Map([
  [0x80, checkProtocol],
  // ( } ] ) N, true, false
  [0x28, (m) => m.mark()],
  [0x7d, (m) => m.push(new Map())],
  [0x5d, (m) => m.push([])],
  [0x29, (m) => m.push([])],
  [0x4e, (m) => m.push(null)],
  [0x88, (m) => m.push(true)],
  [0x89, (m) => m.push(false)],
  // K M J G: integers of 1, 2 and 4 bytes, and a float
  [0x4b, (m) => m.push(m.take(1).readUInt8(0))],
  [0x4d, (m) => m.push(m.take(2).readUInt16LE(0))],
  [0x4a, (m) => m.push(m.take(4).readInt32LE(0))],
  [0x47, (m) => m.push(m.take(8).readDoubleBE(0))],
  [0x8a, (m) => m.push(readLong(m.take(m.take(1).readUInt8(0))))],
  // X: text
  [0x58, (m) => m.push(m.take(m.take(4).readUInt32LE(0)).toString("utf8"))],
  // t and tuples of 1, 2 and 3
  [0x74, (m) => m.push(m.popMarked())],
  [0x85, (m) => m.push([m.pop()])],
  [0x86, (m) => m.push([m.pop(), m.pop()].reverse())],
  [0x87, (m) => m.push([m.pop(), m.pop(), m.pop()].reverse())],
  // q r h j: memo
  [0x71, (m) => void m.memo.set(m.take(1).readUInt8(0), m.top())],
  [0x72, (m) => void m.memo.set(m.take(4).readUInt32LE(0), m.top())],
  [0x68, (m) => m.recall(m.take(1).readUInt8(0))],
  [0x6a, (m) => m.recall(m.take(4).readUInt32LE(0))],
  // c R b Q: globals and what they stand for
  [0x63, readGlobal],
  [0x52, call],
  [0x62, build],
  [0x51, (m) => m.push(m.host.persistent(m.pop()))],
  // s u a e: filling dicts and lists
  [0x73, (m) => fillDict([m.pop(), m.pop()].reverse(), m.top())],
  [0x75, (m) => fillDict(m.popMarked(), m.top())],
  [0x61, (m) => fillList([m.pop()], m.top())],
  [0x65, (m) => fillList(m.popMarked(), m.top())],
]);

function checkProtocol(machine: PickleMachine): void {
  const protocol = machine.take(1).readUInt8(0);
  if (protocol > 2)
    throw new Error(`it is of protocol ${protocol}, expected 2, which torch.save writes unless told otherwise`);
}

/** Two's complement, little-endian; of more than 8 bytes it is no size or step of any tensor. */
function readLong(bytes: Buffer): number {
  if (bytes.length > 8) throw new Error(`it holds an integer of ${bytes.length} bytes`);
  return bytes.length === 0 ? 0 : Number(BigInt.asIntN(bytes.length * 8, BigInt(`0x${reversedHex(bytes)}`)));
}

function reversedHex(bytes: Buffer): string {
  return Buffer.from(bytes).reverse().toString("hex");
}

function readGlobal(machine: PickleMachine): void {
  const name = `${machine.takeLine()}.${machine.takeLine()}`;
  if (!machine.host.isAllowed(name))
    throw new Error(`the global ${name} is not allowed; nothing of the file was run. Save the state_dict alone`);
  machine.push(new PickleGlobal(name));
}

function call(machine: PickleMachine): void {
  const args = machine.pop();
  const callee = machine.pop();
  if (!(callee instanceof PickleGlobal) || !Array.isArray(args)) throw new Error("it calls what is no function");
  machine.push(machine.host.call(callee.name, args));
}

/** Attributes beside a dict's entries, such as the `_metadata` of a state_dict: they hold no tensors, and are dropped. */
function build(machine: PickleMachine): void {
  const state = machine.pop();
  if (!(machine.top() instanceof Map) || !(state instanceof Map))
    throw new Error("it sets attributes of what is no dict");
}

function fillDict(pairs: readonly unknown[], dict: unknown): void {
  if (!(dict instanceof Map)) throw new Error("it sets items of what is no dict");
  if (pairs.length % 2 !== 0) throw new Error("it sets a key without a value");
  for (let index = 0; index < pairs.length; index += 2) dict.set(pairs[index], pairs[index + 1]);
}

function fillList(values: readonly unknown[], list: unknown): void {
  if (!Array.isArray(list)) throw new Error("it appends to what is no list");
  for (const value of values) list.push(value);
}
