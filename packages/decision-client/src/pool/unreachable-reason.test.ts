import { expect, test } from "vitest";
import { unreachableReason } from "./unreachable-reason.js";

test.each([
  [
    "No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:50099. Resolution note: ",
    "connect ECONNREFUSED 127.0.0.1:50099",
  ],
  [
    "No connection established. Last error: Failed to connect (2026-11-30T23:18:06.415Z). Resolution note: ",
    "Failed to connect: if the service uses TLS, give its certificate authority",
  ],
  [
    "No connection established. Last error: Error: unable to verify the first certificate. Resolution note: ",
    "unable to verify the first certificate: give the certificate authority of the service",
  ],
  [
    "No connection established. Last error: 4082461D607F0000:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:ssl/record/rec_layer_s3.c:1601:SSL alert number 116\n (2026-11-30T23:18:18.245Z). Resolution note: ",
    "tlsv13 alert certificate required: give a client certificate that the service knows",
  ],
  ["it does not welcome a session", "it does not welcome a session"],
])("of %j only the reason remains", (message, reason) => expect(unreachableReason(message)).toBe(reason));
