/** Credentials of a gRPC channel that talks to root and this user alone. The socket's peer is checked before a byte is written. */
import type { Socket } from "node:net";
import { ChannelCredentials, credentials } from "@grpc/grpc-js";
import { strangerAt } from "./host-peer.js";

type Connector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/** Node gives no other way to a connected socket's descriptor. */
function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle?: { fd?: number } })._handle?.fd ?? -1;
}

class KnownPeer extends ChannelCredentials {
  readonly #plain = credentials.createInsecure();

  override _isSecure(): boolean {
    return false;
  }

  override _equals(other: ChannelCredentials): boolean {
    return other instanceof KnownPeer;
  }

  override _createSecureConnector(...args: Parameters<ChannelCredentials["_createSecureConnector"]>): Connector {
    const plain = this.#plain._createSecureConnector(...args);
    return {
      ...plain,
      connect(socket) {
        const problem = strangerAt(descriptorOf(socket));
        return problem === undefined ? plain.connect(socket) : Promise.reject(new Error(problem));
      },
    };
  }
}

export const KNOWN_PEER: ChannelCredentials = new KnownPeer();
