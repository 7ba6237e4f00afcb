/** Names of sessions: two words that are easy to say and to type. */
import { randomBytes } from "@sluice/native";
import { wrong } from "@sluice/runtime/cli";

const QUALITIES =
  "able agile amber ample brave brief bright brisk calm candid clear clever cosy crisp curious deft eager early fair fine fond frank fresh gentle glad golden grand happy hardy honest humble jolly keen kind lively loyal lucid lucky mellow merry mild modest neat nimble noble patient plain polite proud quick quiet rapid ready robust rosy silent sincere smooth snowy steady sunny swift tidy vivid warm wise witty".split(
    " ",
  );
const ANIMALS =
  "ant badger bat bear beaver bee bison camel cat crane cricket crow deer dingo dolphin dove duck eagle eel falcon finch fox frog gecko goose hare hawk heron horse ibex jay kiwi koala lark lemur lion llama lynx magpie marmot mole moose mouse newt otter owl panda parrot pony puffin quail rabbit raven robin salmon seal shark sloth sparrow squid stork swan tapir tiger toad trout turtle whale wolf wren yak zebra".split(
    " ",
  );

/** Beyond it the kernel's limit of a name is near, and a table of sessions is hard to read. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Such as `brave-otter`. */
export function drawName(): string {
  const bytes = randomBytes(8);
  const draw = (words: readonly string[], at: number): string => words[bytes.readUInt32LE(at) % words.length] as string;
  return `${draw(QUALITIES, 0)}-${draw(ANIMALS, 4)}`;
}

/** Whether it is the name of a session, and not one of ours for a half-made or half-removed one, which begin with a dot. */
export function isName(name: string): boolean {
  return NAME.test(name);
}

/** @throws CliError if a session or a checkpoint cannot be called so */
export function checkName(name: string): void {
  if (!isName(name))
    throw wrong(
      JSON.stringify(name),
      "a session or a checkpoint cannot have this name",
      "use up to 64 letters, digits, dots, dashes and underscores",
    );
}

/** A name that nobody else draws. It is that of a layer, or of a directory that is half made. */
export function drawHidden(): string {
  return randomBytes(12).toString("hex");
}

export function isLayerName(name: string): boolean {
  return /^[0-9a-f]{24}$/.test(name);
}

/** "brave-otter@before" is the checkpoint "before" of the session "brave-otter". */
export function splitName(name: string): { session: string; checkpoint: string | undefined } {
  const at = name.indexOf("@");
  return at < 0 ? { session: name, checkpoint: undefined } : { session: name.slice(0, at), checkpoint: name.slice(at + 1) };
}
