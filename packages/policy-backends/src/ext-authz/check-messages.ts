/**
 * The messages of Envoy's `Authorization/Check` that are used here, to bytes and from bytes; field numbers as in
 * proto/ext-authz.proto. Knows nothing of policies.
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** CheckRequest.attributes. Texts are UTF-8 without NUL. */
export interface CheckRequest {
  principal: string;
  http: {
    id: string;
    method: string;
    path: string;
    host: string;
    scheme: string;
    headers: Readonly<Record<string, string>>;
    sizeBytes: bigint;
  };
  contextExtensions: Readonly<Record<string, string>>;
}

export interface CheckResponse {
  /** google.rpc.Code; undefined where the server says none. */
  code: number | undefined;
  message: string;
  deniedBody: string;
  /** Of an ok_response, names in lower case. */
  headers: ReadonlyMap<string, string>;
  /** The texts of dynamic_metadata. */
  metadata: ReadonlyMap<string, string>;
}

function tag(writer: BinaryWriter, field: number, type: WireType): BinaryWriter {
  return writer.tag(field, type);
}

function text(writer: BinaryWriter, field: number, value: string): void {
  if (value !== "") tag(writer, field, WireType.LengthDelimited).string(value);
}

function message(writer: BinaryWriter, field: number, write: (inner: BinaryWriter) => void): void {
  tag(writer, field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}

function texts(writer: BinaryWriter, field: number, entries: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(entries))
    message(writer, field, (entry) => {
      text(entry, 1, key);
      text(entry, 2, value);
    });
}

export function encodeCheckRequest({ principal, http, contextExtensions }: CheckRequest): Buffer {
  const writer = new BinaryWriter();
  message(writer, 1, (attributes) => {
    message(attributes, 1, (source) => text(source, 4, principal));
    message(attributes, 4, (request) =>
      message(request, 2, (inner) => {
        text(inner, 1, http.id);
        text(inner, 2, http.method);
        texts(inner, 3, http.headers);
        text(inner, 4, http.path);
        text(inner, 5, http.host);
        text(inner, 6, http.scheme);
        tag(inner, 9, WireType.Varint).int64(http.sizeBytes);
      }),
    );
    texts(attributes, 10, contextExtensions);
  });
  return Buffer.from(writer.finish());
}

/** Field number → how it is read; others are skipped. */
type Fields = Readonly<Record<number, (reader: BinaryReader) => void>>;

function readFields(reader: BinaryReader, fields: Fields, end = reader.len): void {
  while (reader.pos < end) {
    const [field, type] = reader.tag();
    const read = fields[field];
    if (read === undefined) reader.skip(type, field);
    else read(reader);
  }
}

function within(fields: Fields): (reader: BinaryReader) => void {
  return (reader) => {
    const length = reader.uint32();
    readFields(reader, fields, reader.pos + length);
  };
}

function readPair(reader: BinaryReader, fields: (set: { key(text: string): void; value(text: string): void }) => Fields): [string, string] {
  let key = "";
  let value = "";
  within(
    fields({
      key: (found) => {
        key = found;
      },
      value: (found) => {
        value = found;
      },
    }),
  )(reader);
  return [key, value];
}

function structEntry(reader: BinaryReader, into: Map<string, string>): void {
  const [key, value] = readPair(reader, (set) => ({
    1: (inner) => set.key(inner.string()),
    2: within({ 3: (inner) => set.value(inner.string()), 4: (inner) => set.value(String(inner.bool())) }),
  }));
  into.set(key, value);
}

function headerOption(reader: BinaryReader, into: Map<string, string>): void {
  within({
    1: (inner) => {
      const [key, value] = readPair(inner, (set) => ({
        1: (header) => set.key(header.string()),
        2: (header) => set.value(header.string()),
        3: (header) => set.value(Buffer.from(header.bytes()).toString("utf8")),
      }));
      into.set(key.toLowerCase(), value);
    },
  })(reader);
}

/** Throws where the bytes are no message. */
export function decodeCheckResponse(bytes: Uint8Array): CheckResponse {
  const headers = new Map<string, string>();
  const metadata = new Map<string, string>();
  const response = { code: undefined as number | undefined, message: "", deniedBody: "", headers, metadata };
  const status: Fields = {
    1: (inner) => {
      response.code = inner.int32();
    },
    2: (inner) => {
      response.message = inner.string();
    },
  };
  readFields(new BinaryReader(bytes), {
    1: (reader) => {
      // A status that is there and empty is 0: OK.
      response.code = 0;
      within(status)(reader);
    },
    2: within({
      3: (inner) => {
        response.deniedBody = inner.string();
      },
    }),
    3: within({ 2: (inner) => headerOption(inner, headers) }),
    4: within({ 1: (inner) => structEntry(inner, metadata) }),
  });
  return response;
}
