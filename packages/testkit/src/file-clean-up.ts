// Before each test file that shares a process with others: only the first of them loads clean-up.ts, which would undo at the
// end of that file alone.
import { afterAll } from "vitest";
import { undoOfFile } from "./clean-up.js";

afterAll(undoOfFile);
