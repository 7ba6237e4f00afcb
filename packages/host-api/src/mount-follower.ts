/** The person or program that has a mount made. */
export interface MountFollower {
  /** Gets the line that says that the mount serves. */
  announce(line: string): void;
  /** Called when the first request has left this process, or cannot. */
  asked?(): void;
  /** Gets lines for a person. */
  tell(line: string): void;
  /** `stop` is called for each request to end the mount. @returns a function that ends that */
  onStop(stop: () => void): () => void;
  /** Ends the call if the service does not answer it. */
  signal?: AbortSignal;
}
