// The loader's hooks: replaces text in modules by the end of their path. A patch that does not fit is an error.

/** @type {readonly { file: string, find: string, replace: string }[]} */
let patches = [];

/** @param {typeof patches} data */
export function initialize(data) {
  patches = data;
}

/**
 * @param {string} url
 * @param {object} context
 * @param {(url: string, context: object) => Promise<{ source?: unknown }>} nextLoad
 */
export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context);
  let source = loaded.source;
  for (const { file, find, replace } of patches.filter((patch) => url.endsWith(`/${patch.file}`))) {
    const text = String(source);
    if (text.split(find).length !== 2) throw new Error(`the mutant does not fit ${file}: ${find}`);
    source = text.replace(find, () => replace);
  }
  return { ...loaded, source };
}
