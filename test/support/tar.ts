/** Makes tar archives by hand, also broken ones, which no library writes. */

export interface MadeMember {
  readonly name: string | Buffer;
  readonly data?: Buffer | string;
  readonly type?: string;
  readonly prefix?: string;
  readonly magic?: "ustar\u000000" | "ustar  \0" | "";
  /** The size field as it stands there. @default octal */
  readonly size?: Buffer | string;
  /** Changes the header before its checksum is made. */
  readonly change?: (header: Buffer) => void;
}

const block = 512;
/** What ends an archive. */
export const endMark = Buffer.alloc(2 * block);

export function tarHeader({ name, data = "", type = "0", prefix = "", magic = "ustar\u000000", ...rest }: MadeMember) {
  const { size = Buffer.byteLength(data).toString(8).padStart(11, "0"), change = () => {} } = rest;
  const header = Buffer.alloc(block);
  Buffer.from(name).copy(header, 0, 0, 100);
  header.write("0000644\0", 100);
  Buffer.from(size).copy(header, 124, 0, 12);
  header.write("00000000000\0", 136);
  header.write(type, 156, "latin1");
  header.write(magic, 257, "latin1");
  header.write(prefix, 345);
  change(header);
  header.fill(" ", 148, 156);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

/** A header, its data, and what fills the last block. */
export function tarMember(member: MadeMember): Buffer {
  const data = Buffer.from(member.data ?? "");
  return Buffer.concat([tarHeader(member), data, Buffer.alloc((block - (data.length % block)) % block)]);
}

/** A sound archive of `members`. */
export function tarOf(members: readonly MadeMember[]): Buffer {
  return Buffer.concat([...members.map(tarMember), endMark]);
}

/** A record of a pax header. */
export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest) + 1;
  while (String(length).length + Buffer.byteLength(rest) !== length) length += 1;
  return `${length}${rest}`;
}
